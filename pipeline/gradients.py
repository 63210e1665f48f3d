"""Gradients: the network in NumPy, forwards and backwards, and what each token adds to its logits.

No Keras and no TensorFlow: an explanation takes milliseconds, also where they are not installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FIRST, MOST = 16, 4_096  # steps of the path from the baseline to the text: doubled until they are enough
TOLERANCE = 0.01  # of the difference that is explained
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

    def attribute(self, ids: np.ndarray, beside: np.ndarray) -> "Attribution":
        """What each token adds to the centred logits of one text, by integrated gradients.

        The gradient is averaged over the straight path from a text whose vectors are all zero to this one, and
        multiplied by the way gone (Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks"): the sum over
        the tokens is the difference of the two ends (completeness). The average is a trapezoidal sum, whose steps are
        doubled until the sum is as near as `TOLERANCE` says; what is left then is spread over the tokens by their
        size.

        Parameters
        ----------
        ids : ndarray of shape (length,), int32
            Without padding; at least one.
        beside : ndarray of shape (n_classes,), float
            What other parts of the model add to the difference, in these logits' unit; the tolerance is of the whole.
        """
        path = _Path(self, ids)
        at, steps = np.linspace(0, 1, FIRST + 1, dtype=np.float32), FIRST
        ends: dict[float, np.ndarray] = {}
        sums = np.zeros((len(ids), self.dense.shape[1]))
        rows = max(1, MEMORY // (len(ids) * 6 * self.bias.size // 4))
        while True:
            for start in range(0, len(at), rows):
                here = at[start : start + rows]
                states = path.forward(here)
                ends |= {float(a): told for a, told in zip(here, self._told(states), strict=True) if a in (0, 1)}
                sums += path.backward(np.where((here == 0) | (here == 1), np.float32(0.5), np.float32(1)))
            baseline, told = (centred(ends[a]) for a in (0.0, 1.0))
            found = sums / steps
            left = told - baseline - found.sum(axis=0)
            enough = max(TOLERANCE * np.abs(told - baseline + beside).max(), NEGLIGIBLE)
            if np.abs(left).max() <= enough or steps >= MOST:
                break
            at, steps = (np.arange(steps, dtype=np.float32) + np.float32(0.5)) / np.float32(steps), 2 * steps
        size = np.abs(found)
        spread = size / np.maximum(size.sum(axis=0), np.finfo(float).tiny)
        return Attribution(found + left * spread, baseline, np.abs(left), steps)

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

    Along the path every vector, and so all that it adds to the gates, is the text's times a number from 0 to 1: points
    of the path are the rows of one batch. The LSTM that reads from the end is given the tokens in its order; pooling
    does not mind.
    """

    def __init__(self, network: Network, ids: np.ndarray) -> None:
        self.network = network
        inputs = network.embedding[ids] @ network.kernel  # (n_directions, length, 4 * units)
        if len(inputs) == 2:
            inputs[1] = inputs[1, ::-1]
        self.inputs = inputs
        # The centred logits sum to 0, and so do their gradients: the last class's follow from the others'.
        self.slopes = np.ascontiguousarray(centred(network.dense)[:, :-1].T)

    def forward(self, at: np.ndarray) -> np.ndarray:
        """What the classes are told from at the points `at` of the path, shape (n_points, width)."""
        recurrent, bias = self.network.recurrent, self.network.bias[:, None]
        directions, length, width = self.inputs.shape
        units, rows = width // 4, len(at)
        shape = (length, directions, rows)
        self.gates = np.empty((*shape, width), dtype=np.float32)
        self.states, self.cells, self.shown = (np.empty((*shape, units), dtype=np.float32) for _ in range(3))
        state = cell = np.zeros((*shape[1:], units), dtype=np.float32)
        for t in range(length):
            z = self.gates[t]
            np.matmul(state, recurrent, out=z)
            z += at[:, None] * self.inputs[:, t, None] + bias
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

    def backward(self, weights: np.ndarray) -> np.ndarray:
        """The way times the sum of the gradients at the last points, by `weights`; shape (length, n_classes)."""
        length, directions, rows, units = self.states.shape
        pooling = self.network.pooling
        # By kind of pooling, (n_directions, 1, n_classes - 1, units): the same for all points.
        kinds = self.slopes.reshape(len(self.slopes), -1, directions, units).transpose(1, 2, 0, 3)[:, :, None]
        transposed = self.network.recurrent.transpose(0, 2, 1)
        d_state = np.zeros((directions, rows, len(self.slopes), units), dtype=np.float32)
        d_cell = np.zeros_like(d_state)
        d_z = np.empty((directions, rows, len(self.slopes), 4 * units), dtype=np.float32)
        found = np.empty((directions, length, len(self.slopes) + 1))
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
            summed = (weights @ d_z.reshape(directions, rows, -1)).reshape(directions, -1, 4 * units)
            found[:, t, :-1] = (summed @ self.inputs[:, t, :, None])[..., 0]
            d_state = (d_z.reshape(directions, -1, 4 * units) @ transposed).reshape(d_state.shape)
            d_cell *= f[:, :, None]
        found[..., -1] = -found[..., :-1].sum(axis=2)
        tokens: np.ndarray = found[0] + found[1, ::-1] if directions == 2 else found[0]
        return tokens


def _gates_together(weights: np.ndarray) -> np.ndarray:
    """Keras's order of gates, input, forget, candidate, output, as input, forget, output, candidate."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i, f, o, c], axis=-1)


def centred(logits: np.ndarray) -> np.ndarray:
    """Logits, shape (..., n_classes), less their mean over the classes: the same probabilities."""
    shifted: np.ndarray = logits - logits.mean(axis=-1, keepdims=True)
    return shifted
