"""The network as it is served: token ids to class probabilities by onnxruntime, without TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np

ONNX = "model.onnx"
BATCH = 64  # most rows of one call: more gain no speed and take memory


class Network:
    """The LSTM of a model folder, as `export` wrote it.

    Parameters
    ----------
    source : Path or bytes
        An ONNX model from int32 ids of shape (n_rows, length), right-padded with 0, to float32 logits of shape
        (n_rows, num_classes).
    threads : int
        CPU threads of a call. One is fastest for single texts; for many, several processes of one thread each.
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
        self.num_classes: int = self._session.get_outputs()[0].shape[1]

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Logits of rows of ids, (n_rows, length), int32; each has a token at least. Shape (n_rows, num_classes)."""
        logits: np.ndarray = self._session.run(None, {"ids": ids})[0]
        return logits

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Logarithms of the class probabilities of rows of ids.

        Parameters
        ----------
        ids : ndarray of shape (n_rows, length), int32
            Token ids, right-padded with 0.

        Returns
        -------
        ndarray of shape (n_rows, num_classes), float64
            A row's result depends on that row alone: the network reads its tokens, and no padding.
        """
        logits = np.empty((len(ids), self.num_classes), dtype=np.float64)
        tokens = (ids > 0).sum(axis=1)
        order = np.argsort(tokens, kind="stable")  # rows of similar length together, because padding takes time too
        for start in range(0, len(ids), BATCH):
            rows = order[start : start + BATCH]
            logits[rows] = self.logits(np.ascontiguousarray(ids[rows, : tokens[rows[-1]]]))
        return log_softmax(logits)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logits, shape (..., n_classes), as logarithms of probabilities that sum to 1 over the classes."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    scaled: np.ndarray = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return scaled
