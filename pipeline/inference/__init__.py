"""Prediction: from raw inputs to class probabilities. This package travels with every registered model."""
