"""Labelled text in, a registered LSTM out: seven DVC stages, then publish."""

import os

# These libraries report their use to their makers unless they are told not to, before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
