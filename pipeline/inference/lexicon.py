"""A lexicon of sentiment as a part of a model: what people say of the words that a small file has no rows to learn."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_json, write_json
from ..text.languages import UNITS, RunCache
from ..text.negation import negated
from .network import log_softmax
from .part import Inputs

LEXICON = "lexicon.json"
TURNED = -0.74  # factor of a negated word's valence, measured by Hutto and Gilbert 2014
SATURATION = 15.0  # of the sum of valences, of the same authors
NEAR_END = 8  # words


@dataclass(frozen=True)
class Lexicon:
    """Logistic regression on what a lexicon says of a text: sums, counts and extremes of its words' valences.

    The figures are those of Hutto and Gilbert 2014, "VADER", and some more of where in the text the words are.

    Parameters
    ----------
    valences : dict of str to float
        From -4 (very negative) to 4, by word.
    language : str
        Two letters, for its negators.
    means, scales : ndarray of shape (n_figures,), float64
        Mean and standard deviation of each figure in the training texts.
    coefficients : ndarray of shape (n_figures + 1, n_classes), float64
        Of the standardised figures; the last row has the intercepts.
    """

    valences: dict[str, float]
    language: str
    means: np.ndarray
    scales: np.ndarray
    coefficients: np.ndarray

    @cached_property
    def _values_of_run(self) -> RunCache[tuple[int, list[float], bool]]:
        return RunCache(partial(_look_up_run, self.language, self.valences))

    def __reduce__(self) -> tuple[Any, ...]:  # other processes get it without its cache
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    def log_probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Return the log-probabilities of the classes for cleaned texts, (n_texts, n_classes), float64."""
        standardised = (self.figures(texts) - self.means) / self.scales
        return log_softmax(standardised @ self.coefficients[:-1] + self.coefficients[-1])

    def figures(self, texts: Sequence[str]) -> np.ndarray:
        """Return what the lexicon says of cleaned texts.

        Returns
        -------
        ndarray of shape (n_texts, n_figures), float64
            Of the valences: their saturated sum; the sums of positive and of negative ones a word; logarithms of their
            counts; the highest and the lowest; the sums in the second half and near the end; the first, the last and
            the mean one. Of the text: whether a word is negated, whether it has "!" or "?", the logarithm of its
            length, and the share of words that are in the lexicon.

        Examples
        --------
        >>> lexicon = Lexicon({"good": 1.9}, "en", np.zeros(17), np.ones(17), np.zeros((18, 2)))
        >>> lexicon.figures(["so good", "not good"])[:, 9].round(3).tolist()
        [1.9, -1.406]
        """
        values: list[float] = []
        lengths, turned = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts))
        for number, text in enumerate(texts):
            left, before = 0, len(values)
            for run in text.split():
                left, of_run, is_turned = self._values_of_run[f"{left}{run}"]
                values += of_run
                turned[number] += is_turned
            lengths[number] = len(values) - before
        marks = np.array([[mark in text for mark in "!?"] for text in texts], dtype=float).reshape(-1, 2)
        return np.column_stack(
            [_of_valences(np.array(values), lengths), turned > 0, marks, _of_length(values, lengths)]
        )

    def save(self, folder: Path) -> None:
        """Write it to a folder, as JSON."""
        arrays = {name: getattr(self, name).tolist() for name in ("means", "scales", "coefficients")}
        write_json(folder / LEXICON, {"language": self.language, "valences": self.valences} | arrays)

    @classmethod
    def load(cls, folder: Path) -> "Lexicon":
        """Read what `save` wrote."""
        content = read_json(folder / LEXICON)
        means, scales, coefficients = (np.array(content[name]) for name in ("means", "scales", "coefficients"))
        return cls(content["valences"], content["language"], means, scales, coefficients)


def _of_valences(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the first twelve figures; `values` of all texts one after another, 0 for words without a valence."""
    count = len(lengths)
    rows = np.repeat(np.arange(count), lengths)
    positions = np.arange(len(values)) - np.repeat(lengths.cumsum() - lengths, lengths)

    def sums(numbers: np.ndarray) -> np.ndarray:
        return np.bincount(rows, numbers, minlength=count).astype(float)

    total, hits = sums(values), sums(values != 0)
    words = np.maximum(lengths, 1)
    highest, lowest, first, last = np.zeros((4, count))
    np.maximum.at(highest, rows, values)
    np.minimum.at(lowest, rows, values)
    places = np.flatnonzero(values)
    last[rows[places]] = values[places]
    first[rows[places[::-1]]] = values[places[::-1]]
    return np.column_stack(
        [
            total / np.sqrt(total**2 + SATURATION),
            *(sums(part) / words for part in (np.maximum(values, 0), np.minimum(values, 0))),
            *(np.log1p(sums(part)) for part in (values > 0, values < 0)),
            *(highest, lowest),
            sums(values * (positions >= lengths[rows] // 2)),
            sums(values * (positions >= lengths[rows] - NEAR_END)),
            *(first, last),
            total / np.maximum(hits, 1),
        ]
    )


def _of_length(values: Sequence[float], lengths: np.ndarray) -> np.ndarray:
    rows = np.repeat(np.arange(len(lengths)), lengths)
    words = np.maximum(lengths, 1)
    hits = np.bincount(rows, np.array(values) != 0, minlength=len(lengths))
    return np.column_stack([np.log(words), hits / words])


def _look_up_run(language: str, valences: dict[str, float], key: str) -> tuple[int, list[float], bool]:
    """Return `left` after a run, see `negation.negated`, the valence of each unit, and whether one is negated."""
    units = UNITS["word"](key[1:])
    marks, left = negated(units, language, int(key[0]))
    values = [
        valences.get(unit, 0.0) * (TURNED if is_negated else 1) for unit, is_negated in zip(units, marks, strict=True)
    ]
    return left, values, any(marks)


@dataclass(frozen=True)
class LexiconPart:
    """A lexicon as a part of a model."""

    lexicon: Lexicon
    name: str = "lexicon"
    modality: str = "text"

    def log_probabilities(self, inputs: Inputs) -> np.ndarray:
        """See `Part`."""
        return self.lexicon.log_probabilities(inputs.cells[self.modality])
