"""Explanations: what each piece of an input, such as a word, adds to the score of each class.

A class's score is the logarithm of its probability minus the mean of these logarithms over the classes (centred
log-ratio, Aitchison 1982): 0 for every class if the model is undecided. The difference of two classes' scores is the
logarithm of their odds, and the softmax of the scores gives the probabilities. The contributions of the parts of a
model add up in scores, but not in probabilities, because a model's scores are a weighted sum of its parts' centred
logits plus offsets (`calibration.combine`). A word's contribution is therefore the sum of its contributions to the
parts.

How a part is explained is registered by its type (`explainer_of`): by occlusion, unless there is a faster or exact
method. Neither Keras nor TensorFlow is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import NamedTuple, Protocol, TypedDict

import numpy as np

from ..base.modalities import Processor, modality
from ..inference.lexicon import LexiconPart
from ..inference.manifest import WEIGHTS, modalities, network_file, read_manifest
from ..inference.network import NetworkPart
from ..inference.ngrams import NgramPart
from ..inference.part import Inputs, Part
from ..inference.predictor import Predictor
from ..text.processor import Tokenizer
from .attribution import COMPLETENESS_TOLERANCE, Contributions, NumpyNetwork, Span, centred, locate
from .text.contributions import GradientExplainer, LexiconExplainer, NgramExplainer
from .text.words import trace


class PartExplainer(Protocol):
    """A method to explain one part."""

    exact: bool  # exact methods run first, so that the others know how large the explained difference is

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        """Return what each piece of one input adds to the part's centred logits.

        Parameters
        ----------
        inputs : Inputs
            One row.
        spans : sequence of (int, int)
            Spans of its pieces in the clean cell.
        others : ndarray of shape (n_classes,), float
            What other parts add to the difference between input and baseline, in this part's unit.
        tolerance : float
            Allowed error of the sum, relative to the largest class's difference.
        """


@dataclass(frozen=True)
class OcclusionExplainer:
    """Any part: remove each piece from the cell, and compare the logits (Zeiler and Fergus 2014)."""

    part: Part
    processor: Processor
    exact = True

    def contributions(
        self, inputs: Inputs, spans: Sequence[Span], others: np.ndarray, tolerance: float
    ) -> Contributions:
        (cell,), name = inputs.cells[self.part.modality], self.part.modality
        cells = [cell, *(cell[:start] + cell[end:] for start, end in spans)]
        logits = centred(self.part.log_probabilities(Inputs.encode({name: cells}, {name: self.processor})))
        units = logits[0] - logits[1:]
        return Contributions(units, logits[0] - units.sum(axis=0), np.zeros(logits.shape[1]))


@singledispatch
def explainer_of(part: Part, predictor: Predictor, folder: Path) -> PartExplainer:
    """Return the explainer of a part of the predictor in a model folder."""
    return OcclusionExplainer(part, predictor.processors[part.modality])


@explainer_of.register
def _(part: NetworkPart, predictor: Predictor, folder: Path) -> PartExplainer:
    if part.modality != "text":
        return OcclusionExplainer(part, predictor.processors[part.modality])
    manifest = read_manifest(folder)
    weights = folder / network_file(WEIGHTS, part.modality, modalities(manifest))
    return GradientExplainer(NumpyNetwork.read(weights, manifest["network"]), predictor.tokenizer)


@explainer_of.register
def _(part: NgramPart, predictor: Predictor, folder: Path) -> PartExplainer:
    return NgramExplainer(part)


@explainer_of.register
def _(part: LexiconPart, predictor: Predictor, folder: Path) -> PartExplainer:
    return LexiconExplainer(part.lexicon)


class ExplainedWord(TypedDict):
    """One word of an `ExplanationDict`."""

    word: str
    span: list[int]
    source: list[int] | None
    adds: dict[str, float]


class ExplanationDict(TypedDict):
    """An explanation as JSON; see docs/explanation.md."""

    text: str
    predicted_label: str
    confidence: float
    probabilities: dict[str, float]
    known_words: int | None
    scores: dict[str, float]
    baseline: dict[str, float]
    words: list[ExplainedWord]


@dataclass(frozen=True)
class Explanation:
    """What the words of a text add to the scores of the classes.

    Parameters
    ----------
    text : str
        The clean text, which the model reads.
    words : tuple of str
        Its units: words, characters, or Chinese words.
    spans : tuple of (int, int)
        Span of each word in the clean text, in characters: start and end.
    sources : tuple of (int, int) or None
        Span of each word in the raw text; None if cleaning left no reliable trace.
    classes : tuple of str
        Class names.
    contributions : ndarray of shape (n_words, n_classes), float64
        What each word adds to each class's score.
    baseline : ndarray of shape (n_classes,), float64
        The scores without words: with the sum of the contributions, `scores`.
    scores : ndarray of shape (n_classes,), float64
        The classes' scores.
    residual : float
        Error of the sum of contributions before it was distributed over the words, relative to the largest difference
        of scores and baseline.
    known_words : int or None
        Number of words that the training texts have too; None if it is no text.
    """

    text: str
    words: tuple[str, ...]
    spans: tuple[Span, ...]
    sources: tuple[Span | None, ...]
    classes: tuple[str, ...]
    contributions: np.ndarray
    baseline: np.ndarray
    scores: np.ndarray
    residual: float
    known_words: int | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """Probabilities of the classes, as returned by `Predictor.probabilities`: shape (n_classes,), float64."""
        odds = np.exp(self.scores - self.scores.max())
        probabilities: np.ndarray = odds / odds.sum()
        return probabilities

    @property
    def best(self) -> int:
        """Number of the most probable class."""
        return int(self.scores.argmax())

    def to_dict(self) -> ExplanationDict:
        """Convert to lists and dicts for JSON, rounded to six decimals."""

        def by_class(values: np.ndarray) -> dict[str, float]:
            return {name: round(float(value), 6) for name, value in zip(self.classes, values, strict=True)}

        return {
            "text": self.text,
            "predicted_label": self.classes[self.best],
            "confidence": round(float(self.probabilities[self.best]), 6),
            "probabilities": by_class(self.probabilities),
            "known_words": self.known_words,
            "scores": by_class(self.scores),
            "baseline": by_class(self.baseline),
            "words": [
                {"word": word, "span": list(span), "source": list(source) if source else None, "adds": by_class(adds)}
                for word, span, source, adds in zip(
                    self.words, self.spans, self.sources, self.contributions, strict=True
                )
            ],
        }


class CellContributions(NamedTuple):
    """Pieces of a clean cell and their contributions; the fields are those of `Explanation`."""

    words: tuple[str, ...]
    contributions: np.ndarray
    baseline: np.ndarray
    residual: float


@dataclass(frozen=True)
class Explainer:
    """A model, with an explainer for each of its parts."""

    predictor: Predictor
    part_explainers: tuple[PartExplainer, ...]

    @classmethod
    def load(cls, folder: Path) -> "Explainer":
        """Load a model folder, after checking its digests."""
        return cls.from_predictor(Predictor.load(folder), folder)

    @classmethod
    def from_predictor(cls, predictor: Predictor, folder: Path) -> "Explainer":
        """Explain a loaded predictor; only what prediction does not need is read from its folder."""
        return cls(predictor, tuple(explainer_of(part, predictor, folder) for part in predictor.parts))

    @property
    def modality(self) -> str:
        """The modality whose pieces are explained."""
        return next(iter(self.predictor.processors))

    def explain(self, raw: str) -> Explanation:
        """Explain the prediction for a raw cell."""
        cleaned, processor = modality(self.modality).clean(raw), self.predictor.processors[self.modality]
        words, contributions, baseline, residual = self.contributions(cleaned)
        sources: Sequence[Span | None] = [None] * len(words)
        known_words = None
        if isinstance(processor, Tokenizer):
            sources = list(trace(raw, words, processor.unit))
            known_words = int(processor.known_words(processor.encode([cleaned]))[0])
        return Explanation(
            text=cleaned,
            words=words,
            spans=tuple(locate(cleaned, words)),
            sources=tuple(sources),
            classes=self.predictor.classes,
            contributions=contributions,
            baseline=baseline,
            scores=baseline + contributions.sum(axis=0),
            residual=residual,
            known_words=known_words,
        )

    def contributions(self, cleaned: str, tolerance: float = COMPLETENESS_TOLERANCE) -> CellContributions:
        """Return the pieces of a clean cell and what each adds to each class's score.

        Parameters
        ----------
        cleaned : str
            The clean cell.
        tolerance : float
            Allowed error of the sum, relative to the largest class's difference.
        """
        processors, calibration = self.predictor.processors, self.predictor.calibration
        units = processors[self.modality].units(cleaned)
        spans, inputs = tuple(locate(cleaned, units)), Inputs.encode({self.modality: [cleaned]}, processors)
        contributions = np.zeros((len(units), len(self.predictor.classes)))
        baseline = centred(np.asarray(calibration.offsets))
        residual = np.zeros(len(baseline))
        weights = np.asarray(calibration.weights) / calibration.temperature
        exact_first = sorted(zip(weights, self.part_explainers, strict=True), key=lambda pair: not pair[1].exact)
        for weight, explainer in exact_first:
            if not weight:  # the part is not heard
                continue
            part = explainer.contributions(inputs, spans, contributions.sum(axis=0) / weight, tolerance)
            contributions += weight * part.units
            baseline = baseline + weight * part.baseline
            residual += weight * part.residual
        difference = np.abs(contributions.sum(axis=0)).max(initial=0)
        relative = float(residual.max() / difference) if difference else 0.0
        return CellContributions(tuple(units), contributions, baseline, relative)
