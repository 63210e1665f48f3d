"""Layers: Keras's LSTM and dropout with the same weights and results, several times as fast on a CPU; and pooling."""

from typing import Any

import keras
import numpy as np
from keras import ops

from .backend import on_gpu


@keras.saving.register_keras_serializable("pipeline")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` with a gradient of its own (Hochreiter and Schmidhuber 1997).

    Keras leaves the gradient to the backend, which keeps every intermediate of every step and multiplies two matrices
    a step on the way back. Here the steps keep the gates alone, and the gradients of the matrices are one product each
    after the loop, as in cuDNN. On a GPU, Keras's own layer, and so cuDNN, does the work.
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """From vectors (n_rows, length, n_features) to the last state, all states, and the last states of both kinds.

        `initial_state` is taken for zero, which it is in all of our networks.
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
            _for_one_tanh(ops.convert_to_tensor(each))
            for each in (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        )
        inputs = ops.matmul(ops.swapaxes(steps, 0, 1), kernel) + bias
        states, cells = _recur(inputs, recurrent, real)
        shown = states * real if self.zero_output_for_mask else states
        return states[-1], ops.swapaxes(shown, 0, 1), [states[-1], cells[-1]]


def _for_one_tanh(weights: Any) -> Any:
    """Keras's order of gates, input, forget, candidate, output, as input, forget, output (halved) and candidate.

    The sigmoid of x is tanh(x / 2) / 2 + 1 / 2: one tanh serves all four gates, and nothing is divided.
    """
    i, f, c, o = ops.split(weights, 4, axis=-1)
    return ops.concatenate([i / 2, f / 2, o / 2, c], axis=-1)


def _sigmoids(tanhs: Any) -> list[Any]:
    """Input, forget and output gate, each (..., units), of the tanhs of all four, (..., 4 * units)."""
    return [part / 2 + 0.5 for part in ops.split(tanhs, 4, axis=-1)[:3]]


@ops.custom_gradient
def _recur(inputs: Any, recurrent: Any, real: Any) -> Any:
    """The steps of an LSTM, time first.

    Parameters
    ----------
    inputs : tensor of shape (length, n_rows, 4 * units), float32
        What each step's token adds to the gates, as `_for_one_tanh` has them.
    recurrent : tensor of shape (units, 4 * units), float32
        What the state adds to them.
    real : tensor of shape (length, n_rows, 1), float32
        1 for a token; at 0, padding, the state stays as it is.

    Returns
    -------
    states, cells : tensor of shape (length, n_rows, units), float32
        The gradient flows through the first alone.
    """
    length, rows, width = inputs.shape
    units = width // 4
    zeros, unwritten = ops.zeros((rows, units)), ops.zeros((length, rows, units))

    def step(carry: Any, at: Any) -> Any:
        (state, cell), (here, _, _, from_input) = carry, at
        tanhs = ops.tanh(from_input + ops.matmul(state, recurrent))
        i, f, o = _sigmoids(tanhs)
        new_cell = f * cell + i * tanhs[:, 3 * units :]
        new_state = o * ops.tanh(new_cell)
        state, cell = state + here * (new_state - state), cell + here * (new_cell - cell)
        return (state, cell), (state, cell, tanhs)

    states, cells, tanhs = _loop(step, (zeros, zeros), (real,), (unwritten, unwritten, inputs))

    def gradient(*given: Any, upstream: Any = None) -> Any:
        outside = keras.tree.flatten(given if upstream is None else upstream)[0]
        transposed = ops.transpose(recurrent)
        # All that does not depend on the way back is computed for all steps at once.
        i, f, o = _sigmoids(tanhs)
        slopes = ops.split(1 - tanhs * tanhs, 4, axis=2)
        before = ops.concatenate([zeros[None], cells[:-1]], axis=0)
        shown = ops.tanh(cells)
        to_cell = real * o * (1 - shown * shown)
        parts = (tanhs[..., 3 * units :] / 2, before / 2, real * shown / 2, i)
        to_z = ops.concatenate([part * slope for part, slope in zip(parts, slopes, strict=True)], axis=2)
        kept = 1 - real

        def back(carry: Any, at: Any) -> Any:
            (d_state, d_cell), (d_outside, real, kept, to_cell, f, to_z) = carry, at
            d_state = d_state + d_outside
            d_new = real * d_cell + d_state * to_cell
            d_z = ops.concatenate([d_new, d_new, d_state, d_new], axis=1) * to_z
            return (ops.matmul(d_z, transposed) + kept * d_state, d_new * f + kept * d_cell), (d_z,)

        at = (outside, real, kept, to_cell, f)
        (d_inputs,) = _loop(back, (zeros, zeros), at, (to_z,), backwards=True)
        old_states = ops.concatenate([zeros[None], states[:-1]], axis=0)
        d_recurrent = ops.matmul(
            ops.transpose(ops.reshape(old_states, (-1, units))), ops.reshape(d_inputs, (-1, width))
        )
        return d_inputs, d_recurrent, ops.zeros_like(real)

    return (states, cells), gradient


def _loop(step: Any, carry: Any, inputs: Any, outputs: Any, *, backwards: bool = False) -> Any:
    """What `step` makes of `outputs`, place by place along the first axis of all of them and of `inputs`.

    It is given the carry and what `inputs` and `outputs` have there; it returns the next carry and what `outputs` get,
    which takes the place of what they had: a long loop's time is that of memory. `ops.scan` takes twice the time on
    TensorFlow.
    """
    length = outputs[0].shape[0]

    def body(i: Any, carry: Any, outputs: Any) -> Any:
        place = (length - 1 - i if backwards else i, 0, 0)
        at = [ops.squeeze(ops.slice(x, place, (1, *x.shape[1:])), 0) for x in (*inputs, *outputs)]
        carry, values = step(carry, at)
        return i + 1, carry, tuple(ops.slice_update(o, place, v[None]) for o, v in zip(outputs, values, strict=True))

    start = (ops.convert_to_tensor(0, "int32"), carry, outputs)
    return ops.while_loop(lambda i, *_: i < length, body, start)[2]


@keras.saving.register_keras_serializable("pipeline")
class Dropout(keras.layers.Layer):
    """Inverted dropout (Srivastava et al. 2014) that draws its numbers by a hash of position and step.

    The backend's random generator, compiled by XLA for a CPU, took four fifths of a training step.

    Parameters
    ----------
    rate : float
        Share of the values set to 0 in training; 0 or more, below 1.
    seed : int
        Which ones.
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
        # The step goes through the hash before it meets the position: added as it is, it would leave steps alike.
        start = _hash(_hash(seed) + step)
        bits = _hash(
            ops.convert_to_tensor(np.arange(np.prod(x.shape), dtype=np.uint32) * np.uint32(0x9E3779B9)) + start
        )
        kept = ops.cast(bits >= np.uint32(self.rate * 2**32), x.dtype) / (1 - self.rate)
        return x * ops.reshape(kept, x.shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _hash(bits: Any) -> Any:
    """MurmurHash3's last steps (Appleby 2011), on uint32: every bit of the result depends on all bits."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, np.uint32(shift))) * np.uint32(factor)
    return ops.bitwise_xor(bits, ops.right_shift(bits, np.uint32(16)))


@keras.saving.register_keras_serializable("pipeline")
class Pooling(keras.layers.Layer):
    """States (n_rows, length, units) to one vector a text, (n_rows, units) or twice as wide: padding counts nothing.

    Parameters
    ----------
    kind : {"max", "mean", "max_mean"}
        The largest value of each unit over the tokens, their mean, or both side by side.
    """

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind
        self.supports_masking = True

    def call(self, states: Any, mask: Any = None) -> Any:
        real = ops.expand_dims(ops.cast(mask, states.dtype), 2)
        pooled = []
        if "max" in self.kind:
            pooled.append(ops.max(states - 2 * (1 - real), axis=1))  # a state is above -1
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
    """What it costs to tell each token's neighbours from a sample of tokens (Jean et al. 2015).

    Parameters
    ----------
    embedding : keras.layers.Embedding
        Gives the tokens' vectors on both sides (Press and Wolf 2017).
    log_expected : ndarray of shape (n_ids,), float
        Logarithm of how often each id is expected in a sample, which the scores are corrected by.
    bias : ndarray of shape (n_ids,), float
        First score of each id.
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
        """Losses of shape (n_rows,), whose mean is that of all tokens guessed.

        Parameters
        ----------
        ids : tensor of shape (n_rows, length), int32
            Token ids; 0, padding, and 1, unknown, are not guessed.
        sampled : tensor of shape (1, n_sampled), int32
            Ids that the right one is told from.
        ahead, behind : tensor of shape (n_rows, length, units), float32
            States of the LSTM that reads from the start, and of the one that reads from the end, in the order read.
        """
        table, correction = self.embedding.embeddings, self.bias - self.log_expected
        others, others_bias = ops.take(table, sampled[0], axis=0), ops.take(correction, sampled[0])
        sums, count = 0.0, 0.0
        sides = [(ahead[:, :-1], ids[:, 1:])]
        if behind is not None:
            sides.append((ops.flip(behind, 1)[:, 1:], ids[:, :-1]))
        for (states, targets), project in zip(sides, self.projections, strict=False):
            guessed = ops.cast((targets > 1) & (ids[:, 1:] > 0), "float32")
            guess = project(states)
            right = ops.sum(guess * ops.take(table, targets, axis=0), axis=-1) + ops.take(correction, targets)
            scores = ops.matmul(ops.reshape(guess, (-1, guess.shape[-1])), ops.transpose(others)) + others_bias
            wrong = ops.reshape(ops.logsumexp(scores, axis=-1), ops.shape(right))
            sums += ops.sum((ops.logaddexp(right, wrong) - right) * guessed, axis=1)
            count += ops.sum(guessed)
        return sums * (ids.shape[0] / ops.maximum(count, 1.0))  # none, where every text is one token

    def compute_mask(self, *inputs: Any, **named: Any) -> None:
        return None

    def compute_output_shape(
        self, ids_shape: Any, sampled_shape: Any, ahead_shape: Any, behind_shape: Any = None
    ) -> Any:
        return ids_shape[:1]
