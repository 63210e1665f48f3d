"""Paired differences of two models on the same rows."""

import numpy as np
import pytest

from pipeline.evaluation import metrics
from pipeline.evaluation.paired import PairedDifferences, paired_differences


def test_differences_of_two_models() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1] * 20)
    old = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    new = old.copy()
    new[::8] = new[::8, ::-1]  # the first of the four zeros is missed
    slices = {"first": np.arange(160) % 8 == 0, "nobody": np.zeros(160, dtype=bool)}
    differences = paired_differences(labels, new, old, ["a", "b"], slices, resamples=200, seed=0)
    macro_f1, recalls = differences["macro_f1"], differences["recalls"]
    expected = metrics.overall(labels, new)["macro_f1"] - 1
    assert macro_f1["difference"] == pytest.approx(expected, abs=1e-6)
    assert macro_f1["low"] < expected < macro_f1["high"] < 0
    assert recalls["a"]["difference"] == -0.25
    assert recalls["a"]["low"] < -0.25 < recalls["a"]["high"] < 0
    assert recalls["b"] == {"num_samples": 80, "difference": 0.0, "low": 0.0, "high": 0.0}
    assert differences["accuracies"] == {"first": {"num_samples": 20, "difference": -1.0, "low": -1.0, "high": -1.0}}


def test_equal_models_do_not_differ() -> None:
    labels = np.array([0, 1] * 80)
    model = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    differences = paired_differences(labels, model, model, ["a", "b"], {}, resamples=100, seed=0)
    assert differences["macro_f1"] == {"difference": 0.0, "low": 0.0, "high": 0.0}


def test_seed_and_resamples_decide_the_intervals() -> None:
    random = np.random.default_rng(0)
    labels, (new, old) = random.integers(2, size=300), random.dirichlet([1, 1], size=(2, 300))

    def differences(resamples: int, seed: int) -> PairedDifferences:
        return paired_differences(labels, new, old, ["a", "b"], {}, resamples=resamples, seed=seed)

    assert differences(100, 1) == differences(100, 1)
    lows = {differences(*settings)["macro_f1"]["low"] for settings in ((100, 1), (100, 2), (400, 1))}
    assert len(lows) == 3
