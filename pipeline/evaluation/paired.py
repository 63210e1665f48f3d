"""Paired comparison of two models on the same rows."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypedDict, TypeVar

import numpy as np
from scipy.special import bdtr

from . import intervals, metrics
from .rates import student

Key = TypeVar("Key", bound=Hashable)


class PairedDifferences(TypedDict):
    """Differences of a new model to an old one on the same rows.

    All have `difference`, the new model's value minus the old one's, and `low` and `high` of its 95 % interval. `loss`
    also has `error`, the standard error of the difference of log-loss. `recalls` (by class) and `accuracies` (by slice)
    also have `num_samples`, and `p_drop`, the probability of as many losses of right answers if both models are equally
    good. Classes and slices without rows are left out.
    """

    loss: dict[str, float]
    macro_f1: dict[str, float]
    recalls: dict[str, dict[str, float]]
    accuracies: dict[str, dict[str, float]]


def paired_differences(
    labels: np.ndarray,
    new: np.ndarray,
    old: np.ndarray,
    classes: Sequence[str],
    slices: Mapping[str, np.ndarray],
    *,
    clusters: np.ndarray,
    resamples: int,
    seed: int,
) -> PairedDifferences:
    """Measure two models on the same rows.

    Standard errors are those of clusters drawn at random, such as authors, whose rows resemble one another.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    new, old : ndarray of shape (n_rows, n_classes), float
        Probabilities of the two models, in the same order of the classes.
    classes : sequence of str
        Class names.
    slices : mapping of str to ndarray of shape (n_rows,), bool
        Masks of the rows, by name of the slice.
    clusters : ndarray of shape (n_rows,), int
        The cluster of each row, see `intervals.clusters`.
    resamples, seed : int
        As in `intervals.bootstrap`, for macro-F1.

    Examples
    --------
    >>> new, old = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.9, 0.1], [0.7, 0.3]])
    >>> differences = paired_differences(
    ...     np.array([0, 1]), new, old, ["glad", "sad"], {}, clusters=np.arange(2), resamples=100, seed=0
    ... )
    >>> differences["recalls"]["sad"]["difference"]
    1.0
    """
    models = [metrics.Measured(labels, probabilities) for probabilities in (new, old)]
    gains = (models[0].predicted == labels) - 1.0 * (models[1].predicted == labels)  # 1, 0 or -1 for each row
    named = dict(zip(("new", "old"), models, strict=True))
    drawn = intervals.bootstrap(named, resamples=resamples, seed=seed, of_rows=clusters)
    new_f1, old_f1 = (model(rankings=False)["macro_f1"] for model in models)
    of_f1 = models[0].by_row("macro_f1") - models[1].by_row("macro_f1")
    f1_gains = drawn["new"]["macro_f1"] - drawn["old"]["macro_f1"]
    return {
        "loss": mean_difference(models[0].losses - models[1].losses, clusters),
        "macro_f1": {"difference": new_f1 - old_f1}
        | intervals.t_interval(new_f1 - old_f1, f1_gains, clusters, by_row=of_f1),
        "recalls": _by_group(gains, clusters, ((name, labels == number) for number, name in enumerate(classes))),
        "accuracies": _by_group(gains, clusters, slices.items()),
    }


def mean_difference(differences: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Return the mean of differences, its standard error, and its 95 % interval by Student's t.

    Its degrees of freedom are those of `intervals.effective_clusters`.

    Parameters
    ----------
    differences : ndarray of shape (n_rows,), float
        Of each row.
    clusters : ndarray of shape (n_rows,), int
        The cluster of each row; 0, 1, ... without gaps.

    Examples
    --------
    >>> mean_difference(np.array([1.0, 3.0]), np.array([0, 1]))["error"]
    1.0
    """
    mean, count = differences.mean(), len(np.unique(clusters))
    sums = np.bincount(clusters, differences - mean)
    error = np.sqrt(count / max(count - 1, 1) * (sums**2).sum()) / len(differences)
    reach = error * student(intervals.effective_clusters(clusters, differences))
    bounds = metrics.rounded({"low": mean - reach, "high": mean + reach})
    return {"error": float(error), "difference": float(mean)} | bounds


def _by_group(
    gains: np.ndarray, clusters: np.ndarray, masks: Iterable[tuple[str, np.ndarray]]
) -> dict[str, dict[str, float]]:
    """Return the mean gain of right answers in each group of rows that has any."""
    measured = {}
    for name, mask in masks:
        if mask.any():
            of_group = np.unique(clusters[mask], return_inverse=True)[1]
            won = np.bincount(of_group, gains[mask])
            # Exact sign test (McNemar's, where each row is a cluster of its own): chance would divide them evenly.
            p_drop = float(bdtr((won > 0).sum(), np.count_nonzero(won), 0.5))
            measured[name] = {"num_samples": int(mask.sum()), "p_drop": round(p_drop, 6)} | mean_difference(
                gains[mask], of_group
            )
    return measured


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p-values adjusted for several tests: the chance of any false alarm stays below them (Holm 1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[Key, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - rank)))
        adjusted[name] = round(largest, 6)
    return adjusted
