"""Benchmarks of training, drift, small files, tracking and the service: `python -m benchmarks.NAME --help`."""
