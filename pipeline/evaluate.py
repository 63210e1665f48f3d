"""Measure the model and simpler models on the test rows."""

import numpy as np
import pandas as pd

from .base import command, params, paths
from .base.files import read_arrays, read_table, sha256, write_json, write_table
from .base.modalities import modality
from .evaluation import behaviour, curves, metrics
from .evaluation.comparison import (
    EvaluationIntervals,
    EvaluationMetrics,
    compare_with_baselines,
    mistakes,
    rows_digest,
)
from .evaluation.kinds import Kind, kind_of
from .evaluation.settings import Evaluate
from .inference.calibration import combine
from .inference.manifest import read_manifest
from .inference.predictor import Predictor
from .reports import summary
from .reports.figures import draw_figures


def measure_model(
    predictor: Predictor,
    parts: list[np.ndarray],
    labels: np.ndarray,
    settings: Evaluate,
    baselines: dict[str, np.ndarray],
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
    """
    all_metrics, intervals = compare_with_baselines(
        labels,
        combine(parts, predictor.calibration),
        baselines,
        predictor.classes,
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
    uncalibrated = metrics.overall(labels, combine(parts, predictor.calibration.uncalibrated))
    all_metrics["uncalibrated"] = {key: uncalibrated[key] for key in ("accuracy", "loss", "ece")}
    all_metrics["temperature"] = predictor.calibration.temperature
    if len(parts) > 1:
        by_part = {
            part.name: metrics.overall(labels, np.exp(log_probabilities))
            for part, log_probabilities in zip(predictor.parts, parts, strict=True)
        }
        all_metrics["parts"] = {
            name: {key: overall[key] for key in summary.HEADLINES} for name, overall in by_part.items()
        }
    return all_metrics, intervals


def write_rows(
    test: pd.DataFrame, predictor: Predictor, parts: list[np.ndarray], labels: np.ndarray, kind: Kind
) -> None:
    """Write the tables of predictions, mistakes and words, and those behind the plots; parameters as above."""
    classes, names = list(predictor.classes), np.array(predictor.classes, dtype=object)
    probabilities = combine(parts, predictor.calibration)
    uncalibrated = combine(parts, predictor.calibration.uncalibrated)
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
        paths.EVALUATE_RELIABILITY: curves.reliability(
            labels, {"uncalibrated": uncalibrated, "calibrated": probabilities}
        ),
    }
    for path, table in tables.items():
        write_table(path, table)


def write_measured(rows: np.ndarray, labels: np.ndarray, settings: Evaluate) -> None:
    """Write what was measured: digests of the model, of the test rows and of the published files, and the settings."""
    measured = {
        "model": read_manifest(paths.TRAIN_MODEL)["sha256"],
        "test": rows_digest(rows, labels),
        "sha256": {path.name: sha256(path) for path in paths.EVALUATE_PUBLISHED},
        "settings": settings.model_dump(),
    }
    write_json(paths.EVALUATE_MEASURED, measured)


def main() -> None:
    settings = params.load(Evaluate)
    predictor = Predictor.load(paths.TRAIN_MODEL)
    (name,), classes = predictor.processors, predictor.classes
    arrays, kind = read_arrays(paths.TOKENIZE_ARRAYS["test"]), kind_of(name)
    train, test = read_table(paths.CLEAN_TABLES["train"]), read_table(paths.CLEAN_TABLES["test"])
    labels = arrays["label"]
    parts = predictor.log_probabilities(test[name].to_list())
    baselines = kind.baselines(train, test, classes, predictor, settings.baseline_rows)
    all_metrics, intervals = measure_model(predictor, parts, labels, settings, baselines)
    masks = kind.slices(test, arrays[modality(name).array], settings.length_bounds)
    all_metrics["slices"] = metrics.slices(labels, combine(parts, predictor.calibration), masks)
    behaviour_report = kind.behaviour(predictor, test, classes)

    write_rows(test, predictor, parts, labels, kind)
    write_table(paths.EVALUATE_SLICES, pd.DataFrame(masks, index=test.index))
    write_json(paths.EVALUATE_INTERVALS, intervals)  # not in metrics.json, all of which `dvc metrics show` prints
    write_json(paths.EVALUATE_METRICS, all_metrics)
    write_json(paths.EVALUATE_BEHAVIOUR, behaviour_report)
    write_measured(arrays["row"], labels, settings)
    draw_figures(paths.REPORTS / "evaluate")
    for title, overall in {"model": all_metrics["overall"], **all_metrics["baselines"]}.items():
        accuracy, macro_f1, loss = (overall[key] for key in summary.HEADLINES)
        print(f"{title}: accuracy {accuracy:.4f}, macro-F1 {macro_f1:.4f}, loss {loss:.4f}")
    print(summary.verdict(all_metrics, intervals))
    print(behaviour.weakest_line(behaviour_report))


if __name__ == "__main__":
    command.run_stage("evaluate", __doc__, main)
