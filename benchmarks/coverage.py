"""Simulate how often the 95 % intervals of evaluate hold the truth, by rows and by groups.

Test rows come in groups, such as authors, of which a model knows some better than others: its accuracy varies between
them, by the intraclass correlation. See docs/evaluation.md.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from pipeline.base import command
from pipeline.evaluation import intervals, metrics

SETTINGS = ((50, 10, 0.1), (34, 100, 0.05), (18, 60, 0.1), (10, 100, 0.05))  # groups, rows of each, correlation
ACCURACY = 0.75
RESAMPLES = 200
KEYS = ("accuracy", "macro_f1", "loss")


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
        clusters = of_rows if grouped else None
        settings = {"resamples": RESAMPLES, "seed": seed}
        drawn = intervals.bootstrap({"": measured}, rankings=False, of_rows=clusters, **settings)[""]
        for key in KEYS:
            bounds = intervals.interval(drawn[key], clusters, intervals.BOUNDS.get(key, (0.0, 1.0)))
            held[key].append(bounds["low"] <= truth[key] <= bounds["high"])
    return {key: float(np.mean(values)) for key, values in held.items()}


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


if __name__ == "__main__":
    command.run("benchmarks.coverage", main)
