"""What a model is worth: metrics, intervals, curves, behaviour, drift, explanations."""
