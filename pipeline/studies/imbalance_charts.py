"""Charts of a study of imbalance."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..base.files import atomic
from ..reports.figures import figure_style
from ..reports.plots import BLUE, COLORS, GREY, ORANGE
from .imbalance_results import NONE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "macro_f1": "macro-F1",
    "minority_recall": "recall, smallest class",
    "minority_precision": "precision, smallest class",
    "loss": "log-loss (hollow: before calibration)",
}


def save_charts(table: pd.DataFrame, folder: Path, title: str) -> list[Path]:
    """Draw a table made by `strategy_table` as PNG files in `folder`; return their paths."""
    from matplotlib.figure import Figure

    charts: dict[str, Callable[[Figure], None]] = {}
    for skew, part in table.groupby("skew", sort=False, dropna=False):
        name = f"{title}-strategies" if np.isnan(skew) else f"{title}-1-to-{skew:g}-strategies"
        charts[name] = partial(draw_strategies, part=part.reset_index(drop=True))
    if table["skew"].nunique(dropna=False) > 1:
        charts[f"{title}-skews"] = partial(draw_skews, table=table)
    files = []
    with figure_style():
        for name, draw in charts.items():
            figure = Figure(layout="constrained")
            draw(figure)
            with atomic(folder / f"{name}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
            files.append(folder / f"{name}.png")
    return files


def draw_strategies(figure: "Figure", part: pd.DataFrame) -> None:
    """Draw a panel for each metric with a row for each strategy: mean over the seeds ± standard deviation."""
    figure.set_size_inches(12, 1.4 + 0.34 * len(part))
    positions, scores = np.arange(len(part)), [key for key in PANELS if key != "loss"]
    spread = part[[f"{key}_sd" for key in scores]].fillna(0).to_numpy()
    lows, highs = (part[scores] - spread).min(), (part[scores] + spread).max()
    # The same range for all panels, so that a point of macro-F1 is as long as a point of recall.
    width = max(0.55 * (highs - lows).max(), 0.01)
    for axes, (key, title) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True):
        colors = [ORANGE if name == NONE else BLUE for name in part["strategy"]]
        none = part.loc[part["strategy"] == NONE, key]
        if len(none):
            axes.axvline(none.iloc[0], color="#c3c7cd", linewidth=1, linestyle="--", zorder=0)
        if key == "loss":
            axes.scatter(part["uncalibrated_loss"], positions, facecolors="none", edgecolors=GREY, s=36)
        sd = part[f"{key}_sd"].fillna(0)
        axes.hlines(positions, part[key] - sd, part[key] + sd, colors)
        axes.scatter(part[key], positions, color=colors, s=36)
        axes.set(title=title, yticks=positions, ylim=(len(part) - 0.5, -0.5))
        axes.set_yticklabels(part["strategy"])
        if key in scores:
            axes.set_xlim((lows[key] + highs[key]) / 2 - width, (lows[key] + highs[key]) / 2 + width)
        axes.locator_params(axis="x", nbins=5)
        axes.title.set_fontsize(10)
        axes.grid(axis="y", color="#eceff3")
        axes.set_axisbelow(True)


def draw_skews(figure: "Figure", table: pd.DataFrame) -> None:
    """Draw accuracy and the smallest class's recall by the skew of the training rows, a line for each strategy."""
    figure.set_size_inches(14, 4)
    table = table.assign(skew=table["skew"].fillna(1))
    names = [name for name, rows in table.groupby("strategy", sort=False) if len(rows) > 1]
    ticks = sorted(table["skew"].unique())
    panels = {"uncalibrated_accuracy": "accuracy before calibration", "accuracy": "accuracy"}
    panels |= {"minority_recall": "recall, smallest class"}
    for axes, (key, title) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
        for name, color in zip(names, COLORS * 2, strict=False):
            rows = table[table["strategy"] == name].sort_values("skew")
            axes.errorbar(rows["skew"], rows[key], rows[f"{key}_sd"], fmt="o-", markersize=4, color=color, label=name)
        axes.set(title=title, xlabel="training rows, largest class : smallest", xscale="log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.tick_params(labelleft=True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
