"""Confidence intervals of rates: accuracy of rows and slices, precision, recall and F1 of classes (Wilson 1927)."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtrit

from .metrics import Measured, rounded

NORMAL = 1.959963984540054  # the 97.5 % quantile

Interval = dict[str, float]  # `low` and `high`; empty if undefined


def wilson_interval(share: float, rows: int) -> Interval:
    """Return the 95 % interval of a share of so many rows (Wilson 1927).

    >>> {bound: round(value, 4) for bound, value in wilson_interval(0.5, 100).items()}
    {'low': 0.4038, 'high': 0.5962}
    """
    return _wilson(round(share * rows) / rows, rows)  # exact, although metrics are rounded


def rate_interval(hits: np.ndarray, of_rows: np.ndarray) -> Interval:
    """Return the 95 % interval of the share of rows that are hits; empty without rows.

    Wilson's interval (1927). Where rows share clusters, its number of rows is the effective one, which would have the
    same standard error without clusters, times the squared ratio of the normal quantile to that of Student's t (Korn
    and Graubard 1998); where all rows or none are hits, the number of clusters.

    Parameters
    ----------
    hits : ndarray of shape (n_rows,), bool
        Whether each row is a hit.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, as in `bootstrap`.

    Examples
    --------
    >>> hits = np.arange(100) < 50
    >>> rate_interval(hits, np.arange(100))
    {'low': 0.403832, 'high': 0.596168}
    >>> rate_interval(hits, np.arange(100) // 10)  # ten clusters, in each of which all rows are hits, or none
    {'low': 0.198966, 'high': 0.801034}
    """
    rows = float(len(hits))
    if not rows:
        return {}
    rate, clusters_of_hits = hits.mean(), np.unique(of_rows, return_inverse=True)[1]
    count = int(clusters_of_hits.max()) + 1
    if count < rows:
        sums = np.bincount(clusters_of_hits, hits - rate)
        variance = count / max(count - 1, 1) * (sums @ sums) / rows**2
        effective = min(rows, rate * (1 - rate) / variance) if variance > 0 else count
        rows = effective * (NORMAL / student(count)) ** 2
    return rounded(_wilson(rate, rows))


def _wilson(share: float, rows: float) -> Interval:
    centre = share + NORMAL**2 / (2 * rows)
    width = NORMAL * np.sqrt(share * (1 - share) / rows + NORMAL**2 / (4 * rows**2))
    return {
        "low": float(max(0.0, (centre - width) / (1 + NORMAL**2 / rows))),
        "high": float(min(1.0, (centre + width) / (1 + NORMAL**2 / rows))),
    }


def per_class_intervals(
    measured: Measured, classes: Sequence[str], of_rows: np.ndarray
) -> dict[str, dict[str, Interval]]:
    """Return the intervals of each class's `precision`, `recall` and `f1`, by class name; see `rate_interval`.

    F1 is no rate, but 2 J / (1 + J) of one: of the rows that are of the class or predicted as it, J are both.

    Parameters
    ----------
    measured : Measured
        A model's predictions.
    classes : sequence of str
        Class names.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, as in `bootstrap`.
    """
    bounds = {}
    for number, name in enumerate(classes):
        true, predicted = measured.labels == number, measured.predicted == number
        hits = true & predicted
        precision, recall, jaccard = (
            rate_interval(hits[rows], of_rows[rows]) for rows in (predicted, true, true | predicted)
        )
        f1 = {bound: round(2 * value / (1 + value), 6) for bound, value in jaccard.items()}
        bounds[name] = {"precision": precision, "recall": recall, "f1": f1}
    return bounds


def slice_intervals(
    hits: np.ndarray, masks: Mapping[str, np.ndarray], of_rows: np.ndarray
) -> dict[str, dict[str, Interval]]:
    """Return the interval of the accuracy of each slice, by slice and "accuracy"; see `rate_interval`.

    Parameters
    ----------
    hits : ndarray of shape (n_rows,), bool
        Whether each row is predicted right.
    masks : mapping of str to ndarray of shape (n_rows,), bool
        The rows of each slice.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, as in `bootstrap`.
    """
    return {name: {"accuracy": rate_interval(hits[mask], of_rows[mask])} for name, mask in masks.items()}


def student(clusters: float, comparisons: int = 1) -> float:
    """Return the quantile of Student's t with one degree of freedom less than clusters, but at least one."""
    return float(stdtrit(max(clusters - 1, 1), 1 - 0.025 / comparisons))
