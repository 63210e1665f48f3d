"""Prediction: raw texts to labels and probabilities, by the functions that training used, without TensorFlow.

This module travels with every registered model, together with the modules that it imports.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PipelineError
from ..base.files import read_json, sha256
from ..text.cleaning import clean_text
from ..text.processor import Tokenizer
from .calibration import Calibration, combine, estimate_shares, reweigh
from .network import ONNX, Network
from .ngrams import GRAMS, Ngrams

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("lstm", "tfidf", "nb")  # what a model says is made of; without n-grams the first alone
FORMAT = 6  # of the model folder; raised when older code can no longer read it
MANIFEST, WEIGHTS, TOKENIZER = "model.json", "model.weights.h5", "tokenizer.json"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a model folder's manifest and check the files against their digests.

    Raises
    ------
    PipelineError
        A file is missing or altered, or the folder was written by newer code.
    """
    manifest: dict[str, Any] = read_json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise PipelineError(
            f"{folder} has format {manifest.get('format')}, this code reads {FORMAT}; use the code that wrote it, or "
            "train the model anew"
        )
    if missing := {ONNX, TOKENIZER} - set(manifest["sha256"]):
        raise PipelineError(
            f"{folder / MANIFEST} has no digest of {' and '.join(sorted(missing))}; train the model anew"
        )
    for name, digest in manifest["sha256"].items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise PipelineError(
                f"{folder / name} is missing or altered; restore it with `dvc repro` or register it anew"
            )
    return manifest


@dataclass(frozen=True)
class Predictor:
    """A network with its tokenizer and class names, the n-grams beside it, and how both make the probabilities."""

    network: Network
    tokenizer: Tokenizer
    ngrams: Ngrams | None
    classes: tuple[str, ...]
    calibration: Calibration
    class_shares: tuple[float, ...]  # that the probabilities expect: their means over the validation rows

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> "Predictor":
        """Load a model folder, after checking its digests; `threads` as in `network.Network`."""
        manifest = read_manifest(folder)
        return cls(
            Network((folder / ONNX).read_bytes(), threads=threads),  # by its bytes it can name no files beside it
            Tokenizer.load(folder / TOKENIZER),
            Ngrams.load(folder) if GRAMS in manifest["sha256"] else None,
            tuple(manifest["classes"]),
            Calibration(tuple(manifest["shares"]), manifest["temperature"], tuple(manifest["offsets"])),
            tuple(manifest["class_shares"]),
        )

    def parts(self, cleaned: Sequence[str]) -> list[np.ndarray]:
        """What each part of the model says of cleaned texts.

        Returns
        -------
        list of ndarray of shape (n_texts, n_classes), float64
            Logarithms of class probabilities: the LSTM's, then those of the two n-gram models where there are any. A
            text's row depends on that text alone.
        """
        lstm = self.network.log_probabilities(self.tokenizer.encode(cleaned))
        return [lstm, *(self.ngrams.log_probabilities(cleaned) if self.ngrams else ())]

    def probabilities(self, texts: Sequence[str], class_shares: str = "") -> np.ndarray:
        """Calibrated class probabilities of raw texts, shape (n_texts, n_classes), float64.

        Parameters
        ----------
        texts : sequence of str
            Raw texts.
        class_shares : str
            Where live classes are distributed otherwise than the training data: how, as a JSON object of every class's
            share, such as `{"negative": 0.2, "positive": 0.8}`, or "estimate" to tell it from these texts, of which
            there should be hundreds; see `calibration.estimate_shares`. Empty for the training data's.

        Raises
        ------
        ValueError
            `class_shares` is neither.
        """
        found = combine(self.parts([clean_text(text) for text in texts]), self.calibration)
        if not class_shares or not len(texts):
            return found
        before = np.array(self.class_shares)
        now = estimate_shares(found, before) if class_shares == "estimate" else read_shares(class_shares, self.classes)
        return reweigh(found, before, now)

    def predict(self, texts: Sequence[str], class_shares: str = "") -> "pd.DataFrame":
        """Labels of raw texts: `predicted_label`, `confidence` (its probability), and `p_<class>` for each class."""
        import pandas as pd

        probabilities = self.probabilities(texts, class_shares)
        best = probabilities.argmax(axis=1)
        table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in self.classes])
        table.insert(0, "confidence", probabilities.max(axis=1, initial=0))
        table.insert(0, "predicted_label", pd.Series([self.classes[i] for i in best], dtype="str"))
        return table


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
    """What MLflow calls: a table with a `text` column to the table of `Predictor.predict`."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, table: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Predict a table with a column `text`; a value that is no string is an error, not a guess.

        The only one of `params` is `class_shares`, see `Predictor.probabilities`.
        """
        texts = table["text"].to_list()
        for number, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise ValueError(f"row {number} of column text must be a string, got {type(text).__name__}")
        return self.predictor.predict(texts, (params or {}).get("class_shares", ""))


def _load_pyfunc(path: str) -> ServedModel:
    """The entry point that MLflow calls for a model logged with this module as its loader."""
    return ServedModel(Predictor.load(Path(path)))
