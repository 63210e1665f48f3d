"""What the words of a text add to a part: exactly for n-grams, by integrated gradients for the LSTM."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...inference.ngrams import NgramPart, Ngrams
from ...inference.part import Inputs
from ...text.processor import Tokenizer
from ..attribution import Contributions, Network, Span, centred, locate


@dataclass(frozen=True)
class GradientWay:
    """The LSTM on tokens: integrated gradients, see `attribution.Network.attribute`."""

    network: Network
    tokenizer: Tokenizer
    exact = False

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        ids = inputs.arrays["text"][0]
        found = self.network.attribute(ids[ids > 0], others, tolerance)
        units, baseline = np.zeros((len(spans), found.tokens.shape[1])), found.baseline
        if len(spans):
            units[-len(found.tokens) :] = found.tokens  # it reads the last words only
        else:  # one unknown unit, which stands nowhere in the text
            baseline = baseline + found.tokens.sum(axis=0)
        return Contributions(units, baseline, found.left)


@dataclass(frozen=True)
class NgramWay:
    """A linear model on n-grams: what an n-gram adds belongs in equal parts to the words that it touches."""

    part: NgramPart
    exact = True

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        ngrams = self.part.ngrams
        weights = ngrams.tfidf if self.part.name == "tfidf" else ngrams.nb
        baseline = centred(weights[-1].astype(float))
        units = np.zeros((len(spans), len(baseline)))
        text = inputs.cells["text"][0]
        occurrences: np.ndarray = inputs.shared((id(ngrams), "words"), lambda: _occurrences(text, spans, ngrams))
        if len(occurrences):
            columns, first, end = occurrences.T
            known, which, counts = np.unique(columns, return_inverse=True, return_counts=True)
            added = weights[known].astype(float)
            if self.part.name == "tfidf":
                values = (1 + np.log(counts)) * ngrams.idf[known]
                values /= np.sqrt((values * values).sum())
                added = values[:, None] * weights[known]
            shares = centred(added)[which] / (counts[which] * (end - first))[:, None]
            for shift in range(int((end - first).max())):
                touched = first + shift < end
                np.add.at(units, first[touched] + shift, shares[touched])
        return Contributions(units, baseline, np.zeros(len(baseline)))


def _occurrences(text: str, spans: Sequence[Span], ngrams: Ngrams) -> np.ndarray:
    """Return the known n-grams of a text, shape (n_occurrences, 3): column, first word, word after the last."""
    known = ngrams.columns
    found = [(known[gram], *words) for gram, *words in grams_by_word(text, spans, ngrams) if gram in known]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def grams_by_word(text: str, spans: Sequence[Span], ngrams: Ngrams) -> Iterator[tuple[str, int, int]]:
    """Yield the n-grams of a cleaned text, as `ngrams.cut` does, each with the words that it touches.

    Parameters
    ----------
    text : str
        Cleaned text.
    spans : sequence of (int, int)
        Where its units stand.
    ngrams : Ngrams
        Says which n-grams it looks at.

    Yields
    ------
    gram : str
        As in `ngrams.cut`, with repetitions, but in another order.
    first, end : int
        Numbers of the first word that it touches, and of the one after the last. A space belongs to the word before.
    """
    units = [text[start:end] for start, end in spans]
    for n in (1, 2, 3) if ngrams.long or ngrams.unit == "character" else (1, 2):
        for first in range(len(units) - n + 1):
            yield " ".join(units[first : first + n]), first, first + n
    if ngrams.long or ngrams.unit == "character" or not spans:
        return
    of_character = np.zeros(len(text), dtype=np.int64)
    of_character[[start for start, _ in spans[1:]]] = 1
    owner = of_character.cumsum().tolist()
    yield from _characters_of_words(text, owner) if ngrams.unit == "word" else _characters(text, owner)


def _characters_of_words(text: str, owner: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Yield the runs of three to five characters of every word and the space around it."""
    for start, end in locate(text, text.split()):
        padded = f" {text[start:end]} "
        for n in (3, 4, 5):
            for offset in range(max(len(padded) - n, 0) + 1):
                inside = max(start + offset - 1, start), min(start + offset - 1 + n, end)
                yield "\t" + padded[offset : offset + n], owner[inside[0]], owner[inside[1] - 1] + 1
            if n >= len(padded):
                break


def _characters(text: str, owner: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Yield the runs of one to three characters."""
    for n in (1, 2, 3):
        for start in range(len(text) - n + 1):
            yield "\t" + text[start : start + n], owner[start], owner[start + n - 1] + 1
