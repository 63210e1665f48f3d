"""Two-sample statistics on small arrays."""

import numpy as np
import pytest

from pipeline.evaluation.two_sample import compare_priors, fall_p_value, kolmogorov_smirnov, permutation_test, psi


def share(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    return new / 2


def test_psi_of_literal_counts() -> None:
    before, after = np.array([9.5, 29.5]), np.array([29.5, 9.5])
    assert psi(before, after) == pytest.approx([0.5 * np.log(3), 0.5 * np.log(3)])
    assert psi(before, before) == pytest.approx([0, 0])
    assert np.isfinite(psi(np.array([0, 10]), np.array([10, 0]))).all()


def test_permutation_p_value_is_exact() -> None:
    """Two rows of ten have the property, and both are new: 1 of 45 assignments."""
    p_value, mean = permutation_test(np.zeros(8), np.ones(2), share, 1.0)
    assert p_value == pytest.approx(1 / 45, abs=0.01)
    assert mean == pytest.approx(0.2, abs=0.03)


def test_permutation_test_of_equal_rows() -> None:
    assert permutation_test(np.ones(8), np.ones(2), share, 1.0) == (1.0, 1.0)


def test_prior_shift_agrees_with_permuting_rows() -> None:
    counts = np.array([[30, 20, 10], [14, 16, 10]])
    shift = compare_priors(counts)
    before, after = (np.repeat(np.eye(3), row, axis=0) for row in counts)

    def distance(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        return np.abs(new / len(after) - old / len(before)).sum(axis=1) / 2

    assert shift.distance == pytest.approx(distance(*(part.sum(axis=0)[None] for part in (before, after)))[0])
    random = np.random.default_rng(1)
    pooled = np.concatenate([before, after])
    news = np.stack([random.permutation(pooled)[: len(after)].sum(axis=0) for _ in range(2_000)])
    extreme = (distance(pooled.sum(axis=0) - news, news) >= shift.distance - 1e-9).mean()
    assert 0.05 < extreme < 0.95
    assert shift.p_value == pytest.approx(extreme, abs=0.06)


def test_kolmogorov_smirnov_names_the_location() -> None:
    test = kolmogorov_smirnov(np.arange(100), np.arange(100) + 50)
    assert (test.distance, test.location) == (0.5, 49.0)
    assert test.above == [0.5, 1.0]
    assert test.p_value < 1e-9


def test_fall_p_value_is_fishers_one_sided_test() -> None:
    from scipy.stats import fisher_exact

    table = [[40, 30], [10, 20]]
    assert fall_p_value([40, 30], [50, 50]) == pytest.approx(fisher_exact(table, alternative="greater").pvalue)
    assert fall_p_value([30, 40], [50, 50]) > 0.9
