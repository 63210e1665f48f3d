"""Report of a study of imbalance: each strategy's metrics, and their differences to the strategy none."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import PipelineError
from ..base.markdown import pipe_table
from ..evaluation import intervals, metrics
from .imbalance_results import COMPARED, NONE, StrategyResults
from .seeds import mean_and_sd

IMBALANCE_HEADINGS = {
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "minority_recall": "recall",
    "minority_precision": "precision",
    "pr_auc": "PR-AUC",
    "loss": "log-loss",
    "ece": "ECE",
    "uncalibrated_loss": "log-loss before",
    "uncalibrated_ece": "ECE before",
    "seconds": "seconds",
}

Values = dict[tuple[float | None, str], dict[str, np.ndarray]]  # by skew and strategy, and by metric


def strategy_table(results: StrategyResults, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return means and standard deviations over the seeds, and differences to "none" at the same skew.

    Parameters
    ----------
    results : mapping of (float or None, str) to sequence of StrategyResult
        By skew and strategy; all on the same test rows.
    resamples, seed : int
        As in `intervals.bootstrap`.

    Returns
    -------
    DataFrame
        `skew` (NaN for unchanged rows), `strategy`, `seeds`; the mean and, ending in `_sd`, the standard deviation of
        each of `STRATEGY_METRICS`; of each of `COMPARED`, the mean minus that of "none", ending in `_difference`, with
        the interval in `_low` and `_high`: by paired bootstrap over the clusters of test rows, at 95 % for all
        strategies of a skew together (Bonferroni 1936). Of skewed rows also `recovered_before` and `recovered`, the
        share that is recovered, before and after calibration, of the accuracy that the skew costs "none" before
        calibration.
    """
    samples, by_row = _bootstrap(results, resamples=resamples, seed=seed)
    measured = {key: pd.DataFrame([result.summary for result in own]) for key, own in results.items()}
    rows = []
    for (skew, strategy), values in measured.items():
        row: dict[str, Any] = {"skew": np.nan if skew is None else skew, "strategy": strategy, "seeds": len(values)}
        row |= values.mean().to_dict() | values.std(ddof=1).add_suffix("_sd").to_dict()
        none, natural = measured.get((skew, NONE)), measured.get((None, NONE))
        if strategy != NONE and none is not None:
            others = sum(key[0] == skew for key in results) - 1
            for name in COMPARED:
                row[f"{name}_difference"] = difference = values[name].mean() - none[name].mean()
                drawn = samples[skew, strategy][name] - samples[skew, NONE][name]
                bounds = intervals.t_interval(
                    difference,
                    drawn,
                    results[skew, NONE][0].clusters,
                    comparisons=others,
                    by_row=by_row[skew, strategy][name] - by_row[skew, NONE][name],
                )
                row |= {f"{name}_{end}": bound for end, bound in bounds.items()}
        if skew is not None and natural is not None and none is not None:
            plain = none["uncalibrated_accuracy"].mean()
            lost = natural["accuracy"].mean() - plain
            for key, name in (("recovered_before", "uncalibrated_accuracy"), ("recovered", "accuracy")):
                row[key] = (row[name] - plain) / lost if lost > 0 else np.nan
        rows.append(row)
    return pd.DataFrame(rows).round(6)


def _bootstrap(results: StrategyResults, *, resamples: int, seed: int) -> tuple[Values, Values]:
    """Return the compared metrics on the same resamples, each of shape (n_resamples,), and `Measured.by_row` of each.

    Both are means over the seeds.
    """
    trainings = {(key, number): result for key, own in results.items() for number, result in enumerate(own)}
    first = next(iter(trainings.values()))
    if any(not np.array_equal(result.labels, first.labels) for result in trainings.values()):
        raise PipelineError(
            "the cached results in .state/imbalance were measured on other test rows; delete that folder"
        )
    measured = {key: metrics.Measured(result.labels, result.probabilities) for key, result in trainings.items()}
    samples: dict[Any, dict[str, list[float]]] = {key: {name: [] for name in COMPARED} for key in measured}
    for weights, pseudo in intervals.draws(measured, resamples=resamples, seed=seed, of_rows=first.clusters):
        for key, model in measured.items():
            values, minority = model(weights, rankings=False, pseudo=pseudo[key]), trainings[key].minority
            called = (model.confusion(weights) + pseudo[key])[minority]
            values["minority_recall"] = called[minority] / max(called.sum(), 1)
            for name in COMPARED:
                samples[key][name].append(values[name])

    def means(of: Callable[[Any, str], Any]) -> Values:
        return {
            key: {name: np.mean([of((key, number), name) for number in range(len(own))], axis=0) for name in COMPARED}
            for key, own in results.items()
        }

    return means(lambda key, name: samples[key][name]), means(lambda key, name: measured[key].by_row(name))


def imbalance_markdown(table: pd.DataFrame, results: StrategyResults, title: str) -> str:
    """Return the table as Markdown: for each skew the metrics, and the differences to "none"."""
    lines = [f"# Imbalance: {title}", ""]
    for skew, part in table.groupby("skew", sort=False, dropna=False):
        first = next(own[0] for (key, _), own in results.items() if key == (None if np.isnan(skew) else skew))
        rows = ", ".join(f"{name} {count:,}" for name, count in zip(first.classes, first.rows, strict=True))
        heading = "Unchanged" if np.isnan(skew) else f"Skewed 1 : {skew:g}"
        smallest = first.classes[first.minority]
        header = ["strategy", *IMBALANCE_HEADINGS.values()]
        lines += [
            f"## {heading}: training rows {rows}",
            "",
            f"{len(first.labels):,} test rows; mean ± standard deviation over {part['seeds'].iloc[0]} seeds; recall "
            f"and precision are those of {smallest}, the smallest class; before: without temperature and offsets.",
            "",
            pipe_table(header, map(_cells, part.to_dict("records")), right=len(IMBALANCE_HEADINGS)),
        ]
        if "macro_f1_difference" in part and part["macro_f1_difference"].notna().any():
            lines += ["", *_differences(part)]
        if "recovered" in part and part["recovered"].notna().any():
            lines += ["", *_recovered(part)]
        lines.append("")
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = [
        mean_and_sd(row.get(key), row.get(f"{key}_sd"), 0 if key == "seconds" else 3) for key in IMBALANCE_HEADINGS
    ]
    return [row["strategy"], *cells]


def _differences(part: pd.DataFrame) -> list[str]:
    """Return a Markdown table of the differences to "none" at one skew; bold where statistically significant."""
    explanation = (
        "Difference to `none`, in points, log-loss in nats; in brackets the 95 % intervals over the test rows, or over "
        "their groups, which hold for all strategies together (Bonferroni); bold where statistically significant (the "
        "interval excludes 0)."
    )
    rows = []
    for row in part[part["strategy"] != NONE].to_dict("records"):
        cells = []
        for name in COMPARED:
            scale, digits = (1, 3) if name == "loss" else (100, 1)
            value, low, high = (scale * row[f"{name}_{end}"] for end in ("difference", "low", "high"))
            text = f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
            cells.append(f"**{text}**" if low > 0 or high < 0 else text)
        rows.append([row["strategy"], *cells])
    return [explanation, "", pipe_table(["strategy", "accuracy", "macro-F1", "recall", "log-loss"], rows, right=4)]


def _recovered(part: pd.DataFrame) -> list[str]:
    """Return a Markdown table of the accuracy that each strategy recovers at one skew."""
    explanation = (
        "Accuracy, and in brackets the recovered share of the accuracy that the skew costs `none` before calibration. "
        "Calibration uses the class priors of the validation rows."
    )
    rows = [
        [
            row["strategy"],
            f"{row['uncalibrated_accuracy']:.3f} ({row['recovered_before']:.0%})",
            f"{row['accuracy']:.3f} ({row['recovered']:.0%})",
        ]
        for row in part.to_dict("records")
    ]
    return [explanation, "", pipe_table(["strategy", "before calibration", "calibrated"], rows, right=2)]
