"""Confidence intervals of metrics by the bootstrap (Efron 1979); those of rates are in rates.py."""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from .metrics import PREDICTED, Measured, rounded
from .rates import NORMAL, Interval, rate_interval, student

RANKING_BUDGET = 250_000_000  # rows x classes x resamples for `roc_auc` and `pr_auc` of each model: some seconds
MIN_RESAMPLES = NOISE_DRAWS = 100
BOUNDS = {"loss": (0.0, np.inf), "mcc": (-1.0, 1.0)}  # of metrics; those of others are 0 and 1

Key = TypeVar("Key", bound=Hashable)


def bootstrap(
    models: Mapping[str, Measured],
    *,
    resamples: int,
    seed: int,
    rankings: Collection[str] = (),
    of_rows: np.ndarray | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Measure several models' predictions for the same rows on the same resamples of these rows.

    A class with few rows varies less in the resamples than it should: one that a model never finds does not vary at
    all. Metrics of the predicted classes (`PREDICTED`) are therefore of each resample and pseudo rows, of which each
    class has on average one hit and one miss, as in Agresti and Coull 1998. Of two models, they hit independently, as
    in Agresti and Min 2005.

    Parameters
    ----------
    models : mapping of str to Measured
        Predictions by name; all for the same rows.
    resamples : int
        Number of resamples, each of as many clusters as there are, drawn with replacement. `roc_auc` and `pr_auc` get
        fewer, but at least 100, if rows times classes times resamples exceed `RANKING_BUDGET`.
    seed : int
        Seed of the draws.
    rankings : collection of str
        Names of the models whose `roc_auc` and `pr_auc` are computed.
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
    ranking_resamples = max(MIN_RESAMPLES, RANKING_BUDGET // max(1, len(first.labels) * first.num_classes))
    for number, (weights, pseudo) in enumerate(draws(models, resamples=resamples, seed=seed, of_rows=of_rows)):
        for name, model in models.items():
            ranked = name in rankings and number < ranking_resamples
            values = model(weights, rankings=ranked, pseudo=pseudo[name])
            for key, value in values.items():
                drawn[name].setdefault(key, []).append(value)
    return {name: {key: np.array(values) for key, values in metrics.items()} for name, metrics in drawn.items()}


def draws(
    models: Mapping[Key, Measured], *, resamples: int, seed: int, of_rows: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, dict[Key, np.ndarray]]]:
    """Yield for each resample the weights of the rows, and each model's pseudo rows, the arguments of `Measured`.

    Parameters are those of `bootstrap`.
    """
    first = next(iter(models.values()))
    of_rows = np.arange(len(first.labels)) if of_rows is None else of_rows
    random = np.random.default_rng([seed, 1])
    counts = random.poisson(2, (resamples, first.num_classes))  # of pseudo rows by class, the same for all models
    hits = {name: random.binomial(counts, 0.5) for name in models}
    for number, weights in enumerate(resampled(of_rows, resamples, seed)):
        yield (
            weights,
            {
                name: model.pseudo_rows(hits[name][number], (counts - hits[name])[number])
                for name, model in models.items()
            },
        )


def overall_intervals(measured: Measured, drawn: Mapping[str, np.ndarray], of_rows: np.ndarray) -> dict[str, Interval]:
    """Return the 95 % interval of each metric of a model.

    Accuracy has that of a rate, see `rate_interval`. The other metrics of the predicted classes have the midpoint of
    their values without and with one pseudo hit and one pseudo miss of each class, plus and minus Student's t times
    the standard deviation of the bootstrap values. The others have the percentiles, see `interval`.

    Parameters
    ----------
    measured : Measured
        The model's predictions.
    drawn : mapping of str to ndarray of shape (n_resamples,)
        Its bootstrap values by metric, as `bootstrap` returns them.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, as in `bootstrap`.
    """
    ones = np.ones(measured.num_classes)
    plain, smoothed = measured(rankings=False), measured(rankings=False, pseudo=measured.pseudo_rows(ones, ones))
    return {
        key: t_interval((plain[key] + smoothed[key]) / 2, values, of_rows, BOUNDS.get(key, (0.0, 1.0)))
        if key in PREDICTED
        else interval(values, of_rows, BOUNDS.get(key, (0.0, 1.0)))
        for key, values in drawn.items()
    } | {"accuracy": rate_interval(measured.predicted == measured.labels, of_rows)}


def calibration_noise(measured: Measured, of_rows: np.ndarray, seed: int) -> float:
    """Return the class-wise calibration error that calibrated probabilities exceed in one of 40 samples of such rows.

    The differences of labels and probabilities get a random sign for each cluster (wild bootstrap; Wu 1986), which
    leaves only chance in their sums.

    Parameters
    ----------
    measured : Measured
        A model's predictions.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, as in `bootstrap`.
    seed : int
        Seed of the signs.
    """
    random, count = np.random.default_rng(seed), int(of_rows.max()) + 1
    gaps = [measured.classwise_gap(random.choice([-1.0, 1.0], count)[of_rows]) for _ in range(NOISE_DRAWS)]
    return float(np.percentile(gaps, 97.5)) / len(of_rows)


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


def t_interval(
    centre: float,
    values: np.ndarray,
    of_rows: np.ndarray,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    *,
    comparisons: int = 1,
    by_row: np.ndarray | None = None,
) -> Interval:
    """Return a centre plus and minus Student's t times the standard deviation of bootstrap values, a 95 % interval.

    Parameters
    ----------
    centre : float
        The value, or the difference of two, on the rows themselves.
    values : ndarray of shape (n_resamples,)
        The same on each resample; NaN is ignored.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, as in `bootstrap`; t has one degree of freedom less than clusters.
    bounds : tuple of float
        The lowest and highest possible value, see `BOUNDS`.
    comparisons : int
        Number of intervals that hold together (Bonferroni 1936).
    by_row : ndarray of shape (n_rows,), float, optional
        What each row adds to the value, but for a factor, see `Measured.by_row` and `effective_clusters`.

    Examples
    --------
    >>> t_interval(0.5, np.array([0.4, 0.5, 0.6]), np.arange(1_000))
    {'low': 0.303668, 'high': 0.696332}
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return {}
    reach = _quantile(of_rows, comparisons, by_row) * float(np.std(defined, ddof=1))
    return rounded({"low": max(centre - reach, bounds[0]), "high": min(centre + reach, bounds[1])})


def interval(values: np.ndarray, of_rows: np.ndarray, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Interval:
    """Return the 95 % percentile interval of a metric's bootstrap values, ignoring NaN; empty if all are NaN.

    Parameters
    ----------
    values : ndarray of shape (n_resamples,)
        The metric on each resample.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, as in `bootstrap`. Percentiles of few clusters are too narrow: they are moved away from
        the median as far as the quantile of `t_interval` exceeds that of the normal distribution.
    bounds : tuple of float
        The lowest and highest possible value, see `BOUNDS`.

    Examples
    --------
    >>> interval(np.array([0.0, 0.5, 1.0]), np.array([0, 0, 1, 1, 2]))
    {'low': -0.777107, 'high': 1.777107}
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return {}
    low, middle, high = np.percentile(defined, [2.5, 50, 97.5])
    stretch = _quantile(of_rows) / NORMAL
    low, high = middle + stretch * (low - middle), middle + stretch * (high - middle)
    return rounded({"low": max(low, bounds[0]), "high": min(high, bounds[1])})


def effective_clusters(of_rows: np.ndarray, by_row: np.ndarray) -> float:
    """Return how many clusters would tell the standard error as well, if all of them mattered.

    Where few clusters add nearly all of the variance, such as the rows of a rare class, the standard error is itself
    uncertain, by the kurtosis, and Student's t has fewer degrees of freedom (Satterthwaite 1946).

    Parameters
    ----------
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, as in `bootstrap`.
    by_row : ndarray of shape (n_rows,), float
        What each row adds to the value.

    Examples
    --------
    >>> round(effective_clusters(np.arange(200), np.eye(200)[0]))  # one row adds all
    3
    >>> effective_clusters(np.arange(200), np.arange(200) % 2)
    200.0
    """
    numbers = np.unique(of_rows, return_inverse=True)[1]
    sums = np.bincount(numbers, by_row - by_row.mean())
    count, variance = len(sums), float((sums**2).mean())
    if count < 2 or variance == 0:
        return float(count)
    excess = float((sums**4).mean()) / variance**2 - 1  # of the kurtosis over its smallest value
    return round(min(float(count), 1 + 2 * count / max(excess, 2 / count)), 6)


def _quantile(of_rows: np.ndarray, comparisons: int = 1, by_row: np.ndarray | None = None) -> float:
    """Return how many standard deviations of bootstrap values reach the end of an interval.

    Student's t, and a factor, because the bootstrap divides by the number of clusters, not by one less.
    """
    count = len(np.unique(of_rows))
    effective = count if by_row is None else effective_clusters(of_rows, by_row)
    return student(effective, comparisons) * float(np.sqrt(count / max(count - 1, 1)))
