"""Evaluate: paired differences, the worst mistakes, and which rows were measured."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.comparison import MISTAKES, compare_with_baselines, mistakes, rows_digest


def test_the_difference_is_paired() -> None:
    """A baseline that errs on one row more than the model: both vary by 13 points, their difference by far less."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=200)
    wrong = random.random(200) < 0.4
    extra = wrong.copy()
    extra[np.flatnonzero(~wrong)[0]] = True
    model, baseline = (np.where((labels ^ errs)[:, None] == [0, 1], 0.9, 0.1) for errs in (wrong, extra))
    figures, intervals = compare_with_baselines(labels, model, {"other": baseline}, ["a", "b"], resamples=200, seed=0)
    assert figures["overall"]["accuracy"] == pytest.approx(1 - wrong.mean())
    assert figures["baselines"]["other"]["accuracy"] == pytest.approx(1 - extra.mean())
    assert list(figures["per_class"]) == list(intervals["per_class"]) == ["a", "b"]
    assert list(intervals["overall"]) == [key for key in figures["overall"] if key != "num_samples"]
    alone = intervals["overall"]["accuracy"]
    assert 0.1 < alone["high"] - alone["low"] < 0.16
    of = intervals["differences"]["other"]["accuracy"]
    assert of == {"difference": 0.005, "low": 0.0, "high": pytest.approx(0.0175, abs=0.0051)}
    again = compare_with_baselines(labels, model, {"other": baseline}, ["a", "b"], resamples=200, seed=0)
    assert again == (figures, intervals)
    assert compare_with_baselines(labels, model, {"other": baseline}, ["a", "b"], resamples=200, seed=1)[1] != intervals


def test_mistakes_are_the_worst_first_and_hold_no_text() -> None:
    rows = pd.DataFrame({"id": list("abcd"), "source": "s", "row": [7, 8, 9, 10]})
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.9, 0.1], [0.7, 0.3]])
    found = mistakes(rows, np.array([1, 0, 1, 1]), probabilities, ["neg", "pos"])
    assert list(found.columns) == ["id", "source", "row", "actual", "predicted", "confidence", "p_actual"]
    assert found.to_numpy().tolist() == [
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


def test_the_digest_of_the_rows_ignores_their_order_alone() -> None:
    rows, labels = np.array(["a", "b"]), np.array([0, 1])
    digest = rows_digest(rows, labels)
    assert rows_digest(rows[::-1], labels[::-1]) == digest
    assert rows_digest(rows, labels[::-1]) != digest
    assert rows_digest(rows[:1], labels[:1]) != digest


def test_a_figure_that_is_undefined_has_no_interval() -> None:
    rows = np.tile([0.9, 0.1], (50, 1))
    figures, intervals = compare_with_baselines(
        np.zeros(50, dtype=int), rows, {"other": rows}, ["a", "b"], resamples=9, seed=0
    )
    assert "roc_auc" not in figures["overall"]
    assert list(intervals["overall"]) == [key for key in figures["overall"] if key != "num_samples"]


def test_seed_and_resamples_decide_the_intervals_of_classes() -> None:
    random = np.random.default_rng(0)
    labels, model = random.integers(2, size=60), random.dirichlet([1, 1], size=60)
    found = [
        compare_with_baselines(labels, model, {}, ["a", "b"], resamples=resamples, seed=seed)[1]["per_class"]
        for resamples, seed in ((101, 0), (101, 1), (400, 0))
    ]
    assert len({str(each) for each in found}) == 3
