"""Evaluate: the model on the test rows, beside simpler models on the same rows."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from . import (
    baselines,
    behaviour,
    calibration,
    curves,
    explain,
    metrics,
    params,
    paths,
    plots,
    publish,
    slices,
    stage,
    summary,
)
from .files import read_arrays, read_table, sha256, write_json, write_table
from .prediction import PARTS, Predictor, read_manifest

MISTAKES = 100  # the worst ones listed
PUBLISHED = (paths.EVALUATE_METRICS, paths.EVALUATE_INTERVALS, paths.EVALUATE_BEHAVIOUR)


def compare(
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
    drawn = metrics.bootstrap(measured, resamples=resamples, seed=seed)
    own = figures.pop("")
    intervals = {
        "overall": {key: metrics.interval(values) for key, values in drawn[""].items() if key in own},
        "per_class": metrics.per_class_intervals(measured[""], classes, resamples=resamples, seed=seed),
        "differences": {
            name: {
                key: {
                    "difference": round(own[key] - other[key], 6),
                    **metrics.interval(drawn[""][key] - drawn[name][key]),
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


def telling_words(predictor: Predictor, test: pd.DataFrame) -> pd.DataFrame:
    """The words that say most to the model in the test rows, drawn by the hash that is their id."""
    from threadpoolctl import threadpool_limits

    drawn = test.sort_values("id", kind="stable")["text"].to_list()
    with threadpool_limits(1):  # the products are small: more threads wait for one another
        return explain.telling_words(explain.Explainer.beside(predictor, paths.TRAIN_MODEL), drawn)


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


def main() -> None:
    settings = params.load(params.Evaluate)
    predictor = Predictor.load(paths.TRAIN_MODEL)
    classes = list(predictor.classes)
    arrays = read_arrays(paths.TOKENIZE_ARRAYS["test"])
    train, test = read_table(paths.CLEAN_TABLES["train"]), read_table(paths.CLEAN_TABLES["test"])
    labels = arrays["label"]
    parts = predictor.parts(test["text"].to_list())
    raw = calibration.combine(parts, predictor.calibration.uncalibrated)
    probabilities = calibration.combine(parts, predictor.calibration)
    others = baselines.probabilities(
        train, test, classes, unit=predictor.tokenizer.unit, max_rows=settings.baseline_rows
    )
    figures, intervals = compare(
        labels, probabilities, others, classes, resamples=settings.bootstrap, seed=settings.seed
    )
    uncalibrated = metrics.overall(labels, raw)
    figures["uncalibrated"] = {key: uncalibrated[key] for key in ("accuracy", "loss", "ece")}
    figures["temperature"] = predictor.calibration.temperature
    if len(parts) > 1:
        alone = {name: metrics.overall(labels, np.exp(part)) for name, part in zip(PARTS, parts, strict=True)}
        figures["parts"] = {name: {key: of[key] for key in summary.HEADLINES} for name, of in alone.items()}
    members = slices.members(test, (arrays["ids"] > 0).sum(axis=1), settings.length_bounds)
    figures["slices"] = metrics.slices(labels, probabilities, members)
    names = np.array(classes, dtype=object)
    predictions = pd.DataFrame(
        {"id": arrays["row"], "actual": names[labels], "predicted": names[probabilities.argmax(axis=1)]}
        | {f"p_{name}": probabilities[:, number].round(6) for number, name in enumerate(classes)}
    )
    tables = {
        paths.EVALUATE_PREDICTIONS: predictions,
        paths.EVALUATE_MISTAKES: mistakes(test[["id", "source", "row"]], labels, probabilities, classes),
        paths.EVALUATE_WORDS: telling_words(predictor, test),
        paths.EVALUATE_ROC: curves.roc(labels, probabilities, classes),
        paths.EVALUATE_PR: curves.precision_recall(labels, probabilities, classes),
        paths.EVALUATE_SLICES: pd.DataFrame(members),
        paths.EVALUATE_RELIABILITY: curves.reliability(labels, {"uncalibrated": raw, "calibrated": probabilities}),
    }
    for path, table in tables.items():
        write_table(path, table)
    write_json(paths.EVALUATE_INTERVALS, intervals)  # apart: `dvc metrics show` is for the figures themselves
    write_json(paths.EVALUATE_METRICS, figures)
    behaves = behaviour.measure(
        predictor.probabilities,
        test["text"].to_list(),
        test["id"].to_list(),
        classes,
        language=predictor.tokenizer.language,
    )
    write_json(paths.EVALUATE_BEHAVIOUR, behaves)
    measured = {
        "model": read_manifest(paths.TRAIN_MODEL)["sha256"],
        "test": rows_digest(arrays["row"], labels),
        "sha256": {path.name: sha256(path) for path in PUBLISHED},
        "settings": settings.model_dump(),
    }
    write_json(paths.EVALUATE_MEASURED, measured)
    plots.render(paths.REPORTS / "evaluate")
    for name, of in {"model": figures["overall"], **figures["baselines"]}.items():
        print(f"{name}: accuracy {of['accuracy']:.4f}, macro-F1 {of['macro_f1']:.4f}, loss {of['loss']:.4f}")
    print(summary.verdict(figures, intervals))
    print(behaviour.line(behaves))
    publish.after_evaluate()


if __name__ == "__main__":
    stage.run("evaluate", main)
