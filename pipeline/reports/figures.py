"""Figures: the data that `dvc plots` shows, drawn as PNG files for people and for MLflow."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import paths
from ..base.files import atomic, read_json, read_table, sha256, write_json
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE_NAMES = (
    "learning_curve",
    "confusion_matrix",
    "roc",
    "precision_recall",
    "reliability",
    "class_counts",
    "behaviour",
    "words",
)
INPUTS = (
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
FONT = "fonts/NotoSansSC-Regular.ttf"  # of the package zhplot: Chinese, where the machine has no font of its own


def draw_figures(folder: Path) -> list[Path]:
    """Draw every figure from the outputs of the stages to `folder`, unless they are up to date.

    Returns
    -------
    list of Path
        The PNG files.
    """
    files = [folder / f"{name}.png" for name in FIGURE_NAMES]
    stamp = folder / "drawn_from.json"
    code = [Path(__file__), Path(plots.__file__)]
    drawn_from = {path.as_posix(): sha256(path) for path in INPUTS} | {path.name: sha256(path) for path in code}
    if all(file.is_file() for file in [*files, stamp]) and read_json(stamp) == drawn_from:
        return files
    classes, functions = read_json(paths.CLEAN_CLASSES), plot_functions()
    with figure_style():
        for file in files:
            figure = new_figure(file.stem, len(classes))
            functions[file.stem](figure.add_subplot())
            with atomic(file) as temporary:
                figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
    write_json(stamp, drawn_from)
    return files


def plot_functions() -> dict[str, Callable[["Axes"], None]]:
    """Read the outputs of the stages, and return by figure name the function that draws it on axes."""
    classes, metrics = read_json(paths.CLEAN_CLASSES), read_json(paths.EVALUATE_METRICS)
    history, counts = read_table(paths.TRAIN_HISTORY), read_table(paths.CLEAN_COUNTS, strings=["split", "label"])
    predictions = read_table(paths.EVALUATE_PREDICTIONS, strings=["id", "actual", "predicted"])
    roc, pr = (read_table(path, strings=["class"]) for path in (paths.EVALUATE_ROC, paths.EVALUATE_PR))
    bins, behaviour = read_table(paths.EVALUATE_RELIABILITY), read_json(paths.EVALUATE_BEHAVIOUR)
    words = read_table(paths.EVALUATE_WORDS, strings=["class", "word"])
    errors = {"uncalibrated": metrics["uncalibrated"]["ece"], "calibrated": metrics["overall"]["ece"]}

    def areas(metric: str) -> dict[str, float]:
        by_class = {name: values[metric] for name, values in metrics["per_class"].items() if metric in values}
        return {"": metrics["overall"].get(metric, np.nan)} | by_class

    return {
        "learning_curve": lambda axes: plots.plot_learning_curve(axes, history),
        "confusion_matrix": lambda axes: plots.plot_confusion_matrix(axes, predictions, classes),
        "roc": lambda axes: plots.plot_curves(
            axes, roc, areas("roc_auc"), x="false_positive_rate", y="true_positive_rate", title="ROC-AUC (test)"
        ),
        "precision_recall": lambda axes: plots.plot_curves(
            axes, pr, areas("pr_auc"), x="recall", y="precision", title="Average precision (test)"
        ),
        "reliability": lambda axes: plots.plot_reliability(axes, bins, errors),
        "class_counts": lambda axes: plots.plot_class_counts(axes, counts, classes),
        "behaviour": lambda axes: plots.plot_behaviour(axes, behaviour),
        "words": lambda axes: plots.plot_telling_words(axes, words, classes),
    }


def new_figure(name: str, num_classes: int) -> "Figure":
    """Return an empty figure, as large as the number of classes needs."""
    from matplotlib.figure import Figure

    columns, rows = plots.PANEL_COLUMNS, -(-min(num_classes, plots.MAX_PANELS) // plots.PANEL_COLUMNS)
    sizes = {
        "confusion_matrix": (max(6.4, 2.5 + 0.24 * num_classes), max(4.8, 1.6 + 0.22 * num_classes)),
        "class_counts": (7.4, max(3.2, 1.4 + 0.2 * num_classes)),
        "words": (2.6 * min(num_classes, columns), 1 + 2.4 * rows),
    }
    return Figure(figsize=sizes.get(name, (7.4, 4.4)), layout="constrained")


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply this project's Matplotlib settings: class names are drawn literally, in fonts with their characters."""
    import matplotlib as mpl
    from matplotlib import font_manager

    package = find_spec("zhplot")  # importing it would also load pandas plots and a word cloud
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
