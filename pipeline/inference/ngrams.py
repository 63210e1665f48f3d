"""The wide branch: linear models over n-grams of words and characters, next to the LSTM (Cheng et al. 2016)."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_arrays, read_json, write_arrays, write_json
from ..text.languages import RunCache
from ..text.ngrams import grams_of_run, has_words, ngrams_of
from .lexicon import LEXICON, Lexicon, LexiconPart
from .network import log_softmax
from .part import Inputs

GRAMS, WEIGHTS = "ngrams.json", "ngrams.npz"
NGRAM_PARTS = ("tfidf", "nb", "tfidf_words", "lexicon")  # in the order of `Ngrams.log_probabilities`
BLOCK_TEXTS = 1_024  # texts scored together


@dataclass(frozen=True)
class Ngrams:
    """Linear models over the same n-grams.

    The first is logistic regression on TF-IDF with logarithmic term frequencies. The second reads which n-grams occur,
    each scaled by its naive Bayes log-count ratio (Wang and Manning 2012, "Baselines and Bigrams"), one class against
    the rest. The third is the first without characters, which overfit in small files of many classes. The fourth does
    not read n-grams, but what a lexicon says of the text.

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
    lexicon : Lexicon or None
        The fourth; None where there is none for the language, or where it does not help.
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
    lexicon: Lexicon | None = None
    language: str = ""

    @cached_property
    def columns(self) -> dict[str, int]:
        """The column of each n-gram."""
        return {gram: column for column, gram in enumerate(self.grams)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models, in the order of `log_probabilities`."""
        return tuple(name for name in NGRAM_PARTS if getattr(self, name) is not None)

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
        of_lexicon = [self.lexicon.log_probabilities(texts)] if self.lexicon else []
        return [*self.of_ngrams(texts), *of_lexicon]

    def of_ngrams(self, texts: Sequence[str]) -> np.ndarray:
        """Return the log-probabilities by the models of n-grams, (n_models, n_texts, n_classes), float64."""
        blocks = [self._logits(texts[start : start + BLOCK_TEXTS]) for start in range(0, len(texts), BLOCK_TEXTS)]
        models = 2 if self.tfidf_words is None else 3
        return log_softmax(np.concatenate([np.empty((models, 0, self.nb.shape[1])), *blocks], axis=1))

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
        of_ngrams = {name: getattr(self, name) for name in self.names if name != "lexicon"}
        write_arrays(folder / WEIGHTS, {"idf": self.idf} | of_ngrams)
        if self.lexicon:
            self.lexicon.save(folder)

    @property
    def files(self) -> list[str]:
        """The names of the files that `save` writes."""
        return [GRAMS, WEIGHTS, *([LEXICON] if self.lexicon else [])]

    @classmethod
    def load(cls, folder: Path) -> "Ngrams":
        """Read what `save` wrote."""
        content: dict[str, Any] = read_json(folder / GRAMS)
        arrays: dict[str, Any] = read_arrays(folder / WEIGHTS)
        grams, language = tuple(content["grams"]), content.get("language", "")
        lexicon = Lexicon.load(folder) if (folder / LEXICON).is_file() else None
        return cls(grams, content["unit"], content["long"], **arrays, lexicon=lexicon, language=language)


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
        by_model = inputs.shared(id(self.ngrams), lambda: self.ngrams.of_ngrams(texts))
        log_probabilities: np.ndarray = by_model[NGRAM_PARTS.index(self.name)]
        return log_probabilities

    @classmethod
    def all_of(cls, ngrams: Ngrams) -> "list[NgramPart | LexiconPart]":
        """Return all parts, in the order of the models' names."""
        parts: list[NgramPart | LexiconPart] = [cls(ngrams, name) for name in ngrams.names if name != "lexicon"]
        return [*parts, LexiconPart(ngrams.lexicon)] if ngrams.lexicon else parts


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
    """Return `grams_of_run` with the known columns of the grams; the key is the digit of `left` and the run."""
    first, last, left, grams = grams_of_run(key[1:], unit, language, int(key[0]))
    return first, last, left, _known_columns(grams, columns)


def _known_columns(grams: Iterable[str], columns: dict[str, int]) -> bytes:
    return array("i", [columns[gram] for gram in grams if gram in columns]).tobytes()
