"""Explainers of the text models: exact for n-grams, integrated gradients for the LSTM."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...inference.lexicon import Lexicon
from ...inference.ngrams import NgramPart, Ngrams
from ...inference.part import Inputs
from ...text.negation import negated
from ...text.ngrams import NEGATED
from ...text.processor import Tokenizer
from ..attribution import Contributions, NumpyNetwork, Span, centred, locate


@dataclass(frozen=True)
class GradientExplainer:
    """The LSTM on tokens, by integrated gradients; see `NumpyNetwork.attribute`."""

    network: NumpyNetwork
    tokenizer: Tokenizer
    exact = False

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        ids = inputs.arrays["text"][0]
        attribution = self.network.attribute(ids[ids > 0], others, tolerance)
        tokens, baseline = attribution.tokens, attribution.baseline
        units = np.zeros((len(spans), tokens.shape[1]))
        if len(spans):
            units[-len(tokens) :] = tokens  # the LSTM reads only the last words
        else:  # an empty text is encoded as one unknown token, which has no span
            baseline = baseline + tokens.sum(axis=0)
        return Contributions(units, baseline, attribution.residual)


@dataclass(frozen=True)
class NgramExplainer:
    """A linear model on n-grams: each n-gram's contribution is divided equally among the words that it touches."""

    part: NgramPart
    exact = True

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        ngrams, name = self.part.ngrams, self.part.name
        weights: np.ndarray = getattr(ngrams, name)
        baseline = centred(weights[-1].astype(float))
        units = np.zeros((len(spans), len(baseline)))
        text = inputs.cells["text"][0]
        occurrences: np.ndarray = inputs.shared((id(ngrams), "words"), lambda: _occurrences(text, spans, ngrams))
        if name == "tfidf_words":
            occurrences = occurrences[ngrams.word_rows[occurrences[:, 0]] >= 0]
        if len(occurrences):
            columns, first, end = occurrences.T
            known, inverse, counts = np.unique(columns, return_inverse=True, return_counts=True)
            added = weights[ngrams.word_rows[known] if name == "tfidf_words" else known].astype(float)
            if name != "nb":
                values = (1 + np.log(counts)) * ngrams.idf[known]
                values /= np.sqrt((values * values).sum())
                added = values[:, None] * added
            shares = centred(added)[inverse] / (counts[inverse] * (end - first))[:, None]
            for shift in range(int((end - first).max())):
                touched = first + shift < end
                np.add.at(units, first[touched] + shift, shares[touched])
        return Contributions(units, baseline, np.zeros(len(baseline)))


@dataclass(frozen=True)
class LexiconExplainer:
    """A lexicon: each word's contribution is what the logits lose without it."""

    lexicon: Lexicon
    exact = True

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        text = inputs.cells["text"][0]
        texts = [text, *(text[:start] + text[end:] for start, end in spans)]
        logits = centred(self.lexicon.log_probabilities(texts))
        units = logits[0] - logits[1:]
        return Contributions(units, logits[0] - units.sum(axis=0), np.zeros(logits.shape[1]))


def _occurrences(text: str, spans: Sequence[Span], ngrams: Ngrams) -> np.ndarray:
    """Return the known n-grams of a text, shape (n_occurrences, 3): column, first word, word after the last."""
    columns = ngrams.columns
    occurrences = [(columns[gram], *words) for gram, *words in grams_by_word(text, spans, ngrams) if gram in columns]
    return np.array(occurrences, dtype=np.int64).reshape(-1, 3)


def grams_by_word(text: str, spans: Sequence[Span], ngrams: Ngrams) -> Iterator[tuple[str, int, int]]:
    """Yield the n-grams of a clean text, each with the words that it touches.

    Parameters
    ----------
    text : str
        Clean text.
    spans : sequence of (int, int)
        Spans of its units.
    ngrams : Ngrams
        Decides which n-grams there are.

    Yields
    ------
    gram : str
        The n-grams of `ngrams.ngrams_of`, with repetitions, but in a different order.
    first, end : int
        Numbers of the first word touched, and of the word after the last one. A space belongs to the preceding word.
    """
    units = [text[start:end] for start, end in spans]
    marks, _ = negated(units, ngrams.language)
    for number, is_negated in enumerate(marks):
        yield NEGATED + units[number] if is_negated else units[number], number, number + 1
    for n in (2, 3) if ngrams.long or ngrams.unit == "character" else (2,):
        for first in range(len(units) - n + 1):
            yield " ".join(units[first : first + n]), first, first + n
    if ngrams.long or ngrams.unit == "character" or not spans:
        return
    is_start = np.zeros(len(text), dtype=np.int64)
    is_start[[start for start, _ in spans[1:]]] = 1
    word_of = is_start.cumsum().tolist()
    yield from _characters_of_words(text, word_of, marks) if ngrams.unit == "word" else _characters(text, word_of)


def _characters_of_words(text: str, word_of: Sequence[int], marks: Sequence[bool]) -> Iterator[tuple[str, int, int]]:
    """Yield the n-grams of three to five characters of each word with a space on both sides."""
    for start, end in locate(text, text.split()):
        padded = f" {text[start:end]} "
        mark = NEGATED if marks[word_of[start]] else ""
        for n in (3, 4, 5):
            for offset in range(max(len(padded) - n, 0) + 1):
                first, last = max(start + offset - 1, start), min(start + offset - 1 + n, end) - 1
                yield f"{mark}\t{padded[offset : offset + n]}", word_of[first], word_of[last] + 1
            if n >= len(padded):
                break


def _characters(text: str, word_of: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Yield the n-grams of one to three characters."""
    for n in (1, 2, 3):
        for start in range(len(text) - n + 1):
            yield "\t" + text[start : start + n], word_of[start], word_of[start + n - 1] + 1
