"""The network: token ids to class probabilities."""

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


def build(
    *,
    num_ids: int,
    num_classes: int,
    embedding_dim: int,
    units: int,
    bidirectional: bool = False,
    pooling: str = "last",
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
) -> "keras.Model":
    """Build Embedding -> LSTM -> Dense (Hochreiter and Schmidhuber 1997, "Long Short-Term Memory").

    The padding is masked: it changes no result, however long it is.

    Parameters
    ----------
    num_ids : int
        Number of token ids, padding and unknown among them.
    num_classes : int
        Number of classes.
    embedding_dim : int
        Size of a token's vector.
    units : int
        Size of the LSTM's state, in each direction.
    bidirectional : bool
        Whether a second LSTM reads the text from its end (Graves and Schmidhuber 2005).
    pooling : {"last", "max", "mean", "max_mean"}
        What the classes are told from: the state after the last token, or what `layers.Pooling` makes of all states.
    embedding_dropout, dropout : float
        Share of the values dropped in training, of the tokens' vectors and of what the classes are told from.

    Returns
    -------
    keras.Model
        From int32 ids of shape (n_rows, length), right-padded with 0, to float32 logits of shape
        (n_rows, num_classes).
    """
    import keras

    from .layers import LSTM, Dropout, Pooling

    ids = keras.Input((None,), dtype="int32", name="ids")
    vectors = keras.layers.Embedding(num_ids, embedding_dim, mask_zero=True, name="embedding")(ids)
    vectors = Dropout(embedding_dropout, seed=1, name="embedding_dropout")(vectors)
    lstm = LSTM(units, return_sequences=pooling != "last", name="lstm")
    states = (keras.layers.Bidirectional(lstm, name="bidirectional") if bidirectional else lstm)(vectors)
    summary = states if pooling == "last" else Pooling(pooling, name="pooling")(states)
    summary = Dropout(dropout, seed=2, name="dropout")(summary)
    return keras.Model(ids, keras.layers.Dense(num_classes, name="logits")(summary))


@lru_cache(maxsize=8)
def _compiled(model: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    return backend.compiled(model)


def log_probabilities(model: "keras.Model", ids: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Logarithms of the class probabilities of rows of ids.

    Parameters
    ----------
    model : keras.Model
        As built above.
    ids : ndarray of shape (n_rows, lengths[-1]), int32
        Token ids, right-padded with 0.
    lengths : sequence of int
        The padded lengths there are, ascending: a row is cut to the shortest that holds its tokens.

    Returns
    -------
    ndarray of shape (n_rows, num_classes), float64
        A row's result depends on that row alone: on its own length, and on no other row, since all steps have the same
        number of rows (the last is filled up).
    """
    logits = np.empty((len(ids), model.output_shape[-1]), dtype=np.float64)
    for length, rows in by_length(ids, lengths):
        for start in range(0, len(rows), PREDICTION_BATCH):
            taken = rows[start : start + PREDICTION_BATCH]
            batch = np.ones((PREDICTION_BATCH, length), dtype=np.int32)
            batch[: len(taken)] = ids[taken, :length]
            logits[taken] = _compiled(model)(batch)[: len(taken)]
    return log_softmax(logits)
