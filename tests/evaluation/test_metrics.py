"""Metrics: exact values for literal arrays, and scikit-learn's values for larger ones."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn

from pipeline.evaluation import intervals, metrics

LABELS = np.array([0, 0, 0, 1, 2])

PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.7, 0.2], [0.2, 0.5, 0.3], [0.5, 0.25, 0.25]], dtype=np.float32
)


@pytest.fixture(autouse=True)
def warnings_are_errors() -> None:
    warnings.simplefilter("error")


def test_overall_metrics() -> None:
    values = metrics.overall(LABELS, PROBABILITIES)
    assert list(values) == [
        *("num_samples", "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1"),
        *("mcc", "roc_auc", "pr_auc", "loss", "ece"),
    ]
    assert values["num_samples"] == 5
    assert values["accuracy"] == 0.6
    assert values["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3, abs=1e-6)
    assert values["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3, abs=1e-6)  # class 2 is never predicted
    assert values["weighted_f1"] == pytest.approx((3 * 2 / 3 + 2 / 3 + 0) / 5, abs=1e-6)
    assert values["mcc"] == pytest.approx((3 * 5 - 11) / np.sqrt((25 - 11) * (25 - 13)), abs=1e-6)
    # Pairs won: class 0 has 2 + 2 + 0 of 3 x 2; class 1 has 3 of 4; class 2 has 3 of 4.
    assert values["roc_auc"] == pytest.approx((4 / 6 + 3 / 4 + 3 / 4) / 3, abs=1e-6)
    assert values["pr_auc"] == pytest.approx(((1 + 1 + 3 / 5) / 3 + 1 / 2 + 1 / 2) / 3, abs=1e-6)
    assert values["loss"] == pytest.approx(-np.log([0.8, 0.6, 0.1, 0.5, 0.25]).mean(), abs=1e-6)
    # 0.8 | 0.6 | 0.7 wrong | 0.5 right and 0.5 wrong share a bin, the others have one of their own.
    assert values["ece"] == pytest.approx((0.2 + 0.4 + 0.7 + 0) / 5, abs=1e-6)


def test_confidence_bins_are_closed_above() -> None:
    confidence = np.array([0.0, 1e-9, 1 / 15, 1 / 15 + 1e-9, 0.5, 1.0])
    assert list(metrics.confidence_bins(confidence)) == [0, 0, 0, 1, 7, 14]


def sample(rows: int, classes: int, decimals: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random labels, probabilities with many ties, and bootstrap weights."""
    random = np.random.default_rng(classes)
    labels = random.integers(classes, size=rows)
    scores = random.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    probabilities = probabilities.round(decimals) + 1e-3
    weights = np.bincount(random.integers(rows, size=rows), minlength=rows).astype(float)
    return labels, (probabilities / probabilities.sum(axis=1, keepdims=True)).round(12), weights


@pytest.mark.parametrize("resampled", [False, True])
@pytest.mark.parametrize(("rows", "classes", "decimals"), [(200, 2, 1), (300, 3, 1), (500, 7, 2)])
def test_metrics_equal_those_of_scikit_learn(rows: int, classes: int, decimals: int, resampled: bool) -> None:
    labels, probabilities, drawn = sample(rows, classes, decimals)
    weights = drawn if resampled else None
    assert len(np.unique(probabilities[:, 0])) < rows / 2
    predicted, truth = probabilities.argmax(axis=1), np.eye(classes)[labels]
    exact = metrics.normalized(probabilities)
    expected = {
        "accuracy": sklearn.accuracy_score(labels, predicted, sample_weight=weights),
        "balanced_accuracy": sklearn.balanced_accuracy_score(labels, predicted, sample_weight=weights),
        "macro_f1": sklearn.f1_score(labels, predicted, average="macro", sample_weight=weights),
        "weighted_f1": sklearn.f1_score(labels, predicted, average="weighted", sample_weight=weights),
        "mcc": sklearn.matthews_corrcoef(labels, predicted, sample_weight=weights),
        "roc_auc": sklearn.roc_auc_score(truth, probabilities, average="macro", sample_weight=weights),
        "pr_auc": sklearn.average_precision_score(truth, probabilities, average="macro", sample_weight=weights),
        "loss": sklearn.log_loss(labels, exact, sample_weight=weights),
    }
    measured = metrics.Measured(labels, probabilities)(weights)
    assert {key: measured[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    rows_drawn = np.repeat(np.arange(rows), 1 if weights is None else weights.astype(int))
    repeated = metrics.Measured(labels[rows_drawn], probabilities[rows_drawn])()
    assert measured == pytest.approx(repeated, abs=1e-9)


def test_per_class_metrics() -> None:
    values = metrics.per_class(LABELS, PROBABILITIES, ["a", "b", "c"])
    assert values["a"] == {
        **{"num_samples": 3, "precision": 0.666667, "recall": 0.666667, "f1": 0.666667},
        **{"roc_auc": 0.666667, "pr_auc": 0.866667},
    }
    assert values["b"] == {
        **{"num_samples": 1, "precision": 0.5, "recall": 1.0, "f1": 0.666667},
        **{"roc_auc": 0.75, "pr_auc": 0.5},
    }
    assert values["c"] == {
        **{"num_samples": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0},
        **{"roc_auc": 0.75, "pr_auc": 0.5},
    }


def test_undefined_metrics_are_left_out() -> None:
    values = metrics.per_class(LABELS[:3], PROBABILITIES[:3], ["a", "b", "c"])
    assert "roc_auc" not in values["a"]  # every row is of the class
    assert values["c"] == {"num_samples": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}  # no row is
    overall = metrics.overall(LABELS[:3], PROBABILITIES[:3])
    assert "roc_auc" not in overall
    assert overall["balanced_accuracy"] == overall["accuracy"] == 0.666667
    assert overall["macro_f1"] == pytest.approx((0.8 + 0) / 2)  # of the classes that occur or are predicted


def test_empty_and_complete_slices_are_left_out() -> None:
    masks = {"ends": np.array([1, 0, 0, 1, 1], bool), "none": np.zeros(5, bool), "all": np.ones(5, bool)}
    assert metrics.slices(LABELS, PROBABILITIES, masks) == {
        "ends": {"num_samples": 3, "accuracy": 0.666667, "balanced_accuracy": 0.666667, "macro_f1": 0.555556}
    }


def test_bootstrap_draws_equal_rows_for_all_models() -> None:
    labels, probabilities, _ = sample(200, 3, 2)
    models = {name: metrics.Measured(labels, probabilities) for name in ("one", "same")}
    drawn = intervals.bootstrap(models, resamples=100, seed=0)
    assert list(drawn["one"]) == list(metrics.Measured(labels, probabilities)())
    for key, values in drawn["one"].items():
        assert values.shape == (100,)
        np.testing.assert_array_equal(values, drawn["same"][key])
    random = np.random.default_rng(0)
    for values in drawn["one"]["accuracy"][:3]:
        rows = random.integers(200, size=200)
        assert values == pytest.approx((probabilities[rows].argmax(axis=1) == labels[rows]).mean())


def test_interval_of_accuracy_has_the_expected_width() -> None:
    labels = np.array([0, 1] * 200)
    probabilities = np.tile([0.9, 0.1], (400, 1))  # right in half of the rows
    (drawn,) = intervals.bootstrap({"m": metrics.Measured(labels, probabilities)}, resamples=1_000, seed=1).values()
    bounds = intervals.interval(drawn["accuracy"])
    margin = 1.96 * np.sqrt(0.5 * 0.5 / 400)
    assert bounds == pytest.approx({"low": 0.5 - margin, "high": 0.5 + margin}, abs=0.006)


def test_resamples_without_a_rare_class() -> None:
    labels = np.array([0] * 20 + [1])
    drawn = intervals.bootstrap({"m": metrics.Measured(labels, np.tile([0.6, 0.4], (21, 1)))}, resamples=100, seed=0)[
        "m"
    ]
    undefined = np.isnan(drawn["roc_auc"])
    assert 20 < undefined.sum() < 60  # (20/21)^21 = 0.36
    assert set(drawn["balanced_accuracy"][undefined]) == {1.0}
    assert intervals.interval(drawn["roc_auc"]) == {"low": 0.5, "high": 0.5}
    assert intervals.interval(np.full(5, np.nan)) == {}


def test_rankings_of_many_rows_get_fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RANKING_BUDGET", 5 * 3 * 120)
    drawn = intervals.bootstrap({"m": metrics.Measured(LABELS, PROBABILITIES)}, resamples=150, seed=0)["m"]
    assert (len(drawn["pr_auc"]), len(drawn["accuracy"])) == (120, 150)


def test_flatten_nested_metrics() -> None:
    assert metrics.flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a/b/c": 1, "d": 2}


def test_per_class_intervals_narrow_with_more_rows() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [900, 100])
    right = random.random(1_000) < 0.8
    probabilities = np.where((labels == 0) == right, 0.9, 0.1)[:, None] * [1, -1] + [0, 1]
    measured = metrics.Measured(labels, probabilities)
    bounds = intervals.per_class_intervals(measured, ["large", "small"], resamples=200, seed=0)
    values = metrics.per_class(labels, probabilities, ["large", "small"])
    for name, of_class in bounds.items():
        assert all(bound["low"] < values[name][key] < bound["high"] for key, bound in of_class.items())
    width = {name: of_class["recall"]["high"] - of_class["recall"]["low"] for name, of_class in bounds.items()}
    assert width["small"] > 2 * width["large"]


def test_loss_of_probability_zero_is_finite() -> None:
    values = metrics.overall(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert values["loss"] == pytest.approx(-np.log(np.finfo(np.float64).eps) / 2)


def test_rankings_have_at_least_100_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RANKING_BUDGET", 1)
    drawn = intervals.bootstrap({"m": metrics.Measured(LABELS, PROBABILITIES)}, resamples=150, seed=0)["m"]
    assert (len(drawn["roc_auc"]), len(drawn["loss"])) == (100, 150)


def test_seed_decides_the_resamples() -> None:
    labels, probabilities, _ = sample(200, 3, 2)
    measured = metrics.Measured(labels, probabilities)
    first, again, other = (
        intervals.bootstrap({"m": measured}, resamples=9, seed=seed)["m"]["loss"] for seed in (1, 1, 2)
    )
    assert first.tolist() == again.tolist() != other.tolist()
    by_class = [intervals.per_class_intervals(measured, ["a", "b", "c"], resamples=9, seed=seed) for seed in (1, 1, 2)]
    assert by_class[0] == by_class[1] != by_class[2]


def test_clusters_are_drawn_as_a_whole() -> None:
    """Twenty authors of ten rows each, of which a model gets all right or all wrong: as much as twenty rows tell."""
    right = np.random.default_rng(0).random(20) < 0.7
    authors = np.repeat(np.arange(20), 10)
    labels = np.tile([0, 1], 100)
    probabilities = np.where((labels == 0) == right[authors], 0.9, 0.1)[:, None] * [1, -1] + [0, 1]
    measured = {"m": metrics.Measured(labels, probabilities)}
    bounds = []
    for of_rows in (None, authors):
        drawn = intervals.bootstrap(measured, resamples=400, seed=0, of_rows=of_rows)["m"]["accuracy"]
        bounds.append(intervals.interval(drawn, of_rows, (0, 1)))
    widths = [bound["high"] - bound["low"] for bound in bounds]
    assert widths[1] == pytest.approx(2 * 2.093 * np.sqrt(right.mean() * (1 - right.mean()) / 20), rel=0.15)
    assert widths[1] > 2.5 * widths[0]
    names, classes = [f"author {number}" for number in authors], ["a", "b"]
    narrow, wide = (
        intervals.per_class_intervals(measured["m"], classes, resamples=200, seed=0, of_rows=of_rows)["a"]["recall"]
        for of_rows in (None, intervals.clusters(names))
    )
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_bounds_and_few_clusters() -> None:
    values = np.linspace(0.5, 1.0, 101)
    assert intervals.interval(values) == {"low": 0.5125, "high": 0.9875}
    assert intervals.interval(values, np.array([0, 1, 2]), (0, 1)) == {"low": 0.228623, "high": 1.0}
    assert intervals.interval(values, np.arange(100_000)) == pytest.approx({"low": 0.5125, "high": 0.9875}, abs=1e-4)
    assert intervals.clusters(["", "b", "", "b"]).tolist() == [0, 1, 2, 1]
