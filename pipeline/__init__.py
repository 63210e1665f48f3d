"""Labelled text in, a registered LSTM out: seven DVC stages, then publish."""
