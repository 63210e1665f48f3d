"""Agreement of the labels of incoming rows with the champion's predictions, compared with what it reaches elsewhere.

How often a champion is right differs between champions and classes. Its predictions for validation and test rows tell
what to expect of correct labels, on rows with the class priors of the file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..base.errors import display_name
from ..data.rules.rule import Rule, RuleResult

PredictLabels = Callable[[Sequence[str]], Sequence[str]]  # raw texts to labels

MIN_ROWS = 30  # of a file, to judge it
MIN_EXPECTED = 0.15  # agreement: where the champion itself reaches less, its predictions prove nothing
CLEARLY_LOWER = 0.5  # share of the expected agreement that a file must be significantly below to be refused
SIGNIFICANCE = 0.01  # one-sided: of kappa, and of the classes of a file together
NAMED = 3  # values in a message
ADVICE = (
    "; if the labels are right, as in texts of another subject, set retrain.min_agreement to -1 for this file, and "
    "remove its line from data/quarantine.csv"
)


@dataclass(frozen=True)
class Judge:
    """The champion, and its predictions for rows that it was not trained on.

    Parameters
    ----------
    predict : callable
        The champion, from raw texts to labels.
    labels, predicted : ndarray of shape (n_rows,), object
        True and predicted labels of validation and test rows.
    """

    predict: PredictLabels
    labels: np.ndarray
    predicted: np.ndarray


class Bounds(NamedTuple):
    """An estimate and its confidence interval."""

    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """Agreement of a file's labels, and the agreement that correct labels would have; `name` is "" for all classes."""

    name: str
    found: Bounds
    expected: Bounds

    def exceeds(self, share: float, *, surely: bool) -> bool:
        """Return whether the agreement may exceed (or surely exceeds) this share of the expected one.

        The interval of the difference combines both intervals (Zou and Donner 2008, "Construction of confidence limits
        about effect measures", the method of variance estimates recovery).
        """
        difference, (value, low, high) = self.found.value - share * self.expected.value, self.found
        if surely:
            return bool(difference - np.hypot(value - low, share * (self.expected.high - self.expected.value)) > 0)
        return bool(difference + np.hypot(high - value, share * (self.expected.value - self.expected.low)) >= 0)

    def refutes(self, min_agreement: float) -> bool:
        """Return whether the labels are clearly worse than expected, and not surely as good as required."""
        return not (self.exceeds(CLEARLY_LOWER, surely=False) or self.exceeds(min_agreement, surely=True))

    @property
    def words(self) -> str:
        """The two values, for a message."""
        name = f"class {display_name(self.name)!r}" if self.name else "kappa"
        return f"{name} {self.found.value:.2f} (expected {self.expected.value:.2f})"


def agreement(rows: pd.DataFrame, judge: Judge, min_agreement: float) -> list[RuleResult]:
    """Judge the labels of new rows by the champion's predictions.

    Two kinds of agreement are compared with those of correct labels: Cohen's kappa of all rows, and for each class
    Youden's index (the share of its rows for which the champion predicts it, minus that share of the other rows).
    Labels that are random have about 0, and those of exchanged classes about 0 or less.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, >= 2)
        Has the columns `text` and `label`.
    judge : Judge
        The champion.
    min_agreement : float
        Share of the expected agreement; see `params.yaml`.

    Returns
    -------
    list of RuleResult
        One; none if there are fewer than `MIN_ROWS` rows, or the champion does not reach `MIN_EXPECTED` itself.

    Examples
    --------
    >>> rows = pd.DataFrame({"text": ["..."] * 60, "label": ["joy", "fear"] * 30})
    >>> labels = np.array(["joy", "fear"] * 500, dtype=object)
    >>> agreement(rows, Judge(lambda texts: ["joy"] * 60, labels, labels), 0.05)[0].found.partition(";")[0]
    "kappa 0.00 (expected 1.00), class 'fear' 0.00 (expected 1.00), class 'joy' 0.00 (expected 1.00)"
    """
    rows = rows.dropna(subset=["text", "label"])
    if min_agreement < 0 or len(rows) < MIN_ROWS:
        return []
    predicted = np.array(judge.predict(rows["text"].to_list()), dtype=object)
    comparisons = compare_agreement((rows["label"].to_numpy(dtype=object), predicted), (judge.labels, judge.predicted))
    if not comparisons:
        return []
    refuting = [entry for entry in comparisons if entry.refutes(min_agreement)]
    shown = sorted(refuting, key=lambda entry: (entry.name != "", entry.found.value)) or comparisons[:1]
    found = ", ".join(entry.words for entry in shown[:NAMED])
    rule = Rule(
        "min_agreement", "classes", "", {"min_value": min_agreement},
        "the labels agree with the champion's predictions, compared with how those of its validation and test rows do",
        "retrain.min_agreement",
    )  # fmt: skip
    return [RuleResult(rule, not refuting, shown[0].found.value, found + (ADVICE if refuting else ""))]


def compare_agreement(
    file: tuple[np.ndarray, np.ndarray], reference: tuple[np.ndarray, np.ndarray]
) -> list[Comparison]:
    """Compare labels and predictions of a file with those of reference rows.

    Parameters
    ----------
    file, reference : tuple of two ndarray of shape (n_rows,), object
        Labels, and predicted labels. Rows of a file whose label the reference lacks are left out.

    Returns
    -------
    list of Comparison
        Of all rows and of each class, where at least `MIN_EXPECTED` is expected. The intervals of the classes hold all
        at once (Bonferroni). The expected agreement is that of the reference with the class priors of the file.
    """
    classes = sorted(set(reference[0]) | set(reference[1]))
    counts, expected_counts = (_confusion(*rows, classes) for rows in (file, reference))
    counts[expected_counts.sum(axis=1) == 0] = 0
    totals = counts.sum(axis=1)
    if np.count_nonzero(totals) < 2:
        return []
    from scipy.stats import norm

    priors, z = totals / totals.sum(), float(norm.isf(SIGNIFICANCE))
    comparisons = [Comparison("", *(_kappa(matrix, priors, z) for matrix in (counts, expected_counts)))]
    z = float(norm.isf(SIGNIFICANCE / np.count_nonzero(totals)))
    for number in map(int, np.flatnonzero(totals)):
        youden = (_youden(matrix, priors, number, z) for matrix in (counts, expected_counts))
        comparisons.append(Comparison(classes[number], *youden))
    return [entry for entry in comparisons if entry.expected.value >= MIN_EXPECTED]


def _confusion(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return the rows by label and prediction, shape (n_classes, n_classes), int."""
    rows, columns = (pd.Index(classes, dtype=object).get_indexer(values) for values in (labels, predicted))
    known = (rows >= 0) & (columns >= 0)
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, (rows[known], columns[known]), 1)
    return matrix


def _kappa(counts: np.ndarray, priors: np.ndarray, z: float) -> Bounds:
    """Return Cohen's kappa under class priors, with the interval of the delta method, which takes labels as given.

    Cohen 1960, "A Coefficient of Agreement for Nominal Scales".
    """
    present = priors > 0
    rates = counts[present] / counts[present].sum(axis=1, keepdims=True)
    weights, right = priors[present], np.eye(len(priors))[present]
    observed, chance = weights @ (rates * right).sum(axis=1), weights @ rates @ priors
    value = (observed - chance) / (1 - chance)
    slopes = (right - (1 - value) * priors) / (1 - chance)  # of kappa, by the joint share of a label and a prediction
    variances = (rates * slopes**2).sum(axis=1) - (rates * slopes).sum(axis=1) ** 2
    margin = z * np.sqrt((weights**2 * variances / counts[present].sum(axis=1)).sum())
    return Bounds(float(value), float(value - margin), float(value + margin))


def _youden(counts: np.ndarray, priors: np.ndarray, number: int, z: float) -> Bounds:
    """Return Youden's index of a class, with Newcombe's interval for the difference of two shares.

    Youden 1950, "Index for rating diagnostic tests"; Newcombe 1998, "Interval estimation for the difference between
    independent proportions", method 10. The share of the other rows is a mean over their classes, by their priors.
    """
    totals = counts.sum(axis=1)
    others = (priors > 0) & (np.arange(len(priors)) != number)
    weights = priors[others] / priors[others].sum()
    hit = _wilson(counts[number, number] / totals[number], totals[number], z)
    rows = 1 / (weights**2 / totals[others]).sum()  # effective number (Kish 1965)
    wrong = _wilson(weights @ (counts[others, number] / totals[others]), rows, z)
    value = hit.value - wrong.value
    low = value - np.hypot(hit.value - hit.low, wrong.high - wrong.value)
    high = value + np.hypot(hit.high - hit.value, wrong.value - wrong.low)
    return Bounds(float(value), float(low), float(high))


def _wilson(share: float, rows: float, z: float) -> Bounds:
    """Return a share with its score interval (Wilson 1927, "Probable inference")."""
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    margin = z / (1 + z**2 / rows) * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return Bounds(share, centre - margin, centre + margin)
