"""Plots: the same data that `dvc plots` shows, as PNG files for people and for MLflow."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from . import paths
from .files import atomic, read_json, read_table, sha256, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN_FROM = (paths.CLEAN_CLASSES, paths.CLEAN_COUNTS, paths.TRAIN_HISTORY, paths.EVALUATE_PREDICTIONS)
BLUE, ORANGE, GREY = "#1f5f99", "#d1722b", "#8a8f98"


def learning_curve(axes: "Axes", history: pd.DataFrame) -> None:
    """Training and validation loss by epoch; the kept epoch marked."""
    best = history.loc[history["validation_loss"].idxmin()]
    axes.plot(history["epoch"], history["train_loss"], "o-", color=GREY, label="training (weighted)")
    axes.plot(history["epoch"], history["validation_loss"], "o-", color=BLUE, label="validation")
    axes.axvline(best["epoch"], color=ORANGE, linestyle=":", label=f"kept: epoch {best['epoch']:.0f}")
    axes.set(title="Learning curve", xlabel="epoch", ylabel="cross-entropy (nats)", xticks=history["epoch"])
    axes.legend(frameon=False)


def confusion_matrix(axes: "Axes", predictions: pd.DataFrame, classes: list[str]) -> None:
    """Share of each true class's rows by predicted class, with the counts."""
    counts = pd.crosstab(predictions["actual"], predictions["predicted"]).reindex(
        index=classes, columns=classes, fill_value=0
    )
    shares = counts.to_numpy() / counts.to_numpy().sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        color = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{share:.0%}\n{counts.iat[row, column]:,}", ha="center", va="center", color=color)
    ticks = range(len(classes))
    axes.set(title="Confusion matrix (test)", xlabel="predicted", ylabel="actual", xticks=ticks, yticks=ticks)
    axes.set_xticklabels(classes, rotation=30 if len(classes) > 4 else 0)
    axes.set_yticklabels(classes)


def class_counts(axes: "Axes", counts: pd.DataFrame) -> None:
    """Rows by class in each split, before rebalancing."""
    wide = counts.pivot(index="label", columns="split", values="rows")[list(paths.SPLITS)]
    left = np.zeros(len(wide))
    for split, color in zip(paths.SPLITS, (BLUE, GREY, ORANGE), strict=True):
        axes.barh(wide.index, wide[split], left=left, color=color, label=split)
        left += wide[split].to_numpy()
    axes.set(title="Rows by class", xlabel="rows")
    axes.legend(frameon=False)


def render(folder: Path) -> list[Path]:
    """Draw every plot from the stages' outputs into `folder`, unless it shows them already; give the PNG files."""
    drawn = {path.as_posix(): sha256(path) for path in DRAWN_FROM}
    files = [folder / f"{name}.png" for name in ("learning_curve", "confusion_matrix", "class_counts")]
    stamp = folder / "drawn_from.json"
    if all(file.is_file() for file in [*files, stamp]) and read_json(stamp) == drawn:
        return files

    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    classes = read_json(paths.CLEAN_CLASSES)
    history, counts = read_table(paths.TRAIN_HISTORY), read_table(paths.CLEAN_COUNTS, strings=["split", "label"])
    predictions = read_table(paths.EVALUATE_PREDICTIONS, strings=["row", "actual", "predicted"])
    drawings: dict[str, Callable[[Axes], None]] = {
        "learning_curve": lambda axes: learning_curve(axes, history),
        "confusion_matrix": lambda axes: confusion_matrix(axes, predictions, classes),
        "class_counts": lambda axes: class_counts(axes, counts),
    }
    for file in files:
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
            axes = figure.add_subplot()
        drawings[file.stem](axes)
        with atomic(file) as temporary:
            figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
    write_json(stamp, drawn)
    return files
