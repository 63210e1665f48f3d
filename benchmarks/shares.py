"""Simulate `predict --class-shares`: the log-loss of rows whose class priors are, or are not, those of training.

Rows are test rows of the current state, drawn with other class priors, and rows of simulated models, which are
calibrated as in the pipeline. See docs/prediction.md.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.base import command, paths
from pipeline.base.files import read_json, read_table
from pipeline.inference import calibration
from pipeline.inference.network import log_softmax
from pipeline.inference.predictor import Predictor
from pipeline.inference.priors import ClassPriors, adapted, measure_priors, reweigh

Draw = Callable[[int, np.ndarray], tuple[np.ndarray, np.ndarray]]  # rows and priors to labels and probabilities

SIZES = (100, 300, 1_000, 3_000)
# Classes, largest by smallest, distance of the classes, validation rows.
MODELS = (
    (2, 2, 1.5, 1_000), (2, 80, 2.0, 1_000), (5, 4, 0.6, 1_000), (5, 30, 1.0, 500), (8, 30, 0.8, 1_000),
    (13, 10, 1.0, 1_500), (13, 80, 0.7, 1_000),
)  # fmt: skip
DIMENSIONS, NOISE, OVERCONFIDENCE = 6, 0.5, 1.5
LEARNED = 0.3  # how far a simulated model trained on equal classes follows their natural priors
CORRECTION = 0.6  # rebalance.prior_correction


@dataclass(frozen=True)
class Setting:
    """A model: its class priors, the mean of its probabilities over validation rows, and a function that draws rows."""

    title: str
    known: ClassPriors
    mean: np.ndarray
    draw: Draw


def simulated(classes: int, imbalance: float, distance: float, rows: int, random: np.random.Generator) -> Setting:
    """Draw a model: normally distributed classes, whose posteriors it knows imperfectly, and calibrate it."""
    priors = imbalance ** -np.linspace(0, 1, classes)
    priors /= priors.sum()
    centres = distance * random.normal(size=(classes, min(classes, DIMENSIONS)))

    def part(labels: np.ndarray) -> np.ndarray:
        points = centres[labels] + random.normal(size=(len(labels), centres.shape[1]))
        scores = -((points[:, None] - centres) ** 2).sum(axis=2) / 2
        scores += NOISE * random.normal(size=scores.shape)
        return log_softmax(OVERCONFIDENCE * scores + LEARNED * np.log(priors))

    labels = np.concatenate([np.arange(classes), random.choice(classes, rows - classes, p=priors)])
    parts = [part(labels)]
    fitted = calibration.fit(labels, parts, np.log(classes * priors), CORRECTION, np.zeros(classes))
    probabilities = calibration.combine(parts, fitted)

    def draw(size: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        drawn = random.choice(classes, size, p=shares)
        return drawn, calibration.combine([part(drawn)], fitted)

    known = measure_priors(labels, probabilities)
    return Setting(f"{classes} classes, {imbalance:g} : 1", known, probabilities.mean(axis=0), draw)


def current(random: np.random.Generator) -> Setting:
    """Return the model of the current state, measured on its validation rows, with rows drawn from its test rows."""
    model, names = Predictor.load(paths.TRAIN_MODEL, threads=2), read_json(paths.CLEAN_CLASSES)
    answers = {}
    for split in ("validation", "test"):
        table = read_table(paths.CLEAN_TABLES[split])
        labels = table["label"].map({name: number for number, name in enumerate(names)}).to_numpy()
        answers[split] = labels, model.probabilities(table["text"].to_list())
    labels, probabilities = answers["test"]

    def draw(size: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weights = (shares / np.bincount(labels))[labels]
        chosen = random.choice(len(labels), size, p=weights / weights.sum())
        return labels[chosen], probabilities[chosen]

    known = measure_priors(*answers["validation"])
    return Setting("tweets, 3 classes, 2 : 1", known, answers["validation"][1].mean(axis=0), draw)


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())


def changes(setting: Setting, size: int, shares: np.ndarray) -> dict[str, float]:
    """Return the usual log-loss of drawn rows, and its changes by each way to adapt the probabilities."""
    labels, usual = setting.draw(size, shares)
    estimated, implied = adapted(usual, setting.known)[0], np.array(setting.known["implied"])
    usual_loss = log_loss(labels, usual)
    ways = {
        "estimate": estimated,
        "before: implied": reweigh(usual, implied, shares),
        "before: mean": reweigh(usual, setting.mean, shares),
        "before: natural": reweigh(usual, np.array(setting.known["natural"]), shares),
    }
    losses = {name: log_loss(labels, probabilities) - usual_loss for name, probabilities in ways.items()}
    return {"usual": usual_loss, "adopted": float(estimated is not usual)} | losses


def line(draw_setting: Callable[[], Setting], size: int, models: int, draws: int, random: np.random.Generator) -> str:
    """Return a line of the table: means over models and draws of rows."""
    same, shifted, title = [], [], ""
    for _ in range(models):
        setting = draw_setting()
        title, natural = setting.title, np.array(setting.known["natural"])
        natural /= natural.sum()  # they were rounded
        for _ in range(draws):
            same.append(changes(setting, size, natural))
            shares = natural**0.3 * random.dirichlet(np.full(len(natural), 1.5))
            shifted.append(changes(setting, size, shares / shares.sum()))
    (of_same, of_shifted) = ({key: np.mean([row[key] for row in rows]) for key in rows[0]} for rows in (same, shifted))
    worst = max(row["estimate"] for row in same)
    cells = [title, f"{size:,}", f"{of_same['usual']:.3f}", f"{of_same['estimate']:+.4f}", f"{worst:+.3f}"]
    cells += [f"{of_shifted['usual']:.3f}", f"{of_shifted['estimate']:+.3f}", f"{of_shifted['adopted']:.0%}"]
    cells += [f"{of_shifted[f'before: {name}']:+.3f}" for name in ("implied", "mean", "natural")]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shares", description=about)
    parser.add_argument("--models", type=int, default=10, help="simulated models of each kind; default: 10")
    parser.add_argument("--draws", type=int, default=5, help="sets of rows for each model; default: 5")
    options = parser.parse_args(arguments)
    random = np.random.default_rng(0)
    print(
        "| model | rows | usual | estimate | worst | usual, shifted | estimate | adopted | implied | mean | natural |"
    )
    print("| --- |" + " ---: |" * 10)
    tweets = current(random)
    for size in SIZES:
        print(line(lambda: tweets, size, 1, options.models * options.draws, random), flush=True)
    for model in MODELS:
        for size in SIZES:
            drawn = partial(simulated, *model, random)
            print(line(drawn, size, options.models, options.draws, random), flush=True)


if __name__ == "__main__":
    command.run("benchmarks.shares", main)
