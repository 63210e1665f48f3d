"""The network: token ids to class probabilities."""

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

# Rows of one prediction step: fixed, so that XLA compiles one shape.
PREDICTION_BATCH = 64


def prepare_keras() -> None:
    """Choose Keras's backend and quiet it; before the first import of keras."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN picks kernels by the processor's kind, and so changes the last bits from one to another.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def make_repeatable(*, threads: int, seed: int) -> None:
    """Fix the number of CPU threads and the seed of the weights; before the first network of the process."""
    import keras
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(seed)


def build(*, num_ids: int, num_classes: int, embedding_dim: int, units: int) -> "keras.Model":
    """Build Embedding -> LSTM -> Dense (Hochreiter and Schmidhuber 1997, "Long Short-Term Memory").

    The padding is masked: the LSTM's last state is that of the last real token, however long the padding.

    Parameters
    ----------
    num_ids : int
        Number of token ids, padding and unknown among them.
    num_classes : int
        Number of classes.
    embedding_dim : int
        Size of a token's vector.
    units : int
        Size of the LSTM's state.

    Returns
    -------
    keras.Model
        From int32 ids of shape (n_rows, length), right-padded with 0, to float32 probabilities of shape
        (n_rows, num_classes).
    """
    import keras
    from keras import layers

    ids = keras.Input((None,), dtype="int32", name="ids")
    vectors = layers.Embedding(num_ids, embedding_dim, mask_zero=True, name="embedding")(ids)
    state = layers.LSTM(units, name="lstm")(vectors)
    return keras.Model(ids, layers.Dense(num_classes, activation="softmax", name="probabilities")(state))


def predict(model: "keras.Model", ids: np.ndarray) -> np.ndarray:
    """Class probabilities of rows of ids.

    Parameters
    ----------
    model : keras.Model
        As built above.
    ids : ndarray of shape (n_rows, length), int32
        Token ids, right-padded with 0.

    Returns
    -------
    ndarray of shape (n_rows, num_classes), float32
        Probabilities. The last step is filled up with unknown words, so that all steps have one shape and a row's
        result does not depend on how many rows there are.
    """
    missing = -len(ids) % PREDICTION_BATCH
    filled = np.concatenate([ids, np.ones((missing, ids.shape[1]), dtype=ids.dtype)])
    steps = [model.predict_on_batch(filled[i : i + PREDICTION_BATCH]) for i in range(0, len(filled), PREDICTION_BATCH)]
    return np.concatenate(steps)[: len(ids)] if steps else np.empty((0, model.output_shape[-1]), dtype=np.float32)
