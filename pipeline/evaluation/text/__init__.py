"""Evaluation of texts only: slices, baselines, behavioural tests, words."""
