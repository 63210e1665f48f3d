"""The wide branch: two linear models over n-grams of words and characters, next to the LSTM (Cheng et al. 2016)."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_arrays, read_json, write_arrays, write_json
from ..text.languages import UNITS, RunCache
from .network import log_softmax
from .part import Inputs

GRAMS, WEIGHTS = "ngrams.json", "ngrams.npz"
NGRAM_PARTS = ("tfidf", "nb")  # in the order of `Ngrams.log_probabilities`
BLOCK_TEXTS = 1_024  # texts scored together


def ngrams_of(text: str, unit: str, *, long: bool) -> Iterator[str]:
    """Yield the n-grams of a cleaned text, with repetitions: one and two units, and characters.

    Parameters
    ----------
    text : str
        Cleaned text.
    unit : {"word", "character", "chinese"}
        How the tokenizer splits texts.
    long : bool
        Whether the texts are long: three units instead of characters.

    Examples
    --------
    Runs of characters begin with a tab, which distinguishes them from words:

    >>> list(ngrams_of("no go", "word", long=True))
    ['no', 'go', 'no go']
    >>> list(ngrams_of("a", "word", long=False))
    ['a', '\\t a ']
    """
    units = UNITS[unit](text)
    yield from _runs(units, 1)
    yield from _runs(units, 2)
    if long or unit == "character":
        yield from _runs(units, 3)
    elif unit == "word":
        for word in text.split():
            yield from _characters(word)
    else:
        for n in (1, 2, 3):
            for start in range(len(text) - n + 1):
                yield "\t" + text[start : start + n]


def _characters(word: str) -> Iterator[str]:
    """Yield runs of three to five characters of a word with a space on either side."""
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

    The first is logistic regression on TF-IDF with logarithmic term frequencies. The second reads which n-grams occur,
    each scaled by its naive Bayes log-count ratio (Wang and Manning 2012, "Baselines and Bigrams"), one class against
    the rest.

    Parameters
    ----------
    grams : tuple of str
        The n-grams, by column.
    unit : {"word", "character", "chinese"}
        How the tokenizer splits texts.
    long : bool
        As in `ngrams_of`.
    idf : ndarray of shape (n_grams,), float32
        Inverse document frequencies.
    tfidf, nb : ndarray of shape (n_grams + 1, n_classes), float32
        Coefficients of the two models; the last row has the intercepts.
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
    def _lookup_of_run(self) -> RunCache[tuple[str, str, bytes]]:
        # Not a method: its reference to `self` would be a cycle, which only the garbage collector frees.
        return RunCache(partial(_look_up_run, self.unit, self.columns))

    def __reduce__(self) -> tuple[Any, ...]:  # other processes get it without its cache
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    def log_probabilities(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the log-probabilities of the classes by both models.

        Parameters
        ----------
        texts : sequence of str
            Cleaned texts. One without a known n-gram gets the probabilities of the intercepts.

        Returns
        -------
        tfidf, nb : ndarray of shape (n_texts, n_classes), float64
            A row depends only on its own text.
        """
        blocks = [self._logits(texts[start : start + BLOCK_TEXTS]) for start in range(0, len(texts), BLOCK_TEXTS)]
        tfidf, nb = log_softmax(np.concatenate([np.empty((2, 0, self.nb.shape[1])), *blocks], axis=1))
        return tfidf, nb

    def _logits(self, texts: Sequence[str]) -> np.ndarray:
        """Return the logits of both models, (2, n_texts, n_classes), float64; each text is summed by ascending column.

        All texts are scored together, as a sparse matrix of the n-grams' counts.
        """
        blocks = [self._columns(text) for text in texts]
        columns = np.frombuffer(b"".join(blocks), dtype=np.int32)
        rows = np.repeat(np.arange(len(texts)), [len(block) // columns.itemsize for block in blocks])
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

    def _columns(self, text: str) -> bytes:
        """Return the columns of a text's known n-grams, in the sense of `ngrams_of`, with repetitions, as int32."""
        if self.unit != "word" or self.long:
            return _known_columns(ngrams_of(text, self.unit, long=self.long), self.columns)
        before, pairs, within = "", [], []
        for run in text.split():
            first, last, columns = self._lookup_of_run[run]
            within.append(columns)
            pairs.append(f"{before} {first}")  # the first begins with a space, so it is never an n-gram
            before = last
        return _known_columns(pairs, self.columns) + b"".join(within)

    def save(self, folder: Path) -> None:
        """Write both models to a folder: the n-grams as JSON, the coefficients as NPZ."""
        write_json(folder / GRAMS, {"unit": self.unit, "long": self.long, "grams": list(self.grams)})
        write_arrays(folder / WEIGHTS, {"idf": self.idf, "tfidf": self.tfidf, "nb": self.nb})

    @classmethod
    def load(cls, folder: Path) -> "Ngrams":
        """Read what `save` wrote."""
        content: dict[str, Any] = read_json(folder / GRAMS)
        arrays: dict[str, Any] = read_arrays(folder / WEIGHTS)
        return cls(tuple(content["grams"]), content["unit"], content["long"], **arrays)


@dataclass(frozen=True)
class NgramPart:
    """One of the two linear models as a part of a model.

    Parameters
    ----------
    ngrams : Ngrams
        Both models; the n-grams of a text are looked up once for the two parts.
    name : {"tfidf", "nb"}
        Which of the two.
    modality : str
        Always "text".
    """

    ngrams: Ngrams
    name: str
    modality: str = "text"

    def log_probabilities(self, inputs: Inputs) -> np.ndarray:
        """See `Part`."""
        texts = inputs.cells[self.modality]
        both = inputs.shared(id(self.ngrams), lambda: self.ngrams.log_probabilities(texts))
        log_probabilities: np.ndarray = both[NGRAM_PARTS.index(self.name)]
        return log_probabilities

    @classmethod
    def both(cls, ngrams: Ngrams) -> "list[NgramPart]":
        """Return the two parts."""
        return [cls(ngrams, name) for name in NGRAM_PARTS]


def _look_up_run(unit: str, columns: dict[str, int], run: str) -> tuple[str, str, bytes]:
    """Return the first and the last unit of a run between two spaces, and the columns of the n-grams within it."""
    units = UNITS[unit](run)
    return units[0], units[-1], _known_columns(ngrams_of(run, unit, long=False), columns)


def _known_columns(grams: Iterable[str], columns: dict[str, int]) -> bytes:
    return array("i", [columns[gram] for gram in grams if gram in columns]).tobytes()
