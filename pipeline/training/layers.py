"""Keras layers: an LSTM and dropout that are several times as fast on a CPU, pooling, and a sampled softmax."""

from typing import Any

import keras
import numpy as np
from keras import ops

from .backend import on_gpu
from .recurrence import recur, reorder_gates


@keras.saving.register_keras_serializable("pipeline")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` (Hochreiter and Schmidhuber 1997) with its gradient written by hand.

    Keras leaves the gradient to the backend, which stores every intermediate of every step and multiplies two matrices
    per step on the way back. Here only the gates are stored, and the gradient of each matrix is one product after the
    loop, as in cuDNN. On a GPU, this is Keras's own layer, and so cuDNN's.
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Compute all steps.

        Parameters
        ----------
        sequences : tensor of shape (n_rows, length, n_features), float32
        initial_state
            Ignored: it is zero in all of our networks.
        mask : tensor of shape (n_rows, length), bool, or None
            False for padding.

        Returns
        -------
        last : tensor of shape (n_rows, units), float32
        states : tensor of shape (n_rows, length, units), float32
        last_states : list of tensor
            Last hidden state and last cell state.
        """
        if on_gpu():
            return super().inner_loop(sequences, initial_state, mask, training=training)
        steps = ops.flip(sequences, 1) if self.go_backwards else sequences
        if mask is None:
            mask = ops.ones(ops.shape(sequences)[:2])
        elif self.go_backwards:
            mask = ops.flip(mask, 1)
        real = ops.expand_dims(ops.cast(ops.transpose(mask), "float32"), 2)
        kernel, recurrent, bias = (
            reorder_gates(ops.convert_to_tensor(weights))
            for weights in (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        )
        inputs = ops.matmul(ops.swapaxes(steps, 0, 1), kernel) + bias
        states, cells = recur(inputs, recurrent, real)
        outputs = states * real if self.zero_output_for_mask else states
        return states[-1], ops.swapaxes(outputs, 0, 1), [states[-1], cells[-1]]


@keras.saving.register_keras_serializable("pipeline")
class Dropout(keras.layers.Layer):
    """Inverted dropout (Srivastava et al. 2014), with random numbers from a hash of position and step.

    The backend's random generator, compiled by XLA for a CPU, would take four fifths of a training step.

    Parameters
    ----------
    rate : float
        Share of the values that are set to 0 in training; at least 0 and below 1.
    seed : int
        Decides which ones.
    """

    def __init__(self, rate: float, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.rate, self.seed = rate, seed
        self.supports_masking = True
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or not self.rate:
            return x
        seed, step = ops.split(ops.cast(self.generator.next(), "uint32"), 2)
        # The step is hashed before the position is added: otherwise steps would resemble one another.
        start = _hash(_hash(seed) + step)
        bits = _hash(
            ops.convert_to_tensor(np.arange(np.prod(x.shape), dtype=np.uint32) * np.uint32(0x9E3779B9)) + start
        )
        scale = ops.cast(bits >= np.uint32(self.rate * 2**32), x.dtype) / (1 - self.rate)
        return x * ops.reshape(scale, x.shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _hash(bits: Any) -> Any:
    """Apply the last steps of MurmurHash3 (Appleby 2011) to uint32: every bit of the result depends on all bits."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, np.uint32(shift))) * np.uint32(factor)
    return ops.bitwise_xor(bits, ops.right_shift(bits, np.uint32(16)))


@keras.saving.register_keras_serializable("pipeline")
class Pooling(keras.layers.Layer):
    """From the states of a text (n_rows, length, units) to one vector (n_rows, units or twice that), without padding.

    Parameters
    ----------
    kind : {"max", "mean", "max_mean"}
        Maximum of each unit over the tokens, their mean, or both concatenated.
    """

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind
        self.supports_masking = True

    def call(self, states: Any, mask: Any = None) -> Any:
        real = ops.expand_dims(ops.cast(mask, states.dtype), 2)
        pooled = []
        if "max" in self.kind:
            pooled.append(ops.max(states - 2 * (1 - real), axis=1))  # states are above -1
        if "mean" in self.kind:
            pooled.append(ops.sum(states * real, axis=1) / ops.sum(real, axis=1))
        return ops.concatenate(pooled, axis=1)

    def compute_mask(self, states: Any, mask: Any = None) -> None:
        return None

    def compute_output_shape(self, shape: Any) -> Any:
        return shape[0], shape[2] * (1 + ("_" in self.kind))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}


class SampledSoftmax(keras.layers.Layer):
    """Loss of predicting each token from its neighbour, among a sample of tokens (Jean et al. 2015).

    Parameters
    ----------
    embedding : keras.layers.Embedding
        Vectors of the tokens, for input and output (Press and Wolf 2017).
    log_expected : ndarray of shape (n_ids,), float
        Logarithm of the expected number of each id in a sample, by which the scores are corrected.
    bias : ndarray of shape (n_ids,), float
        Initial bias of the score of each id.
    """

    def __init__(self, embedding: Any, log_expected: np.ndarray, bias: np.ndarray, **options: Any) -> None:
        super().__init__(**options)
        self.supports_masking = True
        self.embedding = embedding
        self.log_expected = log_expected.astype(np.float32)
        self.bias = self.add_weight(
            shape=bias.shape, initializer=lambda *_, **__: ops.convert_to_tensor(bias, "float32")
        )
        self.projections = [keras.layers.Dense(embedding.output_dim) for _ in range(2)]

    def build(self, ids_shape: Any, sampled_shape: Any, ahead_shape: Any, behind_shape: Any = None) -> None:
        for projection in self.projections[: 2 if behind_shape else 1]:
            projection.build(ahead_shape)

    def call(self, ids: Any, sampled: Any, ahead: Any, behind: Any = None) -> Any:
        """Compute the losses of the rows, whose mean is the mean over all predicted tokens.

        Parameters
        ----------
        ids : tensor of shape (n_rows, length), int32
            Token ids; 0, padding, and 1, unknown, are not predicted.
        sampled : tensor of shape (1, n_sampled), int32
            Ids that the correct one is distinguished from.
        ahead, behind : tensor of shape (n_rows, length, units), float32
            States of the forward LSTM, and of the backward LSTM in the order in which it reads; None without one.

        Returns
        -------
        tensor of shape (n_rows,), float32
        """
        table, correction = self.embedding.embeddings, self.bias - self.log_expected
        others, others_bias = ops.take(table, sampled[0], axis=0), ops.take(correction, sampled[0])
        sums, count = 0.0, 0.0
        sides = [(ahead[:, :-1], ids[:, 1:])]
        if behind is not None:
            sides.append((ops.flip(behind, 1)[:, 1:], ids[:, :-1]))
        for (states, targets), project in zip(sides, self.projections, strict=False):
            is_predicted = ops.cast((targets > 1) & (ids[:, 1:] > 0), "float32")
            vectors = project(states)
            right = ops.sum(vectors * ops.take(table, targets, axis=0), axis=-1) + ops.take(correction, targets)
            scores = ops.matmul(ops.reshape(vectors, (-1, vectors.shape[-1])), ops.transpose(others)) + others_bias
            wrong = ops.reshape(ops.logsumexp(scores, axis=-1), ops.shape(right))
            sums += ops.sum((ops.logaddexp(right, wrong) - right) * is_predicted, axis=1)
            count += ops.sum(is_predicted)
        return sums * (ids.shape[0] / ops.maximum(count, 1.0))  # count is 0 if every text has one token

    def compute_mask(self, *inputs: Any, **named: Any) -> None:
        return None

    def compute_output_shape(
        self, ids_shape: Any, sampled_shape: Any, ahead_shape: Any, behind_shape: Any = None
    ) -> Any:
        return ids_shape[:1]
