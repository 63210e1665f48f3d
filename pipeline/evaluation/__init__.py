"""Evaluation of models: metrics, intervals, curves, behaviour, drift, explanations."""
