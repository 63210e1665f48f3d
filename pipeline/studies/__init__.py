"""Programs that compare trainings: ablation, search, strategies against imbalance."""
