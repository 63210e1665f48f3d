"""Rebalance: each strategy on a tiny literal array, many classes, one-row classes."""

import numpy as np
import pytest

from pipeline.rebalance import rebalance, shift

LABELS = np.array([0] * 6 + [1] * 3 + [2])


@pytest.mark.parametrize(
    ("strategy", "counts", "weights"),
    [
        ("none", [6, 3, 1], [1, 1, 1]),
        ("random_over", [6, 6, 6], [1, 1, 1]),
        ("random_under", [1, 1, 1], [1, 1, 1]),
        ("class_weight", [6, 3, 1], [10 / 18, 10 / 9, 10 / 3]),
    ],
)
def test_strategies(strategy: str, counts: list[int], weights: list[float]) -> None:
    rows, weight = rebalance(LABELS, strategy=strategy, seed=0)
    assert list(np.bincount(LABELS[rows])) == counts
    np.testing.assert_allclose([weight[LABELS[rows] == c].mean() for c in range(3)], weights, rtol=1e-6)
    assert (rows.dtype, weight.dtype) == (np.int64, np.float32)
    assert list(rows) == sorted(rows)
    if strategy != "random_under":
        assert set(rows) == set(range(len(LABELS)))  # over-sampling repeats rows, and loses none


@pytest.mark.parametrize("strategy", ["random_over", "random_under"])
def test_the_seed_decides_the_draw(strategy: str) -> None:
    labels = np.array([0] * 200 + [1] * 40)
    first, again, other = (rebalance(labels, strategy=strategy, seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert list(first) != list(other)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'smote'"):
        rebalance(LABELS, strategy="smote", seed=0)


@pytest.mark.parametrize("strategy", ["random_over", "random_under", "class_weight"])
def test_the_shift_leads_from_equal_shares_back_to_the_natural_ones(strategy: str) -> None:
    chosen = rebalance(LABELS, strategy=strategy, seed=0)
    np.testing.assert_allclose(shift(LABELS, *chosen), np.log([0.6 * 3, 0.3 * 3, 0.1 * 3]), rtol=1e-6)


def test_rows_as_they_are_need_no_shift() -> None:
    np.testing.assert_array_equal(shift(LABELS, *rebalance(LABELS, strategy="none", seed=0)), [0, 0, 0])
