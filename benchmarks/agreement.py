"""Simulate `retrain.min_agreement`: how often it refuses incoming files whose labels are right, and others.

Files are drawn from the test rows of the current state, with the predictions of its model, and from simulated champions
of many classes. See docs/retraining.md.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.base import command, paths
from pipeline.base.files import read_table
from pipeline.data.datasets import DATASETS
from pipeline.inference.predictor import Predictor
from pipeline.nightly.agreement import compare_agreement

Rows = tuple[np.ndarray, np.ndarray]  # labels and predictions, (n_rows,) each
Draw = Callable[[int], Rows]

SIZES = (100, 200, 500, 1_000, 3_000)
CHAMPIONS = ((2, 4), (5, 10), (8, 30), (13, 2), (13, 78))  # classes, and largest by smallest
REFERENCE_ROWS = 1_500  # of a simulated champion
ABOVE_CHANCE = (0.3, 0.8)  # recall of a class, from 0 at chance to 1
NEVER_FOUND = 0.2  # share of the classes
SUBJECT = {"negative": "negative", "positive": "positive"}


@dataclass(frozen=True)
class Setting:
    """A champion: its reference rows, and functions that draw files."""

    title: str
    reference: Rows
    draw: Draw
    new_subject: Draw | None = None


def simulated(classes: int, imbalance: float, random: np.random.Generator) -> Setting:
    """Draw a champion: how often it predicts each class for rows of each class, and files by it."""
    priors = imbalance ** -np.linspace(0, 1, classes)
    priors /= priors.sum()
    hits = 1 / classes + (1 - 1 / classes) * random.uniform(*ABOVE_CHANCE, classes)
    missing = random.permutation(classes // 2)[: round(NEVER_FOUND * classes)] + classes - classes // 2
    hits[missing] = 0.0  # among the rarer half
    wrong = random.dirichlet(np.full(classes, 2.0), classes) * (hits > 0) * np.sqrt(priors)
    np.fill_diagonal(wrong, 0)
    rates = wrong / wrong.sum(axis=1, keepdims=True) * (1 - hits)[:, None] + np.diag(hits)
    names = np.array([f"class {number:02}" for number in range(classes)], dtype=object)

    def draw(rows: int) -> Rows:
        labels = random.choice(classes, rows, p=priors)
        predicted = (rates[labels].cumsum(axis=1) < random.random(rows)[:, None]).sum(axis=1)
        return names[labels], names[np.minimum(predicted, classes - 1)]

    return Setting(f"simulated, {classes} classes, {imbalance:g} : 1", draw(REFERENCE_ROWS), draw)


def current(random: np.random.Generator) -> Setting:
    """Return the model of the current state, with files from its test rows and, as a new subject, film reviews."""
    model = Predictor.load(paths.TRAIN_MODEL, threads=2)

    def predicted(table: pd.DataFrame) -> Rows:
        labels = model.predict(table["text"].to_list())["predicted_label"]
        return table["label"].to_numpy(dtype=object), labels.to_numpy(dtype=object)

    def draw_from(rows: Rows) -> Draw:
        def draw(size: int) -> Rows:
            chosen = random.choice(len(rows[0]), size, replace=False)
            return rows[0][chosen], rows[1][chosen]

        return draw

    validation, test = (predicted(read_table(paths.CLEAN_TABLES[split])) for split in ("validation", "test"))
    films = DATASETS["rotten_tomatoes"]()
    films = films.assign(label=films["label"].map(SUBJECT)).dropna(subset=["label"])
    films = films.sample(min(len(films), 5_000), random_state=0)
    return Setting("tweets, 3 classes", validation, draw_from(test), draw_from(predicted(films)))


def kinds(setting: Setting, size: int, random: np.random.Generator) -> Iterator[tuple[str, Rows]]:
    """Yield the kinds of files, by name."""
    labels, predicted = setting.draw(size)
    yield "right", (labels, predicted)
    yield "shuffled", (random.permutation(labels), predicted)
    largest = pd.Series(setting.reference[0][setting.reference[0] == setting.reference[1]]).value_counts().index
    swap = {largest[0]: largest[1], largest[1]: largest[0]}
    yield "exchanged", (np.array([swap.get(name, name) for name in labels], dtype=object), predicted)
    half, shuffled = random.random(size) < 0.5, labels.copy()
    shuffled[half] = random.permutation(labels[half])
    yield "half shuffled", (shuffled, predicted)
    if setting.new_subject:
        yield "new subject", setting.new_subject(size)


def refused(setting: Setting, size: int, files: int, min_agreement: float, random: np.random.Generator) -> str:
    """Return a line of the table: how many of so many files of each kind are refused."""
    counts: dict[str, int] = {}
    for _ in range(files):
        for kind, rows in kinds(setting, size, random):
            refutes = any(entry.refutes(min_agreement) for entry in compare_agreement(rows, setting.reference))
            counts[kind] = counts.get(kind, 0) + refutes
    cells = [str(counts.get(kind, "")) for kind in ("right", "shuffled", "exchanged", "half shuffled", "new subject")]
    return f"| {setting.title} | {size:,} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=about)
    parser.add_argument("--files", type=int, default=100, help="of each kind and size; default: 100")
    parser.add_argument("--min-agreement", type=float, default=0.05, help="retrain.min_agreement; default: 0.05")
    options = parser.parse_args(arguments)
    random = np.random.default_rng(0)
    print(f"| refused of {options.files} files | rows | right | shuffled | exchanged | half shuffled | new subject |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for setting in [current(random), *(simulated(*champion, random) for champion in CHAMPIONS)]:
        for size in SIZES:
            print(refused(setting, size, options.files, options.min_agreement, random), flush=True)


if __name__ == "__main__":
    command.run("benchmarks.agreement", main)
