"""Programs that compare trainings: ablation, search, and strategies against imbalance."""
