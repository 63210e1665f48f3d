"""Explanation: what each piece of an input, such as a word, adds to the score of each class.

A class's score is the logarithm of its probability, less the mean of these logarithms over the classes (the centred
log-ratio, Aitchison 1982): 0 for all where the model cannot decide, and the difference of two classes' scores is the
logarithm of their odds. Softmax makes the probabilities of the scores again, so that they explain the whole prediction;
and the contributions of the parts add up in them, which they do not in the probabilities: each part's centred logits to
a power, and offsets (`calibration.combine`). What a word adds is therefore the sum of what it adds to each part.

How a part's contributions are found is registered by its type (`way`): by leaving the pieces out one by one, unless
there is a faster or exact way. It needs neither Keras nor TensorFlow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..base.modalities import Processor, modality
from ..inference.manifest import WEIGHTS, modalities, network_file, read_manifest
from ..inference.network import NetworkPart
from ..inference.ngrams import NgramPart
from ..inference.part import Inputs, Part
from ..inference.predictor import Predictor
from ..text.processor import Tokenizer
from .attribution import TOLERANCE, Contributions, Network, Span, centred, locate
from .text.contributions import GradientWay, NgramWay
from .text.words import trace


class Way(Protocol):
    """How the contributions to one part are found."""

    exact: bool  # whether it misses nothing; the other ways come after, and know what these found

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        """Return what each piece of one row adds to the part's centred logits.

        Parameters
        ----------
        inputs : Inputs
            One row.
        spans : sequence of (int, int)
            Where its pieces stand in the clean cell.
        others : ndarray of shape (n_classes,), float
            What other parts add to the difference of input and baseline, in this part's unit.
        tolerance : float
            How far the sum may be from the largest class's difference, as a share of that.
        """


@dataclass(frozen=True)
class Occlusion:
    """Leave out each piece of the cell, and look what changes (Zeiler and Fergus 2014): works for any part."""

    part: Part
    processor: Processor
    exact = True

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        (cell,), name = inputs.cells[self.part.modality], self.part.modality
        cells = [cell, *(cell[:start] + cell[end:] for start, end in spans)]
        logits = centred(self.part.log_probabilities(Inputs.of({name: cells}, {name: self.processor})))
        units = logits[0] - logits[1:]
        return Contributions(units, logits[0] - units.sum(axis=0), np.zeros(logits.shape[1]))


@singledispatch
def way(part: Part, predictor: Predictor, folder: Path) -> Way:
    """Return how the contributions to a part of a model folder's predictor are found."""
    return Occlusion(part, predictor.processors[part.modality])


@way.register
def _(part: NetworkPart, predictor: Predictor, folder: Path) -> Way:
    if part.modality != "text":
        return Occlusion(part, predictor.processors[part.modality])
    manifest = read_manifest(folder)
    weights = folder / network_file(WEIGHTS, part.modality, modalities(manifest))
    return GradientWay(Network.read(weights, manifest["network"]), predictor.tokenizer)


@way.register
def _(part: NgramPart, predictor: Predictor, folder: Path) -> Way:
    return NgramWay(part)


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
    """A model, and how the contributions to each of its parts are found."""

    predictor: Predictor
    ways: tuple[Way, ...]

    @classmethod
    def load(cls, folder: Path) -> "Explainer":
        """Load a model folder, after checking its digests."""
        return cls.beside(Predictor.load(folder), folder)

    @classmethod
    def beside(cls, predictor: Predictor, folder: Path) -> "Explainer":
        """Explain a loaded predictor: only what prediction does not need is read from its folder."""
        return cls(predictor, tuple(way(part, predictor, folder) for part in predictor.parts))

    @property
    def modality(self) -> str:
        """The modality whose pieces are explained."""
        return next(iter(self.predictor.processors))

    def explain(self, raw: str) -> Explanation:
        """Explain what the model predicts of a raw cell."""
        cleaned, processor = modality(self.modality).clean(raw), self.predictor.processors[self.modality]
        units, contributions, baseline, left = self.contributions(cleaned)
        sources: Sequence[Span | None] = [None] * len(units)
        if isinstance(processor, Tokenizer):
            sources = list(trace(raw, units, processor.unit))
        return Explanation(
            text=cleaned,
            words=units,
            spans=tuple(locate(cleaned, units)),
            sources=tuple(sources),
            classes=self.predictor.classes,
            contributions=contributions,
            baseline=baseline,
            scores=baseline + contributions.sum(axis=0),
            left=left,
        )

    def contributions(
        self, cleaned: str, tolerance: float = TOLERANCE
    ) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, float]:
        """Return pieces, contributions, baseline and what was left of a clean cell, as an `Explanation` has them."""
        processors, calibration = self.predictor.processors, self.predictor.calibration
        units = processors[self.modality].units(cleaned)
        spans, inputs = tuple(locate(cleaned, units)), Inputs.of({self.modality: [cleaned]}, processors)
        adds = np.zeros((len(units), len(self.predictor.classes)))
        baseline = centred(np.asarray(calibration.offsets))
        residual = np.zeros(len(baseline))
        powers = np.asarray(calibration.weights) / calibration.temperature
        for power, found in sorted(zip(powers, self.ways, strict=True), key=lambda pair: not pair[1].exact):
            others = adds.sum(axis=0) / max(power, np.finfo(float).tiny)
            part = found.contributions(inputs, spans, others, tolerance)
            adds += power * part.units
            baseline = baseline + power * part.baseline
            residual += power * part.residual
        difference = np.abs(adds.sum(axis=0)).max(initial=0)
        return tuple(units), adds, baseline, float(residual.max() / difference) if difference else 0.0
