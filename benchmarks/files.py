"""How the model does on small and unequal files: `python -m benchmarks.files --rows 3000 --skew 10 31`.

Files are drawn from the current state's training and validation rows, and the model, trained on each as the pipeline
would, is measured on the rows that are left, in the file's own shares of the classes. The test rows are not read. For
each value of `rebalance.prior_correction`: see docs/imbalance.md.
"""

import argparse
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout

import numpy as np
import pandas as pd

from pipeline.base import command, params, paths
from pipeline.base.files import read_json, read_table
from pipeline.base.process import run_in_process
from pipeline.evaluation import metrics
from pipeline.evaluation.text import baselines
from pipeline.inference import calibration
from pipeline.text.processor import Tokenizer
from pipeline.training import fit, rebalancing
from pipeline.training.backend import prepare_keras
from pipeline.training.settings import Train

CORRECTIONS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)

SHARES = (0.82, 0.18)  # training and validation rows of a file, as `clean` parts what is no test row

FRESH = 6_000  # most rows that measure

SHOWN = ("macro_f1", "accuracy", "loss", "ece")


def drawn(table: pd.DataFrame, rows: int, skew: float, random: np.random.Generator) -> dict[str, pd.DataFrame]:
    """A file of so many rows, the classes falling evenly by their logarithm, and other rows in the same shares.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has the columns `text` and `label`.
    rows : int
        Rows of the file: some of them are its training rows, the others its validation rows.
    skew : float
        Rows of its largest class per row of its smallest.
    random : Generator
        Which rows.

    Returns
    -------
    dict of str to DataFrame
        `train`, `validation` and `fresh`.
    """
    table = table.iloc[random.permutation(len(table))]
    counts = table["label"].value_counts()
    shares = skew ** (-np.arange(len(counts)) / max(len(counts) - 1, 1))
    shares /= shares.sum()
    wanted = (shares * rows).round().astype(int)
    fresh = min(FRESH, *((counts.to_numpy() - wanted) / shares))
    taken: dict[str, list[pd.DataFrame]] = {"train": [], "validation": [], "fresh": []}
    for name, number, share in zip(counts.index, wanted, shares, strict=True):
        of_class = table[table["label"] == name]
        first = round(SHARES[0] * number)
        taken["train"].append(of_class[:first])
        taken["validation"].append(of_class[first:number])
        taken["fresh"].append(of_class[number : number + int(share * fresh)])
    return {part: pd.concat(tables) for part, tables in taken.items()}


def measure(file: Mapping[str, pd.DataFrame], language: str, unit: str) -> dict[str, dict[str, float]]:
    """Train on a file as the pipeline would; figures on its fresh rows, by baseline and by correction."""
    classes = sorted(file["train"]["label"].unique())
    texts = {part: table["text"].to_list() for part, table in file.items()}
    numbers = {name: number for number, name in enumerate(classes)}
    labels = {part: table["label"].map(numbers).to_numpy(np.int32) for part, table in file.items()}
    tokenizer = Tokenizer.fit(texts["train"], vocabulary_size=None, length=None, unit=unit, language=language)
    counts = np.bincount(labels["train"])
    plan = rebalancing.rebalance(labels["train"], classes, strategy=rebalancing.choose(counts))
    ids = {part: tokenizer.encode(texts[part]) for part in ("train", "validation")}
    data = fit.Data(classes, tokenizer, texts, ids, labels, plan, 0.0)
    prepare_keras()
    ngrams = fit.train_ngrams(data)
    with redirect_stdout(sys.stderr):  # the table has the other for itself
        model, _, _ = fit.train_lstm(data, params.load(Train))
    held, fresh = (fit.parts(model, tokenizer, ngrams, texts[part]) for part in ("validation", "fresh"))
    found = baselines.probabilities(file["train"], file["fresh"], classes, unit=unit, max_rows=len(texts["train"]))
    for correction in CORRECTIONS:
        fitted = calibration.fit(labels["validation"], held, plan.shift, correction, data.prior_shift)
        found[f"{correction:g}"] = calibration.combine(fresh, fitted)
    return {name: metrics.overall(labels["fresh"], of) for name, of in found.items() if name != "majority"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[3_000], metavar="N", help="of the files; default: 3000")
    parser.add_argument("--skew", type=float, nargs="+", default=[10.0], metavar="N", help="of them; default: 10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="a file for each; default: 0")
    options = parser.parse_args()
    table = pd.concat([read_table(paths.CLEAN_TABLES[split]) for split in ("train", "validation")])
    tokenizer = read_json(paths.TOKENIZE_TOKENIZER)
    print("| rows | skew | seed | fresh rows | model | " + " | ".join(SHOWN) + " |")
    print("| ---: | ---: | ---: | ---: | --- |" + " ---: |" * len(SHOWN))
    for rows in options.rows:
        for skew in options.skew:
            for seed in options.seeds:
                file = drawn(table, rows, skew, np.random.default_rng([seed, rows, round(skew)]))
                for name, of in run_in_process(measure, file, tokenizer["language"], tokenizer["unit"]).items():
                    figures = " | ".join(f"{of[key]:.4f}" for key in SHOWN)
                    print(f"| {rows:,} | {skew:g} | {seed} | {len(file['fresh']):,} | {name} | {figures} |", flush=True)


if __name__ == "__main__":
    command.run("benchmarks.files", main)
