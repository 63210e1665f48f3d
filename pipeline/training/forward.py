"""Predictions of a network in training, by Keras; those of a finished model are in `inference.network`."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..inference.network import log_softmax
from . import backend
from .batches import by_length

if TYPE_CHECKING:
    import keras

# Rows per prediction step; fixed, so that each length is compiled once.
PREDICTION_BATCH = 64


@lru_cache(maxsize=8)
def _compiled(model: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    return backend.compiled(model)


def log_probabilities(model: "keras.Model", array: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Return the log-probabilities of the classes.

    Parameters
    ----------
    model : keras.Model
        As built by an encoder.
    array : ndarray of shape (n_rows, lengths[-1]) or (n_rows, lengths[-1], width)
        Token ids or frames, right-padded with 0.
    lengths : sequence of int
        Padded lengths, ascending: a row is cut to the shortest that fits it.

    Returns
    -------
    ndarray of shape (n_rows, num_classes), float64
        The result for a row depends on that row only, not on others in the same step: all steps have the same number
        of rows (the last one is padded).
    """
    logits = np.empty((len(array), model.output_shape[-1]), dtype=np.float64)
    for length, rows in by_length(array, lengths):
        for start in range(0, len(rows), PREDICTION_BATCH):
            selected = rows[start : start + PREDICTION_BATCH]
            batch = np.ones((PREDICTION_BATCH, length, *array.shape[2:]), dtype=array.dtype)
            batch[: len(selected)] = array[selected, :length]
            logits[selected] = _compiled(model)(batch)[: len(selected)]
    return log_softmax(logits)
