"""The network in service: arrays to class probabilities with onnxruntime, without TensorFlow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .part import Inputs

MAX_BATCH_SIZE = 64  # rows of one call at most: more are not faster and take memory


class OnnxNetwork:
    """The LSTM of a model folder, as `training.export` wrote it.

    Parameters
    ----------
    source : Path or bytes
        An ONNX model from token ids, (n_rows, length), int32, or frames, (n_rows, length, width), float32, both
        right-padded with 0, to float32 logits of shape (n_rows, num_classes).
    threads : int
        CPU threads of a call. One is fastest for single rows; for many, use several processes of one thread each.
    """

    def __init__(self, source: Path | bytes, *, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=["CPUExecutionProvider"]
        )
        self._input: str = self._session.get_inputs()[0].name
        self.num_classes: int = self._session.get_outputs()[0].shape[1]

    def logits(self, array: np.ndarray) -> np.ndarray:
        """Return the logits of rows that have at least one step each, shape (n_rows, num_classes), float32."""
        logits: np.ndarray = self._session.run(None, {self._input: array})[0]
        return logits

    def log_probabilities(self, array: np.ndarray) -> np.ndarray:
        """Return log-probabilities of the classes.

        Parameters
        ----------
        array : ndarray of shape (n_rows, length), int32, or (n_rows, length, width), float32
            Token ids or frames, right-padded with 0.

        Returns
        -------
        ndarray of shape (n_rows, num_classes), float64
            A row's result depends only on that row: the network does not read padding.
        """
        logits = np.empty((len(array), self.num_classes), dtype=np.float64)
        lengths = steps(array)
        order = np.argsort(lengths, kind="stable")  # batches of similar lengths, because padding takes time
        for start in range(0, len(array), MAX_BATCH_SIZE):
            rows = order[start : start + MAX_BATCH_SIZE]
            logits[rows] = self.logits(np.ascontiguousarray(array[rows, : lengths[rows[-1]]]))
        return log_softmax(logits)


@dataclass(frozen=True)
class NetworkPart:
    """The network as a part of a model.

    Parameters
    ----------
    network : OnnxNetwork
        The network.
    modality : str
        The modality that it reads.
    """

    network: OnnxNetwork
    modality: str = "text"

    @property
    def name(self) -> str:
        """See `network_name`."""
        return network_name(self.modality)

    def log_probabilities(self, inputs: Inputs) -> np.ndarray:
        """See `Part`."""
        return self.network.log_probabilities(inputs.arrays[self.modality])


def network_name(modality: str) -> str:
    """Return the name of a modality's network in metrics and reports.

    >>> network_name("text"), network_name("image")
    ('lstm', 'image_lstm')
    """
    return "lstm" if modality == "text" else f"{modality}_lstm"


def steps(array: np.ndarray) -> np.ndarray:
    """Count the steps of every row before its padding: tokens, or frames that are not all 0.

    Parameters
    ----------
    array : ndarray of shape (n_rows, length) or (n_rows, length, width)
        Token ids or frames, right-padded with 0.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        Number of steps.

    Examples
    --------
    >>> steps(np.array([[5, 7, 0], [3, 0, 0]]))
    array([2, 1])
    """
    used: np.ndarray = (array > 0) if array.ndim == 2 else (array != 0).any(axis=2)
    count: np.ndarray = used.sum(axis=1)
    return count


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits into log-probabilities.

    Parameters
    ----------
    logits : ndarray of shape (..., n_classes), float
        Logits.

    Returns
    -------
    ndarray of shape (..., n_classes), float
        Logarithms of probabilities that sum to 1 over the classes.

    Examples
    --------
    >>> np.exp(log_softmax(np.array([0.0, 0.0]))).tolist()
    [0.5, 0.5]
    """
    logits = logits - logits.max(axis=-1, keepdims=True)
    scaled: np.ndarray = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return scaled
