"""Areas under the ROC and the precision-recall curve of weighted rows that were ranked once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """The rows ranked by the probability of one class.

    Parameters
    ----------
    order : ndarray of shape (n_rows,), int
        Row numbers by descending probability.
    own : ndarray of shape (n_own,), int
        Row numbers of the class, in the same order.
    higher, not_lower : ndarray of shape (2, n_own), int
        For each row of the class: the number of rows, and of rows of the class, whose probability is higher (higher or
        equal).
    """

    order: np.ndarray
    own: np.ndarray
    higher: np.ndarray
    not_lower: np.ndarray


def rank(scores: np.ndarray, is_own: np.ndarray) -> Ranking:
    """Rank the rows by the scores of one class, both of shape (n_rows,)."""
    order = np.argsort(-scores, kind="stable")
    descending, own = -scores[order], is_own[order]
    own_counts = _running_sums(own)
    higher, not_lower = (np.searchsorted(descending, descending[own], side) for side in ("left", "right"))
    return Ranking(
        order, order[own], np.stack([higher, own_counts[higher]]), np.stack([not_lower, own_counts[not_lower]])
    )


def areas_under_curves(rankings: Sequence[Ranking], weights: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return ROC-AUC and average precision of each class against the rest, shape (2, n_classes).

    NaN for a class with no rows or all of them.

    Parameters
    ----------
    rankings : sequence of Ranking
        The rows ranked by the probability of each class.
    weights : ndarray of shape (n_rows,), float
        Weight of each row.
    true : ndarray of shape (n_classes,), float
        Sum of weights by true class.
    """
    total, areas = true.sum(), np.full((2, len(rankings)), np.nan)
    for number, (order, own, higher, not_lower) in enumerate(rankings):
        if 0 < true[number] < total:
            all_sums, own_sums = _running_sums(weights[order]), _running_sums(weights[own])
            # Rows of other classes that rank above each row of the class, twice; a tie counts half.
            misses = all_sums[not_lower[0]] - own_sums[not_lower[1]] + all_sums[higher[0]] - own_sums[higher[1]]
            areas[0, number] = 1 - weights[own] @ misses / (2 * true[number] * (total - true[number]))
            precision = own_sums[not_lower[1]] / np.maximum(all_sums[not_lower[0]], 1e-300)
            areas[1, number] = weights[own] @ precision / true[number]
    return areas


def _running_sums(weights: np.ndarray) -> np.ndarray:
    """Return the sums of the first 0, 1, ... weights, shape (n_weights + 1,)."""
    sums = np.zeros(len(weights) + 1, dtype=np.int64 if weights.dtype == bool else np.float64)
    np.cumsum(weights, out=sums[1:])
    return sums
