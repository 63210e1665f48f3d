"""Gradients: the network in NumPy, forwards and backwards, and what each token adds to its logits.

No Keras and no TensorFlow: an explanation takes milliseconds, also where they are not installed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..text.processor import UNKNOWN

FIRST, MOST = 16, 1_024  # steps of the path from the baseline to the text: halved where they are not enough
Span = tuple[int, int]
TOLERANCE = 0.01  # share of the difference that is explained
NEGLIGIBLE = 0.001  # logits that nobody sees: of a difference of almost nothing, 1 % would take any number of steps
MEMORY = 8_000_000  # numbers held at once of the states on the path


@dataclass(frozen=True)
class Network:
    """The weights of `model.build`'s network; the gates in the order input, forget, output, candidate.

    Parameters
    ----------
    embedding : ndarray of shape (n_ids, embedding_dim), float32
    kernel : ndarray of shape (n_directions, embedding_dim, 4 * units), float32
        Of the LSTM that reads from the start and, where the network is bidirectional, of the one from the end.
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
    def read(cls, weights: Path, network: Mapping[str, Any]) -> "Network":
        """Read Keras's weights file of the network that `model.build(**network)` gives."""
        import h5py

        sides = (
            ["bidirectional/forward_layer", "bidirectional/backward_layer"] if network["bidirectional"] else ["lstm"]
        )
        with h5py.File(weights) as file:
            layers = file["layers"]
            cells = [[layers[f"{side}/cell/vars/{i}"][:] for i in range(3)] for side in sides]
            kernel, recurrent, bias = (np.stack([_gates_together(cell[i]) for cell in cells]) for i in range(3))
            embedding, dense, dense_bias = (
                layers[name][:] for name in ("embedding/vars/0", "dense/vars/0", "dense/vars/1")
            )
        return cls(embedding, kernel, recurrent, bias, dense, dense_bias, network["pooling"])

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Logits of one text, shape (n_classes,), from its ids without padding, shape (length,)."""
        path = _Path(self, ids)
        logits: np.ndarray = self._told(path.forward(np.ones(1, dtype=np.float32)))[0]
        return logits

    def attribute(self, ids: np.ndarray, beside: np.ndarray, tolerance: float = TOLERANCE) -> "Attribution":
        """What each token adds to the centred logits of one text, by integrated gradients.

        The gradient is averaged over the straight path from a text of as many unknown tokens to this one, and
        multiplied by the way gone (Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks"): the sum over
        the tokens is the difference of the two ends (completeness). The average is a trapezoidal sum. On each step it
        is known what the sum must be, the difference of the step's ends: steps that are far from it, such as those in
        which another token becomes the largest of a unit, are halved until all together are as near as `tolerance`
        says. What is left then is spread over the tokens by their size.

        Parameters
        ----------
        ids : ndarray of shape (length,), int32
            Without padding; at least one.
        beside : ndarray of shape (n_classes,), float
            What other parts of the model add to the difference, in these logits' unit; the tolerance is of the whole.
        tolerance : float
            How far the sum may be from the largest class's difference, as a share of that.
        """
        path = _Path(self, ids)
        at = np.linspace(0, 1, FIRST + 1, dtype=np.float32)
        told, adds = self._along(path, at)
        while True:
            widths = np.diff(at)[:, None]
            slopes = adds.sum(axis=1)
            missed = np.diff(told, axis=0) - (slopes[1:] + slopes[:-1]) / 2 * widths
            left = missed.sum(axis=0)
            enough = max(tolerance * np.abs(told[-1] - told[0] + beside).max(), NEGLIGIBLE)
            if np.abs(left).max() <= enough or len(widths) >= MOST:
                break
            far = np.flatnonzero(np.abs(missed).max(axis=1) > enough / len(missed))
            middles = (at[far] + at[far + 1]) / 2
            more = self._along(path, middles)
            at, told, adds = (
                np.insert(a, far + 1, b, axis=0) for a, b in zip((at, told, adds), (middles, *more), strict=True)
            )
        counts = (np.diff(at, prepend=0) + np.diff(at, append=1)) / 2
        found = np.tensordot(counts, adds, axes=1)
        size = np.abs(found)
        spread = size / np.maximum(size.sum(axis=0), np.finfo(float).tiny)
        return Attribution(found + left * spread, told[0], np.abs(left), len(widths))

    def _along(self, path: "_Path", at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centred logits at points of the path, shape (n_points, n_classes), and `_Path.backward` there."""
        rows = max(1, MEMORY // (path.inputs.size // 2 * 3))
        found = []
        for start in range(0, len(at), rows):
            states = path.forward(at[start : start + rows])
            found.append((centred(self._told(states)), path.backward()))
        told, adds = zip(*found, strict=True)
        return np.concatenate(told), np.concatenate(adds)

    def _told(self, summary: np.ndarray) -> np.ndarray:
        """Logits from what the classes are told from, shape (n_rows, width)."""
        logits: np.ndarray = summary.astype(np.float64) @ self.dense + self.dense_bias
        return logits


@dataclass(frozen=True)
class Attribution:
    """What `Network.attribute` finds.

    Parameters
    ----------
    tokens : ndarray of shape (length, n_classes), float64
        What each adds to the centred logits.
    baseline : ndarray of shape (n_classes,), float64
        Centred logits where the path starts: with the tokens' sum, those of the text.
    left : ndarray of shape (n_classes,), float64
        How far the sum of the steps was from that before it was spread.
    steps : int
        How many the path took.
    """

    tokens: np.ndarray
    baseline: np.ndarray
    left: np.ndarray
    steps: int


class _Path:
    """The states of the network between the baseline and a text, and their gradients.

    Along the path the way to every vector, and so to all that it adds to the gates, is the whole way times a number
    from 0 to 1: points of the path are the rows of one batch. The LSTM that reads from the end is given the tokens in
    its order; pooling does not mind.
    """

    def __init__(self, network: Network, ids: np.ndarray) -> None:
        self.network = network
        unknown = network.embedding[UNKNOWN]
        self.bias = network.bias[:, None] + unknown @ network.kernel[:, None]
        inputs = (network.embedding[ids] - unknown) @ network.kernel  # (n_directions, length, 4 * units)
        if len(inputs) == 2:
            inputs[1] = inputs[1, ::-1]
        self.inputs = inputs
        # The centred logits sum to 0, and so do their gradients: the last class's follow from the others'.
        self.slopes = np.ascontiguousarray(centred(network.dense)[:, :-1].T)

    def forward(self, at: np.ndarray) -> np.ndarray:
        """What the classes are told from at the points `at` of the path, shape (n_points, width)."""
        recurrent = self.network.recurrent
        directions, length, width = self.inputs.shape
        units, rows = width // 4, len(at)
        shape = (length, directions, rows)
        self.gates = np.empty((*shape, width), dtype=np.float32)
        self.states, self.cells, self.shown = (np.empty((*shape, units), dtype=np.float32) for _ in range(3))
        state = cell = np.zeros((*shape[1:], units), dtype=np.float32)
        for t in range(length):
            z = self.gates[t]
            np.matmul(state, recurrent, out=z)
            z += at[:, None] * self.inputs[:, t, None] + self.bias
            sigmoids = z[..., : 3 * units]
            sigmoids *= 0.5
            np.tanh(z, out=z)
            sigmoids *= 0.5
            sigmoids += 0.5
            i, f, o, candidate = (z[..., k * units : (k + 1) * units] for k in range(4))
            cell = np.add(f * cell, i * candidate, out=self.cells[t])
            np.tanh(cell, out=self.shown[t])
            state = np.multiply(o, self.shown[t], out=self.states[t])
        pooled = []
        if self.network.pooling == "last":
            pooled.append(state)
        if "max" in self.network.pooling:
            self.largest = self.states.argmax(axis=0)
            pooled.append(np.take_along_axis(self.states, self.largest[None], axis=0)[0])
        if "mean" in self.network.pooling:
            pooled.append(self.states.mean(axis=0))
        return np.concatenate([side for each in pooled for side in each], axis=1)

    def backward(self) -> np.ndarray:
        """The way times the centred logits' gradients at the last points, shape (n_points, length, n_classes)."""
        length, directions, rows, units = self.states.shape
        pooling = self.network.pooling
        # By kind of pooling, (n_directions, 1, n_classes - 1, units): the same for all points.
        kinds = self.slopes.reshape(len(self.slopes), -1, directions, units).transpose(1, 2, 0, 3)[:, :, None]
        transposed = self.network.recurrent.transpose(0, 2, 1)
        d_state = np.zeros((directions, rows, len(self.slopes), units), dtype=np.float32)
        d_cell = np.zeros_like(d_state)
        d_z = np.empty((directions, rows, len(self.slopes), 4 * units), dtype=np.float32)
        found = np.empty((directions, rows, length, len(self.slopes) + 1))
        for t in reversed(range(length)):
            if "max" in pooling:
                d_state += kinds[0] * (self.largest == t)[:, :, None]
            if "mean" in pooling:
                d_state += kinds[-1] / np.float32(length)
            if pooling == "last" and t == length - 1:
                d_state += kinds[0]
            i, f, o, candidate = (self.gates[t][..., k * units : (k + 1) * units] for k in range(4))
            shown = self.shown[t]
            d_cell += d_state * (o * (1 - shown * shown))[:, :, None]
            to_z = (candidate * i * (1 - i), None, shown * o * (1 - o), i * (1 - candidate * candidate))
            for k, (side, slope) in enumerate(zip((d_cell, d_cell, d_state, d_cell), to_z, strict=True)):
                part = d_z[..., k * units : (k + 1) * units]
                if slope is not None:
                    np.multiply(side, slope[:, :, None], out=part)
                elif t:
                    np.multiply(side, (self.cells[t - 1] * f * (1 - f))[:, :, None], out=part)
                else:
                    part[...] = 0
            flat = d_z.reshape(directions, -1, 4 * units)
            found[:, :, t, :-1] = (flat @ self.inputs[:, t, :, None]).reshape(directions, rows, -1)
            d_state = (flat @ transposed).reshape(d_state.shape)
            d_cell *= f[:, :, None]
        found[..., -1] = -found[..., :-1].sum(axis=-1)
        tokens: np.ndarray = found[0] + found[1, :, ::-1] if directions == 2 else found[0]
        return tokens


def _gates_together(weights: np.ndarray) -> np.ndarray:
    """Keras's order of gates, input, forget, candidate, output, as input, forget, output, candidate."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i, f, o, c], axis=-1)


def centred(logits: np.ndarray) -> np.ndarray:
    """Logits, shape (..., n_classes), less their mean over the classes: the same probabilities."""
    shifted: np.ndarray = logits - logits.mean(axis=-1, keepdims=True)
    return shifted


@dataclass(frozen=True)
class Contributions:
    """What the pieces of one row add to a part's centred logits.

    Parameters
    ----------
    units : ndarray of shape (n_units, n_classes), float64
        What each piece adds.
    baseline : ndarray of shape (n_classes,), float64
        The centred logits without pieces: with the units' sum, those of the row.
    residual : ndarray of shape (n_classes,), float64
        How far an approximation missed that sum before the difference was spread over the pieces.
    """

    units: np.ndarray
    baseline: np.ndarray
    residual: np.ndarray


def locate(text: str, units: Sequence[str]) -> Iterator[Span]:
    """Yield where each of the units that a clean cell was split into stands in it: start and end, in characters.

    >>> list(locate("so  glad", ["so", "glad"]))
    [(0, 2), (4, 8)]
    """
    end = 0
    for unit in units:
        start = text.index(unit, end)
        end = start + len(unit)
        yield start, end
