"""Metrics: exact figures on tiny literal arrays."""

import numpy as np
import pytest

from pipeline import metrics

LABELS = np.array([0, 0, 0, 1, 2])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.7, 0.2], [0.2, 0.5, 0.3], [0.5, 0.25, 0.25]], dtype=np.float32
)


def test_overall() -> None:
    figures = metrics.overall(LABELS, PROBABILITIES)
    assert figures["num_samples"] == 5
    assert figures["accuracy"] == 0.6
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3, abs=1e-6)  # class 2 is never predicted
    assert figures["loss"] == pytest.approx(-np.log([0.8, 0.6, 0.1, 0.5, 0.25]).mean(), abs=1e-6)


def test_per_class() -> None:
    figures = metrics.per_class(LABELS, PROBABILITIES, ["a", "b", "c"])
    assert figures["a"] == {"num_samples": 3, "precision": 0.666667, "recall": 0.666667, "f1": 0.666667}
    assert figures["b"] == {"num_samples": 1, "precision": 0.5, "recall": 1.0, "f1": 0.666667}
    assert figures["c"] == {"num_samples": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_slices_leave_out_the_empty_one() -> None:
    members = {"first": np.array([1, 1, 0, 0, 0], bool), "none": np.zeros(5, bool)}
    assert metrics.slices(LABELS, PROBABILITIES, members) == {"first": {"num_samples": 2, "accuracy": 1.0}}


def test_flatten() -> None:
    assert metrics.flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a/b/c": 1, "d": 2}
