"""Class probabilities of raw inputs: all that travels with a registered model."""
