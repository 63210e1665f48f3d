"""Two training steps of the whole network, the same on every backend."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.training import backend, forward
from pipeline.training.encoders.text import build
from pipeline.training.loop import weighted_loss

IDS, DIM, LENGTH, CLASSES = 6, 3, 4, 3
LSTM = {
    "num_ids": IDS,
    "num_classes": CLASSES,
    "embedding_dim": DIM,
    "units": 4,
    "bidirectional": True,
    "pooling": "max_mean",
}


def batch(rows: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    ids = random.integers(1, IDS, (rows, LENGTH)).astype(np.int32)
    return ids, random.integers(0, CLASSES, rows).astype(np.int32), random.uniform(0.5, 2, rows).astype(np.float32)


def two_steps(keras: ModuleType, folder: Path) -> Any:
    """Two steps of the whole network, without dropout, from the same weights; saves weights and predictions."""
    model, random = build(**LSTM), np.random.default_rng(2)
    model.set_weights([random.normal(size=array.shape) for array in model.get_weights()])
    step, finish = backend.training_step(model, keras.optimizers.Adam(0.01), loss=weighted_loss, adversarial=1.0)
    ids, labels, weights = batch()
    ids[::2, 2:] = 0  # padding
    for _ in range(2):
        step(ids, labels, weights)
    finish()
    model.save_weights(folder / "model.weights.h5")
    np.save(folder / "log_probabilities.npy", forward.log_probabilities(model, ids, (2, LENGTH)))
    return model
