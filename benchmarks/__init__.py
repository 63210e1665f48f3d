"""Timings of training, beside textbook Keras and PyTorch on the same work."""
