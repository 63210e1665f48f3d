"""The wide branch: two linear models over n-grams of words and characters, beside the LSTM (Cheng et al. 2016)."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_arrays, read_json, write_arrays, write_json
from ..text.languages import UNITS, Remembered
from .network import log_softmax
from .part import Inputs

GRAMS, WEIGHTS = "ngrams.json", "ngrams.npz"
NGRAM_PARTS = ("tfidf", "nb")  # in the order of `Ngrams.log_probabilities`
BLOCK = 1_024  # texts scored at once


def cut(text: str, unit: str, *, long: bool) -> Iterator[str]:
    """The n-grams of a cleaned text, with repetitions: runs of one and two units, and of characters.

    Parameters
    ----------
    text : str
        Cleaned text.
    unit : str
        What `Tokenizer` splits by.
    long : bool
        Whether the texts are long: then runs of three words, and no characters.
    """
    units = UNITS[unit](text)
    yield from _runs(units, 1)
    yield from _runs(units, 2)
    if long or unit == "character":
        yield from _runs(units, 3)
    elif unit == "word":  # a tab tells characters from words
        for word in text.split():
            yield from _characters(word)
    else:
        for n in (1, 2, 3):
            for start in range(len(text) - n + 1):
                yield "\t" + text[start : start + n]


def _characters(word: str) -> Iterator[str]:
    """Runs of three to five characters of a word and the space around it."""
    padded = f" {word} "
    for n in (3, 4, 5):
        for start in range(max(len(padded) - n, 0) + 1):
            yield "\t" + padded[start : start + n]
        if n >= len(padded):
            break


def _runs(units: Sequence[str], n: int) -> Iterator[str]:
    return (" ".join(units[start : start + n]) for start in range(len(units) - n + 1))


@dataclass(frozen=True)
class Ngrams:
    """Two linear models over the same n-grams.

    One is logistic regression on TF-IDF with logarithmic term frequencies; the other, on which n-grams occur, each
    scaled by its naive Bayes log-count ratio (Wang and Manning 2012, "Baselines and Bigrams"), each class against the
    rest.

    Parameters
    ----------
    grams : tuple of str
        The n-grams, by column.
    unit : str
        What `Tokenizer` splits by.
    long : bool
        As in `cut`.
    idf : ndarray of shape (n_grams,), float32
        Inverse document frequencies.
    tfidf, nb : ndarray of shape (n_grams + 1, n_classes), float32
        What an n-gram adds to the logits; the last row is the intercept.
    """

    grams: tuple[str, ...]
    unit: str
    long: bool
    idf: np.ndarray
    tfidf: np.ndarray
    nb: np.ndarray

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each n-gram."""
        return {gram: column for column, gram in enumerate(self.grams)}

    @cached_property
    def _of_run(self) -> Remembered[tuple[str, str, bytes]]:
        # Of what it needs alone: a method would hold the whole object, which then is freed by the collector at best.
        return Remembered(partial(_within, self.unit, self.columns))

    def __reduce__(self) -> tuple[Any, ...]:  # to another process it goes without what it remembers
        return type(self), tuple(getattr(self, each.name) for each in fields(self))

    def log_probabilities(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of the class probabilities of cleaned texts.

        Returns
        -------
        tfidf, nb : ndarray of shape (n_texts, n_classes), float64
            Those of each model; of a text without any known n-gram, the intercepts'.
        """
        blocks = [self._logits(texts[start : start + BLOCK]) for start in range(0, len(texts), BLOCK)]
        tfidf, nb = log_softmax(np.concatenate([np.empty((2, 0, self.nb.shape[1])), *blocks], axis=1))
        return tfidf, nb

    def _logits(self, texts: Sequence[str]) -> np.ndarray:
        """Logits of both models, (2, n_texts, n_classes), float64; sums in the order of the columns, text by text."""
        found = [self._found(text) for text in texts]
        columns = np.frombuffer(b"".join(found), dtype=np.int32)
        rows = np.repeat(np.arange(len(texts)), [len(each) // columns.itemsize for each in found])
        width = max(len(self.grams), 1)
        keys, counts = np.unique(rows * width + columns, return_counts=True)
        rows, columns = keys // width, keys % width
        values = (1 + np.log(counts)) * self.idf[columns]
        norms = np.sqrt(np.bincount(rows, values * values, minlength=len(texts)))
        logits = np.empty((2, len(texts), self.nb.shape[1]))
        for number in range(self.nb.shape[1]):
            weighted = np.bincount(rows, values * self.tfidf[columns, number], minlength=len(texts))
            logits[0, :, number] = self.tfidf[-1, number] + weighted / np.where(norms, norms, 1)
            logits[1, :, number] = self.nb[-1, number] + np.bincount(
                rows, self.nb[columns, number], minlength=len(texts)
            )
        return logits

    def _found(self, text: str) -> bytes:
        """The columns of a text's known n-grams, those that `cut` gives, with repetitions, as int32."""
        if self.unit != "word" or self.long:
            return _known(cut(text, self.unit, long=self.long), self.columns)
        before, between, within = "", [], []
        for run in text.split():
            first, last, known = self._of_run[run]
            within.append(known)
            between.append(f"{before} {first}")  # the first is no n-gram: none begins with a space
            before = last
        return _known(between, self.columns) + b"".join(within)

    def save(self, folder: Path) -> None:
        write_json(folder / GRAMS, {"unit": self.unit, "long": self.long, "grams": list(self.grams)})
        arrays = {each.name: getattr(self, each.name) for each in fields(self)}
        write_arrays(folder / WEIGHTS, {name: arrays[name] for name in ("idf", "tfidf", "nb")})

    @classmethod
    def load(cls, folder: Path) -> "Ngrams":
        content: dict[str, Any] = read_json(folder / GRAMS)
        arrays: dict[str, Any] = read_arrays(folder / WEIGHTS)
        return cls(tuple(content["grams"]), content["unit"], content["long"], **arrays)


@dataclass(frozen=True)
class NgramPart:
    """One of the two linear models as a part of a model.

    Parameters
    ----------
    ngrams : Ngrams
        Both; a text's n-grams are looked up once for the two parts.
    name : {"tfidf", "nb"}
        Which.
    """

    ngrams: Ngrams
    name: str
    modality: str = "text"

    def log_probabilities(self, inputs: Inputs) -> np.ndarray:
        texts = inputs.cells[self.modality]
        both = inputs.shared(id(self.ngrams), lambda: self.ngrams.log_probabilities(texts))
        values: np.ndarray = both[NGRAM_PARTS.index(self.name)]
        return values

    @classmethod
    def both(cls, ngrams: Ngrams) -> "list[NgramPart]":
        """Return the two parts."""
        return [cls(ngrams, name) for name in NGRAM_PARTS]


def _within(unit: str, columns: dict[str, int], run: str) -> tuple[str, str, bytes]:
    """Of what stands between two spaces: its first and last unit, and the columns of the n-grams inside it."""
    units = UNITS[unit](run)
    return units[0], units[-1], _known(cut(run, unit, long=False), columns)


def _known(grams: Iterable[str], columns: dict[str, int]) -> bytes:
    return array("i", [columns[gram] for gram in grams if gram in columns]).tobytes()
