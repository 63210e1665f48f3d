"""Paired differences of two models on the same rows."""

from typing import Any

import numpy as np
import pytest

from pipeline.evaluation import intervals, metrics
from pipeline.evaluation.paired import PairedDifferences, holm, mean_difference, paired_differences


def differences_of(
    labels: np.ndarray, new: np.ndarray, old: np.ndarray, clusters: np.ndarray | None = None, **changes: Any
) -> PairedDifferences:
    clusters = np.arange(len(labels)) if clusters is None else clusters
    settings = {"slices": {}, "resamples": 200, "seed": 0} | changes
    return paired_differences(labels, new, old, ["a", "b"], clusters=clusters, **settings)


def test_differences_of_two_models() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1] * 20)
    old = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    new = old.copy()
    new[::8] = new[::8, ::-1]  # the first of the four zeros is missed
    slices = {"first": np.arange(160) % 8 == 0, "nobody": np.zeros(160, dtype=bool)}
    differences = differences_of(labels, new, old, slices=slices)
    macro_f1, recalls = differences["macro_f1"], differences["recalls"]
    expected = metrics.overall(labels, new)["macro_f1"] - 1
    assert macro_f1["difference"] == pytest.approx(expected, abs=1e-6)
    assert macro_f1["low"] < expected < macro_f1["high"] < 0
    assert differences["loss"]["difference"] == pytest.approx(np.log(9) / 8)
    assert recalls["a"]["difference"] == -0.25
    assert recalls["a"]["low"] < -0.25 < recalls["a"]["high"] < 0
    assert recalls["a"]["p_drop"] == pytest.approx(2**-20, abs=1e-6)
    assert recalls["b"] == {"num_samples": 80, "difference": 0.0, "error": 0.0, "low": 0.0, "high": 0.0, "p_drop": 1.0}
    assert differences["accuracies"] == {
        "first": {"num_samples": 20, "difference": -1.0, "error": 0.0, "low": -1.0, "high": -1.0, "p_drop": 1e-6}
    }


def test_equal_models_do_not_differ() -> None:
    labels = np.array([0, 1] * 80)
    model = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    differences = differences_of(labels, model, model)
    macro_f1 = differences["macro_f1"]
    assert macro_f1["difference"] == 0
    assert -0.05 < macro_f1["low"] < 0 < macro_f1["high"] < 0.05  # 160 rows do not prove that they are equal
    assert differences["loss"] == {"difference": 0.0, "error": 0.0, "low": 0.0, "high": 0.0}


def test_seed_and_resamples_decide_the_intervals_of_macro_f1() -> None:
    random = np.random.default_rng(0)
    labels, (new, old) = random.integers(2, size=300), random.dirichlet([1, 1], size=(2, 300))

    def differences(resamples: int, seed: int) -> PairedDifferences:
        return differences_of(labels, new, old, resamples=resamples, seed=seed)

    assert differences(100, 1) == differences(100, 1)
    lows = {differences(*settings)["macro_f1"]["low"] for settings in ((100, 1), (100, 2), (400, 1))}
    assert len(lows) == 3


def test_rows_of_one_cluster_count_once() -> None:
    """Forty authors of ten equal rows each: as much is known as from forty rows."""
    random = np.random.default_rng(0)
    labels, (new, old) = random.integers(2, size=40), random.dirichlet([1, 1], size=(2, 40))
    alone = differences_of(labels, new, old)
    authors = np.repeat(np.arange(40), 10)
    repeated = differences_of(labels[authors], new[authors], old[authors], authors)
    assert repeated["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    widths = [kind["macro_f1"]["high"] - kind["macro_f1"]["low"] for kind in (repeated, alone)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    for name, of_class in alone["recalls"].items():
        assert repeated["recalls"][name]["p_drop"] == of_class["p_drop"]
        assert repeated["recalls"][name]["error"] == pytest.approx(of_class["error"])
    as_rows = differences_of(labels[authors], new[authors], old[authors])
    assert as_rows["loss"]["error"] < 0.4 * repeated["loss"]["error"]
    assert as_rows["macro_f1"]["high"] - as_rows["macro_f1"]["low"] < 0.4 * widths[0]


def test_interval_of_few_clusters_is_that_of_student() -> None:
    result = mean_difference(np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0]), np.array([0, 0, 1, 1, 2, 2]))
    assert result["difference"] == 1.0
    assert result["error"] == pytest.approx(1 / np.sqrt(3))
    assert result["high"] - 1 == pytest.approx(4.302653 / np.sqrt(3), abs=1e-5)


def test_few_rows_that_matter_widen_the_interval() -> None:
    """Their standard error is as uncertain as that of few rows."""
    one = mean_difference(np.eye(200)[0], np.arange(200))
    assert one["high"] - 1 / 200 == pytest.approx(4.26 * one["error"], rel=0.01)  # Student's t with 2.03 degrees
    labels = np.repeat([0, 1], [195, 5])
    stretches = []
    for changed in (np.arange(200) >= 198, np.arange(200) < 78):  # two rows of the rare class; many of the other
        old, new = (np.where(labels ^ wrong, 0.9, 0.1) for wrong in (changed, np.zeros(200, dtype=bool)))
        of_new, of_old = (np.column_stack([1 - p, p]) for p in (new, old))
        result = differences_of(labels, of_new, of_old)["macro_f1"]
        models = {"new": metrics.Measured(labels, of_new), "old": metrics.Measured(labels, of_old)}
        drawn = intervals.bootstrap(models, resamples=200, seed=0)
        spread = np.std(drawn["new"]["macro_f1"] - drawn["old"]["macro_f1"], ddof=1)
        stretches.append((result["high"] - result["difference"]) / spread)
    assert stretches[0] > 1.15 * stretches[1]


def test_holm_adjusts_for_the_number_of_tests() -> None:
    assert holm({}) == {}
    assert holm({"a": 0.2}) == {"a": 0.2}
    assert holm({"a": 0.01, "b": 0.02, "c": 0.9}) == {"a": 0.03, "b": 0.04, "c": 0.9}
    assert holm({"a": 0.04, "b": 0.03}) == {"b": 0.06, "a": 0.06}
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
