"""Prediction: raw inputs to labels and probabilities, by the functions that training used, without TensorFlow.

This module travels with every registered model, together with the modules that it imports.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PipelineError
from ..base.modalities import Processor, modality
from ..text.processor import Tokenizer
from .calibration import Calibration, combine, estimate_shares, reweigh
from .manifest import ONNX, modalities, network_file, read_manifest
from .network import NetworkPart, OnnxNetwork
from .ngrams import GRAMS, NgramPart, Ngrams
from .part import Inputs, Part, Rows, log_probabilities

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Predictor:
    """A model: processors that encode its inputs, parts that read them, and the calibration that joins the parts.

    Methods take rows as a mapping from kind of input to cells; a model of one kind also takes its cells as they are.
    """

    processors: Mapping[str, Processor]
    parts: tuple[Part, ...]
    classes: tuple[str, ...]
    calibration: Calibration
    class_shares: tuple[float, ...]  # class priors that the probabilities expect: their means over the validation rows

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> "Predictor":
        """Load a model folder, after checking its digests; `threads` as in `network.OnnxNetwork`."""
        manifest = read_manifest(folder)
        names = modalities(manifest)
        processors = {name: modality(name).load(folder / modality(name).file) for name in names}
        parts: list[Part] = []
        for name in names:
            content = (folder / network_file(ONNX, name, names)).read_bytes()  # as bytes it cannot name other files
            parts.append(NetworkPart(OnnxNetwork(content, threads=threads), name))
        if GRAMS in manifest["sha256"]:
            parts += NgramPart.both(Ngrams.load(folder))
        return cls(
            processors,
            tuple(parts),
            tuple(manifest["classes"]),
            Calibration(tuple(manifest["shares"]), manifest["temperature"], tuple(manifest["offsets"])),
            tuple(manifest["class_shares"]),
        )

    @property
    def tokenizer(self) -> Tokenizer:
        """The processor of texts.

        Raises
        ------
        PipelineError
            The model reads no texts.
        """
        if not isinstance(tokenizer := self.processors.get("text"), Tokenizer):
            raise PipelineError(f"this needs a model of texts, but the model reads {', '.join(self.processors)}")
        return tokenizer

    def log_probabilities(self, cleaned: Rows | Sequence[str]) -> list[np.ndarray]:
        """Return the logarithms of class probabilities of clean rows, by part.

        Returns
        -------
        list of ndarray of shape (n_rows, n_classes), float64
            In the order of `parts`. A row depends on itself only.
        """
        return log_probabilities(self.parts, Inputs.of(self.rows(cleaned), self.processors))

    def probabilities(self, rows: Rows | Sequence[str], class_shares: str = "") -> np.ndarray:
        """Return calibrated class probabilities of raw rows, shape (n_rows, n_classes), float64.

        Parameters
        ----------
        rows : mapping of str to sequence of str, or sequence of str
            Raw cells by kind of input, None where a row lacks one.
        class_shares : str
            Class priors of these rows, where they differ from those of the training data: as a JSON object, such as
            `{"negative": 0.2, "positive": 0.8}`, or "estimate" to estimate them from the rows, of which there should be
            hundreds; see `calibration.estimate_shares`. Empty for those of the training data.

        Raises
        ------
        ValueError
            `class_shares` is neither.
        """
        cleaned = {
            name: [None if cell is None else modality(name).clean(cell) for cell in cells]
            for name, cells in self.rows(rows).items()
        }
        natural = combine(self.log_probabilities(cleaned), self.calibration)
        if not class_shares or not len(natural):
            return natural
        before = np.array(self.class_shares)
        now = (
            estimate_shares(natural, before) if class_shares == "estimate" else read_shares(class_shares, self.classes)
        )
        return reweigh(natural, before, now)

    def predict(self, rows: Rows | Sequence[str], class_shares: str = "") -> "pd.DataFrame":
        """Return labels of raw rows: `predicted_label`, `confidence` (its probability), `p_<class>` for each class."""
        import pandas as pd

        probabilities = self.probabilities(rows, class_shares)
        best = probabilities.argmax(axis=1)
        table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in self.classes])
        table.insert(0, "confidence", probabilities.max(axis=1, initial=0))
        table.insert(0, "predicted_label", pd.Series([self.classes[i] for i in best], dtype="str"))
        return table

    def rows(self, rows: Rows | Sequence[str]) -> Rows:
        """Return rows by kind of input."""
        if isinstance(rows, Mapping):
            return rows
        (name,) = self.processors  # cells alone are of the model's only kind
        return {name: rows}


def read_shares(text: str, classes: Sequence[str]) -> np.ndarray:
    """Shares from a JSON object, in the order of `classes`, summing to 1; ValueError where it does not hold them."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError:
        given = None
    values = list(given.values()) if isinstance(given, dict) else []
    if not values or set(given) != set(classes) or not all(type(v) in {int, float} and v >= 0 for v in values):
        raise ValueError(
            f"class_shares must be estimate, or a JSON object with a share of 0 or more for each of "
            f"{', '.join(classes)}, got {text!r}"
        )
    shares = np.array([given[name] for name in classes], dtype=np.float64)
    if not 0.99 < shares.sum() < 1.01:
        raise ValueError(f"class_shares must sum to 1, got {shares.sum():g}")
    scaled: np.ndarray = shares / shares.sum()
    return scaled


class ServedModel:
    """What MLflow calls: a table with a column of each kind of input to the table of `Predictor.predict`."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, table: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Predict a table with a column of each kind of input; a value that is not a string is an error, not a guess.

        The only one of `params` is `class_shares`, see `Predictor.probabilities`.
        """
        rows = {name: table[name].to_list() for name in self.predictor.processors}
        for name, cells in rows.items():
            for number, cell in enumerate(cells, start=1):
                if not isinstance(cell, str):
                    raise ValueError(f"row {number} of column {name} must be a string, got {type(cell).__name__}")
        return self.predictor.predict(rows, (params or {}).get("class_shares", ""))


def _load_pyfunc(path: str) -> ServedModel:
    """The entry point that MLflow calls for a model logged with this module as its loader."""
    return ServedModel(Predictor.load(Path(path)))
