"""Comparison with baselines, the worst mistakes, and the digest of the measured rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import evaluate
from pipeline.evaluation.comparison import MISTAKES, compare_with_baselines, mistakes, rows_digest


def test_differences_are_paired() -> None:
    """The baseline has one error more than the model: both vary by 13 points, their difference by far less."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=200)
    wrong = random.random(200) < 0.4
    extra = wrong.copy()
    extra[np.flatnonzero(~wrong)[0]] = True
    model, baseline = (np.where((labels ^ errors)[:, None] == [0, 1], 0.9, 0.1) for errors in (wrong, extra))
    values, intervals = compare_with_baselines(labels, model, {"other": baseline}, ["a", "b"], resamples=200, seed=0)
    assert values["overall"]["accuracy"] == pytest.approx(1 - wrong.mean())
    assert values["baselines"]["other"]["accuracy"] == pytest.approx(1 - extra.mean())
    assert list(values["per_class"]) == list(intervals["per_class"]) == ["a", "b"]
    assert list(intervals["overall"]) == [key for key in values["overall"] if key != "num_samples"]
    accuracy = intervals["overall"]["accuracy"]
    assert 0.1 < accuracy["high"] - accuracy["low"] < 0.16
    # One row of 200 differs, and of the pseudo rows one of each class on average; Student's t of three clusters.
    error = np.sqrt(0.005 + 2 / 200) / np.sqrt(200)
    assert intervals["differences"]["other"]["accuracy"] == {
        "difference": 0.005,
        "low": pytest.approx(0.005 - 4.26 * error, abs=0.006),
        "high": pytest.approx(0.005 + 4.26 * error, abs=0.006),
    }
    again = compare_with_baselines(labels, model, {"other": baseline}, ["a", "b"], resamples=200, seed=0)
    assert again == (values, intervals)
    assert compare_with_baselines(labels, model, {"other": baseline}, ["a", "b"], resamples=200, seed=1)[1] != intervals


def test_worst_mistakes_come_first() -> None:
    rows = pd.DataFrame({"id": list("abcd"), "source": "s", "row": [7, 8, 9, 10]})
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.9, 0.1], [0.7, 0.3]])
    worst = mistakes(rows, np.array([1, 0, 1, 1]), probabilities, ["neg", "pos"])
    assert list(worst.columns) == ["id", "source", "row", "actual", "predicted", "confidence", "p_actual"]
    assert worst.to_numpy().tolist() == [
        ["c", "s", 9, "pos", "neg", 0.9, 0.1],
        ["d", "s", 10, "pos", "neg", 0.7, 0.3],
        ["a", "s", 7, "pos", "neg", 0.6, 0.4],
    ]
    many = pd.DataFrame({"id": np.arange(300).astype(str)})
    assert len(mistakes(many, np.ones(300, dtype=int), np.tile([0.9, 0.1], (300, 1)), ["a", "b"])) == MISTAKES
    three = np.array([[0.5, 0.2, 0.3], [0.4, 0.1, 0.5], [0.34, 0.33, 0.33]])
    order = mistakes(rows.head(3), np.array([1, 1, 0]), three, ["a", "b", "c"])["id"]
    assert order.tolist() == ["b", "a"]  # by the true class, not by the confidence
    unsure = np.repeat([[0.34, 0.33, 0.33], [0.5, 0.4, 0.1]], 150, axis=0)  # right, but unsure; wrong
    assert len(mistakes(many, np.repeat([0, 1], 150), unsure, ["a", "b", "c"])) == MISTAKES
    assert mistakes(rows, np.zeros(4, dtype=int), probabilities, ["neg", "pos"]).empty


def test_rows_digest_ignores_only_the_order() -> None:
    rows, labels = np.array(["a", "b"]), np.array([0, 1])
    digest = rows_digest(rows, labels)
    assert rows_digest(rows[::-1], labels[::-1]) == digest
    assert rows_digest(rows, labels[::-1]) != digest
    assert rows_digest(rows[:1], labels[:1]) != digest


def test_undefined_metric_has_no_interval() -> None:
    rows = np.tile([0.9, 0.1], (50, 1))
    values, intervals = compare_with_baselines(
        np.zeros(50, dtype=int), rows, {"other": rows}, ["a", "b"], resamples=9, seed=0
    )
    assert "roc_auc" not in values["overall"]
    assert list(intervals["overall"]) == [key for key in values["overall"] if key != "num_samples"]


def test_seed_and_resamples_decide_the_intervals() -> None:
    random = np.random.default_rng(0)
    labels, model = random.integers(2, size=60), random.dirichlet([1, 1], size=60)
    results = [
        compare_with_baselines(labels, model, {}, ["a", "b"], resamples=resamples, seed=seed)[1]["overall"]
        for resamples, seed in ((101, 0), (101, 1), (400, 0))
    ]
    assert len({str(result["macro_f1"]) for result in results}) == 3


def test_groups_decide_the_intervals() -> None:
    random = np.random.default_rng(0)
    labels, rows = random.integers(2, size=40), random.dirichlet([1, 1], size=(2, 40))
    authors = np.repeat(np.arange(40), 5)
    own, other = rows[0][authors], rows[1][authors]
    arguments = (labels[authors], own, {"other": other}, ["a", "b"])
    alone, grouped = (
        compare_with_baselines(*arguments, resamples=100, seed=0, of_rows=of_rows)[1] for of_rows in (None, authors)
    )
    for narrow, wide in (
        (alone["overall"]["loss"], grouped["overall"]["loss"]),
        (alone["per_class"]["a"]["f1"], grouped["per_class"]["a"]["f1"]),
        (alone["differences"]["other"]["loss"], grouped["differences"]["other"]["loss"]),
    ):
        assert wide["high"] - wide["low"] > 1.7 * (narrow["high"] - narrow["low"])


def test_accuracy_with_conflicts_and_without_near_copies() -> None:
    hits, copies = np.array([True, True, False, True]), np.array([True, False, False, False])
    results: Any = {"overall": {"accuracy": 0.75}}
    evaluate.add_honest_accuracies(results, hits, np.array([True, False, False, False]), copies)
    assert results == {
        "overall": {"accuracy": 0.75, "accuracy_with_conflicts": 0.5, "accuracy_without_near_copies": 0.666667},
        "conflicts": {"num_samples": 4},
        "near_copies": {"num_samples": 1, "share": 0.25},
    }
    line = "1 test rows (25.0%) nearly repeat a training row; without them, the accuracy is 0.6667."
    assert evaluate.near_copies_line(results) == line
    few: Any = results | {"near_copies": {"num_samples": 1, "share": 0.009}}
    assert evaluate.near_copies_line(few) == ""
    everything: Any = {"overall": {}}
    evaluate.add_honest_accuracies(everything, hits, np.zeros(0, dtype=bool), np.ones(4, dtype=bool))
    assert everything["overall"] == {"accuracy_with_conflicts": 0.75}
    assert evaluate.near_copies_line(everything) == ""
