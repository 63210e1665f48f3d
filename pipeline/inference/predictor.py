"""Predict labels and class probabilities of raw inputs, with the functions of training but without TensorFlow.

This module travels with every registered model, together with the modules that it imports.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.errors import PipelineError
from ..base.modalities import Processor, modality
from ..text.processor import Tokenizer
from .calibration import Calibration, combine
from .manifest import ONNX, modalities, network_file, read_manifest
from .network import NetworkPart, OnnxNetwork
from .ngrams import GRAMS, NgramPart, Ngrams
from .part import Inputs, Part, Rows, log_probabilities
from .priors import ClassPriors, adapted, reweigh

if TYPE_CHECKING:
    import pandas as pd


class Answers(NamedTuple):
    """What a model answers about rows.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes), float64
        Calibrated class probabilities.
    known_words : ndarray of shape (n_rows,), int, or None
        Number of words that the training texts have too; None if the model reads no texts.
    empty : ndarray of shape (n_rows,), bool
        Mask of the rows of which nothing is left after cleaning, so that their probabilities mean nothing.
    """

    probabilities: np.ndarray
    known_words: np.ndarray | None
    empty: np.ndarray

    def as_table(self, classes: Sequence[str]) -> "pd.DataFrame":
        """Return what `Predictor.predict` returns."""
        import pandas as pd

        best = self.probabilities.argmax(axis=1)
        table = pd.DataFrame(self.probabilities, columns=[f"p_{name}" for name in classes])
        table.insert(0, "confidence", self.probabilities.max(axis=1, initial=0))
        table.insert(0, "predicted_label", pd.Series([classes[number] for number in best], dtype="str"))
        return table if self.known_words is None else table.assign(known_words=self.known_words)


@dataclass(frozen=True)
class Predictor:
    """A model: processors encode its inputs, parts read them, and calibration combines the parts.

    Methods take rows as a mapping from modality to cells; a model of one modality also accepts a sequence of cells.

    Parameters
    ----------
    processors : mapping of str to Processor
        By modality.
    parts : tuple of Part
        At least one.
    classes : tuple of str
        Class names, in the order of the columns of probabilities.
    calibration : Calibration
        Weights of the parts, temperature and offsets.
    class_shares : tuple of float
        Means of the probabilities over the validation rows.
    class_priors : ClassPriors or None
        Class priors of the validation rows, and those that the probabilities imply; None for an older model.
    """

    processors: Mapping[str, Processor]
    parts: tuple[Part, ...]
    classes: tuple[str, ...]
    calibration: Calibration
    class_shares: tuple[float, ...]
    class_priors: ClassPriors | None = None

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> "Predictor":
        """Load a model folder.

        Parameters
        ----------
        folder : Path
            A folder that train wrote.
        threads : int
            CPU threads, as in `network.OnnxNetwork`.

        Raises
        ------
        PipelineError
            The manifest is refused, see `manifest.read_manifest`.
        """
        manifest = read_manifest(folder)
        names = modalities(manifest)
        processors = {name: modality(name).load(folder / modality(name).file) for name in names}
        parts: list[Part] = []
        for name in names:
            content = (folder / network_file(ONNX, name, names)).read_bytes()  # bytes cannot refer to other files
            parts.append(NetworkPart(OnnxNetwork(content, threads=threads), name))
        if GRAMS in manifest["sha256"]:
            parts += NgramPart.all_of(Ngrams.load(folder))
        return cls(
            processors,
            tuple(parts),
            tuple(manifest["classes"]),
            Calibration(tuple(manifest["shares"]), manifest["temperature"], tuple(manifest["offsets"])),
            tuple(manifest["class_shares"]),
            manifest.get("class_priors"),
        )

    @property
    def tokenizer(self) -> Tokenizer:
        """The processor of texts.

        Raises
        ------
        PipelineError
            The model does not read texts.
        """
        if not isinstance(tokenizer := self.processors.get("text"), Tokenizer):
            raise PipelineError(f"a text model is required, but this one reads {', '.join(self.processors)}")
        return tokenizer

    def log_probabilities(self, cleaned: Rows | Sequence[str]) -> list[np.ndarray]:
        """Return the log-probabilities of the classes by each part.

        Parameters
        ----------
        cleaned : mapping of str to sequence of str, or sequence of str
            Clean cells by modality, None where a row lacks one.

        Returns
        -------
        list of ndarray of shape (n_rows, n_classes), float64
            In the order of `parts`. A row depends only on its own cells.
        """
        return log_probabilities(self.parts, Inputs.encode(self._by_modality(cleaned), self.processors))

    def probabilities(self, rows: Rows | Sequence[str], class_shares: str = "") -> np.ndarray:
        """Return the class probabilities of raw rows; see `answers`."""
        return self.answers(rows, class_shares).probabilities

    def answers(self, rows: Rows | Sequence[str], class_shares: str = "") -> Answers:
        """Predict raw rows.

        Parameters
        ----------
        rows : mapping of str to sequence of str, or sequence of str
            Raw cells by modality, None where a row lacks one.
        class_shares : str
            Class priors of these rows if they differ from those of the training data: a JSON object, such as
            `{"negative": 0.2, "positive": 0.8}`, or "estimate" to estimate them from the rows, which should be hundreds
            or more: the answer changes only if they differ significantly, see `priors.estimate_class_priors`. Empty for
            those of the training data.

        Raises
        ------
        ValueError
            `class_shares` is neither of these, or the model cannot estimate them.
        """
        cleaned = {name: _clean(cells, modality(name).clean) for name, cells in self._by_modality(rows).items()}
        inputs = Inputs.encode(cleaned, self.processors)
        probabilities = combine(log_probabilities(self.parts, inputs), self.calibration)
        known = self.tokenizer.known_words(inputs.arrays["text"]) if "text" in self.processors else None
        empty = [not any(cells) for cells in zip(*cleaned.values(), strict=True)]
        return Answers(self._reweighed(probabilities, class_shares), known, np.array(empty, dtype=bool))

    def _reweighed(self, probabilities: np.ndarray, class_shares: str) -> np.ndarray:
        if not class_shares or not len(probabilities):
            return probabilities
        if class_shares == "estimate":
            if not self.class_priors:
                raise ValueError("class_shares: this model cannot estimate them; train it again, or name each")
            return adapted(probabilities, self.class_priors)[0]
        implied = self.class_priors["implied"] if self.class_priors else self.class_shares
        return reweigh(probabilities, np.array(implied), parse_class_priors(class_shares, self.classes))

    def predict(self, rows: Rows | Sequence[str], class_shares: str = "") -> "pd.DataFrame":
        """Return labels and probabilities of raw rows; the parameters are those of `probabilities`.

        Returns
        -------
        DataFrame of shape (n_rows, 2 + n_classes) or (n_rows, 3 + n_classes)
            `predicted_label`, `confidence` (its probability), `p_<class>` for each class, and `known_words` if the
            model reads texts; see `Answers`.
        """
        return self.answers(rows, class_shares).as_table(self.classes)

    def _by_modality(self, rows: Rows | Sequence[str]) -> Rows:
        if isinstance(rows, Mapping):
            return rows
        (name,) = self.processors  # a sequence of cells is for models of one modality
        return {name: rows}


def _clean(cells: Sequence[str | None], clean: Callable[[str], str]) -> list[str | None]:
    return [None if cell is None else clean(cell) for cell in cells]


def parse_class_priors(text: str, classes: Sequence[str]) -> np.ndarray:
    """Parse class priors from a JSON object.

    Parameters
    ----------
    text : str
        A JSON object with a number of 0 or more for each class. They must sum to about 1 (0.99 to 1.01).
    classes : sequence of str
        Class names.

    Returns
    -------
    ndarray of shape (n_classes,), float64
        In the order of `classes`, scaled to sum to 1.

    Raises
    ------
    ValueError
        The text is anything else.

    Examples
    --------
    >>> parse_class_priors('{"sad": 0.2, "happy": 0.8}', ["happy", "sad"]).tolist()
    [0.8, 0.2]
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        content = None
    values = list(content.values()) if isinstance(content, dict) else []
    if not values or set(content) != set(classes) or not all(type(v) in {int, float} and v >= 0 for v in values):
        raise ValueError(
            f"class_shares must be estimate, or a JSON object with a share of 0 or more for each of "
            f"{', '.join(classes)}, got {text!r}"
        )
    priors = np.array([content[name] for name in classes], dtype=np.float64)
    if not 0.99 < priors.sum() < 1.01:
        raise ValueError(f"class_shares must sum to 1, got {priors.sum():g}")
    scaled: np.ndarray = priors / priors.sum()
    return scaled


class ServedModel:
    """A predictor as MLflow calls it."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, table: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Return labels and probabilities, see `Predictor.predict`.

        Parameters
        ----------
        table : DataFrame
            A column of raw cells for each modality.
        params : mapping, optional
            `class_shares`, see `Predictor.answers`; and `allow_empty`, whether a row of which nothing is left after
            cleaning gets the probabilities of a row without words, instead of raising an error.

        Raises
        ------
        ValueError
            A cell is not a string, or a row is empty.
        """
        params = params or {}
        rows = {name: table[name].to_list() for name in self.predictor.processors}
        for name, cells in rows.items():
            for number, cell in enumerate(cells, start=1):
                if not isinstance(cell, str):
                    raise ValueError(f"row {number} of column {name} must be a string, got {type(cell).__name__}")
        answers = self.predictor.answers(rows, params.get("class_shares", ""))
        if answers.empty.any() and not params.get("allow_empty"):
            raise ValueError(f"row {int(answers.empty.argmax()) + 1} is empty")
        return answers.as_table(self.predictor.classes)


def _load_pyfunc(path: str) -> ServedModel:
    """Load a model that was logged with this module as its loader; MLflow calls it by this name."""
    return ServedModel(Predictor.load(Path(path)))
