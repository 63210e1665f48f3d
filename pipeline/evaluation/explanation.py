"""Explain: what each word of a text adds to the score of each class.

`python -m pipeline explain TEXT [--model champion] [--html FILE]`; `-` reads the text from standard input. It needs
neither Keras nor TensorFlow.

A class's score is the logarithm of its probability, less the mean of these logarithms over the classes (the centred
log-ratio, Aitchison 1982): 0 for all where the model cannot tell, and the difference of two classes' scores is the
logarithm of their odds. Softmax makes the probabilities of the scores again, so that they explain the whole answer;
and what its parts say adds up in them, which it does not in the probabilities: each part's centred logits to a power,
and offsets (`calibration.combine`). What a word adds is therefore the sum of what it adds to each part.

- LSTM: integrated gradients, see `gradients.Network.attribute`.
- n-grams: exact. What an n-gram adds, against an empty text, belongs in equal parts to the words that it touches.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..inference.calibration import Calibration
from ..inference.ngrams import Ngrams
from ..inference.predictor import WEIGHTS, Predictor, read_manifest
from ..text.cleaning import clean_text
from ..text.languages import UNITS
from ..text.masking import PLACEHOLDERS
from ..text.processor import Tokenizer
from .attribution import TOLERANCE, Network, centred

if TYPE_CHECKING:
    import pandas as pd

Span = tuple[int, int]
AHEAD = 200  # units of a raw text looked through for the next one of the cleaned text: more than markup takes
QUOTES = str.maketrans("‘’“”", "''\"\"")  # which cleaning makes straight
# Tags, entities, e-mail addresses, user names and web addresses: no word of theirs is one of the cleaned text.
HIDDEN = re.compile(
    r"</?[a-zA-Z][^<>]*>|(?<=&)#?\w+;|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+|@[\w-]+|(?:[a-z]{3,5}://|www\.)[\x21-\x7e]+"
)
MOST_TEXTS, MOST_UNITS = 1_000, 20_000  # explained for the most telling words: some seconds
COARSE = 0.1  # tolerance of each of these texts: over all of them, what the steps miss cancels out
MOST_WORDS, FEWEST_ROWS = 30, 5  # of a class; texts that a word occurs in


@dataclass(frozen=True)
class Explanation:
    """What the words of a text add to the scores of the classes.

    Parameters
    ----------
    text : str
        The cleaned text: what the model reads.
    words : tuple of str
        Its units, as the model splits it: words, characters, or Chinese words.
    spans : tuple of (int, int)
        Where each stands in the cleaned text, in characters: start and end.
    sources : tuple of (int, int) or None
        Where each stands in the raw text, None where cleaning left no trace that is sure.
    classes : tuple of str
        Class names.
    contributions : ndarray of shape (n_words, n_classes), float64
        What each word adds to each class's score.
    baseline : ndarray of shape (n_classes,), float64
        The scores without words: with the contributions' sum, `scores`.
    scores : ndarray of shape (n_classes,), float64
        The classes' scores; their softmax are the probabilities.
    left : float
        How far the steps of integration missed the difference of scores and baseline before that was spread over the
        words, as a share of the largest such difference.
    """

    text: str
    words: tuple[str, ...]
    spans: tuple[Span, ...]
    sources: tuple[Span | None, ...]
    classes: tuple[str, ...]
    contributions: np.ndarray
    baseline: np.ndarray
    scores: np.ndarray
    left: float

    @property
    def probabilities(self) -> np.ndarray:
        """Shape (n_classes,), float64: those that `Predictor.probabilities` gives."""
        odds = np.exp(self.scores - self.scores.max())
        found: np.ndarray = odds / odds.sum()
        return found

    @property
    def best(self) -> int:
        """The number of the most probable class."""
        return int(self.scores.argmax())

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it: lists and names, rounded to six decimals."""

        def by_class(values: np.ndarray) -> dict[str, float]:
            return {name: round(float(value), 6) for name, value in zip(self.classes, values, strict=True)}

        return {
            "text": self.text,
            "predicted_label": self.classes[self.best],
            "confidence": round(float(self.probabilities[self.best]), 6),
            "probabilities": by_class(self.probabilities),
            "scores": by_class(self.scores),
            "baseline": by_class(self.baseline),
            "words": [
                {"word": word, "span": list(span), "source": list(source) if source else None, "adds": by_class(adds)}
                for word, span, source, adds in zip(
                    self.words, self.spans, self.sources, self.contributions, strict=True
                )
            ],
        }


@dataclass(frozen=True)
class Explainer:
    """A model as explanations need it: the fields are those of `prediction.Predictor`, but the network in NumPy."""

    network: Network
    tokenizer: Tokenizer
    ngrams: Ngrams | None
    classes: tuple[str, ...]
    calibration: Calibration

    @classmethod
    def load(cls, folder: Path) -> "Explainer":
        """Load a model folder, after checking its digests."""
        return cls.beside(Predictor.load(folder), folder)

    @classmethod
    def beside(cls, predictor: Predictor, folder: Path) -> "Explainer":
        """Explain what a loaded predictor says: only the network's weights are read from its folder again."""
        network = Network.read(folder / WEIGHTS, read_manifest(folder)["network"])
        return cls(network, predictor.tokenizer, predictor.ngrams, predictor.classes, predictor.calibration)

    def explain(self, text: str) -> Explanation:
        """Explain what the model says of a raw text."""
        cleaned = clean_text(text)
        units, contributions, baseline, left = self.contributions(cleaned)
        return Explanation(
            text=cleaned,
            words=units,
            spans=tuple(locate(cleaned, units)),
            sources=tuple(trace(text, units, self.tokenizer.unit)),
            classes=self.classes,
            contributions=contributions,
            baseline=baseline,
            scores=baseline + contributions.sum(axis=0),
            left=left,
        )

    def contributions(
        self, cleaned: str, tolerance: float = TOLERANCE
    ) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, float]:
        """Words, contributions, baseline and what was left of a cleaned text, as an `Explanation` has them."""
        units = UNITS[self.tokenizer.unit](cleaned)
        powers = np.asarray(self.calibration.shares) / self.calibration.temperature
        adds, baseline = self._ngrams(cleaned, tuple(locate(cleaned, units)), powers[1:])
        ids = self.tokenizer.encode([cleaned])[0]
        lstm = self.network.attribute(ids[ids > 0], adds.sum(axis=0) / max(powers[0], np.finfo(float).tiny), tolerance)
        baseline = baseline + centred(np.asarray(self.calibration.offsets)) + powers[0] * lstm.baseline
        if units:
            adds[-len(lstm.tokens) :] += powers[0] * lstm.tokens  # it reads the last words alone
        else:  # one unknown unit, which stands nowhere
            baseline += powers[0] * lstm.tokens.sum(axis=0)
        difference = np.abs(adds.sum(axis=0)).max(initial=0)
        return tuple(units), adds, baseline, float(powers[0] * lstm.left.max() / difference) if difference else 0.0

    def _ngrams(self, cleaned: str, spans: Sequence[Span], powers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each word adds through the n-grams, shape (n_words, n_classes), and what they say of no text."""
        if self.ngrams is None:
            return np.zeros((len(spans), len(self.classes))), np.zeros(len(self.classes))
        known = self.ngrams.columns
        occurrences = [
            (known[gram], *words) for gram, *words in grams_by_word(cleaned, spans, self.ngrams) if gram in known
        ]
        intercepts = powers @ centred(np.stack([self.ngrams.tfidf[-1], self.ngrams.nb[-1]]).astype(float))
        adds = np.zeros((len(spans), len(self.classes)))
        if occurrences:
            columns, first, end = np.array(occurrences).T
            at, which, counts = np.unique(columns, return_inverse=True, return_counts=True)
            values = (1 + np.log(counts)) * self.ngrams.idf[at]
            values /= np.sqrt((values * values).sum())
            of_gram = powers[0] * values[:, None] * self.ngrams.tfidf[at] + powers[1] * self.ngrams.nb[at]
            each = centred(of_gram)[which] / (counts[which] * (end - first))[:, None]
            for shift in range(int((end - first).max())):
                touched = first + shift < end
                np.add.at(adds, first[touched] + shift, each[touched])
        return adds, intercepts


def locate(text: str, units: Sequence[str]) -> Iterator[Span]:
    """Where each of the units that a cleaned text was split into stands in it: start and end, in characters."""
    end = 0
    for unit in units:
        start = text.index(unit, end)
        end = start + len(unit)
        yield start, end


def grams_by_word(text: str, spans: Sequence[Span], ngrams: Ngrams) -> Iterator[tuple[str, int, int]]:
    """The n-grams of a cleaned text, as `ngrams.cut` gives them, each with the words that it touches.

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
    if ngrams.unit == "word":
        for start, end in locate(text, text.split()):
            padded = f" {text[start:end]} "
            for n in (3, 4, 5):
                for at in range(max(len(padded) - n, 0) + 1):
                    inside = max(start + at - 1, start), min(start + at - 1 + n, end)
                    yield "\t" + padded[at : at + n], owner[inside[0]], owner[inside[1] - 1] + 1
                if n >= len(padded):
                    break
    else:
        for n in (1, 2, 3):
            for at in range(len(text) - n + 1):
                yield "\t" + text[at : at + n], owner[at], owner[at + n - 1] + 1


def trace(raw: str, units: Sequence[str], unit: str) -> Iterator[Span | None]:
    """Where the units of a cleaned text stand in the raw text: each the next equal one there, as far as case goes.

    Not in markup, addresses and user names, which cleaning takes away.

    Placeholders in a row stand for the pieces between the units before and after, if these are as many.
    """
    folded = "".join(small if len(small := character.lower()) == 1 else character for character in raw)
    folded = HIDDEN.sub(lambda found: " " * len(found[0]), folded.translate(QUOTES))
    theirs = UNITS[unit](folded)
    places = list(locate(folded, theirs))
    found: list[Span | None] = []
    at = 0
    for each in units:
        ahead = [] if each in PLACEHOLDERS else theirs[at : at + AHEAD]
        if each in ahead:
            at += ahead.index(each) + 1
            found.append(places[at - 1])
        else:
            found.append(None)
    number = 0
    while number < len(units):
        run = 0
        while number + run < len(units) and units[number + run] in PLACEHOLDERS:
            run += 1
        before = found[number - 1] if number else (0, 0)
        after = found[number + run] if number + run < len(units) else (len(raw), len(raw))
        if run and before and after:
            masked = [piece.span() for piece in re.compile(r"\S+").finditer(raw, before[1], after[0])]
            if len(masked) == run:
                found[number : number + run] = masked
        number += run + 1
    yield from found


def telling_words(explainer: Explainer, texts: Sequence[str]) -> "pd.DataFrame":
    """The words that add most to each class's score, in the mean of the texts that have them.

    Parameters
    ----------
    explainer : Explainer
        Explains what the model says of each text, right or wrong.
    texts : sequence of str
        Cleaned texts; only the first are read, `MOST_TEXTS` of them or `MOST_UNITS` units together at most.

    Returns
    -------
    DataFrame of shape (<= n_classes * 30, 4)
        `class`; `word`, of the vocabulary, in five texts or more, and no placeholder; `contribution`, the mean of what
        it adds where it occurs, above 0; `rows`, the texts that have it. By class in order, the largest first.
    """
    import pandas as pd

    sums: dict[str, np.ndarray] = {}
    rows: Counter[str] = Counter()
    read = 0
    for text in tqdm(texts[:MOST_TEXTS], desc="words", unit=" texts", disable=None):
        units, adds, _, _ = explainer.contributions(text, COARSE)
        read += len(units)
        if read > MOST_UNITS:
            break
        for unit, add in zip(units, adds, strict=True):
            sums[unit] = sums.get(unit, 0) + add
        rows.update(set(units))
    known = set(explainer.tokenizer.vocabulary)
    words = sorted(
        w for w, n in rows.items() if n >= FEWEST_ROWS and w in known and w not in PLACEHOLDERS and w.strip()
    )
    means = np.array([sums[word] / rows[word] for word in words]).reshape(-1, len(explainer.classes)).round(4)
    found = []
    for number, name in enumerate(explainer.classes):
        best = np.argsort(-means[:, number], kind="stable")[:MOST_WORDS]
        found += [(name, words[i], means[i, number], rows[words[i]]) for i in best if means[i, number] > 0]
    return pd.DataFrame(found, columns=["class", "word", "contribution", "rows"])
