"""Plots: the same data that `dvc plots` shows, as PNG files for people and for MLflow."""

import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..base import paths
from ..base.files import atomic, read_json, read_table, sha256, write_json
from ..evaluation.behaviour import MIN_SAMPLES
from ..evaluation.metrics import BINS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN_FROM = (
    paths.CLEAN_CLASSES,
    paths.CLEAN_COUNTS,
    paths.TRAIN_HISTORY,
    paths.EVALUATE_METRICS,
    paths.EVALUATE_PREDICTIONS,
    paths.EVALUATE_ROC,
    paths.EVALUATE_PR,
    paths.EVALUATE_RELIABILITY,
    paths.EVALUATE_BEHAVIOUR,
    paths.EVALUATE_WORDS,
)
BLUE, ORANGE, GREY = "#1f5f99", "#d1722b", "#8a8f98"
COLORS = (BLUE, ORANGE, "#3b8a4f", "#a33b6d", "#6a5acd", "#8c6d31", "#2aa1a8", GREY, "#c2410c", "#1e293b")
WEAKEST = 6  # curves drawn in colour where there are more classes than colours
FONT = "fonts/NotoSansSC-Regular.ttf"  # of the package zhplot: Chinese, where the machine has no font of its own
NAME_WIDTH = 22
WORDS, PANELS, PANEL_COLUMNS = 10, 10, 5  # most telling words drawn of a class; classes, in all and side by side


def learning_curve(axes: "Axes", history: pd.DataFrame) -> None:
    """Training and validation loss by epoch; the kept epoch marked."""
    best = history.loc[history["validation_loss"].idxmin()]
    axes.plot(history["epoch"], history["train_loss"], "o-", markersize=4, color=GREY, label="training (weighted)")
    axes.plot(history["epoch"], history["validation_loss"], "o-", markersize=4, color=BLUE, label="validation")
    axes.axvline(best["epoch"], color=ORANGE, linestyle=":", label=f"kept: epoch {best['epoch']:.0f}")
    axes.set(title="Learning curve", xlabel="epoch", ylabel="cross-entropy (nats)")
    axes.locator_params(axis="x", integer=True)
    _legend(axes)


def confusion_matrix(axes: "Axes", predictions: pd.DataFrame, classes: list[str]) -> None:
    """Share of each true class's rows by predicted class, with the counts where they can be read."""
    few, number = len(classes) <= 10, {name: i for i, name in enumerate(classes)}
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
    ticks, names = range(len(classes)), [shown(name) for name in classes]
    axes.set(title="Confusion matrix (test)", xlabel="predicted", ylabel="actual", xticks=ticks, yticks=ticks)
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=10 if few else 8)
    axes.set_yticklabels(names)
    axes.set_xticklabels(names)
    if not few:
        axes.tick_params(axis="x", labelrotation=90)
    elif max(map(_width, names)) * len(names) > 45:  # they would meet
        axes.set_xticklabels(names, rotation=35, ha="right", rotation_mode="anchor")


def class_counts(axes: "Axes", counts: pd.DataFrame, classes: list[str]) -> None:
    """Rows by class in each split, before rebalancing."""
    wide = counts.pivot(index="label", columns="split", values="rows").loc[classes, list(paths.SPLITS)]
    left, places = np.zeros(len(wide)), np.arange(len(wide))
    for split, color in zip(paths.SPLITS, (BLUE, GREY, ORANGE), strict=True):
        axes.barh(places, wide[split], left=left, color=color, label=split)
        left += wide[split].to_numpy()
    axes.set(title="Rows by class", xlabel="rows", yticks=places, ylim=(len(wide) - 0.4, -0.6))
    axes.set_yticklabels([shown(name) for name in classes])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    _legend(axes)


def curve_by_class(axes: "Axes", table: pd.DataFrame, areas: dict[str, float], *, x: str, y: str, title: str) -> None:
    """A curve for each class, with its area; of many classes, the weakest in colour and the others in grey.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    table : DataFrame
        Has the columns `class`, `x` and `y`.
    areas : dict of str to float
        Area under the curve by class, and of their mean under the name "".
    x, y, title : str
        Column names, which become the labels of the axes, and the title.
    """
    curves = dict(tuple(table.groupby("class", sort=False)))
    mean = areas[""]
    many = len(curves) > len(COLORS)
    colored = sorted(curves, key=lambda name: areas[name])[:WEAKEST] if many else list(curves)
    colors = dict(zip(colored, COLORS, strict=False))
    for name in [name for name in curves if name not in colors]:
        axes.plot(curves[name][x], curves[name][y], color="#d5d8dd", linewidth=0.8, zorder=1)
    lines = []
    for name, color in colors.items():
        (line,) = axes.plot(curves[name][x], curves[name][y], color=color)
        lines.append((line, f"{shown(name)}  {areas[name]:.3f}"))
    if many:
        (line,) = axes.plot([], [], color="#d5d8dd")
        lines.append((line, f"{len(curves) - WEAKEST} other classes"))
    heading = f"{title}: mean {mean:.3f}"
    labels = {"xlabel": x.replace("_", " "), "ylabel": y.replace("_", " ")}
    axes.set(title=heading, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal", **labels)
    _legend(axes, f"the weakest {WEAKEST} of {len(curves)}" if many else None, lines)


def reliability(axes: "Axes", table: pd.DataFrame, errors: dict[str, float]) -> None:
    """How often the model is right by how sure it is, before and after the temperature, and how many rows are so sure.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    table : DataFrame
        As `curves.reliability` gives it.
    errors : dict of str to float
        Expected calibration error by the names in the column `probabilities`.
    """
    share = axes.twinx()
    share.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)
    axes.plot([0, 1], [0, 1], color="#c3c7cd", linewidth=1, linestyle="--", label="as often as it says")
    for name, color in (("uncalibrated", GREY), ("calibrated", BLUE)):
        rows = table[table["probabilities"] == name]
        label = f"{name}, error {errors[name]:.3f}"
        axes.plot(rows["confidence"], rows["accuracy"], "o-", markersize=4, color=color, label=label)
    heights = rows["num_samples"] / rows["num_samples"].sum()
    share.bar((rows["bin"] - 0.5) / BINS, heights, width=0.9 / BINS, color="#e6ebf2")
    share.set(ylim=(0, 1.02), ylabel="share of the rows (bars)")
    share.yaxis.set_major_formatter("{x:.0%}")
    axes.set(title="Reliability (test)", xlabel="confidence", ylabel="accuracy", xlim=(0, 1.01), ylim=(0, 1.02))
    _legend(axes)


def behaviour(axes: "Axes", found: dict[str, Any]) -> None:
    """Share of the samples that behave by test, pale where they are too few to judge by; see `behaviour.measure`."""
    tests = found["tests"]
    labels = {
        "INV": "should keep the label",
        "DIR": "should not turn against\nwhat is added",
        "MFT": "should get the plain label",
    }
    for place, of in enumerate(tests.values()):
        alpha = 1 if of["num_samples"] >= MIN_SAMPLES else 0.35
        axes.barh(place, of["pass_rate"], color=dict(zip(labels, COLORS, strict=False))[of["kind"]], alpha=alpha)
        text = f"{of['pass_rate']:.1%} of {of['num_samples']}"
        axes.text(of["pass_rate"] + 0.01, place, text, va="center", fontsize=8)
    for color, (kind, label) in zip(COLORS, labels.items(), strict=False):
        if any(of["kind"] == kind for of in tests.values()):
            axes.barh(0, 0, color=color, label=f"{kind}: {label}")
    ticks = range(len(tests))
    axes.set(title="Behaviour", xlabel="samples that behave", xlim=(0, 1.25), ylim=(len(tests) - 0.4, -0.6))
    axes.set(yticks=ticks, yticklabels=[name.replace("_", " ") for name in tests], xticks=np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter("{x:.0%}")
    _legend(axes)


def telling_words(axes: "Axes", table: pd.DataFrame, classes: list[str]) -> None:
    """The most telling words of each class, in a panel of its own in place of `axes`; of many classes, the first ten.

    Parameters
    ----------
    axes : Axes
        Says in which figure to draw.
    table : DataFrame
        As `explain.telling_words` gives it.
    classes : list of str
        Class names.
    """
    named = table["class"].drop_duplicates().to_list() or classes  # no word may be telling
    drawn = named[:PANELS] if len(classes) > PANELS else classes
    figure = axes.figure
    axes.remove()
    columns = min(len(drawn), PANEL_COLUMNS)
    panels = figure.subplots(-(-len(drawn) // columns), columns, squeeze=False, sharex=True).ravel()
    for panel, name in zip(panels, drawn, strict=False):
        rows = table[table["class"] == name].head(WORDS)
        panel.barh(range(len(rows)), rows["contribution"], color=BLUE)
        panel.set_title(shown(name), fontsize=10)
        panel.set(yticks=range(len(rows)), ylim=(WORDS - 0.4, -0.6))
        panel.set_yticklabels([shown(word) for word in rows["word"]])
        panel.tick_params(labelsize=8)
    for panel in panels[len(drawn) :]:
        panel.set_visible(False)
    figure.suptitle("Most telling words (test)" + (f": {PANELS} of {len(classes)} classes" if drawn != classes else ""))
    figure.supxlabel("what the word adds to the class's score, mean of its texts", fontsize=9)


def shown(name: str) -> str:
    """A class name on one line, the middle of a long one left out."""
    name = " ".join(name.split())
    if _width(name) <= NAME_WIDTH:
        return name
    head, tail = name, name[-6:]
    while _width(head) + _width(tail) > NAME_WIDTH - 1:
        head = head[:-1]
    return f"{head}…{tail}"


def _width(name: str) -> int:
    """Columns that a name takes: Chinese characters are twice as wide."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in name)


def _legend(axes: "Axes", title: str | None = None, lines: Sequence[tuple[Any, str]] = ()) -> None:
    """Beside the picture, where it covers no data; given with their labels, lines called "_..." are in it too."""
    told = tuple(zip(*lines, strict=True))
    axes.figure.legend(*told, loc="outside right upper", frameon=False, fontsize=9, title=title, title_fontsize=9)


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings: class names as they stand there, in fonts that have their characters."""
    import matplotlib as mpl
    from matplotlib import font_manager

    package = find_spec("zhplot")  # importing it would load pandas plots, a word cloud and more
    folders = package.submodule_search_locations if package else None
    for folder in folders or []:
        font_manager.fontManager.addfont(Path(folder) / FONT)
    settings: Any = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.family": ["DejaVu Sans", *(["Noto Sans SC"] if folders else [])],
        "text.parse_math": False,  # a class may be named "$5 to $10"
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")  # drawn as a box
        yield


def render(folder: Path) -> list[Path]:
    """Draw every plot from the stages' outputs into `folder`, unless it shows them already; give the PNG files."""
    drawn = {path.as_posix(): sha256(path) for path in DRAWN_FROM} | {"code": sha256(Path(__file__))}
    names = (
        "learning_curve",
        "confusion_matrix",
        "roc",
        "precision_recall",
        "reliability",
        "class_counts",
        "behaviour",
        "words",
    )
    files = [folder / f"{name}.png" for name in names]
    stamp = folder / "drawn_from.json"
    if all(file.is_file() for file in [*files, stamp]) and read_json(stamp) == drawn:
        return files

    classes, figures = read_json(paths.CLEAN_CLASSES), read_json(paths.EVALUATE_METRICS)
    history, counts = read_table(paths.TRAIN_HISTORY), read_table(paths.CLEAN_COUNTS, strings=["split", "label"])
    predictions = read_table(paths.EVALUATE_PREDICTIONS, strings=["id", "actual", "predicted"])
    roc, pr = (read_table(path, strings=["class"]) for path in (paths.EVALUATE_ROC, paths.EVALUATE_PR))
    bins, behaves = read_table(paths.EVALUATE_RELIABILITY), read_json(paths.EVALUATE_BEHAVIOUR)
    words = read_table(paths.EVALUATE_WORDS, strings=["class", "word"])
    errors = {"uncalibrated": figures["uncalibrated"]["ece"], "calibrated": figures["overall"]["ece"]}

    def areas(metric: str) -> dict[str, float]:
        return {"": figures["overall"].get(metric, np.nan)} | {
            name: of[metric] for name, of in figures["per_class"].items() if metric in of
        }

    drawings: dict[str, Callable[[Axes], None]] = {
        "learning_curve": lambda axes: learning_curve(axes, history),
        "confusion_matrix": lambda axes: confusion_matrix(axes, predictions, classes),
        "roc": lambda axes: curve_by_class(
            axes, roc, areas("roc_auc"), x="false_positive_rate", y="true_positive_rate", title="ROC-AUC (test)"
        ),
        "precision_recall": lambda axes: curve_by_class(
            axes, pr, areas("pr_auc"), x="recall", y="precision", title="Average precision (test)"
        ),
        "reliability": lambda axes: reliability(axes, bins, errors),
        "class_counts": lambda axes: class_counts(axes, counts, classes),
        "behaviour": lambda axes: behaviour(axes, behaves),
        "words": lambda axes: telling_words(axes, words, classes),
    }
    with style():
        for file in files:
            figure = _figure(file.stem, len(classes))
            drawings[file.stem](figure.add_subplot())
            with atomic(file) as temporary:
                figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
    write_json(stamp, drawn)
    return files


def _figure(name: str, num_classes: int) -> "Figure":
    """An empty picture, as large as its classes need."""
    from matplotlib.figure import Figure

    sizes = {
        "confusion_matrix": (max(6.4, 2.5 + 0.24 * num_classes), max(4.8, 1.6 + 0.22 * num_classes)),
        "class_counts": (7.4, max(3.2, 1.4 + 0.2 * num_classes)),
        "words": (2.6 * min(num_classes, PANEL_COLUMNS), 1 + 2.4 * -(-min(num_classes, PANELS) // PANEL_COLUMNS)),
    }
    return Figure(figsize=sizes.get(name, (7.4, 4.4)), layout="constrained")
