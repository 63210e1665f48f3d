"""Simulate how often the 95 % intervals of evaluate hold the truth: of groups, and of small test sets.

Groups: test rows come in groups, such as authors, of which a model knows some better than others; its accuracy varies
between them, by the intraclass correlation. Small test sets: three models of 2 to 13 classes, two of which are equally
good. See docs/evaluation.md.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from pipeline.base import command
from pipeline.evaluation import intervals, metrics, rates
from pipeline.inference.network import log_softmax

SETTINGS = ((50, 10, 0.1), (34, 100, 0.05), (18, 60, 0.1), (10, 100, 0.05))  # groups, rows of each, correlation
ACCURACY = 0.75
RESAMPLES = 200
KEYS = ("accuracy", "macro_f1", "loss")
SIZES = (200, 500, 1_500)  # test rows
CLASSES = ((2, 1), (2, 40), (3, 3), (5, 40), (13, 1), (13, 40))  # and rows of the largest for each of the smallest
SKILLS = {"model": 1.7, "equal": 1.7, "weaker": 1.0}  # how far a model raises the logit of the true class
TRUTH_ROWS = 300_000
COLUMNS = ("accuracy", "macro-F1", "recall of the rarest", "macro-F1 - equal", "- weaker", "loss - equal", "- weaker")


def draw(
    groups: int, size: int, correlation: float, random: np.random.Generator
) -> tuple[metrics.Measured, np.ndarray]:
    """Return the predictions for rows of groups drawn at random, and the group of each row."""
    scale = 1 / correlation - 1  # of a beta distribution with this intraclass correlation
    right_in = random.beta(ACCURACY * scale, (1 - ACCURACY) * scale, groups)
    of_rows = np.repeat(np.arange(groups), size)
    labels = random.integers(2, size=groups * size)
    predicted = np.where(random.random(len(labels)) < right_in[of_rows], labels, 1 - labels)
    return metrics.Measured(labels, np.where(predicted[:, None] == [0, 1], 0.8, 0.2)), of_rows


def coverage(groups: int, size: int, correlation: float, simulations: int, *, grouped: bool) -> dict[str, float]:
    """Return by metric how many of the intervals hold the truth."""
    random = np.random.default_rng(0)
    wrong = 1 - ACCURACY
    truth = {"accuracy": ACCURACY, "macro_f1": ACCURACY, "loss": -ACCURACY * np.log(0.8) - wrong * np.log(0.2)}
    held: dict[str, list[bool]] = {key: [] for key in KEYS}
    for seed in range(simulations):
        measured, of_rows = draw(groups, size, correlation, random)
        clusters = of_rows if grouped else np.arange(len(of_rows))
        drawn = intervals.bootstrap({"": measured}, of_rows=clusters, resamples=RESAMPLES, seed=seed)[""]
        bounds = intervals.overall_intervals(measured, drawn, clusters)
        for key in KEYS:
            held[key].append(bounds[key]["low"] <= truth[key] <= bounds[key]["high"])
    return {key: float(np.mean(values)) for key, values in held.items()}


def draw_models(
    classes: int, imbalance: float, rows: int, random: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return true classes, and the probabilities of each model in `SKILLS`; their errors are correlated."""
    priors = imbalance ** (-np.arange(classes) / (classes - 1))
    labels = random.choice(classes, rows, p=priors / priors.sum())
    shared = random.normal(size=(rows, classes))
    models = {}
    for name, skill in SKILLS.items():
        noise = (shared + random.normal(size=shared.shape)) / np.sqrt(2)
        logits = 0.8 * np.log(priors) + skill * (labels[:, None] == np.arange(classes)) + noise
        models[name] = np.exp(log_softmax(skill * logits))
    return labels, models


def of_models(labels: np.ndarray, models: dict[str, np.ndarray], classes: int) -> list[float]:
    """Return the values whose intervals are simulated, in the order of `COLUMNS`."""
    own, *others = (metrics.Measured(labels, rows)(rankings=False) for rows in models.values())
    rarest = labels == classes - 1
    recall = float((models["model"][rarest].argmax(axis=1) == classes - 1).mean())
    differences = [own[key] - other[key] for key in ("macro_f1", "loss") for other in others]
    return [own["accuracy"], own["macro_f1"], recall, *differences]


def small_coverage(classes: int, imbalance: float, rows: int, simulations: int) -> list[float]:
    """Return how many of the intervals hold the truth, in the order of `COLUMNS`."""
    random = np.random.default_rng(0)
    truth = of_models(*draw_models(classes, imbalance, TRUTH_ROWS, random), classes)
    truth[3] = truth[5] = 0.0  # of equal models
    held = []
    for seed in range(simulations):
        labels, models = draw_models(classes, imbalance, rows, random)
        measured, of_rows = {name: metrics.Measured(labels, of) for name, of in models.items()}, np.arange(rows)
        drawn = intervals.bootstrap(measured, resamples=RESAMPLES, seed=seed)
        own, *others = (model(rankings=False) for model in measured.values())
        overall = intervals.overall_intervals(measured["model"], drawn["model"], of_rows)
        rarest = rates.per_class_intervals(measured["model"], [*map(str, range(classes))], of_rows)[str(classes - 1)]
        recall = rarest["recall"] or {"low": 0.0, "high": 1.0}  # no row of it was drawn
        differences = [
            intervals.t_interval(
                own[key] - other[key],
                drawn["model"][key] - drawn[name][key],
                of_rows,
                by_row=measured["model"].by_row(key) - measured[name].by_row(key),
            )
            for key in ("macro_f1", "loss")
            for name, other in zip(("equal", "weaker"), others, strict=True)
        ]
        bounds = [overall["accuracy"], overall["macro_f1"], recall, *differences]
        held.append([of["low"] <= value <= of["high"] for of, value in zip(bounds, truth, strict=True)])
    return [float(share) for share in np.mean(held, axis=0)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=400, help="of each setting; default: 400")
    options = parser.parse_args(arguments)
    print("| groups | rows of each | correlation | drawn | " + " | ".join(KEYS) + " |")
    print("| ---: | ---: | ---: | --- |" + " ---: |" * len(KEYS))
    for groups, size, correlation in SETTINGS:
        for name, grouped in (("rows", False), ("groups", True)):
            held = coverage(groups, size, correlation, options.simulations, grouped=grouped)
            cells = " | ".join(f"{held[key]:.2f}" for key in KEYS)
            print(f"| {groups} | {size} | {correlation} | {name} | {cells} |", flush=True)
    print("\n| test rows | classes | imbalance | " + " | ".join(COLUMNS) + " |")
    print("| ---: | ---: | ---: |" + " ---: |" * len(COLUMNS))
    for rows in SIZES:
        for classes, imbalance in CLASSES:
            shares = small_coverage(classes, imbalance, rows, options.simulations)
            cells = " | ".join(f"{share:.2f}" for share in shares)
            print(f"| {rows:,} | {classes} | {imbalance} : 1 | {cells} |", flush=True)


if __name__ == "__main__":
    command.run("benchmarks.coverage", main)
