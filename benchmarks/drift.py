"""Measure false alarms and power of the drift report: `python -m benchmarks.drift`.

A random half of the current state's validation and test rows is the reference, and samples are drawn from the other
half. Neither vocabulary nor model was fitted on these rows, though the epoch was chosen on validation rows. See
docs/drift.md.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.base import command, params, paths
from pipeline.base.files import read_table
from pipeline.data import datasets
from pipeline.evaluation import drift
from pipeline.evaluation.drift_sample import DriftSample
from pipeline.evaluation.measures import MEASURES, measure_shifts
from pipeline.evaluation.settings import Drift
from pipeline.inference.predictor import Predictor

Draw = Callable[[np.ndarray, int, np.random.Generator], DriftSample]  # from fresh row numbers, how many rows


def concatenate(first: DriftSample, second: DriftSample) -> DriftSample:
    """Return the rows of both."""
    from scipy.sparse import vstack

    pairs = [(getattr(first, key), getattr(second, key)) for key in ("labels", "lengths", "unknown", "probabilities")]
    labels, lengths, unknown, probabilities = map(np.concatenate, pairs)
    terms = vstack([first.terms, second.terms]).tocsr()
    return replace(first, labels=labels, lengths=lengths, unknown=unknown, terms=terms, probabilities=probabilities)


def count_alarms(held: DriftSample, draw: Draw, rows: int, samples: int, settings: Drift) -> Counter[str]:
    """Return the number of samples in which each measure drifted, and in which any did."""
    counts: Counter[str] = Counter()
    for number in tqdm(range(samples), leave=False, disable=None):
        random = np.random.default_rng(number)
        order = random.permutation(len(held))
        half = len(held) // 2
        shifts = measure_shifts(held.take(order[:half]), draw(order[half:], rows, random), settings)
        counts.update(shift.measure for shift in shifts if shift.drifted)
        counts["any"] += any(shift.drifted for shift in shifts)
    return counts


def shifted_draws(held: DriftSample, cut: DriftSample, others: DriftSample, rare: str) -> dict[str, Draw]:
    """Return ways to draw shifted rows, by name; of each kind, the smaller shift first."""

    def mixed(share: float, foreign: DriftSample | None = None) -> Draw:
        """Replace some rows: by film reviews, or by the same texts without their second half."""

        def draw(fresh: np.ndarray, rows: int, random: np.random.Generator) -> DriftSample:
            number = round(share * rows)
            if foreign is None:
                return concatenate(held.take(fresh[number:rows]), cut.take(fresh[:number]))
            others = foreign.take(random.permutation(len(foreign))[:number])
            return concatenate(held.take(fresh[: rows - number]), others)

        return draw

    def more_frequent(factor: float) -> Draw:
        """Draw the class `rare` more often."""

        def draw(fresh: np.ndarray, rows: int, random: np.random.Generator) -> DriftSample:
            of_class = held.labels[fresh] == rare
            number = random.binomial(rows, factor * of_class.mean())
            return held.take(np.concatenate([fresh[of_class][:number], fresh[~of_class][: rows - number]]))

        return draw

    def relabelled(share: float) -> Draw:
        """Shuffle the predicted labels of some rows."""

        def draw(fresh: np.ndarray, rows: int, random: np.random.Generator) -> DriftSample:
            sample = held.take(fresh[:rows])
            labels = sample.labels.copy()
            labels[: round(share * rows)] = random.permutation(labels[: round(share * rows)])
            return replace(sample, labels=labels)

        return draw

    draws: dict[str, Draw] = {}
    for share in (0.05, 0.1, 0.15, 0.2, 0.3):
        draws[f"film reviews, {share:.0%} of the rows"] = mixed(share, others)
    for factor in (1.25, 1.5, 1.75, 2, 2.5, 3):
        draws[f"class {rare} {factor:g} times as frequent"] = more_frequent(factor)
    for share in (0.2, 0.3, 0.4, 0.5, 0.75, 1):
        draws[f"texts cut in half, {share:.0%} of the rows"] = mixed(share)
    for share in (0.1, 0.15, 0.2, 0.3, 0.4):
        draws[f"labels at random, {share:.0%} of the rows"] = relabelled(share)
    return draws


def table_row(name: str, counts: Counter[str], samples: int) -> str:
    """Return a row of the table: shares of the samples in %."""
    return f"| {name} | {' | '.join(f'{100 * counts[key] / samples:.0f}' for key in ('any', *MEASURES))} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=paths.TRAIN_MODEL, help=f"folder (default: {paths.TRAIN_MODEL})")
    parser.add_argument("--samples", type=int, default=100, help="unshifted samples of each size (default: 100)")
    parser.add_argument("--shifted", type=int, default=50, help="samples of each shift (default: 50)")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[100, 200, 500, 1_000, 3_000], help="of a sample (default: 100 to 3,000)"
    )
    parser.add_argument("--power-rows", type=int, default=300, help="rows of a shifted sample (default: 300)")
    options = parser.parse_args(arguments)
    settings, model = params.load(Drift), Predictor.load(options.model, threads=2)
    held = drift.reference(model, model.tokenizer)
    tables = [read_table(paths.CLEAN_TABLES[split]) for split in ("validation", "test")]
    halves = pd.concat(tables, ignore_index=True)
    halves["text"] = [" ".join(text.split()[: max(len(text.split()) // 2, 1)]) for text in halves["text"]]
    reviews, _ = drift.prepare(datasets.rotten_tomatoes())
    cut, others = (drift.draw_sample(table, model, model.tokenizer) for table in (halves, reviews))
    print("Share of samples, in %, in which any measure drifted, and in which each one did\n")
    print(f"| rows | any | {' | '.join(MEASURES)} |\n|{' --- |' * (len(MEASURES) + 2)}")
    for rows in options.rows:
        same = count_alarms(held, lambda fresh, size, _: held.take(fresh[:size]), rows, options.samples, settings)
        print(table_row(f"{rows:,} of the same source", same, options.samples), flush=True)
    classes = Counter(held.labels)
    for name, draw in shifted_draws(held, cut, others, min(classes, key=lambda name: classes[name])).items():
        counts = count_alarms(held, draw, options.power_rows, options.shifted, settings)
        print(table_row(name, counts, options.shifted), flush=True)


if __name__ == "__main__":
    command.run("benchmarks.drift", main)
