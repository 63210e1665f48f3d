"""The network's answers while it is trained, by Keras; `inference.network` gives those of a finished model."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..inference.network import log_softmax
from . import backend
from .batches import by_length

if TYPE_CHECKING:
    import keras

# Rows of one prediction step: fixed, so that each length is compiled once.
PREDICTION_BATCH = 64


@lru_cache(maxsize=8)
def _compiled(model: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    return backend.compiled(model)


def log_probabilities(model: "keras.Model", array: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Return the logarithms of the class probabilities of rows.

    Parameters
    ----------
    model : keras.Model
        As an encoder builds it.
    array : ndarray of shape (n_rows, lengths[-1]) or (n_rows, lengths[-1], width)
        Token ids or frames, right-padded with 0.
    lengths : sequence of int
        The padded lengths there are, ascending: a row is cut to the shortest that fits it.

    Returns
    -------
    ndarray of shape (n_rows, num_classes), float64
        A row's result depends on that row alone: on its own length, and on no other row, since all steps have the same
        number of rows (the last is filled up).
    """
    logits = np.empty((len(array), model.output_shape[-1]), dtype=np.float64)
    for length, rows in by_length(array, lengths):
        for start in range(0, len(rows), PREDICTION_BATCH):
            chosen = rows[start : start + PREDICTION_BATCH]
            batch = np.ones((PREDICTION_BATCH, length, *array.shape[2:]), dtype=array.dtype)
            batch[: len(chosen)] = array[chosen, :length]
            logits[chosen] = _compiled(model)(batch)[: len(chosen)]
    return log_softmax(logits)
