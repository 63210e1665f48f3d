"""Integrated gradients of the LSTM: its forward and backward pass in NumPy, and what each token adds to its logits.

Without Keras or TensorFlow: an explanation takes milliseconds, and works where they are not installed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..text.processor import UNKNOWN

MIN_STEPS, MAX_STEPS = 16, 1_024  # of the path from the baseline to the text; steps are halved while too inaccurate
COMPLETENESS_TOLERANCE = 0.01  # of the sum of contributions, relative to the explained difference
NEGLIGIBLE = 0.001  # logits: 1 % of a difference near 0 would take any number of steps
MAX_NUMBERS = 8_000_000  # of the states on the path that are in memory at once

Span = tuple[int, int]  # start and end, in characters


@dataclass(frozen=True)
class NumpyNetwork:
    """The weights of the network of `training.encoders.text.build`.

    The gates are in the order input, forget, output, candidate.

    Parameters
    ----------
    embedding : ndarray of shape (n_ids, embedding_dim), float32
    kernel : ndarray of shape (n_directions, embedding_dim, 4 * units), float32
        Of the forward LSTM and, if the network is bidirectional, of the backward LSTM.
    recurrent : ndarray of shape (n_directions, units, 4 * units), float32
    bias : ndarray of shape (n_directions, 4 * units), float32
    dense : ndarray of shape (width, n_classes), float32
    dense_bias : ndarray of shape (n_classes,), float32
    pooling : {"last", "max", "mean", "max_mean"}
    """

    embedding: np.ndarray
    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    dense: np.ndarray
    dense_bias: np.ndarray
    pooling: str

    @classmethod
    def read(cls, weights: Path, network: Mapping[str, Any]) -> "NumpyNetwork":
        """Read the Keras weights file of the network that `build(**network)` returns."""
        import h5py

        directions = (
            ["bidirectional/forward_layer", "bidirectional/backward_layer"] if network["bidirectional"] else ["lstm"]
        )
        with h5py.File(weights) as file:
            layers = file["layers"]
            cells = [[layers[f"{name}/cell/vars/{i}"][:] for i in range(3)] for name in directions]
            kernel, recurrent, bias = (np.stack([_reorder_gates(cell[i]) for cell in cells]) for i in range(3))
            embedding, dense, dense_bias = (
                layers[name][:] for name in ("embedding/vars/0", "dense/vars/0", "dense/vars/1")
            )
        return cls(embedding, kernel, recurrent, bias, dense, dense_bias, network["pooling"])

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Return the logits of one text, shape (n_classes,), from its ids without padding, shape (length,)."""
        path = _Path(self, ids)
        logits: np.ndarray = self._dense_layer(path.forward(np.ones(1, dtype=np.float32)))[0]
        return logits

    def attribute(
        self, ids: np.ndarray, others: np.ndarray, tolerance: float = COMPLETENESS_TOLERANCE
    ) -> "Attribution":
        """Return what each token adds to the centred logits of one text, by integrated gradients.

        The gradient is averaged over the straight path from a text of as many unknown tokens (the baseline) to this
        text, and multiplied by the difference of the two inputs (Sundararajan et al. 2017, "Axiomatic Attribution for
        Deep Networks"): the sum over the tokens is the difference of the logits (completeness). The average is a
        trapezoidal sum. For each step the exact sum is known, the difference of the logits at its ends: inaccurate
        steps, such as those in which another token becomes the largest of a unit, are halved until the total error is
        within the tolerance. The rest is distributed over the tokens by the size of their contributions.

        Parameters
        ----------
        ids : ndarray of shape (length,), int32
            Without padding; at least one.
        others : ndarray of shape (n_classes,), float
            What other parts of the model add to the difference, in the unit of these logits; the tolerance is relative
            to the total.
        tolerance : float
            Allowed error of the sum, relative to the largest class's difference.
        """
        path = _Path(self, ids)
        points = np.linspace(0, 1, MIN_STEPS + 1, dtype=np.float32)
        logits, slopes = self._along(path, points)
        while True:
            widths = np.diff(points)[:, None]
            sums = slopes.sum(axis=1)
            errors = np.diff(logits, axis=0) - (sums[1:] + sums[:-1]) / 2 * widths
            residual = errors.sum(axis=0)
            allowed = max(tolerance * np.abs(logits[-1] - logits[0] + others).max(), NEGLIGIBLE)
            if np.abs(residual).max() <= allowed or len(widths) >= MAX_STEPS:
                break
            inaccurate = np.flatnonzero(np.abs(errors).max(axis=1) > allowed / len(errors))
            middles = (points[inaccurate] + points[inaccurate + 1]) / 2
            points, logits, slopes = (
                np.insert(values, inaccurate + 1, new, axis=0)
                for values, new in zip((points, logits, slopes), (middles, *self._along(path, middles)), strict=True)
            )
        weights = (np.diff(points, prepend=0) + np.diff(points, append=1)) / 2
        contributions = np.tensordot(weights, slopes, axes=1)
        sizes = np.abs(contributions)
        fractions = sizes / np.maximum(sizes.sum(axis=0), np.finfo(float).tiny)
        return Attribution(contributions + residual * fractions, logits[0], np.abs(residual), len(widths))

    def _along(self, path: "_Path", points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return centred logits at points of the path, shape (n_points, n_classes), and `_Path.backward` there."""
        batch = max(1, MAX_NUMBERS // (path.inputs.size // 2 * 3))
        results = []
        for start in range(0, len(points), batch):
            summary = path.forward(points[start : start + batch])
            results.append((centred(self._dense_layer(summary)), path.backward()))
        logits, slopes = zip(*results, strict=True)
        return np.concatenate(logits), np.concatenate(slopes)

    def _dense_layer(self, summary: np.ndarray) -> np.ndarray:
        """Return logits, shape (n_rows, n_classes), from the pooled states, shape (n_rows, width)."""
        logits: np.ndarray = summary.astype(np.float64) @ self.dense + self.dense_bias
        return logits


@dataclass(frozen=True)
class Attribution:
    """What `NumpyNetwork.attribute` returns.

    Parameters
    ----------
    tokens : ndarray of shape (length, n_classes), float64
        What each token adds to the centred logits.
    baseline : ndarray of shape (n_classes,), float64
        Centred logits at the start of the path: with the sum over the tokens, those of the text.
    residual : ndarray of shape (n_classes,), float64
        Absolute error of that sum before it was distributed over the tokens.
    steps : int
        Number of steps of the path.
    """

    tokens: np.ndarray
    baseline: np.ndarray
    residual: np.ndarray
    steps: int


class _Path:
    """The states of the network between the baseline and a text, and their gradients.

    On the path, the difference of each embedding to the baseline, and so of all that it adds to the gates, is that of
    the text times a number from 0 to 1: points of the path are the rows of one batch. The backward LSTM gets the tokens
    in its own order, which makes no difference to pooling.
    """

    def __init__(self, network: NumpyNetwork, ids: np.ndarray) -> None:
        self.network = network
        unknown = network.embedding[UNKNOWN]
        self.bias = network.bias[:, None] + unknown @ network.kernel[:, None]
        inputs = (network.embedding[ids] - unknown) @ network.kernel  # (n_directions, length, 4 * units)
        if len(inputs) == 2:
            inputs[1] = inputs[1, ::-1]
        self.inputs = inputs
        # The centred logits sum to 0, and so do their gradients: those of the last class follow from the others.
        self.slopes = np.ascontiguousarray(centred(network.dense)[:, :-1].T)

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Return the pooled states at points of the path from 0 to 1, shape (n_points, width)."""
        recurrent = self.network.recurrent
        directions, length, width = self.inputs.shape
        units, rows = width // 4, len(points)
        shape = (length, directions, rows)
        self.gates = np.empty((*shape, width), dtype=np.float32)
        self.states, self.cells, self.cell_tanhs = (np.empty((*shape, units), dtype=np.float32) for _ in range(3))
        state = cell = np.zeros((*shape[1:], units), dtype=np.float32)
        for t in range(length):
            z = self.gates[t]
            np.matmul(state, recurrent, out=z)
            z += points[:, None] * self.inputs[:, t, None] + self.bias
            sigmoids = z[..., : 3 * units]
            sigmoids *= 0.5
            np.tanh(z, out=z)
            sigmoids *= 0.5
            sigmoids += 0.5
            i, f, o, candidate = (z[..., k * units : (k + 1) * units] for k in range(4))
            cell = np.add(f * cell, i * candidate, out=self.cells[t])
            np.tanh(cell, out=self.cell_tanhs[t])
            state = np.multiply(o, self.cell_tanhs[t], out=self.states[t])
        pooled = []
        if self.network.pooling == "last":
            pooled.append(state)
        if "max" in self.network.pooling:
            self.largest = self.states.argmax(axis=0)
            pooled.append(np.take_along_axis(self.states, self.largest[None], axis=0)[0])
        if "mean" in self.network.pooling:
            pooled.append(self.states.mean(axis=0))
        return np.concatenate([direction for states in pooled for direction in states], axis=1)

    def backward(self) -> np.ndarray:
        """Return gradient times input of the centred logits at the last points, shape (n_points, length, n_classes).

        The input is the difference of each token's embedding to the baseline.
        """
        length, directions, rows, units = self.states.shape
        pooling = self.network.pooling
        # By kind of pooling, (n_directions, 1, n_classes - 1, units): the same for all points.
        pooled_slopes = self.slopes.reshape(len(self.slopes), -1, directions, units).transpose(1, 2, 0, 3)[:, :, None]
        transposed = self.network.recurrent.transpose(0, 2, 1)
        d_state = np.zeros((directions, rows, len(self.slopes), units), dtype=np.float32)
        d_cell = np.zeros_like(d_state)
        d_z = np.empty((directions, rows, len(self.slopes), 4 * units), dtype=np.float32)
        products = np.empty((directions, rows, length, len(self.slopes) + 1))
        for t in reversed(range(length)):
            if "max" in pooling:
                d_state += pooled_slopes[0] * (self.largest == t)[:, :, None]
            if "mean" in pooling:
                d_state += pooled_slopes[-1] / np.float32(length)
            if pooling == "last" and t == length - 1:
                d_state += pooled_slopes[0]
            i, f, o, candidate = (self.gates[t][..., k * units : (k + 1) * units] for k in range(4))
            cell_tanh = self.cell_tanhs[t]
            d_cell += d_state * (o * (1 - cell_tanh * cell_tanh))[:, :, None]
            to_z = (candidate * i * (1 - i), None, cell_tanh * o * (1 - o), i * (1 - candidate * candidate))
            for k, (upstream, slope) in enumerate(zip((d_cell, d_cell, d_state, d_cell), to_z, strict=True)):
                part = d_z[..., k * units : (k + 1) * units]
                if slope is not None:
                    np.multiply(upstream, slope[:, :, None], out=part)
                elif t:
                    np.multiply(upstream, (self.cells[t - 1] * f * (1 - f))[:, :, None], out=part)
                else:
                    part[...] = 0
            flat = d_z.reshape(directions, -1, 4 * units)
            products[:, :, t, :-1] = (flat @ self.inputs[:, t, :, None]).reshape(directions, rows, -1)
            d_state = (flat @ transposed).reshape(d_state.shape)
            d_cell *= f[:, :, None]
        products[..., -1] = -products[..., :-1].sum(axis=-1)
        tokens: np.ndarray = products[0] + products[1, :, ::-1] if directions == 2 else products[0]
        return tokens


def _reorder_gates(weights: np.ndarray) -> np.ndarray:
    """Reorder Keras's gates (input, forget, candidate, output): the three sigmoids come first."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i, f, o, c], axis=-1)


def centred(logits: np.ndarray) -> np.ndarray:
    """Subtract the mean over the classes from logits, shape (..., n_classes): their softmax stays the same.

    >>> centred(np.array([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """
    shifted: np.ndarray = logits - logits.mean(axis=-1, keepdims=True)
    return shifted


@dataclass(frozen=True)
class Contributions:
    """What the pieces of one input add to a part's centred logits.

    Parameters
    ----------
    units : ndarray of shape (n_units, n_classes), float64
        What each piece adds.
    baseline : ndarray of shape (n_classes,), float64
        The centred logits without pieces: with the sum over the pieces, those of the input.
    residual : ndarray of shape (n_classes,), float64
        Absolute error of an approximated sum before it was distributed over the pieces; 0 if exact.
    """

    units: np.ndarray
    baseline: np.ndarray
    residual: np.ndarray


def locate(text: str, units: Sequence[str]) -> Iterator[Span]:
    """Yield the span of each of the units that a clean cell was split into.

    >>> list(locate("so  glad", ["so", "glad"]))
    [(0, 2), (4, 8)]
    """
    end = 0
    for unit in units:
        start = text.index(unit, end)
        end = start + len(unit)
        yield start, end
