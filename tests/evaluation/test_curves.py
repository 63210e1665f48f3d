"""Curves: exact points of tiny arrays, few points of large ones."""

import numpy as np
import pytest
from sklearn import metrics as sklearn

from pipeline.evaluation import curves

LABELS = np.array([0, 0, 1, 1])

SCORES = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8]])


def test_roc_points() -> None:
    table = curves.roc(LABELS, SCORES, ["a", "b"])
    assert table[table["class"] == "a"].to_numpy().tolist() == [  # rows 2 and 3 are tied: one step
        ["a", 0, 0],
        ["a", 0, 0.5],
        ["a", 0.5, 1],
        ["a", 1, 1],
    ]


def test_precision_recall_points() -> None:
    table = curves.precision_recall(LABELS, SCORES, ["a", "b"])
    assert table[table["class"] == "b"].to_numpy().tolist() == [
        ["b", 0.5, 1],
        ["b", 1, 0.666667],
        ["b", 1, 0.5],
    ]


def test_reliability_bins() -> None:
    table = curves.reliability(LABELS, {"uncalibrated": SCORES, "calibrated": np.tile([0.55, 0.45], (4, 1))})
    assert table.to_numpy().tolist() == [
        ["uncalibrated", 9, 0.6, 0.5, 2],
        ["uncalibrated", 12, 0.8, 1, 1],
        ["uncalibrated", 14, 0.9, 1, 1],
        ["calibrated", 9, 0.55, 0.5, 4],
    ]


def test_large_curves_keep_their_area() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(20_000) < 0.02).astype(int)
    high = 1 / (1 + np.exp(-random.normal(size=20_000) - 2 * labels))
    scores = np.stack([1 - high, high], axis=1)
    roc = curves.roc(labels, scores, ["a", "b"])
    rare = roc[roc["class"] == "b"]
    assert 100 < len(rare) <= curves.POINTS
    area = sklearn.auc(rare["false_positive_rate"], rare["true_positive_rate"])
    assert area == pytest.approx(sklearn.roc_auc_score(labels, high), abs=0.002)
    assert rare.iloc[[0, -1], 1:].to_numpy().tolist() == [[0, 0], [1, 1]]
    pr = curves.precision_recall(labels, scores, ["a", "b"])
    rare = pr[pr["class"] == "b"]
    assert 100 < len(rare) <= curves.POINTS
    area = sklearn.auc(rare["recall"], rare["precision"])
    assert area == pytest.approx(sklearn.average_precision_score(labels, high), abs=0.01)


def test_class_without_rows_has_no_curve() -> None:
    table = curves.roc(LABELS, np.column_stack([SCORES, np.zeros(4)]), ["a", "b", "none"])
    assert set(table["class"]) == {"a", "b"}
    assert curves.roc(LABELS[:2], SCORES[:2], ["a", "b"]).empty
