"""The wide branch: linear models over n-grams of words and characters, next to the LSTM (Cheng et al. 2016)."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_arrays, read_json, write_arrays, write_json
from ..text.languages import UNITS, RunCache
from ..text.negation import negated
from .network import log_softmax
from .part import Inputs

GRAMS, WEIGHTS = "ngrams.json", "ngrams.npz"
NGRAM_PARTS = ("tfidf", "nb", "tfidf_words")  # in the order of `Ngrams.log_probabilities`
NEGATED = "\n"  # begins the n-grams of a negated word; no text has a line break
BLOCK_TEXTS = 1_024  # texts scored together


def ngrams_of(text: str, unit: str, *, long: bool, language: str = "") -> Iterator[str]:
    """Yield the n-grams of a cleaned text, with repetitions: one and two units, and characters.

    Words that a negator turns round are marked, and so are their characters, see `text.negation`.

    Parameters
    ----------
    text : str
        Cleaned text.
    unit : {"word", "character", "chinese"}
        How the tokenizer splits texts.
    long : bool
        Whether the texts are long: three units instead of characters.
    language : str
        Two letters, for its negators; "" for none.

    Examples
    --------
    Runs of characters begin with a tab, which distinguishes them from words, and marked words with a line break:

    >>> list(ngrams_of("no go", "word", long=True, language="en"))
    ['no', '\\ngo', 'no go']
    >>> list(ngrams_of("a", "word", long=False))
    ['a', '\\t a ']
    """
    if unit == "word" and not long:
        before, left = "", 0
        for run in text.split():
            first, last, left, grams = _grams_of_run(run, unit, language, left)
            if before:
                yield f"{before} {first}"
            yield from grams
            before = last
        return
    units = UNITS[unit](text)
    yield from _marked(units, negated(units, language)[0])
    for n in (2, 3) if long or unit == "character" else (2,):
        yield from _runs(units, n)
    if unit == "chinese" and not long:
        for n in (1, 2, 3):
            for start in range(len(text) - n + 1):
                yield "\t" + text[start : start + n]


def _grams_of_run(run: str, unit: str, language: str, left: int) -> tuple[str, str, int, list[str]]:
    """Return a run between two spaces as n-grams.

    Returns
    -------
    first, last : str
        Its first and its last unit.
    left : int
        See `negation.negated`; also a parameter.
    grams : list of str
        The n-grams within the run.
    """
    units = UNITS[unit](run)
    marks, left = negated(units, language, left)
    mark = NEGATED if marks[0] else ""
    grams = [*_marked(units, marks), *_runs(units, 2), *(mark + gram for gram in _characters(run))]
    return units[0], units[-1], left, grams


def _marked(units: Sequence[str], marks: Sequence[bool]) -> Iterator[str]:
    return (NEGATED + unit if is_negated else unit for unit, is_negated in zip(units, marks, strict=True))


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
    """Linear models over the same n-grams.

    The first is logistic regression on TF-IDF with logarithmic term frequencies. The second reads which n-grams occur,
    each scaled by its naive Bayes log-count ratio (Wang and Manning 2012, "Baselines and Bigrams"), one class against
    the rest. The third is the first without characters, which overfit in small files of many classes.

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
        Coefficients of the first two models; the last row has the intercepts.
    tfidf_words : ndarray of shape (n_grams without characters + 1, n_classes), float32, or None
        Those of the third; None if no n-gram has characters, and in older models.
    language : str
        As in `ngrams_of`.
    """

    grams: tuple[str, ...]
    unit: str
    long: bool
    idf: np.ndarray
    tfidf: np.ndarray
    nb: np.ndarray
    tfidf_words: np.ndarray | None = None
    language: str = ""

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each n-gram."""
        return {gram: column for column, gram in enumerate(self.grams)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models, in the order of `log_probabilities`."""
        return NGRAM_PARTS if self.tfidf_words is not None else NGRAM_PARTS[:2]

    @cached_property
    def word_rows(self) -> np.ndarray:
        """The row of each n-gram in `tfidf_words`, shape (n_grams,), int64; -1 for characters."""
        words = np.array([has_words(gram) for gram in self.grams], dtype=bool)
        return np.where(words, words.cumsum() - 1, -1)

    @cached_property
    def _lookup_of_run(self) -> RunCache[tuple[str, str, int, bytes]]:
        # Not a method: its reference to `self` would be a cycle, which only the garbage collector frees.
        return RunCache(partial(_look_up_run, self.unit, self.language, self.columns))

    def __reduce__(self) -> tuple[Any, ...]:  # other processes get it without its cache
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    def log_probabilities(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the log-probabilities of the classes by each model.

        Parameters
        ----------
        texts : sequence of str
            Cleaned texts. One without a known n-gram gets the probabilities of the intercepts.

        Returns
        -------
        list of ndarray of shape (n_texts, n_classes), float64
            In the order of `names`. A row depends only on its own text.
        """
        blocks = [self._logits(texts[start : start + BLOCK_TEXTS]) for start in range(0, len(texts), BLOCK_TEXTS)]
        empty = np.empty((len(self.names), 0, self.nb.shape[1]))
        return list(log_softmax(np.concatenate([empty, *blocks], axis=1)))

    def _logits(self, texts: Sequence[str]) -> np.ndarray:
        """Return the logits of the models, (n_models, n_texts, n_classes), float64.

        All texts are scored together, as a sparse matrix of the n-grams' counts; each is summed by ascending column.
        """
        blocks = [self._columns(text) for text in texts]
        columns = np.frombuffer(b"".join(blocks), dtype=np.int32)
        rows = np.repeat(np.arange(len(texts)), [len(block) // columns.itemsize for block in blocks])
        width = max(len(self.grams), 1)
        keys, counts = np.unique(rows * width + columns, return_counts=True)
        rows, columns = keys // width, keys % width
        values = (1 + np.log(counts)) * self.idf[columns]
        models = [(rows, columns, values, self.tfidf), (rows, columns, None, self.nb)]
        if self.tfidf_words is not None:
            selected = self.word_rows[columns] >= 0
            models.append((rows[selected], self.word_rows[columns[selected]], values[selected], self.tfidf_words))
        return np.stack([_linear(*model, len(texts)) for model in models])

    def _columns(self, text: str) -> bytes:
        """Return the columns of a text's known n-grams, in the sense of `ngrams_of`, with repetitions, as int32."""
        if self.unit != "word" or self.long:
            grams = ngrams_of(text, self.unit, long=self.long, language=self.language)
            return _known_columns(grams, self.columns)
        before, left, pairs, within = "", 0, [], []
        for run in text.split():
            first, last, left, columns = self._lookup_of_run[f"{left}{run}"]
            within.append(columns)
            pairs.append(f"{before} {first}")  # the first begins with a space, so it is never an n-gram
            before = last
        return _known_columns(pairs, self.columns) + b"".join(within)

    def save(self, folder: Path) -> None:
        """Write the models to a folder: the n-grams as JSON, the coefficients as NPZ."""
        described = {"unit": self.unit, "long": self.long, "language": self.language, "grams": list(self.grams)}
        write_json(folder / GRAMS, described)
        arrays = {"idf": self.idf} | {name: getattr(self, name) for name in self.names}
        write_arrays(folder / WEIGHTS, arrays)

    @classmethod
    def load(cls, folder: Path) -> "Ngrams":
        """Read what `save` wrote."""
        content: dict[str, Any] = read_json(folder / GRAMS)
        arrays: dict[str, Any] = read_arrays(folder / WEIGHTS)
        grams = tuple(content["grams"])
        return cls(grams, content["unit"], content["long"], **arrays, language=content.get("language", ""))


@dataclass(frozen=True)
class NgramPart:
    """One of the linear models as a part of a model.

    Parameters
    ----------
    ngrams : Ngrams
        All of them; the n-grams of a text are looked up once for all parts.
    name : str
        Which one, of `NGRAM_PARTS`.
    modality : str
        Always "text".
    """

    ngrams: Ngrams
    name: str
    modality: str = "text"

    def log_probabilities(self, inputs: Inputs) -> np.ndarray:
        """See `Part`."""
        texts = inputs.cells[self.modality]
        by_model = inputs.shared(id(self.ngrams), lambda: self.ngrams.log_probabilities(texts))
        log_probabilities: np.ndarray = by_model[NGRAM_PARTS.index(self.name)]
        return log_probabilities

    @classmethod
    def all_of(cls, ngrams: Ngrams) -> "list[NgramPart]":
        """Return all parts."""
        return [cls(ngrams, name) for name in ngrams.names]


def has_words(gram: str) -> bool:
    """Return whether an n-gram consists of words; otherwise of characters.

    >>> [has_words(gram) for gram in ("so good", "\\ngood", "\\t goo", "\\n\\t goo")]
    [True, True, False, False]
    """
    return not gram.lstrip(NEGATED).startswith("\t")


def _linear(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray | None, coefficients: np.ndarray, n_texts: int
) -> np.ndarray:
    """Return the logits of a linear model, (n_texts, n_classes), of a sparse matrix; rows of values have norm 1."""
    logits = np.empty((n_texts, coefficients.shape[1]))
    norms = None if values is None else np.sqrt(np.bincount(rows, values * values, minlength=n_texts))
    for number in range(coefficients.shape[1]):
        weights = coefficients[columns, number] if values is None else values * coefficients[columns, number]
        sums = np.bincount(rows, weights, minlength=n_texts)
        logits[:, number] = coefficients[-1, number] + (sums if norms is None else sums / np.where(norms, norms, 1))
    return logits


def _look_up_run(unit: str, language: str, columns: dict[str, int], key: str) -> tuple[str, str, int, bytes]:
    """Return `_grams_of_run` with the known columns of the grams; the key is the digit of `left` and the run."""
    first, last, left, grams = _grams_of_run(key[1:], unit, language, int(key[0]))
    return first, last, left, _known_columns(grams, columns)


def _known_columns(grams: Iterable[str], columns: dict[str, int]) -> bytes:
    return array("i", [columns[gram] for gram in grams if gram in columns]).tobytes()
