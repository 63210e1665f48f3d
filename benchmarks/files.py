"""Measure the model on small and unequal files: `python -m benchmarks.files --rows 3000 --skew 10 31`.

Files are drawn from the current state's training and validation rows. The model is trained on each as in the pipeline,
and measured on other rows with the file's class priors, for several values of `rebalance.prior_correction`. The test
rows are not read. See docs/imbalance.md.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.base import command, params, paths
from pipeline.base.files import read_json, read_table
from pipeline.base.process import run_in_process
from pipeline.evaluation import metrics
from pipeline.evaluation.text import baselines
from pipeline.inference import calibration
from pipeline.inference.part import Inputs
from pipeline.text.processor import Tokenizer
from pipeline.training import fit, rebalancing
from pipeline.training.backend import prepare_keras
from pipeline.training.selection import without_idle_lexicon
from pipeline.training.settings import Train

CORRECTIONS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)  # values of rebalance.prior_correction

TRAIN_SHARE = 0.82  # of a file; the rest validates, as the stage clean splits rows other than the test rows

MOST_FRESH = 6_000  # rows to measure on

COLUMNS = ("macro_f1", "accuracy", "loss", "ece")


def draw_file(table: pd.DataFrame, rows: int, skew: float, random: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Draw a file with geometrically decreasing class sizes, and other rows with the same class priors.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has the columns `text` and `label`.
    rows : int
        Rows of the file, for training and validation.
    skew : float
        Rows of its largest class per row of its smallest.
    random : Generator
        Chooses the rows.

    Returns
    -------
    dict of str to DataFrame
        `train`, `validation` and `fresh`.
    """
    table = table.iloc[random.permutation(len(table))]
    counts = table["label"].value_counts()
    priors = skew ** (-np.arange(len(counts)) / max(len(counts) - 1, 1))
    priors /= priors.sum()
    sizes = (priors * rows).round().astype(int)
    fresh = min(MOST_FRESH, *((counts.to_numpy() - sizes) / priors))
    selected: dict[str, list[pd.DataFrame]] = {"train": [], "validation": [], "fresh": []}
    for name, size, prior in zip(counts.index, sizes, priors, strict=True):
        of_class = table[table["label"] == name]
        train = round(TRAIN_SHARE * size)
        selected["train"].append(of_class[:train])
        selected["validation"].append(of_class[train:size])
        selected["fresh"].append(of_class[size : size + int(prior * fresh)])
    return {part: pd.concat(tables) for part, tables in selected.items()}


@dataclass(frozen=True)
class Trained:
    """A model that was trained on a file as in the pipeline, and baselines.

    Parameters
    ----------
    data : Data
        What it was trained on, and `fresh` rows.
    parts : dict of str to list of ndarray of shape (n_rows, n_classes), float64
        Log-probabilities of each part, by split: validation and fresh.
    baselines : dict of str to ndarray of shape (n_rows, n_classes), float64
        Probabilities of the validation rows and the fresh rows, by name.
    """

    data: fit.Data
    parts: dict[str, list[np.ndarray]]
    baselines: dict[str, np.ndarray]

    def combined(self, correction: float) -> np.ndarray:
        """Return the model's probabilities of the fresh rows under a value of `rebalance.prior_correction`."""
        labels, plan = self.data.labels["validation"], self.data.plan
        fitted = calibration.fit(labels, self.parts["validation"], plan.shift, correction, self.data.prior_shift)
        return calibration.combine(self.parts["fresh"], fitted)


def train_on_file(file: Mapping[str, pd.DataFrame], language: str, unit: str, correction: float) -> Trained:
    """Train on a file as the pipeline does; call it in a process of its own.

    Parameters
    ----------
    file : mapping of str to DataFrame
        See `draw_file`.
    language : str
        Two letters.
    unit : str
        A key of `UNITS`.
    correction : float
        `rebalance.prior_correction`.
    """
    classes = sorted(file["train"]["label"].unique())
    texts = {part: table["text"].to_list() for part, table in file.items()}
    numbers = {name: number for number, name in enumerate(classes)}
    labels = {part: table["label"].map(numbers).to_numpy(np.int32) for part, table in file.items()}
    tokenizer = Tokenizer.fit(texts["train"], vocabulary_size=None, length=None, unit=unit, language=language)
    counts = np.bincount(labels["train"])
    plan = rebalancing.rebalance(labels["train"], classes, strategy=rebalancing.auto_strategy(counts))
    processors = {"text": tokenizer}
    inputs = {part: Inputs.encode({"text": cells}, processors) for part, cells in texts.items()}
    groups = [""] * len(labels["validation"])
    data = fit.Data(classes, processors, inputs, labels, plan, correction, groups)
    prepare_keras()
    ngrams = fit.train_ngrams(data)
    with redirect_stdout(sys.stderr):  # standard output is for the table
        network, _ = fit.train_network(data, params.load(Train))
    ngrams = ngrams and without_idle_lexicon(data, network, ngrams)
    parts = {part: fit.part_log_probabilities(data, network, ngrams, part) for part in ("validation", "fresh")}
    measured = pd.concat([file["validation"], file["fresh"]])
    train = file["train"].assign(id=np.arange(len(file["train"])))
    probabilities = baselines.probabilities(train, measured, classes, unit=unit, max_rows=len(train))
    return Trained(data, parts, probabilities)


def measure_file(file: Mapping[str, pd.DataFrame], language: str, unit: str) -> dict[str, dict[str, float]]:
    """Train on a file; return the metrics on its fresh rows, by baseline and by correction."""
    trained = train_on_file(file, language, unit, 0.0)
    count = len(file["validation"])
    probabilities = {name: rows[count:] for name, rows in trained.baselines.items() if name != "majority"}
    probabilities |= {f"{correction:g}": trained.combined(correction) for correction in CORRECTIONS}
    return {name: metrics.overall(trained.data.labels["fresh"], rows) for name, rows in probabilities.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[3_000], metavar="N", help="of a file; default: 3000")
    parser.add_argument("--skew", type=float, nargs="+", default=[10.0], metavar="N", help="1 : N; default: 10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="a file for each; default: 0")
    options = parser.parse_args(arguments)
    table = pd.concat([read_table(paths.CLEAN_TABLES[split]) for split in ("train", "validation")])
    tokenizer = read_json(paths.TOKENIZE_TOKENIZER)
    print("| rows | skew | seed | fresh rows | model | " + " | ".join(COLUMNS) + " |")
    print("| ---: | ---: | ---: | ---: | --- |" + " ---: |" * len(COLUMNS))
    for rows in options.rows:
        for skew in options.skew:
            for seed in options.seeds:
                file = draw_file(table, rows, skew, np.random.default_rng([seed, rows, round(skew)]))
                for name, values in run_in_process(
                    measure_file, file, tokenizer["language"], tokenizer["unit"]
                ).items():
                    cells = " | ".join(f"{values[key]:.4f}" for key in COLUMNS)
                    print(f"| {rows:,} | {skew:g} | {seed} | {len(file['fresh']):,} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    command.run("benchmarks.files", main)
