"""Evaluate: the model on the test rows, beside simpler models on the same rows."""

import numpy as np
import pandas as pd

from .base import command, params, paths
from .base.files import read_arrays, read_table, sha256, write_json, write_table
from .evaluation import behaviour, curves, explanation, metrics
from .evaluation.comparison import compare_with_baselines, mistakes, rows_digest
from .evaluation.settings import Evaluate
from .evaluation.text import baselines, slices
from .inference import calibration
from .inference.predictor import PARTS, Predictor, read_manifest
from .reports import summary
from .reports.figures import draw_figures


def telling_words(predictor: Predictor, test: pd.DataFrame) -> pd.DataFrame:
    """The words that say most to the model in the test rows, drawn by the hash that is their id."""
    from threadpoolctl import threadpool_limits

    drawn = test.sort_values("id", kind="stable")["text"].to_list()
    with threadpool_limits(1):  # the products are small: more threads wait for one another
        return explanation.telling_words(explanation.Explainer.beside(predictor, paths.TRAIN_MODEL), drawn)


def main() -> None:
    settings = params.load(Evaluate)
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
    figures, intervals = compare_with_baselines(
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
        "sha256": {path.name: sha256(path) for path in paths.EVALUATE_PUBLISHED},
        "settings": settings.model_dump(),
    }
    write_json(paths.EVALUATE_MEASURED, measured)
    draw_figures(paths.REPORTS / "evaluate")
    for name, of in {"model": figures["overall"], **figures["baselines"]}.items():
        print(f"{name}: accuracy {of['accuracy']:.4f}, macro-F1 {of['macro_f1']:.4f}, loss {of['loss']:.4f}")
    print(summary.verdict(figures, intervals))
    print(behaviour.line(behaves))


if __name__ == "__main__":
    command.run_stage("evaluate", __doc__, main)
