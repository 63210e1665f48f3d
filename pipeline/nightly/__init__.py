"""Retraining without supervision: new rows in, a judged model out."""
