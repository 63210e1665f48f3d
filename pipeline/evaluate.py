"""Measure the model and simpler models on the test rows."""

import numpy as np
import pandas as pd

from .base import command, params, paths
from .base.files import read_arrays, read_table, sha256, write_json, write_table
from .base.modalities import modality
from .evaluation import behaviour, curves, metrics
from .evaluation.calibrator import Calibrator
from .evaluation.comparison import EvaluationMetrics, compared_with, measure_model, mistakes, rows_digest
from .evaluation.intervals import clusters
from .evaluation.kinds import Kind, kind_of
from .evaluation.rates import slice_intervals
from .evaluation.settings import Evaluate
from .inference.calibration import combine
from .inference.manifest import read_manifest
from .inference.predictor import Predictor
from .reports import summary
from .reports.figures import draw_figures

NOTABLE_COPIES = 0.01  # share of the test rows


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


def add_honest_accuracies(
    all_metrics: EvaluationMetrics, hits: np.ndarray, conflict_hits: np.ndarray, copies: np.ndarray
) -> None:
    """Add the accuracy with the conflicting rows that clean dropped, and without near copies of training rows.

    Parameters
    ----------
    all_metrics : dict
        Gets `conflicts` and `near_copies`, and both accuracies in `overall`.
    hits : ndarray of shape (n_rows,), bool
        Whether each test row is predicted right.
    conflict_hits : ndarray of shape (n_conflicting_rows,), bool
        Whether each conflicting row has the label that is predicted for its text.
    copies : ndarray of shape (n_rows,), bool
        Which test rows are near copies.
    """
    accuracies = {"accuracy_with_conflicts": np.append(hits, conflict_hits).mean()}
    all_metrics["conflicts"] = {"num_samples": len(conflict_hits)}
    all_metrics["near_copies"] = {"num_samples": int(copies.sum())} | metrics.rounded({"share": copies.mean()})
    if not copies.all():
        accuracies["accuracy_without_near_copies"] = hits[~copies].mean()
    all_metrics["overall"] |= metrics.rounded(accuracies)


def near_copies_line(all_metrics: EvaluationMetrics) -> str:
    """Return a sentence on the near copies; "" where they are few."""
    copies, overall = all_metrics["near_copies"], all_metrics["overall"]
    if copies["share"] < NOTABLE_COPIES or "accuracy_without_near_copies" not in overall:
        return ""
    return (
        f"{copies['num_samples']:,} test rows ({copies['share']:.1%}) nearly repeat a training row; without them, the "
        f"accuracy is {overall['accuracy_without_near_copies']:.4f}."
    )


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
    train, validation, test = (read_table(paths.CLEAN_TABLES[split]) for split in paths.SPLITS)
    labels = arrays["label"]
    parts = predictor.log_probabilities(test[name].to_list())
    others = compared_with(
        predictor,
        predictor.log_probabilities(validation[name].to_list()),
        parts,
        kind.baselines(train, pd.concat([validation, test]), classes, predictor, settings.baseline_rows),
        Calibrator.load(len(classes)),
    )
    all_metrics, intervals = measure_model(predictor, parts, labels, settings, others, test["group"].to_list())
    masks = kind.slices(test, arrays[modality(name).array], settings.length_bounds)
    probabilities = combine(parts, predictor.calibration)
    conflicting = read_table(paths.CLEAN_CONFLICTING)
    conflict_hits = np.zeros(0, dtype=bool)
    if len(conflicting):
        called = combine(predictor.log_probabilities(conflicting[name].to_list()), predictor.calibration).argmax(axis=1)
        conflict_hits = np.array(classes, dtype=object)[called] == conflicting["label"].to_numpy(dtype=object)
    hits = probabilities.argmax(axis=1) == labels
    add_honest_accuracies(all_metrics, hits, conflict_hits, kind.near_copies(train, test, predictor))
    all_metrics["slices"] = metrics.slices(labels, probabilities, masks)
    intervals["slices"] = slice_intervals(hits, masks, clusters(test["group"].to_list()))
    behaviour_report = kind.behaviour(predictor, test, classes)

    write_rows(test, predictor, parts, labels, kind)
    write_table(paths.EVALUATE_SLICES, pd.DataFrame(masks, index=test.index))
    write_json(paths.EVALUATE_INTERVALS, intervals)  # not in metrics.json, all of which `dvc metrics show` prints
    write_json(paths.EVALUATE_METRICS, all_metrics)
    write_json(paths.EVALUATE_BEHAVIOUR, behaviour_report)
    write_measured(arrays["row"], labels, settings)
    draw_figures(paths.REPORTS / "evaluate")
    for line in summary.closing_lines(all_metrics, intervals):
        print(line)
    if line := near_copies_line(all_metrics):
        print(line)
    print(behaviour.weakest_line(behaviour_report))


if __name__ == "__main__":
    command.run_stage("evaluate", __doc__, main)
