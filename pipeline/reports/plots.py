"""Plots of a pipeline state, one function each: data in, drawn on Matplotlib axes."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..base import paths
from ..evaluation.behaviour import MIN_SAMPLES
from ..evaluation.metrics import BINS
from ..evaluation.rates import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREY = "#1f5f99", "#d1722b", "#8a8f98"
COLORS = (BLUE, ORANGE, "#3b8a4f", "#a33b6d", "#6a5acd", "#8c6d31", "#2aa1a8", GREY, "#c2410c", "#1e293b")
PALE = "#d5d8dd"
WEAKEST = 6  # curves drawn in colour where there are more classes than colours
MAX_NAME_WIDTH = 22  # columns of a class name
SHOWN_WORDS = 10  # most telling words of a class
MAX_PANELS, PANEL_COLUMNS = 10, 5  # classes with their most telling words: in all, and side by side
LABELLED_CLASSES = 10  # up to which a confusion matrix has room for counts and large labels


def plot_learning_curve(axes: "Axes", history: pd.DataFrame) -> None:
    """Plot training and validation loss by epoch, and mark the epoch that was kept."""
    best = history.loc[history["validation_loss"].idxmin()]
    axes.plot(history["epoch"], history["train_loss"], "o-", markersize=4, color=GREY, label="training (weighted)")
    axes.plot(history["epoch"], history["validation_loss"], "o-", markersize=4, color=BLUE, label="validation")
    axes.axvline(best["epoch"], color=ORANGE, linestyle=":", label=f"kept: epoch {best['epoch']:.0f}")
    axes.set(title="Learning curve", xlabel="epoch", ylabel="cross-entropy (nats)")
    axes.locator_params(axis="x", integer=True)
    _add_legend(axes)


def plot_confusion_matrix(axes: "Axes", predictions: pd.DataFrame, classes: list[str]) -> None:
    """Plot the share of each actual class's rows by predicted class, with the counts where there is room for them."""
    few, number = len(classes) <= LABELLED_CLASSES, {name: i for i, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (predictions["actual"].map(number), predictions["predicted"].map(number)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{share:.0%}\n{counts[row, column]:,}" if few else f"{100 * share:.0f}"
        if few or (len(classes) <= 30 and counts[row, column]):
            color, size = ("white" if share > 0.5 else "black"), (9 if few else 7)
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
    if not few:
        axes.figure.colorbar(image, ax=axes, label="share of the actual class", format="{x:.0%}", shrink=0.6)
    ticks, names = range(len(classes)), [short_name(name) for name in classes]
    axes.set(title="Confusion matrix (test)", xlabel="predicted", ylabel="actual", xticks=ticks, yticks=ticks)
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=10 if few else 8)
    axes.set_yticklabels(names)
    axes.set_xticklabels(names)
    if not few:
        axes.tick_params(axis="x", labelrotation=90)
    elif max(map(text_width, names)) * len(names) > 45:  # they would overlap
        axes.set_xticklabels(names, rotation=35, ha="right", rotation_mode="anchor")


def plot_class_counts(axes: "Axes", counts: pd.DataFrame, classes: list[str]) -> None:
    """Plot the rows of each class by split, before rebalancing."""
    table = counts.pivot(index="label", columns="split", values="rows").loc[classes, list(paths.SPLITS)]
    left, positions = np.zeros(len(table)), np.arange(len(table))
    for split, color in zip(paths.SPLITS, (BLUE, GREY, ORANGE), strict=True):
        axes.barh(positions, table[split], left=left, color=color, label=split)
        left += table[split].to_numpy()
    axes.set(title="Rows by class", xlabel="rows", yticks=positions, ylim=(len(table) - 0.4, -0.6))
    axes.set_yticklabels([short_name(name) for name in classes])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    _add_legend(axes)


def plot_curves(axes: "Axes", table: pd.DataFrame, areas: dict[str, float], *, x: str, y: str, title: str) -> None:
    """Plot a curve for each class, with its area; of many classes, the weakest in colour and the others in grey.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    table : DataFrame
        Has the columns `class`, `x` and `y`.
    areas : dict of str to float
        Area under the curve by class, and the mean of the classes under the name "".
    x, y, title : str
        Column names, which become the labels of the axes, and the title.
    """
    curves = dict(tuple(table.groupby("class", sort=False)))
    many = len(curves) > len(COLORS)
    colored = sorted(curves, key=lambda name: areas[name])[:WEAKEST] if many else list(curves)
    colors = dict(zip(colored, COLORS, strict=False))
    for name in [name for name in curves if name not in colors]:
        axes.plot(curves[name][x], curves[name][y], color=PALE, linewidth=0.8, zorder=1)
    lines = []
    for name, color in colors.items():
        (line,) = axes.plot(curves[name][x], curves[name][y], color=color)
        lines.append((line, f"{short_name(name)}  {areas[name]:.3f}"))
    if many:
        (line,) = axes.plot([], [], color=PALE)
        lines.append((line, f"{len(curves) - WEAKEST} other classes"))
    labels = {"xlabel": x.replace("_", " "), "ylabel": y.replace("_", " ")}
    axes.set(title=f"{title}: mean {areas['']:.3f}", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal", **labels)
    _add_legend(axes, f"the weakest {WEAKEST} of {len(curves)}" if many else None, lines)


def plot_reliability(axes: "Axes", table: pd.DataFrame, errors: dict[str, float]) -> None:
    """Plot accuracy by confidence before and after calibration, and the share of the rows with each confidence.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    table : DataFrame
        As `curves.reliability` returns it.
    errors : dict of str to float
        Expected calibration error by the names in the column `probabilities`.
    """
    background = axes.twinx()
    background.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)
    axes.plot([0, 1], [0, 1], color="#c3c7cd", linewidth=1, linestyle="--", label="perfect calibration")
    for name, color in (("uncalibrated", GREY), ("calibrated", BLUE)):
        rows = table[table["probabilities"] == name]
        label = f"{name}, error {errors[name]:.3f}"
        axes.plot(rows["confidence"], rows["accuracy"], "o-", markersize=4, color=color, label=label)
    heights = rows["num_samples"] / rows["num_samples"].sum()
    background.bar((rows["bin"] - 0.5) / BINS, heights, width=0.9 / BINS, color="#e6ebf2")
    background.set(ylim=(0, 1.02), ylabel="share of the rows (bars)")
    background.yaxis.set_major_formatter("{x:.0%}")
    axes.set(title="Reliability (test)", xlabel="confidence", ylabel="accuracy", xlim=(0, 1.01), ylim=(0, 1.02))
    _add_legend(axes)


def plot_behaviour(axes: "Axes", results: dict[str, Any]) -> None:
    """Plot the pass rate of each behaviour test with its 95 % interval, pale where too few samples tell anything.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    results : dict
        As `behaviour.run_tests` returns it.
    """
    tests = results["tests"]
    labels = {
        "INV": "should keep the label",
        "DIR": "should not turn against\nwhat is added",
        "MFT": "should get the plain label",
    }
    colors = dict(zip(labels, COLORS, strict=False))
    for position, test in enumerate(tests.values()):
        alpha = 1 if test["num_samples"] >= MIN_SAMPLES else 0.35
        axes.barh(position, test["pass_rate"], color=colors[test["kind"]], alpha=alpha)
        low, high = wilson_interval(test["pass_rate"], test["num_samples"]).values()
        axes.plot([low, high], [position, position], color=PALE, linewidth=1.5)
        text = f"{test['pass_rate']:.1%} of {test['num_samples']}"
        axes.text(high + 0.01, position, text, va="center", fontsize=8)
    for kind, label in labels.items():
        if any(test["kind"] == kind for test in tests.values()):
            axes.barh(0, 0, color=colors[kind], label=f"{kind}: {label}")
    ticks = range(len(tests))
    axes.set(title="Behaviour", xlabel="samples that pass", xlim=(0, 1.25), ylim=(len(tests) - 0.4, -0.6))
    axes.set(yticks=ticks, yticklabels=[name.replace("_", " ") for name in tests], xticks=np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter("{x:.0%}")
    _add_legend(axes)


def plot_telling_words(axes: "Axes", table: pd.DataFrame, classes: list[str]) -> None:
    """Plot the most telling words of each class, or of the first classes, in a panel each that replaces `axes`.

    Parameters
    ----------
    axes : Axes
        Of the figure to draw in.
    table : DataFrame
        As `explanation.telling_words` returns it.
    classes : list of str
        Class names.
    """
    with_words = table["class"].drop_duplicates().to_list() or classes  # perhaps no class has a telling word
    drawn = with_words[:MAX_PANELS] if len(classes) > MAX_PANELS else classes
    figure = axes.figure
    axes.remove()
    columns = min(len(drawn), PANEL_COLUMNS)
    panels = figure.subplots(-(-len(drawn) // columns), columns, squeeze=False, sharex=True).ravel()
    for panel, name in zip(panels, drawn, strict=False):
        rows = table[table["class"] == name].head(SHOWN_WORDS)
        panel.barh(range(len(rows)), rows["contribution"], color=BLUE)
        panel.set_title(short_name(name), fontsize=10)
        panel.set(yticks=range(len(rows)), ylim=(SHOWN_WORDS - 0.4, -0.6))
        panel.set_yticklabels([short_name(word) for word in rows["word"]])
        panel.tick_params(labelsize=8)
    for panel in panels[len(drawn) :]:
        panel.set_visible(False)
    some = f": {MAX_PANELS} of {len(classes)} classes" if drawn != classes else ""
    figure.suptitle(f"Most telling words (test){some}")
    figure.supxlabel("contribution of the word to the score of the class, mean of its texts", fontsize=9)


def short_name(name: str) -> str:
    """Put a class name on one line, and leave out the middle of a long one.

    >>> short_name("two\\nlines"), short_name("a very long name of a class")
    ('two lines', 'a very long nam… class')
    """
    name = " ".join(name.split())
    if text_width(name) <= MAX_NAME_WIDTH:
        return name
    head, tail = name, name[-6:]
    while text_width(head) + text_width(tail) > MAX_NAME_WIDTH - 1:
        head = head[:-1]
    return f"{head}…{tail}"


def text_width(text: str) -> int:
    """Return the number of columns that a text takes: Chinese characters are twice as wide.

    >>> text_width("ab"), text_width("好评")
    (2, 4)
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _add_legend(axes: "Axes", title: str | None = None, lines: Sequence[tuple[Any, str]] = ()) -> None:
    """Add a legend next to the plot, where it hides no data.

    Matplotlib leaves out labels that begin with "_": `lines`, pairs of line and label, has them too.
    """
    handles = tuple(zip(*lines, strict=True))
    axes.figure.legend(*handles, loc="outside right upper", frameon=False, fontsize=9, title=title, title_fontsize=9)
