"""What evaluation does with texts only: slices, perturbations, baselines."""
