"""Fit a model on the figures of a sentiment lexicon; it is kept where it lowers the loss of validation rows."""

from collections.abc import Sequence

import numpy as np

from ..base.packages import packaged_file
from ..inference.lexicon import Lexicon
from ..text.languages import UNITS
from .ngrams import logistic

STRENGTH = 0.1  # inverse strength of the penalty
SMALLEST_SCALE = 1e-6
# VADER's lexicon (Hutto and Gilbert 2014): words, emoticons and their valence, rated by ten people. Its rules are not
# used, and neither is its code.
_VADER = ("vaderSentiment", "vader_lexicon.txt", "1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5")
_LEXICONS = {"en": _VADER}  # by language


def read_valences(language: str) -> dict[str, float]:
    """Return the valence of each word in the lexicon of a language; empty if there is none.

    >>> valences = read_valences("en")
    >>> len(valences), valences["good"], valences["horrible"], read_valences("tlh")
    (7244, 1.9, -2.5, {})
    """
    if language not in _LEXICONS:
        return {}
    lines = packaged_file(*_LEXICONS[language]).decode("utf-8").splitlines()
    entries = (line.split("\t")[:2] for line in lines)
    return {word: float(valence) for word, valence in entries if UNITS["word"](word) == [word]}


def fit_lexicon(
    texts: Sequence[str], labels: np.ndarray, weights: np.ndarray, *, num_classes: int, unit: str, language: str
) -> Lexicon | None:
    """Fit the model; parameters are those of `fit_ngrams`.

    Returns
    -------
    Lexicon or None
        None if the language has no lexicon, or if no training text has a word of it.
    """
    valences = read_valences(language) if unit == "word" else {}
    if not valences:
        return None
    unfitted = Lexicon(valences, language, np.zeros(1), np.ones(1), np.zeros((1, 1)))
    figures = unfitted.figures(texts)
    means, scales = figures.mean(axis=0), figures.std(axis=0)
    scales[scales < SMALLEST_SCALE] = 1.0  # a figure that is the same for all texts, but for rounding
    coefficients = logistic((figures - means) / scales, labels, weights, num_classes, STRENGTH)
    return Lexicon(valences, language, means.round(6), scales.round(6), coefficients.astype(np.float64).round(6))
