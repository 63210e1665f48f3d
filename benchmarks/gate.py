"""Simulate the gate: how often it passes equal and worse models, and whether small losses add up over many nights.

Models are n-grams, calibrated as in the pipeline, trained on the current state's training rows, of which some are kept
apart to draw test rows from; the state's own test rows are not read. A worse model is one that was trained on fewer
rows. See docs/registry.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base import command, params, paths
from pipeline.base.files import read_table
from pipeline.evaluation import metrics
from pipeline.evaluation.comparison import compare_with_baselines
from pipeline.evaluation.paired import paired_differences
from pipeline.evaluation.text import baselines, slices
from pipeline.inference import calibration
from pipeline.inference.network import log_softmax
from pipeline.registry.gate import Challenger, Comparison, Decision, decide
from pipeline.registry.settings import Gate

FRESH, VALIDATION = 8_000, 2_500  # rows to draw test rows from, and to calibrate on
EXCHANGED = 0.1  # share of the training rows in which two equal models differ, as those of two nights do
WORSE = 0.015  # of macro-F1
RESAMPLES = 120
TOPICS = 5  # times three labels, of which the smallest are merged
NIGHTS, NIGHT_ROWS, NIGHT_LOSS = 100, 5_315, 0.001


@dataclass
class Pool:
    """Rows to train on, to calibrate on and to draw test rows from."""

    train: pd.DataFrame
    validation: pd.DataFrame
    fresh: pd.DataFrame
    classes: list[str]

    @classmethod
    def draw(cls, table: pd.DataFrame, random: np.random.Generator) -> "Pool":
        table = table.iloc[random.permutation(len(table))].reset_index(drop=True)
        cuts = (FRESH, FRESH + VALIDATION)
        fresh, validation, train = table[: cuts[0]], table[cuts[0] : cuts[1]], table[cuts[1] :]
        return cls(train, validation, fresh.reset_index(drop=True), sorted(table["label"].unique()))

    def labels(self, table: pd.DataFrame) -> np.ndarray:
        numbers = {name: number for number, name in enumerate(self.classes)}
        labels: np.ndarray = table["label"].map(numbers).to_numpy()
        return labels

    def model(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Train on these rows; return the probabilities of the fresh rows by the model and its baselines."""
        train, others = self.train.iloc[rows], pd.concat([self.validation, self.fresh], ignore_index=True)
        by_name = baselines.probabilities(train, others, self.classes, max_rows=len(train))
        parts = [np.log(np.maximum(by_name[name], 1e-9)) for name in ("tfidf", "nb_ngrams")]
        none, size = np.zeros(len(self.classes)), len(self.validation)
        fitted = calibration.fit(self.labels(self.validation), [part[:size] for part in parts], none, 1.0, none)
        return {
            "model": calibration.combine([part[size:] for part in parts], fitted),
            **{name: rows[size:] for name, rows in by_name.items()},
        }


def macro_f1(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return metrics.overall(labels, probabilities)["macro_f1"]


def fewer_rows(pool: Pool, rows: np.ndarray, goal: float) -> np.ndarray:
    """Return as many of the rows as give about this macro-F1 on the fresh rows."""
    labels, low, high = pool.labels(pool.fresh), len(rows) // 20, len(rows)
    distances = {}
    for _ in range(5):
        size = (low + high) // 2
        reached = macro_f1(labels, pool.model(rows[:size])["model"])
        distances[size] = abs(reached - goal)
        low, high = (size, high) if reached < goal else (low, size)
    return rows[: min(distances, key=lambda size: distances[size])]


def judged(
    pool: Pool,
    new: dict[str, np.ndarray],
    old: np.ndarray,
    drawn: np.ndarray,
    masks: dict[str, np.ndarray],
    rules: Gate,
) -> Decision:
    """Let the gate judge a new model against an old one on the drawn rows."""
    labels = pool.labels(pool.fresh)[drawn]
    of_rows = {name: mask[drawn] for name, mask in masks.items()}
    own = new["model"][drawn]
    others = {name: rows[drawn] for name, rows in new.items() if name != "model"}
    measured, intervals = compare_with_baselines(labels, own, others, pool.classes, resamples=RESAMPLES, seed=0)
    differences = paired_differences(
        labels, own, old[drawn], pool.classes, of_rows, clusters=np.arange(len(drawn)), resamples=RESAMPLES, seed=0
    )
    challenger = Challenger(
        overall=measured["overall"],
        per_class=measured["per_class"],
        slices=metrics.slices(labels, own, of_rows),
        majority=measured["baselines"]["majority"]["macro_f1"],
        latency=1.0,
        size=1.0,
        intervals=intervals,
    )
    return decide(challenger, [Comparison("champion", "1", **differences)], rules)


def with_topics(table: pd.DataFrame, classes: int) -> pd.DataFrame:
    """Return the table with more classes: each label by the topic of the text, the smallest ones merged."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(min_df=20, stop_words="english").fit_transform(table["text"])
    topics = KMeans(TOPICS, n_init=4, random_state=0).fit_predict(
        TruncatedSVD(20, random_state=0).fit_transform(vectors)
    )
    labels = table["label"] + " " + pd.Series(topics, index=table.index).astype(str)
    smallest = labels.value_counts().index[classes - 1 :]
    return table.assign(label=labels.where(~labels.isin(smallest), "other"))


def pass_rates(table: pd.DataFrame, sizes: Sequence[int], *, models: int, draws: int, train: int) -> list[str]:
    """Return lines of a table: how often equal and worse models pass, by number of test rows."""
    random, rules = np.random.default_rng(0), params.load(Gate)
    pool = Pool.draw(table, random)
    labels, texts = pool.labels(pool.fresh), pool.fresh
    masks = slices.masks(texts, texts["text"].str.split().str.len().to_numpy(), None)
    passed: dict[tuple[int, str], list[Decision]] = {}
    losses = []
    for _ in range(models):
        rows = random.permutation(len(pool.train))[: round(train * (1 + EXCHANGED))]
        old, equal = pool.model(rows[:train])["model"], pool.model(rows[-train:])
        worse = pool.model(fewer_rows(pool, rows[:train], macro_f1(labels, old) - WORSE))
        losses.append(macro_f1(labels, worse["model"]) - macro_f1(labels, old))
        for size in sizes:
            for _ in range(draws):
                drawn = random.choice(len(labels), size, replace=False)
                for name, new in {"equal": equal, "worse": worse}.items():
                    passed.setdefault((size, name), []).append(judged(pool, new, old, drawn, masks, rules))
    lines = []
    for size in sizes:
        rates = [np.mean([decision.promote for decision in passed[size, name]]) for name in ("equal", "worse")]
        failed = [c.rule for decision in passed[size, "equal"] for c in decision.checks if not c.passed]
        reasons = pd.Series(failed, dtype="str").value_counts()
        cells = [str(len(pool.classes)), f"{size:,}", *(f"{100 * rate:.0f} %" for rate in rates)]
        cells += [f"{100 * np.mean(losses):+.1f}", ", ".join(f"{rule} {n}" for rule, n in reasons.items())]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def nights(table: pd.DataFrame, loss: float, seed: int) -> dict[str, Any]:
    """Simulate nights, each with a model that is worse than the champion by `loss` of macro-F1."""
    random = np.random.default_rng(seed)
    pool = Pool.draw(table, random)
    labels = pool.labels(pool.fresh)
    rows = random.permutation(len(pool.train))
    strong, weak = (np.log(pool.model(rows[:size])["model"]) for size in (len(rows), len(rows) // 8))
    noise = 0.25  # so that two equal models differ as two trainings do

    def drawn_model(share: float) -> np.ndarray:
        mixed = (1 - share) * strong + share * weak + noise * random.normal(size=strong.shape)
        probabilities: np.ndarray = np.exp(log_softmax(mixed))
        return probabilities

    def skill(share: float) -> float:
        return float(np.mean([macro_f1(labels, drawn_model(share)) for _ in range(20)]))

    step = loss / ((skill(0.0) - skill(1.0)) or 1.0)
    test = random.choice(len(labels), NIGHT_ROWS, replace=False)
    rules = params.load(Gate)
    champion = anchor = (0.0, drawn_model(0.0)[test])
    promoted = 0
    for _ in range(NIGHTS):
        share = champion[0] + step
        candidate = (share, drawn_model(share)[test])
        rivals = {"champion": champion} | ({} if anchor is champion else {"anchor": anchor})
        comparisons = [
            Comparison(
                role,
                "1",
                **paired_differences(
                    labels[test], candidate[1], rival[1], pool.classes, {}, clusters=np.arange(NIGHT_ROWS),
                    resamples=RESAMPLES, seed=0,
                ),
            )
            for role, rival in rivals.items()
        ]  # fmt: skip
        overall = metrics.overall(labels[test], candidate[1])
        decision = decide(Challenger(overall, {}, {}, 0.0, 1.0, 1.0), comparisons, rules)
        if decision.promote:
            promoted, champion = promoted + 1, candidate
            anchor = candidate if decision.is_anchor else anchor
    return {"promoted": promoted, "points": 100 * (skill(champion[0]) - skill(0.0))}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--models", type=int, default=4, help="pairs of models that are trained; default: 4")
    parser.add_argument("--draws", type=int, default=100, help="sets of test rows for each pair; default: 100")
    parser.add_argument("--train", type=int, default=12_000, help="training rows of a model; default: 12000")
    parser.add_argument("--seeds", type=int, default=4, help="sequences of nights; default: 4")
    options = parser.parse_args(arguments)
    table = read_table(paths.CLEAN_TABLES["train"])[["id", "text", "label"]]
    print("| classes | test rows | equal models pass | worse models pass | points of macro-F1 | why equal ones fail |")
    print("| ---: | ---: | ---: | ---: | ---: | --- |")
    counts = {"models": options.models, "draws": options.draws, "train": options.train}
    for line in pass_rates(table, (200, 500, 1_000, 2_000, 5_315), **counts):
        print(line, flush=True)
    for line in pass_rates(with_topics(table, 13), (500, 1_500, 3_000), **counts):
        print(line, flush=True)
    print(f"\n| each night | promoted of {NIGHTS} | the last champion, in points |\n| --- | ---: | ---: |")
    for title, loss in (("0.1 points worse", NIGHT_LOSS), ("no worse", 0.0)):
        for seed in range(options.seeds):
            result = nights(table, loss, seed)
            print(f"| {title} | {result['promoted']} | {result['points']:+.1f} |", flush=True)


if __name__ == "__main__":
    command.run("benchmarks.gate", main)
