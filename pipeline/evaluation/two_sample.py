"""Two-sample statistics: population stability index, Kolmogorov-Smirnov, permutation and Fisher's exact tests."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

PERMUTATIONS = 1_000  # the smallest p-value is 1 / 1,001, below the smallest level that the parameters allow
PERMUTATIONS_AT_ONCE = 100  # permutations computed at once
ENOUGH_EXTREME = 20  # a permutation test stops after so many permutations as extreme as the data

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


def psi(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return each bin's contribution to the population stability index (Lewis 1994; Yurdakul and Naranjo 2020).

    Parameters
    ----------
    before, after : ndarray of shape (..., n_bins), float
        Counts; 0.5 is added to each, so that an empty bin makes no infinite contribution.

    Returns
    -------
    ndarray of shape (..., n_bins), float64

    Examples
    --------
    >>> psi(np.array([9.5, 29.5]), np.array([29.5, 9.5])).round(3).tolist()
    [0.549, 0.549]
    """
    smoothed = [counts.astype(np.float64) + 0.5 for counts in (before, after)]
    old, new = (counts / counts.sum(axis=-1, keepdims=True) for counts in smoothed)
    contributions: np.ndarray = (new - old) * np.log(new / old)
    return contributions


class PermutationTest(NamedTuple):
    """Result of `permutation_test`.

    Parameters
    ----------
    p_value : float
        Fraction of the permutations, the data counting as one of them, whose statistic is at least as large as the
        data's.
    mean : float
        Mean of the statistic over the permutations.
    """

    p_value: float
    mean: float


def permutation_test(
    before: np.ndarray, after: np.ndarray, statistic: Statistic, observed: float, *, seed: int = 0
) -> PermutationTest:
    """Test a statistic of two samples' column sums by assigning the pooled rows to the samples at random.

    It stops early, once `ENOUGH_EXTREME` permutations are as extreme as the data (Besag and Clifford 1991).
    `scipy.stats.permutation_test` cannot stop early, and passes rows instead of sums, which takes many times longer.

    Parameters
    ----------
    before, after : ndarray of shape (n_rows,) or (n_rows, n_columns), float
        The two samples.
    statistic : callable
        Statistic of the sums of both samples, each of shape (n_permutations,) or (n_permutations, n_columns).
    observed : float
        The data's statistic.
    seed : int
        Seed of the permutations.

    Examples
    --------
    Both of two new rows have a property that none of two old rows has: 1 of 6 assignments.

    >>> test = permutation_test(np.zeros(2), np.ones(2), lambda old, new: new, 2.0)
    >>> 0.1 < test.p_value < 0.25
    True
    """
    random = np.random.default_rng(seed)
    pooled = np.concatenate([before, after])
    in_after = np.zeros((PERMUTATIONS_AT_ONCE, len(pooled)), dtype=pooled.dtype)
    in_after[:, : len(after)] = 1
    statistics, extreme = np.empty(0), 0
    while len(statistics) < PERMUTATIONS and extreme < ENOUGH_EXTREME:
        new = random.permuted(in_after, axis=1) @ pooled
        statistics = np.concatenate([statistics, statistic(pooled.sum(axis=0) - new, new)])
        extreme = int((statistics >= observed - 1e-9).sum())
    return PermutationTest((1 + extreme) / (1 + len(statistics)), float(statistics.mean()))


class PriorShift(NamedTuple):
    """Result of `compare_priors`: total variation distance of the class priors, and its p-value."""

    distance: float
    p_value: float


def compare_priors(counts: np.ndarray, *, seed: int = 0) -> PriorShift:
    """Compare the class priors of two samples: total variation distance and its permutation test.

    Parameters
    ----------
    counts : ndarray of shape (2, n_classes), int
        Rows by class, of both samples.
    seed : int
        Seed of the permutations; class counts under permutation are drawn directly, without permuting rows.

    Examples
    --------
    >>> compare_priors(np.array([[50, 50], [75, 25]])).distance
    0.25
    """
    pooled, (n_before, n_after) = counts.sum(axis=0), counts.sum(axis=1)
    distance = np.abs(counts[1] / n_after - counts[0] / n_before).sum() / 2
    permuted = np.random.default_rng(seed).multivariate_hypergeometric(pooled, n_after, size=PERMUTATIONS)
    distances = np.abs(permuted / n_after - (pooled - permuted) / n_before).sum(axis=1) / 2
    extreme = (distances >= distance - 1e-9).sum()
    return PriorShift(float(distance), float((1 + extreme) / (1 + PERMUTATIONS)))


class KolmogorovSmirnov(NamedTuple):
    """Result of `kolmogorov_smirnov`.

    Parameters
    ----------
    distance : float
        Largest distance of the two distribution functions.
    p_value : float
        Asymptotic, two-sided.
    location : float
        The value at which the distance is largest.
    above : list of float
        Fraction of each sample above `location`.
    """

    distance: float
    p_value: float
    location: float
    above: list[float]


def kolmogorov_smirnov(before: np.ndarray, after: np.ndarray) -> KolmogorovSmirnov:
    """Compare the distributions of two samples, each of shape (n_rows,), by `scipy.stats.ks_2samp`.

    >>> kolmogorov_smirnov(np.array([1, 1, 1, 2]), np.array([1, 2, 2, 2]))[2:]
    (1.0, [0.25, 0.75])
    """
    from scipy.stats import ks_2samp

    test = ks_2samp(before, after, method="asymp")
    above = [float((values > test.statistic_location).mean()) for values in (before, after)]
    return KolmogorovSmirnov(float(test.statistic), float(test.pvalue), float(test.statistic_location), above)


def fall_p_value(hits: Sequence[int], totals: Sequence[int]) -> float:
    """Return the p-value of Fisher's exact test that a share fell from the first sample to the second (one-sided).

    >>> round(fall_p_value([9, 1], [10, 10]), 5)
    0.00055
    """
    from scipy.stats import hypergeom

    return float(hypergeom.cdf(hits[1], sum(totals), sum(hits), totals[1]))
