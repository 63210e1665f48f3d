"""Shifts: two samples of texts compared, by figures of the texts and what a model answers.

Two-sample tests, each with a least effect that matters, because with many rows every trifle is significant. What the
model answers is the most telling thing to test (Rabanser et al. 2019, "Failing Loudly").
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import display_name
from .settings import Drift

TERMS, FEWEST = 500, 10  # frequent terms: so many at most, each in so many texts of the reference at least
RESAMPLES = 1_000  # of the pooled rows: the least p-value is 1 / 1,001, below the least level that params allow
BATCH, ENOUGH = 100, 20  # resamples at once; that go as far, after which chance explains what was found


@dataclass(frozen=True, eq=False, repr=False)
class Sample:
    """What drift measures of cleaned texts; it holds none of them.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), object
        Class names, "" where there is none.
    lengths : ndarray of shape (n_rows,), int
        Units of each text, all of them.
    unknown : ndarray of shape (n_rows,), float
        Share of a text's units that the vocabulary lacks.
    terms : csr_matrix of shape (n_rows, n_units), float32
        1 where a text holds a unit of the vocabulary.
    vocabulary : tuple of str
        The units.
    classes : tuple of str
        Those of the model; empty without one.
    probabilities : ndarray of shape (n_rows, n_classes), float
        What the model gives for each text.
    """

    labels: np.ndarray
    lengths: np.ndarray
    unknown: np.ndarray
    terms: Any
    vocabulary: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def labelled(self) -> np.ndarray:
        """Which rows have a label."""
        rows: np.ndarray = self.labels != ""
        return rows

    def take(self, rows: np.ndarray) -> "Sample":
        """Some of the rows, by number or as a mask."""
        parts = (self.labels[rows], self.lengths[rows], self.unknown[rows], self.terms[rows])
        return Sample(*parts, self.vocabulary, self.classes, self.probabilities[rows])


@dataclass(frozen=True)
class Shift:
    """What one measure says: a drift, if the effect is above its limit and chance does not explain it."""

    measure: str
    effect: float
    limit: float  # drift.<rule>
    rule: str
    p_value: float
    level: float  # what the p-value must be below
    found: str  # from what to what, in words
    means: str

    @property
    def drifted(self) -> bool:
        return self.effect > self.limit and self.p_value < self.level


def psi(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What each bin adds to the population stability index (Lewis 1994; Yurdakul and Naranjo 2020).

    Parameters
    ----------
    before, after : ndarray of shape (..., n_bins), float
        Counts; half is added to each, so that an empty bin has no infinite part.
    """
    filled = [counts.astype(np.float64) + 0.5 for counts in (before, after)]
    shares = [counts / counts.sum(axis=-1, keepdims=True) for counts in filled]
    parts: np.ndarray = (shares[1] - shares[0]) * np.log(shares[1] / shares[0])
    return parts


def _resampled(
    before: np.ndarray, after: np.ndarray, statistic: Callable[[np.ndarray, np.ndarray], np.ndarray], found: float
) -> tuple[float, float]:
    """Permutation test: a statistic of both samples' sums of columns, with the pooled rows dealt out anew.

    It ends early once chance alone has gone as far as `found` 20 times (Besag and Clifford 1991).

    Returns
    -------
    p_value : float
        The share of deals in which the statistic is as large, the rows as they came being one of them.
    mean : float
        Of the statistic over the deals.
    """
    random = np.random.default_rng(0)
    pooled = np.concatenate([before, after])
    deal = np.zeros((BATCH, len(pooled)), dtype=pooled.dtype)
    deal[:, : len(after)] = 1
    drawn, further = np.empty(0), 0
    while len(drawn) < RESAMPLES and further < ENOUGH:
        new = random.permuted(deal, axis=1) @ pooled
        drawn = np.concatenate([drawn, statistic(pooled.sum(axis=0) - new, new)])
        further = int((drawn >= found - 1e-9).sum())
    return (1 + further) / (1 + len(drawn)), float(drawn.mean())


Found = tuple[float, float, str]  # effect, p-value, from what to what


def class_counts(before: Sample, after: Sample) -> tuple[list[str], np.ndarray]:
    """The classes of either sample, and the rows of each in both: shape (2, n_classes)."""
    classes = sorted((set(before.labels) | set(after.labels)) - {""})
    return classes, np.array([[(each.labels == name).sum() for name in classes] for each in (before, after)])


def _labels(before: Sample, after: Sample, level: float) -> Found:
    classes, counts = class_counts(before, after)
    rows = counts.sum(axis=1)
    changes = counts[1] / rows[1] - counts[0] / rows[0]
    drawn = np.random.default_rng(0).multivariate_hypergeometric(counts.sum(axis=0), rows[1], size=RESAMPLES)
    apart = np.abs(drawn / rows[1] - (counts.sum(axis=0) - drawn) / rows[0]).sum(axis=1) / 2
    effect, most = np.abs(changes).sum() / 2, int(np.abs(changes).argmax())
    said = _from_to(f'"{display_name(classes[most])}"', counts[:, most] / rows, " % of the rows")
    return effect, float((1 + (apart >= effect - 1e-9).sum()) / (1 + RESAMPLES)), said


def _classes(before: Sample, after: Sample, level: float) -> Found:
    from scipy.stats import fisher_exact

    classes, counts = class_counts(before, after)
    rows = counts.sum(axis=1, keepdims=True)
    shares = (counts + 0.5) / (rows + 1)
    factors = np.exp(np.abs(np.log(shares[1] / shares[0])))
    tables = np.stack([counts, rows - counts]).transpose(2, 0, 1)
    p_values = np.minimum([len(classes) * fisher_exact(table).pvalue for table in tables], 1)
    most = max(range(len(classes)), key=lambda each: (p_values[each] < level, factors[each]))
    said = _from_to(f'"{display_name(classes[most])}"', counts[:, most] / rows[:, 0], " % of the rows")
    return factors[most], p_values[most], said


def _length(before: Sample, after: Sample, level: float) -> Found:
    return _distance(before.lengths, after.lengths, "longer than {:.0f} units")


def _distance(before: np.ndarray, after: np.ndarray, above: str) -> Found:
    """Of two samples of a figure: how far their distributions are apart (Kolmogorov-Smirnov), and where."""
    from scipy.stats import ks_2samp

    found = ks_2samp(before, after, method="asymp")
    shares = [float((each > found.statistic_location).mean()) for each in (before, after)]
    return found.statistic, found.pvalue, _from_to(above.format(found.statistic_location), shares, " % of the texts")


def _unknown_words(before: Sample, after: Sample, level: float) -> Found:
    means = [before.unknown.mean(), after.unknown.mean()]
    effect = abs(means[1] - means[0])
    p_value, _ = _resampled(
        before.unknown, after.unknown, lambda old, new: np.abs(new / len(after) - old / len(before)), effect
    )
    return effect, p_value, _from_to("mean share of a text", means)


def term_counts(before: Sample, after: Sample) -> tuple[list[str], np.ndarray]:
    """The frequent terms of the reference, and how many texts of both samples hold each: shape (2, n_terms)."""
    chosen, of = _frequent(before), (before.terms, after.terms)
    counts = np.stack([np.asarray(terms[:, chosen].sum(axis=0)).ravel() for terms in of])
    return [before.vocabulary[number] for number in chosen], counts


def _frequent(before: Sample) -> np.ndarray:
    counts = np.asarray(before.terms.sum(axis=0)).ravel()
    most = np.argsort(-counts, kind="stable")[:TERMS]
    chosen: np.ndarray = most[counts[most] >= FEWEST]
    return chosen


def _terms(before: Sample, after: Sample, level: float) -> Found:
    names, counts = term_counts(before, after)
    chosen = _frequent(before)
    parts = psi(*counts)
    rows = before.terms[:, chosen].toarray(), after.terms[:, chosen].toarray()
    p_value, by_chance = _resampled(*rows, lambda old, new: psi(old, new).sum(axis=1), parts.sum())
    # Chance alone makes the index large where rows are few: its mean over the resamples is taken off.
    effect = max(parts.sum() - by_chance, 0.0)
    shares = counts / np.array([[len(before)], [len(after)]])
    most = [_from_to(f'"{names[each]}"', shares[:, each]) for each in np.argsort(-parts, kind="stable")[:3]]
    return effect, p_value, f"{', '.join(most)} of the texts"


def _scores(before: Sample, after: Sample, level: float) -> Found:
    columns = zip(before.classes, before.probabilities.T, after.probabilities.T, strict=True)
    tests = [_distance(old, new, f'"{display_name(name)}" above {{:.2f}}') for name, old, new in columns]
    effect, p_value, said = max(tests)
    return effect, min(len(tests) * p_value, 1.0), f"probability of {said}"


def _accuracy(before: Sample, after: Sample, level: float) -> Found:
    from scipy.stats import hypergeom

    right, rows = [], []
    for each in (before, after):
        answers = np.array(each.classes, dtype=object)[each.probabilities.argmax(axis=1)]
        right.append(int((answers == each.labels)[each.labelled].sum()))
        rows.append(int(each.labelled.sum()))
    shares = [hits / of for hits, of in zip(right, rows, strict=True)]
    p_value = hypergeom.cdf(right[1], sum(rows), sum(right), rows[1])  # Fisher's exact test, for a fall
    return max(shares[0] - shares[1], 0), p_value, _from_to("rows that the model gets right", shares)


def _from_to(what: str, of: np.ndarray | list[float], unit: str = " %") -> str:
    """A share before and after, in percent."""
    return f"{what}: {100 * of[0]:.1f} → {100 * of[1]:.1f}{unit}"


class Measure(NamedTuple):
    """One measure: its parameter under `drift`, what it needs, and what it means when it drifts."""

    function: Callable[[Sample, Sample, float], Found]
    rule: str
    of: str  # the figure that the limit is for
    means: str
    labels: bool = False
    scores: bool = False


MEASURES = {
    "labels": Measure(
        _labels,
        "max_label_shift",
        "share of the rows that would need another label",
        "Classes come in other shares: name them to `pipeline.predict --class-shares`, or train again.",
        labels=True,
    ),
    "classes": Measure(
        _classes,
        "max_class_factor",
        "factor by which a class is more or less frequent",
        "One class has become much more or less frequent: look at its rows, and train again with them.",
        labels=True,
    ),
    "length": Measure(
        _length,
        "max_length_shift",
        "Kolmogorov-Smirnov distance of the lengths",
        "Texts are longer or shorter than those that the model knows.",
    ),
    "unknown_words": Measure(
        _unknown_words,
        "max_unknown_words",
        "change of the mean share of unknown units",
        "More or fewer of the words are unknown to the model; unknown ones tell it nothing.",
    ),
    "terms": Measure(
        _terms,
        "max_psi",
        "PSI over the frequent terms, less what chance adds",
        "Frequent words come in other shares: other subjects, another style or language.",
    ),
    "scores": Measure(
        _scores,
        "max_score_shift",
        "Kolmogorov-Smirnov distance of a class's probabilities",
        "The model answers otherwise than on the reference; whether it errs more, only labels can tell.",
        scores=True,
    ),
    "accuracy": Measure(
        _accuracy,
        "max_accuracy_drop",
        "fall of the accuracy",
        "The model is wrong more often than on the reference: train again with these rows.",
        labels=True,
        scores=True,
    ),
}


def measure(reference: Sample, incoming: Sample, settings: Drift) -> list[Shift]:
    """Compare incoming rows with the reference.

    Parameters
    ----------
    reference, incoming : Sample
        By the same model and tokenizer.
    settings : params.Drift
        The section `drift` of the parameters.

    Returns
    -------
    list of Shift
        One for each measure that the rows allow: `labels`, `classes` and `accuracy` need labels, `scores` and
        `accuracy` a model; none where either sample has fewer than `min_incoming` rows (for those of labels, labelled
        ones). The level of each is `significance` by their number (Bonferroni), so that it holds for all together.
    """
    if (reference.vocabulary, reference.classes) != (incoming.vocabulary, incoming.classes):
        raise ValueError("reference and incoming must be measured by the same tokenizer and model")
    pair = (reference, incoming)
    enough = min(map(len, pair)) >= settings.min_incoming
    labelled = min(each.labelled.sum() for each in pair) >= settings.min_incoming
    judged = {
        name: of
        for name, of in MEASURES.items()
        if enough and (labelled or not of.labels) and (reference.classes or not of.scores)
    }
    level = settings.significance / max(len(judged), 1)
    shifts = []
    for name, of in judged.items():
        effect, p_value, found = of.function(*pair, level)
        limit = getattr(settings, of.rule)
        shifts.append(Shift(name, float(effect), limit, of.rule, float(p_value), level, found, of.means))
    return shifts
