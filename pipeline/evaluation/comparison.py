"""Comparison of a model with baselines, its worst mistakes, and a digest of the rows that were measured."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd

from ..inference.calibration import combine
from ..inference.predictor import Predictor
from . import metrics
from .intervals import bootstrap, calibration_noise, clusters, overall_intervals, t_interval
from .metrics import Measured, Metrics, precision_recall_f1
from .rates import Interval, per_class_intervals
from .settings import Evaluate

MISTAKES = 100  # number of mistakes listed
MODEL = ""  # the model's name among the baselines' names


class EvaluationMetrics(TypedDict):
    """Content of `metrics.json`.

    All but `baselines` are the model's; `baselines`, `per_class`, `parts` and `slices` are by name.
    `compare_with_baselines` returns the first three, `measure_model` adds the next, and the stage the last three: of
    rows that clean dropped, of near copies of training rows, and of slices.
    """

    overall: Metrics
    baselines: dict[str, Metrics]
    per_class: dict[str, Metrics]
    uncalibrated: NotRequired[Metrics]
    temperature: NotRequired[float]
    parts: NotRequired[dict[str, Metrics]]
    conflicts: NotRequired[Metrics]
    near_copies: NotRequired[Metrics]
    slices: NotRequired[dict[str, Metrics]]


class EvaluationIntervals(TypedDict):
    """Content of `intervals.json`: 95 % intervals.

    `overall` (by metric), `per_class` (by class and metric) and `slices` (by slice, of accuracy) are the model's; the
    stage adds the slices. `differences` are the model minus each
    baseline, by baseline and metric, and also have the `difference` itself. `reached` is no interval, but the highest
    recall of each class that a baseline reaches. `noise` is the class-wise ECE that calibrated probabilities would
    exceed on such rows one time in 40.
    """

    overall: dict[str, Interval]
    per_class: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    reached: dict[str, float]
    noise: float
    slices: NotRequired[dict[str, dict[str, Interval]]]


def compare_with_baselines(
    labels: np.ndarray,
    model: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    classes: Sequence[str],
    *,
    resamples: int,
    seed: int,
    of_rows: np.ndarray | None = None,
) -> tuple[EvaluationMetrics, EvaluationIntervals]:
    """Measure a model and baselines on the same rows and the same resamples of them.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    model : ndarray of shape (n_rows, n_classes), float
        The model's probabilities.
    baselines : mapping of str to ndarray of shape (n_rows, n_classes), float
        Probabilities of the baselines, by name.
    classes : sequence of str
        Class names.
    resamples, seed, of_rows
        As in `intervals.bootstrap`.
    """
    measured = {name: Measured(labels, rows) for name, rows in {MODEL: model, **baselines}.items()}
    of_rows = np.arange(len(labels)) if of_rows is None else of_rows
    drawn = bootstrap(measured, resamples=resamples, seed=seed, of_rows=of_rows)
    others = {name: predictions.overall() for name, predictions in measured.items()}
    own = others.pop(MODEL)
    reached = np.max([np.zeros(len(classes)), *(_recalls(measured[name]) for name in baselines)], axis=0)
    intervals: EvaluationIntervals = {
        "overall": {
            key: bounds
            for key, bounds in overall_intervals(measured[MODEL], drawn[MODEL], of_rows).items()
            if key in own
        },
        "per_class": per_class_intervals(measured[MODEL], classes, of_rows),
        "differences": {
            name: {
                key: {"difference": round(own[key] - other[key], 6)}
                | t_interval(own[key] - other[key], values - drawn[name][key], of_rows)
                for key, values in drawn[MODEL].items()
                if key in own and key in other and key in drawn[name]
            }
            for name, other in others.items()
        },
        "reached": dict(zip(classes, reached.tolist(), strict=True)),
        "noise": round(calibration_noise(measured[MODEL], of_rows, seed), 6),
    }
    own_metrics: EvaluationMetrics = {
        "overall": own,
        "baselines": others,
        "per_class": metrics.per_class(labels, model, classes),
    }
    return own_metrics, intervals


def _recalls(measured: Measured) -> np.ndarray:
    """Return the recall of each class, shape (n_classes,), rounded; 0 for a class without rows."""
    recalls = precision_recall_f1(measured.confusion(np.ones(len(measured.labels))))["recall"]
    rounded: np.ndarray = np.nan_to_num(recalls).round(6)
    return rounded


def measure_model(
    predictor: Predictor,
    parts: list[np.ndarray],
    labels: np.ndarray,
    settings: Evaluate,
    baselines: dict[str, np.ndarray],
    groups: Sequence[str] = (),
) -> tuple[EvaluationMetrics, EvaluationIntervals]:
    """Return the metrics of the model, the uncalibrated model, its parts and the baselines, with their intervals.

    Parameters
    ----------
    predictor : Predictor
        The model.
    parts : list of ndarray of shape (n_rows, n_classes), float64
        Logarithms of the probabilities of each part of the model.
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    settings : Evaluate
        Section evaluate of the parameters.
    baselines : dict of str to ndarray of shape (n_rows, n_classes), float64
        Probabilities of the baselines.
    groups : sequence of str
        The group of each row, such as its author, "" for none; empty if no row has one.
    """
    all_metrics, intervals = compare_with_baselines(
        labels,
        combine(parts, predictor.calibration),
        baselines,
        predictor.classes,
        resamples=settings.bootstrap,
        seed=settings.seed,
        of_rows=clusters(groups) if any(groups) else None,
    )
    uncalibrated = metrics.overall(labels, combine(parts, predictor.calibration.uncalibrated))
    all_metrics["uncalibrated"] = {key: uncalibrated[key] for key in ("accuracy", "loss", "ece", "classwise_ece")}
    all_metrics["temperature"] = predictor.calibration.temperature
    if len(parts) > 1:
        by_part = {
            part.name: metrics.overall(labels, np.exp(log_probabilities))
            for part, log_probabilities in zip(predictor.parts, parts, strict=True)
        }
        all_metrics["parts"] = {
            name: {key: overall[key] for key in metrics.HEADLINES} for name, overall in by_part.items()
        }
    return all_metrics, intervals


def mistakes(rows: pd.DataFrame, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return the worst mistakes, at most 100: the wrong predictions with the least probable true class first.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
        Columns that identify a row, such as `id`, `source` and `row`; no texts.
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Predicted probabilities.
    classes : sequence of str
        Class names.

    Returns
    -------
    DataFrame
        The columns of `rows`, and `actual`, `predicted`, `confidence` and `p_actual`.

    Examples
    --------
    >>> rows = pd.DataFrame({"id": ["x", "y"]})
    >>> mistakes(rows, np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]), ["sad", "glad"]).to_numpy().tolist()
    [['y', 'glad', 'sad', 0.7, 0.3]]
    """
    names, predicted = np.array(classes, dtype=object), probabilities.argmax(axis=1)
    actual = probabilities[np.arange(len(labels)), labels]
    worst = np.argsort(actual, kind="stable")
    worst = worst[(predicted != labels)[worst]][:MISTAKES]
    return rows.iloc[worst].assign(
        actual=names[labels[worst]],
        predicted=names[predicted[worst]],
        confidence=probabilities.max(axis=1)[worst].round(6),
        p_actual=actual[worst].round(6),
    )


def rows_digest(rows: np.ndarray, labels: np.ndarray) -> str:
    """Return the SHA-256 digest of the measured rows, in any order: models with equal digests can be compared.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,), str
        Row ids.
    labels : ndarray of shape (n_rows,), int32
        Class numbers.

    Examples
    --------
    >>> rows_digest(np.array(["a", "b"]), np.array([0, 1])) == rows_digest(np.array(["b", "a"]), np.array([1, 0]))
    True
    """
    lines = sorted(f"{row} {label}" for row, label in zip(rows, labels, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
