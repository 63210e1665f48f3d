"""Comparison."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from . import metrics
from .intervals import bootstrap, interval, per_class_intervals

MISTAKES = 100  # the worst ones listed


def compare_with_baselines(
    labels: np.ndarray,
    model: np.ndarray,
    others: dict[str, np.ndarray],
    classes: list[str],
    *,
    resamples: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's figures and the baselines', and the 95 % intervals of the figures and of their differences.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    model : ndarray of shape (n_rows, n_classes), float
        The model's probabilities.
    others : dict of str to ndarray of shape (n_rows, n_classes), float
        Those of the baselines, by name.
    classes : list of str
        Class names.
    resamples, seed : int
        As in `metrics.bootstrap`.

    Returns
    -------
    figures : dict
        `overall`: the model's; `baselines`: {name: figures}; `per_class`: {class: figures}, the model's.
    intervals : dict
        `overall`: {figure: {low, high}} and `per_class`: {class: {figure: {low, high}}}, the model's; `differences`:
        {baseline: {figure: {difference, low, high}}}, model minus baseline, both measured on the same resamples.
    """
    measured = {name: metrics.Measured(labels, rows) for name, rows in {"": model, **others}.items()}
    figures = {name: of.overall() for name, of in measured.items()}
    drawn = bootstrap(measured, resamples=resamples, seed=seed)
    own = figures.pop("")
    intervals = {
        "overall": {key: interval(values) for key, values in drawn[""].items() if key in own},
        "per_class": per_class_intervals(measured[""], classes, resamples=resamples, seed=seed),
        "differences": {
            name: {
                key: {
                    "difference": round(own[key] - other[key], 6),
                    **interval(drawn[""][key] - drawn[name][key]),
                }
                for key in drawn[name]
                if key in own and key in other
            }
            for name, other in figures.items()
        },
    }
    return {"overall": own, "baselines": figures, "per_class": metrics.per_class(labels, model, classes)}, intervals


def mistakes(rows: pd.DataFrame, labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """The rows that the model gets most wrong: at most 100, the least probable true class first, without their texts.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
        What tells where a row comes from: `id`, `source`, `row`.
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Predicted probabilities.
    classes : list of str
        Class names.

    Returns
    -------
    DataFrame
        The columns of `rows`, and `actual`, `predicted`, `confidence` and `p_actual`.
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
    """SHA-256 of which rows were measured, in any order: two models with the same one can be compared.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,), str
        Row ids.
    labels : ndarray of shape (n_rows,), int32
        Class numbers.
    """
    lines = sorted(f"{row} {label}" for row, label in zip(rows, labels, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
