"""Comparison of a model with baselines, its worst mistakes, and a digest of the rows that were measured."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
import pandas as pd

from ..inference.calibration import combine
from ..inference.predictor import Predictor
from . import metrics
from .calibrator import Calibrator
from .intervals import bootstrap, calibration_noise, clusters, overall_intervals, t_interval
from .metrics import Measured, Metrics, precision_recall_f1
from .rates import Interval, per_class_intervals
from .settings import Evaluate

MISTAKES = 100  # number of mistakes listed
MODEL = ""  # the model's name among the baselines' names


class Others(NamedTuple):
    """What a model is compared with: class probabilities of the test rows, (n_rows, n_classes), by name.

    `baselines` are simpler models; `alone` are the model with the network only, and without it, see `compared_with`.
    """

    baselines: dict[str, np.ndarray]
    alone: dict[str, np.ndarray]


class EvaluationMetrics(TypedDict):
    """Content of `metrics.json`.

    All but `baselines` and `alone` are the model's. `baselines`, `per_class`, `weights` (of the parts) and `slices` are
    by name; `alone` is the model with the network only, and without it, both calibrated as the model is.
    `compare_with_baselines` returns the first three, `measure_model` adds the next, and the stage the last three: of
    rows that clean dropped, of near copies of training rows, and of slices.
    """

    overall: Metrics
    baselines: dict[str, Metrics]
    per_class: dict[str, Metrics]
    uncalibrated: NotRequired[Metrics]
    temperature: NotRequired[float]
    weights: NotRequired[Metrics]
    alone: NotRequired[dict[str, Metrics]]
    conflicts: NotRequired[Metrics]
    near_copies: NotRequired[Metrics]
    slices: NotRequired[dict[str, Metrics]]


class EvaluationIntervals(TypedDict):
    """Content of `intervals.json`: 95 % intervals.

    `overall` (by metric), `per_class` (by class and metric) and `slices` (by slice, of accuracy) are the model's; the
    stage adds the slices. `differences` are the model minus each baseline, by baseline and metric, and also have the
    `difference` itself; `alone` the same for the model with the network only, and without it. `reached` is no
    interval, but the highest recall of each class that a baseline reaches. `noise` is the class-wise ECE that
    calibrated probabilities would exceed on such rows one time in 40.
    """

    overall: dict[str, Interval]
    per_class: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    alone: dict[str, dict[str, Interval]]
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
    alone: Mapping[str, np.ndarray] | None = None,
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
    alone : mapping of str to ndarray of shape (n_rows, n_classes), float, optional
        Probabilities of the model with some of its parts only, by name.
    """
    alone = alone or {}
    measured = {name: Measured(labels, rows) for name, rows in {MODEL: model, **baselines, **alone}.items()}
    of_rows = np.arange(len(labels)) if of_rows is None else of_rows
    ranked = {MODEL, *baselines}
    drawn = bootstrap(measured, resamples=resamples, seed=seed, rankings=ranked, of_rows=of_rows)
    others = {name: predictions.overall() for name, predictions in measured.items()}
    own = others.pop(MODEL)
    reached = np.max([np.zeros(len(classes)), *(_recalls(measured[name]) for name in baselines)], axis=0)
    differences = {
        name: {
            key: {"difference": round(own[key] - other[key], 6)}
            | t_interval(
                own[key] - other[key],
                values - drawn[name][key],
                of_rows,
                by_row=measured[MODEL].by_row(key) - measured[name].by_row(key),
            )
            for key, values in drawn[MODEL].items()
            if key in own and key in other and key in drawn[name]
        }
        for name, other in others.items()
    }
    intervals: EvaluationIntervals = {
        "overall": {
            key: bounds
            for key, bounds in overall_intervals(measured[MODEL], drawn[MODEL], of_rows).items()
            if key in own
        },
        "per_class": per_class_intervals(measured[MODEL], classes, of_rows),
        "differences": {name: differences[name] for name in baselines},
        "alone": {name: differences[name] for name in alone},
        "reached": dict(zip(classes, reached.tolist(), strict=True)),
        "noise": round(calibration_noise(measured[MODEL], of_rows, seed), 6),
    }
    own_metrics: EvaluationMetrics = {
        "overall": own,
        "baselines": {name: others[name] for name in baselines},
        "per_class": metrics.per_class(labels, model, classes),
    }
    if alone:
        own_metrics["alone"] = {name: {key: others[name][key] for key in metrics.HEADLINES} for name in alone}
    return own_metrics, intervals


def _recalls(measured: Measured) -> np.ndarray:
    """Return the recall of each class, shape (n_classes,), rounded; 0 for a class without rows."""
    recalls = precision_recall_f1(measured.confusion(np.ones(len(measured.labels))))["recall"]
    rounded: np.ndarray = np.nan_to_num(recalls).round(6)
    return rounded


def compared_with(
    predictor: Predictor,
    validation: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    baselines: Mapping[str, np.ndarray],
    calibrator: Calibrator,
) -> Others:
    """Calibrate what the model is compared with on the validation rows, as the model is.

    Parameters
    ----------
    predictor : Predictor
        The model. Its first part is the network.
    validation, test : sequence of ndarray of shape (n_rows, n_classes), float64
        Logarithms of the probabilities of each part, for the rows of both splits.
    baselines : mapping of str to ndarray of shape (n_validation_rows + n_test_rows, n_classes), float64
        Probabilities of the baselines for both.
    calibrator : Calibrator
        Of these validation rows.
    """
    count = len(calibrator.labels)
    calibrated = {
        name: rows[count:] if name == "majority" else calibrator.baseline(rows[:count], rows[count:])
        for name, rows in baselines.items()
    }
    network, *rest = predictor.parts
    alone = {}
    if rest:
        alone = {
            network.name: calibrator.parts(validation[:1], test[:1]),
            f"without_{network.name}": calibrator.parts(validation[1:], test[1:]),
        }
    return Others(calibrated, alone)


def measure_model(
    predictor: Predictor,
    parts: Sequence[np.ndarray],
    labels: np.ndarray,
    settings: Evaluate,
    others: Others,
    groups: Sequence[str] = (),
) -> tuple[EvaluationMetrics, EvaluationIntervals]:
    """Return the metrics of the model, the uncalibrated model, its parts and the baselines, with their intervals.

    Parameters
    ----------
    predictor : Predictor
        The model.
    parts : sequence of ndarray of shape (n_rows, n_classes), float64
        Logarithms of the probabilities of each part of the model.
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    settings : Evaluate
        Section evaluate of the parameters.
    others : Others
        What it is compared with.
    groups : sequence of str
        The group of each row, such as its author, "" for none; empty if no row has one.
    """
    all_metrics, intervals = compare_with_baselines(
        labels,
        combine(parts, predictor.calibration),
        others.baselines,
        predictor.classes,
        resamples=settings.bootstrap,
        seed=settings.seed,
        of_rows=clusters(groups) if any(groups) else None,
        alone=others.alone,
    )
    uncalibrated = metrics.overall(labels, combine(parts, predictor.calibration.uncalibrated))
    all_metrics["uncalibrated"] = {key: uncalibrated[key] for key in ("accuracy", "loss", "ece", "classwise_ece")}
    all_metrics["temperature"] = predictor.calibration.temperature
    names = (part.name for part in predictor.parts)
    all_metrics["weights"] = dict(zip(names, predictor.calibration.weights, strict=True))
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
