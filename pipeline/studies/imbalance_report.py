"""Report of the study of imbalance: each strategy's figures, their differences to none, and the pictures of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..base.errors import PipelineError
from ..base.files import atomic, read_arrays, read_json, write_arrays, write_json
from ..base.markdown import pipe_table
from ..evaluation import intervals, metrics
from ..reports.figures import figure_style
from ..reports.plots import BLUE, COLORS, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "none"  # the strategy that all others are compared with
# What is told of each training: of all classes, and of the smallest one.
FIGURES = (
    *("accuracy", "macro_f1", "balanced_accuracy", "minority_recall", "minority_precision", "pr_auc", "loss", "ece"),
    *("uncalibrated_accuracy", "uncalibrated_loss", "uncalibrated_ece", "seconds"),
)
COMPARED = ("accuracy", "macro_f1", "minority_recall", "loss")  # with "none", on the same resamples of the test rows


@dataclass(frozen=True)
class Result:
    """What a training gave on the test rows.

    Parameters
    ----------
    classes : tuple of str
        Class names.
    rows : tuple of int
        Training rows of each.
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Calibrated.
    metrics : dict
        As evaluate gives them.
    history : list of dict
        As `train.fit` gives it.
    seconds : float, or None
        What train took; None where DVC had its outputs already.
    """

    classes: tuple[str, ...]
    rows: tuple[int, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float | None

    @property
    def minority(self) -> int:
        """Number of the class with fewest training rows."""
        return int(np.argmin(self.rows))

    @property
    def figures(self) -> dict[str, float]:
        """Those of `FIGURES` that are known."""
        smallest = self.metrics["per_class"][self.classes[self.minority]]
        found = self.metrics["overall"] | {
            "minority_recall": smallest["recall"],
            "minority_precision": smallest["precision"],
            **{f"uncalibrated_{key}": value for key, value in self.metrics["uncalibrated"].items()},
            **({} if self.seconds is None else {"seconds": self.seconds}),
        }
        return {key: found[key] for key in FIGURES if key in found}

    def save(self, folder: Path) -> None:
        """Keep it: the arrays first, so that the JSON file says that all is there."""
        write_arrays(folder / "rows.npz", {"labels": self.labels, "probabilities": self.probabilities})
        kept = {key: getattr(self, key) for key in ("classes", "rows", "metrics", "history", "seconds")}
        write_json(folder / "result.json", kept)

    @classmethod
    def load(cls, folder: Path) -> "Result | None":
        """What is kept there, if anything."""
        if not (folder / "result.json").is_file():
            return None
        kept, arrays = read_json(folder / "result.json"), read_arrays(folder / "rows.npz")
        kept |= {key: tuple(kept[key]) for key in ("classes", "rows")}
        return cls(labels=arrays["labels"], probabilities=arrays["probabilities"], **kept)


# By skew of the training rows, None as they are, and strategy: one result a seed.
Found = Mapping[tuple[float | None, str], Sequence[Result]]


def summarize(found: Found, *, resamples: int, seed: int) -> pd.DataFrame:
    """The table: mean and standard deviation over the seeds, and differences to "none" of the same skew.

    Parameters
    ----------
    found : mapping of (float or None, str) to sequence of Result
        As `Found` says; all on the same test rows.
    resamples, seed : int
        As in `metrics.bootstrap`.

    Returns
    -------
    DataFrame
        `skew` (NaN as the rows are), `strategy`, `seeds`; the mean and, ending in `_sd`, the standard deviation of each
        of `FIGURES`; of each of `COMPARED`, the mean minus that of "none", ending in `_difference`, with the interval
        in `_low` and `_high`: by paired bootstrap over the test rows, at 95 % for all strategies of a skew together
        (Bonferroni 1936). Of skewed rows also `recovered_before` and `recovered`, the share that is won back, before
        and after calibration, of the accuracy that the skew costs "none" before calibration.
    """
    drawn = _bootstrap(found, resamples=resamples, seed=seed)
    means = {key: pd.DataFrame([result.figures for result in of]) for key, of in found.items()}
    table = []
    for (skew, strategy), measured in means.items():
        row: dict[str, Any] = {"skew": np.nan if skew is None else skew, "strategy": strategy, "seeds": len(measured)}
        spread = measured.std(ddof=1)
        row |= {name: measured[name].mean() for name in measured} | {f"{name}_sd": spread[name] for name in measured}
        base = means.get((skew, NONE))
        if strategy != NONE and base is not None:
            others = sum(each[0] == skew for each in found) - 1
            tail = 2.5 / others
            for name in COMPARED:
                values = drawn[skew, strategy][name] - drawn[skew, NONE][name]
                low, high = np.percentile(values, [tail, 100 - tail])
                row |= {f"{name}_difference": measured[name].mean() - base[name].mean()}
                row |= {f"{name}_low": low, f"{name}_high": high}
        natural = means.get((None, NONE))
        if skew is not None and natural is not None and base is not None:
            plain = base["uncalibrated_accuracy"].mean()
            lost = natural["accuracy"].mean() - plain
            for key, name in (("recovered_before", "uncalibrated_accuracy"), ("recovered", "accuracy")):
                row[key] = (row[name] - plain) / lost if lost > 0 else np.nan
        table.append(row)
    return pd.DataFrame(table).round(6)


def _bootstrap(found: Found, *, resamples: int, seed: int) -> dict[tuple[float | None, str], dict[str, np.ndarray]]:
    """The compared figures, means over the seeds, on the same resamples of the rows; each of shape (n_resamples,)."""
    first = next(iter(found.values()))[0]
    for of in found.values():
        if any(not np.array_equal(each.labels, first.labels) for each in of):
            raise PipelineError("the trainings kept in .state/imbalance are of other test rows; remove that folder")
    measured = {
        (key, number): metrics.Measured(each.labels, each.probabilities)
        for key, of in found.items()
        for number, each in enumerate(of)
    }
    drawn: dict[Any, dict[str, list[float]]] = {key: {name: [] for name in COMPARED} for key in measured}
    for weights in intervals.resampled(len(first.labels), resamples, seed):
        for key, model in measured.items():
            figures, minority = model(weights, rankings=False), found[key[0]][key[1]].minority
            recalls = model.confusion(weights)[minority]
            figures["minority_recall"] = recalls[minority] / max(recalls.sum(), 1)
            for name in COMPARED:
                drawn[key][name].append(figures[name])
    return {
        key: {name: np.mean([drawn[key, number][name] for number in range(len(of))], axis=0) for name in COMPARED}
        for key, of in found.items()
    }


HEADINGS = {
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


def markdown(table: pd.DataFrame, found: Found, title: str) -> str:
    """The table as Markdown: for each skew the figures, and the differences to "none"."""
    lines = [f"# Imbalance: {title}", ""]
    for skew, part in table.groupby("skew", sort=False, dropna=False):
        first = next(of[0] for (each, _), of in found.items() if each == (None if np.isnan(skew) else skew))
        rows = ", ".join(f"{name} {count:,}" for name, count in zip(first.classes, first.rows, strict=True))
        heading = "As they are" if np.isnan(skew) else f"Skewed 1 : {skew:g}"
        smallest = first.classes[first.minority]
        lines += [
            f"## {heading}: training rows {rows}",
            "",
            f"{len(first.labels):,} test rows; mean ± standard deviation over {part['seeds'].iloc[0]} seeds; recall "
            f"and precision are those of {smallest}, the smallest class; before: without temperature and offsets.",
            "",
            pipe_table(["strategy", *HEADINGS.values()], map(_cells, part.to_dict("records")), right=len(HEADINGS)),
        ]
        if "macro_f1_difference" in part and part["macro_f1_difference"].notna().any():
            lines += ["", *_differences(part)]
        if "recovered" in part and part["recovered"].notna().any():
            lines += ["", *_recovered(part)]
        lines.append("")
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = [_shown(row.get(key), row.get(f"{key}_sd"), 0 if key == "seconds" else 3) for key in HEADINGS]
    return [row["strategy"], *cells]


def _differences(part: pd.DataFrame) -> list[str]:
    """The strategies of a skew minus "none", as lines of Markdown; bold where chance alone does not explain them."""
    said = (
        "Minus `none`, in points, log-loss in nats; in brackets the 95 % intervals over the test rows, wide enough for "
        "all strategies together; bold where they hold no 0."
    )
    rows = []
    for row in part[part["strategy"] != NONE].to_dict("records"):
        cells = []
        for name in COMPARED:
            scale, digits = (1, 3) if name == "loss" else (100, 1)
            value, low, high = (scale * row[f"{name}_{each}"] for each in ("difference", "low", "high"))
            text = f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
            cells.append(f"**{text}**" if low > 0 or high < 0 else text)
        rows.append([row["strategy"], *cells])
    return [said, "", pipe_table(["strategy", "accuracy", "macro-F1", "recall", "log-loss"], rows, right=4)]


def _recovered(part: pd.DataFrame) -> list[str]:
    """How much of the accuracy that the skew costs each strategy of a skew wins back, as lines of Markdown."""
    said = (
        "Accuracy, and in brackets how much it wins back of what the skew costs `none` before calibration. Calibration "
        "knows the shares of the validation rows."
    )
    rows = [
        [
            row["strategy"],
            f"{row['uncalibrated_accuracy']:.3f} ({row['recovered_before']:.0%})",
            f"{row['accuracy']:.3f} ({row['recovered']:.0%})",
        ]
        for row in part.to_dict("records")
    ]
    return [said, "", pipe_table(["strategy", "before calibration", "calibrated"], rows, right=2)]


def _shown(mean: float | None, spread: float | None, digits: int) -> str:
    if mean is None or pd.isna(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if spread is None or pd.isna(spread) else f" ± {spread:.{digits}f}")


PANELS = {
    "macro_f1": "macro-F1",
    "minority_recall": "recall, smallest class",
    "minority_precision": "precision, smallest class",
    "loss": "log-loss (hollow: before calibration)",
}


def render(table: pd.DataFrame, folder: Path, title: str) -> list[Path]:
    """Draw a table as `summarize` gives it into `folder`; give the PNG files."""
    from matplotlib.figure import Figure

    drawings: dict[str, Callable[[Figure], None]] = {}
    for skew, part in table.groupby("skew", sort=False, dropna=False):
        name = f"{title}-strategies" if np.isnan(skew) else f"{title}-1-to-{skew:g}-strategies"
        drawings[name] = partial(strategies, part=part.reset_index(drop=True))
    if table["skew"].nunique(dropna=False) > 1:
        drawings[f"{title}-skews"] = partial(skews, table=table)
    files = []
    with figure_style():
        for name, draw in drawings.items():
            figure = Figure(layout="constrained")
            draw(figure)
            with atomic(folder / f"{name}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
            files.append(folder / f"{name}.png")
    return files


def strategies(figure: "Figure", part: pd.DataFrame) -> None:
    """A panel for each figure, a line for each strategy: the mean over the seeds, and its standard deviation."""
    figure.set_size_inches(12, 1.4 + 0.34 * len(part))
    places, shares = np.arange(len(part)), [key for key in PANELS if key != "loss"]
    spread = part[[f"{key}_sd" for key in shares]].fillna(0).to_numpy()
    lows, highs = (part[shares] - spread).min(), (part[shares] + spread).max()
    # The same for all panels, so that a point is as long in one as in another.
    width = max(0.55 * (highs - lows).max(), 0.01)
    for axes, (key, title) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True):
        colors = [ORANGE if name == NONE else BLUE for name in part["strategy"]]
        base = part.loc[part["strategy"] == NONE, key]
        if len(base):
            axes.axvline(base.iloc[0], color="#c3c7cd", linewidth=1, linestyle="--", zorder=0)
        if key == "loss":
            axes.scatter(part["uncalibrated_loss"], places, facecolors="none", edgecolors=GREY, s=36)
        axes.hlines(places, part[key] - part[f"{key}_sd"].fillna(0), part[key] + part[f"{key}_sd"].fillna(0), colors)
        axes.scatter(part[key], places, color=colors, s=36)
        axes.set(title=title, yticks=places, ylim=(len(part) - 0.5, -0.5))
        axes.set_yticklabels(part["strategy"])
        if key in shares:
            axes.set_xlim((lows[key] + highs[key]) / 2 - width, (lows[key] + highs[key]) / 2 + width)
        axes.locator_params(axis="x", nbins=5)
        axes.title.set_fontsize(10)
        axes.grid(axis="y", color="#eceff3")
        axes.set_axisbelow(True)


def skews(figure: "Figure", table: pd.DataFrame) -> None:
    """Accuracy and the smallest class's recall by the skew of the training rows, a line for each strategy."""
    figure.set_size_inches(14, 4)
    table = table.assign(skew=table["skew"].fillna(1))
    names = [name for name, of in table.groupby("strategy", sort=False) if len(of) > 1]
    ticks = sorted(table["skew"].unique())
    panels = {"uncalibrated_accuracy": "accuracy before calibration", "accuracy": "accuracy"}
    panels |= {"minority_recall": "recall, smallest class"}
    for axes, (key, title) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
        for name, color in zip(names, COLORS * 2, strict=False):
            of = table[table["strategy"] == name].sort_values("skew")
            axes.errorbar(of["skew"], of[key], of[f"{key}_sd"], fmt="o-", markersize=4, color=color, label=name)
        axes.set(title=title, xlabel="training rows, largest class : smallest", xscale="log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.tick_params(labelleft=True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
