"""Evaluate: measure the model on the test rows, and simpler models on the same rows."""

from typing import Any

import numpy as np
import pandas as pd

from .base import command, params, paths
from .base.files import read_arrays, read_table, sha256, write_json, write_table
from .base.modalities import modality
from .evaluation import behaviour, curves, metrics
from .evaluation.comparison import compare_with_baselines, mistakes, rows_digest
from .evaluation.kinds import Kind, kind_of
from .evaluation.settings import Evaluate
from .inference.calibration import combine
from .inference.manifest import read_manifest
from .inference.predictor import Predictor
from .reports import summary
from .reports.figures import render


def measure(
    predictor: Predictor, parts: list[np.ndarray], labels: np.ndarray, settings: Evaluate, others: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metrics and their intervals: of the model, its parts, uncalibrated, and of the baselines."""
    probabilities, raw = (combine(parts, each) for each in (predictor.calibration, predictor.calibration.uncalibrated))
    figures, intervals = compare_with_baselines(
        labels, probabilities, others, list(predictor.classes), resamples=settings.bootstrap, seed=settings.seed
    )
    uncalibrated = metrics.overall(labels, raw)
    figures["uncalibrated"] = {key: uncalibrated[key] for key in ("accuracy", "loss", "ece")}
    figures["temperature"] = predictor.calibration.temperature
    if len(parts) > 1:
        alone = {part.name: metrics.overall(labels, np.exp(v)) for part, v in zip(predictor.parts, parts, strict=True)}
        figures["parts"] = {name: {key: of[key] for key in summary.HEADLINES} for name, of in alone.items()}
    return figures, intervals


def write_rows(
    test: pd.DataFrame, predictor: Predictor, parts: list[np.ndarray], labels: np.ndarray, kind: Kind
) -> None:
    """Write the tables of the test rows, and those that plots are drawn from."""
    classes, names = list(predictor.classes), np.array(predictor.classes, dtype=object)
    probabilities, raw = (combine(parts, each) for each in (predictor.calibration, predictor.calibration.uncalibrated))
    predictions = pd.DataFrame(
        {"id": test["id"], "actual": names[labels], "predicted": names[probabilities.argmax(axis=1)]}
        | {f"p_{name}": probabilities[:, number].round(6) for number, name in enumerate(classes)}
    )
    tables = {
        paths.EVALUATE_PREDICTIONS: predictions,
        paths.EVALUATE_MISTAKES: mistakes(test[["id", "source", "row"]], labels, probabilities, classes),
        paths.EVALUATE_WORDS: kind.words(predictor, paths.TRAIN_MODEL, test),
        paths.EVALUATE_ROC: curves.roc(labels, probabilities, classes),
        paths.EVALUATE_PR: curves.precision_recall(labels, probabilities, classes),
        paths.EVALUATE_RELIABILITY: curves.reliability(labels, {"uncalibrated": raw, "calibrated": probabilities}),
    }
    for path, table in tables.items():
        write_table(path, table)


def main() -> None:
    settings = params.load(Evaluate)
    predictor = Predictor.load(paths.TRAIN_MODEL)
    (name,), classes = predictor.processors, list(predictor.classes)
    arrays, kind = read_arrays(paths.TOKENIZE_ARRAYS["test"]), kind_of(name)
    train, test = read_table(paths.CLEAN_TABLES["train"]), read_table(paths.CLEAN_TABLES["test"])
    labels, array = arrays["label"], arrays[modality(name).array]
    parts = predictor.log_probabilities(test[name].to_list())
    others = kind.baselines(train, test, classes, predictor, settings.baseline_rows)
    figures, intervals = measure(predictor, parts, labels, settings, others)
    masks = kind.slices(test, array, settings.length_bounds)
    figures["slices"] = metrics.slices(labels, combine(parts, predictor.calibration), masks)
    write_rows(test, predictor, parts, labels, kind)
    write_table(paths.EVALUATE_SLICES, pd.DataFrame(masks, index=test.index))
    write_json(paths.EVALUATE_INTERVALS, intervals)  # in a file of its own: `dvc metrics show` is for the metrics
    write_json(paths.EVALUATE_METRICS, figures)
    behaves = kind.behaviour(predictor, test, classes)
    write_json(paths.EVALUATE_BEHAVIOUR, behaves)
    measured = {
        "model": read_manifest(paths.TRAIN_MODEL)["sha256"],
        "test": rows_digest(arrays["row"], labels),
        "sha256": {path.name: sha256(path) for path in paths.EVALUATE_PUBLISHED},
        "settings": settings.model_dump(),
    }
    write_json(paths.EVALUATE_MEASURED, measured)
    render(paths.REPORTS / "evaluate")
    for title, of in {"model": figures["overall"], **figures["baselines"]}.items():
        print(f"{title}: accuracy {of['accuracy']:.4f}, macro-F1 {of['macro_f1']:.4f}, loss {of['loss']:.4f}")
    print(summary.verdict(figures, intervals))
    print(behaviour.line(behaves))


if __name__ == "__main__":
    command.run_stage("evaluate", __doc__, main)
