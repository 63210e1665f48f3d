"""Bootstrap confidence intervals of metrics (Efron 1979)."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import stdtrit

from .metrics import Measured, precision_recall_f1, rounded

RANKING_BUDGET = 250_000_000  # rows x classes x resamples for `roc_auc` and `pr_auc` of each model: some seconds
MIN_RESAMPLES = 100
BOUNDS = {"loss": (0.0, np.inf), "mcc": (-1.0, 1.0)}  # of metrics; those of others are 0 and 1

Interval = dict[str, float]  # `low` and `high`; empty if undefined


def bootstrap(
    models: Mapping[str, Measured],
    *,
    resamples: int,
    seed: int,
    rankings: bool = True,
    of_rows: np.ndarray | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Measure several models' predictions for the same rows on the same resamples of these rows.

    Parameters
    ----------
    models : mapping of str to Measured
        Predictions by name; all for the same rows.
    resamples : int
        Number of resamples, each of as many clusters as there are, drawn with replacement. `roc_auc` and `pr_auc` get
        fewer, but at least 100, if rows times classes times resamples exceed `RANKING_BUDGET`.
    seed : int
        Seed of the draws.
    rankings : bool
        Whether to compute `roc_auc` and `pr_auc`.
    of_rows : ndarray of shape (n_rows,), int, optional
        The cluster of each row, see `clusters`; by default each row is one.

    Returns
    -------
    dict of str to dict of str to ndarray of shape (n_resamples,)
        Values by model and metric; NaN where a metric is undefined for a resample. The n-th values of all models are
        from the same resample, so that their differences are paired.
    """
    drawn: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    first = next(iter(models.values()))
    num_rows = len(first.labels)
    ranking_resamples = max(MIN_RESAMPLES, RANKING_BUDGET // max(1, num_rows * first.num_classes))
    of_rows = np.arange(num_rows) if of_rows is None else of_rows
    for number, weights in enumerate(resampled(of_rows, resamples, seed)):
        for name, model in models.items():
            for key, value in model(weights, rankings=rankings and number < ranking_resamples).items():
                drawn[name].setdefault(key, []).append(value)
    return {name: {key: np.array(values) for key, values in metrics.items()} for name, metrics in drawn.items()}


def per_class_intervals(
    measured: Measured, classes: Sequence[str], *, resamples: int, seed: int, of_rows: np.ndarray | None = None
) -> dict[str, dict[str, Interval]]:
    """Return the intervals of each class's `precision`, `recall` and `f1`, by class name; resampled as in `bootstrap`.

    Parameters
    ----------
    measured : Measured
        A model's predictions.
    classes : sequence of str
        Class names.
    resamples, seed, of_rows
        As in `bootstrap`.
    """
    rows = np.arange(len(measured.labels)) if of_rows is None else of_rows
    drawn = [precision_recall_f1(measured.confusion(weights)) for weights in resampled(rows, resamples, seed)]
    return {
        name: {
            key: interval(np.array([columns[key][number] for columns in drawn]), of_rows, (0, 1)) for key in drawn[0]
        }
        for number, name in enumerate(classes)
    }


def clusters(groups: Sequence[str]) -> np.ndarray:
    """Return the number of each row's cluster, shape (n_rows,), int64: its group's, or one of its own without a group.

    >>> clusters(["ann", "", "ann", ""]).tolist()
    [0, 1, 0, 2]
    """
    numbers: dict[str | int, int] = {}
    keys = (group or row for row, group in enumerate(groups))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def resampled(of_rows: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield for each resample how often each row is drawn, shape (n_rows,), float64.

    Whole clusters are drawn, as many as there are: rows of one cluster, such as an author, resemble one another.

    Parameters
    ----------
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, see `clusters`.
    resamples, seed : int
        As in `bootstrap`.

    Examples
    --------
    >>> [int(weights.sum()) for weights in resampled(np.arange(3), resamples=2, seed=0)]
    [3, 3]
    """
    random, count = np.random.default_rng(seed), int(of_rows.max(initial=-1)) + 1
    for _ in range(resamples):
        yield np.bincount(random.integers(count, size=count), minlength=count).astype(float)[of_rows]


def wilson_interval(share: float, rows: int) -> Interval:
    """Return the 95 % interval of a share of so many rows (Wilson 1927).

    >>> {bound: round(value, 4) for bound, value in wilson_interval(0.5, 100).items()}
    {'low': 0.4038, 'high': 0.5962}
    """
    z, share = 1.959963984540054, round(share * rows) / rows  # exact, although metrics are rounded
    centre, width = share + z**2 / (2 * rows), z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return {
        "low": float(max(0.0, (centre - width) / (1 + z**2 / rows))),
        "high": float(min(1.0, (centre + width) / (1 + z**2 / rows))),
    }


def interval(
    values: np.ndarray, of_rows: np.ndarray | None = None, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Interval:
    """Return the 95 % percentile interval of a metric's bootstrap values, ignoring NaN; empty if all are NaN.

    Parameters
    ----------
    values : ndarray of shape (n_resamples,)
        The metric on each resample.
    of_rows : ndarray of shape (n_rows,), int, optional
        The cluster of each row, as in `bootstrap`. Percentiles of few clusters are too narrow: they are moved away from
        the median as far as Student's t, with one degree of freedom less than clusters, exceeds the normal quantile.
    bounds : tuple of float
        The lowest and highest possible value, see `BOUNDS`.

    Examples
    --------
    >>> interval(np.array([0.0, 1.0, np.nan]))
    {'low': 0.025, 'high': 0.975}
    >>> interval(np.array([0.0, 0.5, 1.0]), np.array([0, 0, 1, 1, 2]))
    {'low': -0.542754, 'high': 1.542754}
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return {}
    low, middle, high = np.percentile(defined, [2.5, 50, 97.5])
    if of_rows is not None:
        stretch = stdtrit(max(int(of_rows.max()), 1), 0.975) / stdtrit(np.inf, 0.975)
        low, high = middle + stretch * (low - middle), middle + stretch * (high - middle)
    return rounded({"low": max(low, bounds[0]), "high": min(high, bounds[1])})
