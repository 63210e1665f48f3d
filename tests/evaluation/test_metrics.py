"""Metrics: exact values for literal arrays, and scikit-learn's values for larger ones."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn

from pipeline.evaluation import intervals, metrics, rates

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
        *("mcc", "roc_auc", "pr_auc", "loss", "ece", "classwise_ece"),
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


def test_classwise_calibration_error() -> None:
    labels, probabilities = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    # Of each class, the rows of 0.9 (0.1) share a bin, in which one label is right: 1 - 1.8; the third row is alone.
    values = metrics.overall(labels, probabilities)
    assert values["classwise_ece"] == pytest.approx(2 * (0.8 + 0.3) / (3 * 2), abs=1e-6)
    weighted = metrics.Measured(labels, probabilities)(np.array([1, 1, 3]))
    repeated = metrics.overall(labels[[0, 1, 2, 2, 2]], probabilities[[0, 1, 2, 2, 2]])
    assert weighted["classwise_ece"] == pytest.approx(repeated["classwise_ece"], abs=1e-6)


def test_noise_of_the_classwise_error() -> None:
    """Calibrated probabilities rarely exceed it, sharpened ones do; rows that come in clusters have more."""
    random, exceeded = np.random.default_rng(0), []
    for seed in range(40):
        probabilities = random.dirichlet(np.ones(5), 400)
        labels = (probabilities.cumsum(axis=1) > random.random((400, 1))).argmax(axis=1)
        sharp = metrics.normalized(probabilities**3)
        models = [metrics.Measured(labels, rows) for rows in (probabilities, sharp)]
        noise = [intervals.calibration_noise(model, np.arange(400), seed) for model in models]
        exceeded.append([model()["classwise_ece"] > limit for model, limit in zip(models, noise, strict=True)])
    assert np.sum(exceeded, axis=0).tolist() == [pytest.approx(1, abs=2), 40]
    repeated = metrics.Measured(np.repeat(labels, 10), np.repeat(probabilities, 10, axis=0))
    by_group = intervals.calibration_noise(repeated, np.repeat(np.arange(400), 10), 39)
    assert by_group == pytest.approx(noise[0])
    assert intervals.calibration_noise(repeated, np.arange(4_000), 39) < 0.5 * by_group


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
    drawn = intervals.bootstrap(models, resamples=100, seed=0, rankings=models)
    assert list(drawn["one"]) == list(models["one"]())
    for key, values in drawn["one"].items():
        assert values.shape == (100,)
        assert np.array_equal(values, drawn["same"][key]) == (key not in metrics.PREDICTED)  # whose pseudo rows differ
    random = np.random.default_rng(0)
    for loss in drawn["one"]["loss"][:3]:
        assert loss == pytest.approx(models["one"].losses[random.integers(200, size=200)].mean())


def test_pseudo_rows_widen_the_interval_of_a_class_that_is_never_found() -> None:
    labels = np.repeat([0, 1], [196, 4])
    measured = metrics.Measured(labels, np.tile([0.9, 0.1], (200, 1)))  # always class 0: recall 0 in every resample
    rows = np.arange(200)
    drawn = intervals.bootstrap({"m": measured}, resamples=1_000, seed=0, of_rows=rows)["m"]
    bounds = intervals.overall_intervals(measured, drawn, rows)
    # With pseudo rows 197 of 198 and 1 of 6 are right: half of the shift, and Student's t times the standard error.
    smoothed = (197 / 198 + 1 / 6) / 2
    error = np.sqrt(1 / 6 * 5 / 6 / 6) / 2
    assert bounds["balanced_accuracy"]["low"] == pytest.approx((0.5 + smoothed) / 2 - 1.97 * error, abs=0.03)
    assert bounds["balanced_accuracy"]["high"] == pytest.approx((0.5 + smoothed) / 2 + 1.97 * error, abs=0.03)
    assert bounds["accuracy"] == pytest.approx(rates.wilson_interval(0.98, 200), abs=1e-6)


def test_pseudo_misses_are_spread_by_the_predicted_shares() -> None:
    measured = metrics.Measured(np.array([0, 1, 2, 2]), np.eye(3)[[0, 1, 1, 1]])
    pseudo = measured.pseudo_rows(np.array([2, 0, 0]), np.array([0, 1, 1]))
    assert pseudo == pytest.approx(np.array([[2, 0, 0], [1, 0, 0], [0.25, 0.75, 0]]), abs=1e-6)
    never = metrics.Measured(np.array([0, 1, 2]), np.eye(3)[[0, 0, 0]]).pseudo_rows(np.zeros(3), np.ones(3))
    assert never[0] == pytest.approx([0, 0.5, 0.5])  # the model predicts no other class: all alike


def test_resamples_without_a_rare_class() -> None:
    labels, rows = np.array([0] * 20 + [1]), np.arange(21)
    measured = {"m": metrics.Measured(labels, np.tile([0.6, 0.4], (21, 1)))}
    drawn = intervals.bootstrap(measured, resamples=100, seed=0, rankings="m")["m"]
    undefined = np.isnan(drawn["roc_auc"])
    assert 20 < undefined.sum() < 60  # (20/21)^21 = 0.36
    assert intervals.interval(drawn["roc_auc"], rows) == {"low": 0.5, "high": 0.5}
    for empty in (intervals.interval(np.full(5, np.nan), rows), intervals.t_interval(0.0, np.full(5, np.nan), rows)):
        assert empty == {}


def test_rankings_of_many_rows_get_fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RANKING_BUDGET", 5 * 3 * 120)
    drawn = intervals.bootstrap({"m": metrics.Measured(LABELS, PROBABILITIES)}, resamples=150, seed=0, rankings="m")[
        "m"
    ]
    assert (len(drawn["pr_auc"]), len(drawn["accuracy"])) == (120, 150)


def test_flatten_nested_metrics() -> None:
    assert metrics.flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a/b/c": 1, "d": 2}


def test_per_class_intervals_narrow_with_more_rows() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [900, 100])
    right = random.random(1_000) < 0.8
    probabilities = np.where((labels == 0) == right, 0.9, 0.1)[:, None] * [1, -1] + [0, 1]
    measured = metrics.Measured(labels, probabilities)
    bounds = rates.per_class_intervals(measured, ["large", "small"], np.arange(1_000))
    values = metrics.per_class(labels, probabilities, ["large", "small"])
    for name, of_class in bounds.items():
        assert all(bound["low"] < values[name][key] < bound["high"] for key, bound in of_class.items())
    width = {name: of_class["recall"]["high"] - of_class["recall"]["low"] for name, of_class in bounds.items()}
    assert width["small"] > 2 * width["large"]
    recall = values["small"]["recall"]
    assert bounds["small"]["recall"] == pytest.approx(rates.wilson_interval(recall, 100), abs=1e-6)
    hits = round(100 * recall)
    shared = hits / (100 + (labels[~right] == 0).sum())  # of the rows that are of the class or predicted as it
    exact = rates.wilson_interval(shared, 100 + (labels[~right] == 0).sum())
    assert bounds["small"]["f1"] == pytest.approx({end: 2 * x / (1 + x) for end, x in exact.items()}, abs=1e-6)


def test_class_without_rows_or_hits() -> None:
    measured = metrics.Measured(np.zeros(50, dtype=int), np.tile([0.4, 0.6, 0.0], (50, 1)))
    bounds = rates.per_class_intervals(measured, ["missed", "called", "absent"], np.arange(50))
    assert bounds["absent"] == {"precision": {}, "recall": {}, "f1": {}}
    assert bounds["missed"]["recall"] == pytest.approx(rates.wilson_interval(0.0, 50), abs=1e-6)
    assert bounds["missed"]["precision"] == {}


def test_loss_of_probability_zero_is_finite() -> None:
    values = metrics.overall(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert values["loss"] == pytest.approx(-np.log(np.finfo(np.float64).eps) / 2)


def test_rankings_have_at_least_100_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RANKING_BUDGET", 1)
    drawn = intervals.bootstrap({"m": metrics.Measured(LABELS, PROBABILITIES)}, resamples=150, seed=0, rankings="m")[
        "m"
    ]
    assert (len(drawn["roc_auc"]), len(drawn["loss"])) == (100, 150)


def test_seed_decides_the_resamples() -> None:
    labels, probabilities, _ = sample(200, 3, 2)
    measured = metrics.Measured(labels, probabilities)
    first, again, other = (intervals.bootstrap({"m": measured}, resamples=9, seed=seed)["m"] for seed in (1, 1, 2))
    for key in ("loss", "macro_f1"):
        assert first[key].tolist() == again[key].tolist() != other[key].tolist()


def test_clusters_are_drawn_as_a_whole() -> None:
    """Twenty authors of ten rows each, of which a model gets all right or all wrong: as much as twenty rows tell."""
    right = np.random.default_rng(0).random(20) < 0.7
    authors = np.repeat(np.arange(20), 10)
    labels = np.tile([0, 1], 100)
    probabilities = np.where((labels == 0) == right[authors], 0.9, 0.1)[:, None] * [1, -1] + [0, 1]
    measured = metrics.Measured(labels, probabilities)
    rows, share = np.arange(200), right.mean()
    for key in ("accuracy", "macro_f1"):
        widths = []
        for of_rows in (rows, authors):
            drawn = intervals.bootstrap({"m": measured}, resamples=400, seed=0, of_rows=of_rows)["m"]
            bounds = intervals.overall_intervals(measured, drawn, of_rows)[key]
            widths.append(bounds["high"] - bounds["low"])
        assert widths[1] == pytest.approx(2 * 2.093 * np.sqrt(share * (1 - share) / 20), rel=0.2)
        assert widths[1] > 2.4 * widths[0]
    names, classes = [f"author {number}" for number in authors], ["a", "b"]
    narrow, wide = (
        rates.per_class_intervals(measured, classes, of_rows)["a"]["recall"]
        for of_rows in (rows, intervals.clusters(names))
    )
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_rates_of_few_clusters() -> None:
    """Without a miss, clusters may be equal inside: they tell no less than as many rows, and no more for sure."""
    hits, clusters = np.ones(100, dtype=bool), np.arange(100) // 10
    quantile = rates.NORMAL / 2.262157  # Student's t with 9 degrees of freedom
    exact = rates.wilson_interval(1.0, 10)["low"]
    assert rates.rate_interval(hits, clusters)["low"] < exact
    assert rates.rate_interval(hits, clusters)["low"] == pytest.approx(
        1 / (1 + rates.NORMAL**2 / (10 * quantile**2)), abs=1e-5
    )
    shuffled = np.random.default_rng(0).permutation(np.arange(1_000) % 10 < 3)  # no more alike inside clusters
    by_cluster, by_row = (rates.rate_interval(shuffled, of) for of in (np.arange(1_000) // 10, np.arange(1_000)))
    assert by_cluster == pytest.approx(by_row, abs=0.01)


def test_bounds_and_few_clusters() -> None:
    values = np.linspace(0.5, 1.0, 101)
    assert intervals.interval(values, np.array([0, 1, 2]), (0, 1)) == {"low": 0.111446, "high": 1.0}
    reach = 4.302653 * np.sqrt(3 / 2) * np.std(values, ddof=1)  # Student's t with 2 degrees of freedom
    assert intervals.t_interval(0.8, values, np.array([0, 1, 2]), (0, 1)) == pytest.approx(
        {"low": 0.8 - reach, "high": 1.0}, abs=2e-6
    )
    assert intervals.t_interval(0.8, values, np.array([0, 1, 2]))["high"] == pytest.approx(0.8 + reach, abs=2e-6)
    assert intervals.interval(values, np.arange(100_000)) == pytest.approx({"low": 0.5125, "high": 0.9875}, abs=1e-4)
    assert intervals.clusters(["", "b", "", "b"]).tolist() == [0, 1, 2, 1]
