"""Figures with every kind of class name and any number of classes."""

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from pipeline.base import paths
from pipeline.base.files import read_json, read_table, write_json, write_table
from pipeline.evaluation import curves, metrics
from pipeline.reports import plots
from pipeline.reports.figures import FIGURE_NAMES, draw_figures, figure_style, new_figure, plot_functions

ODD = ["$a_b$ 50%", "好评与差评", "line\nbreak", r"\frac{1}", "x" * 200, "100"]


def outputs(classes: list[str]) -> None:
    """Write the stages' outputs that figures are drawn from, for a model that is right in four of five rows."""
    count = len(classes)
    labels = np.arange(20 * count) % count
    scores = np.full((len(labels), count), 0.2 / count)
    scores[np.arange(len(labels)), np.where(np.arange(len(labels)) % 5, labels, (labels + 1) % count)] += 0.8
    names = np.array(classes, dtype=object)
    table = pd.DataFrame({"id": "i", "actual": names[labels], "predicted": names[scores.argmax(axis=1)]})
    write_json(paths.CLEAN_CLASSES, classes)
    counts = [(split, name, 10) for split in paths.SPLITS for name in classes]
    write_table(paths.CLEAN_COUNTS, pd.DataFrame(counts, columns=["split", "label", "rows"]))
    write_table(
        paths.TRAIN_HISTORY, pd.DataFrame({"epoch": [1, 2], "train_loss": [0.5, 0.4], "validation_loss": [0.6, 0.5]})
    )
    write_table(paths.EVALUATE_PREDICTIONS, table)
    write_table(paths.EVALUATE_ROC, curves.roc(labels, scores, classes))
    write_table(paths.EVALUATE_PR, curves.precision_recall(labels, scores, classes))
    write_table(paths.EVALUATE_RELIABILITY, curves.reliability(labels, {"uncalibrated": scores, "calibrated": scores}))
    words = [(name, f"{word}{number}", 1 / number, 5) for name in classes for word in ODD[:2] for number in range(1, 5)]
    write_table(paths.EVALUATE_WORDS, pd.DataFrame(words, columns=["class", "word", "contribution", "rows"]))
    overall = metrics.overall(labels, scores)
    measured = {"overall": overall, "uncalibrated": overall, "per_class": metrics.per_class(labels, scores, classes)}
    write_json(paths.EVALUATE_METRICS, measured)
    kinds = {"typos": "INV", "added_negative": "DIR", "negated_negative": "MFT"}
    tests = {name: {"kind": kind, "num_samples": 30, "pass_rate": 0.5} for name, kind in kinds.items()}
    tests["gender"] = {"kind": "INV", "num_samples": 3, "pass_rate": 1.0}
    write_json(paths.EVALUATE_BEHAVIOUR, {"tests": tests, "not_applicable": {}})


@pytest.mark.parametrize(
    "classes",
    [
        ["neg", "pos"],
        ODD,
        pytest.param([f"an awfully long name of topic {i}" for i in range(50)], marks=pytest.mark.slow),
    ],
)
def test_figures_are_drawn_without_a_warning(
    classes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outputs(classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = draw_figures(Path("reports"))
    assert [file.stem for file in files] == list(FIGURE_NAMES)
    for file in files:
        assert file.read_bytes().startswith(b"\x89PNG")


def test_figures_are_drawn_again_only_if_their_data_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs(["a", "b"])
    times = {file: file.stat().st_mtime_ns for file in draw_figures(Path("reports"))}
    assert {file: file.stat().st_mtime_ns for file in draw_figures(Path("reports"))} == times
    write_table(paths.EVALUATE_WORDS, read_table(paths.EVALUATE_WORDS)[:1])
    assert all(file.stat().st_mtime_ns > times[file] for file in draw_figures(Path("reports")))


@pytest.mark.parametrize("count", [2, 12])
def test_words_without_a_telling_word(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs([f"topic {number}" for number in range(count)])
    write_table(paths.EVALUATE_WORDS, read_table(paths.EVALUATE_WORDS)[:0])
    assert "words" in [file.stem for file in draw_figures(Path("reports"))]


def test_chinese_names_have_a_font() -> None:
    figure = Figure()
    with figure_style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        text = figure.text(0.5, 0.5, "好评 and $x_1$ 50%")
        figure.canvas.draw()
        assert text.get_parse_math() is False
        assert "Noto Sans SC" in {font.name for font in font_manager.fontManager.ttflist}


@pytest.mark.parametrize("classes", [2, 6, 50])
def test_confusion_matrix_labels_do_not_overlap(classes: int) -> None:
    names = [f"客户服务的投诉与建议 {i}" if i % 2 else f"some class of texts {i}" for i in range(classes)]
    predictions = pd.DataFrame({"actual": names, "predicted": names})
    with figure_style():
        figure = new_figure("confusion_matrix", classes)
        axes = figure.add_subplot()
        plots.plot_confusion_matrix(axes, predictions, names)
        figure.canvas.draw()
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == [plots.short_name(name) for name in names]
        if labels[0].get_rotation() in {0, 90}:  # the boxes of slanted labels overlap, and their letters do not
            boxes = [label.get_window_extent() for label in labels]
            assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_legend_has_classes_that_begin_with_an_underscore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs(["_other", "good"])
    axes = Figure(layout="constrained").subplots()
    areas = {"_other": 0.5, "good": 0.6, "": 0.55}
    table = read_table(paths.EVALUATE_ROC)
    plots.plot_curves(axes, table, areas, x="false_positive_rate", y="true_positive_rate", title="ROC")
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["_other  0.500", "good  0.600"]


def test_legend_of_many_classes_names_the_weakest() -> None:
    names = [f"c{i:02d}" for i in range(30)]
    table = pd.DataFrame({"class": names * 2, "x": [0] * 30 + [1] * 30, "y": [0] * 30 + [1] * 30})
    figure = Figure(layout="constrained")
    areas = {"": 0.7, **{name: 0.5 + i / 100 for i, name in enumerate(reversed(names))}}
    plots.plot_curves(figure.add_subplot(), table, areas, x="x", y="y", title="t")
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*(f"c{i}  0.{50 + 29 - i}0" for i in range(29, 23, -1)), "24 other classes"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("short", "short"), ("two\nlines", "two lines"), ("a" * 30 + "the end", "a" * 15 + "…he end")],
)
def test_short_name(name: str, expected: str) -> None:
    assert plots.short_name(name) == expected


def test_chinese_names_count_double() -> None:
    assert plots.text_width(plots.short_name("很" * 40)) <= plots.MAX_NAME_WIDTH


def drawn(name: str, classes: list[str]) -> Any:
    """Return the axes of one plot of `outputs`."""
    axes = Figure(layout="constrained").add_subplot()
    history, counts = read_table(paths.TRAIN_HISTORY), read_table(paths.CLEAN_COUNTS)
    {
        "learning_curve": lambda: plots.plot_learning_curve(axes, history),
        "confusion_matrix": lambda: plots.plot_confusion_matrix(axes, read_table(paths.EVALUATE_PREDICTIONS), classes),
        "class_counts": lambda: plots.plot_class_counts(axes, counts, classes),
        "reliability": lambda: plots.plot_reliability(
            axes, read_table(paths.EVALUATE_RELIABILITY), {"uncalibrated": 0.25, "calibrated": 0.125}
        ),
        "behaviour": lambda: plots.plot_behaviour(axes, read_json(paths.EVALUATE_BEHAVIOUR)),
    }[name]()
    return axes


def test_plots_show_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classes = ["a", "b", "c"]
    outputs(classes)
    table = pd.DataFrame({"id": "i", "actual": ["a", "a", "a", "b"], "predicted": ["a", "b", "b", "b"]})
    write_table(paths.EVALUATE_PREDICTIONS, table)
    losses = {"epoch": [1, 2, 3], "train_loss": [0.9, 0.5, 0.1], "validation_loss": [0.9, 0.5, 0.7]}
    write_table(paths.TRAIN_HISTORY, pd.DataFrame(losses))
    bins = {"probabilities": ["uncalibrated", "calibrated"], "bin": 9, "confidence": 0.6, "accuracy": [0.3, 0.5]}
    write_table(paths.EVALUATE_RELIABILITY, pd.DataFrame({**bins, "num_samples": 4}))

    matrix = drawn("confusion_matrix", classes)
    texts = {text.get_position(): text.get_text() for text in matrix.texts}
    assert (texts[1, 0], texts[0, 1], texts[1, 1]) == ("67%\n2", "0%\n0", "100%\n1")  # column, row
    assert (matrix.get_xlabel(), matrix.get_ylabel()) == ("predicted", "actual")
    curve = drawn("learning_curve", classes)
    assert curve.lines[1].get_ydata().tolist() == losses["validation_loss"]
    assert set(curve.lines[2].get_xdata()) == {2}
    bars = [(bar.get_x(), bar.get_width()) for bar in drawn("class_counts", classes).patches]
    assert bars == [(0, 10)] * 3 + [(10, 10)] * 3 + [(20, 10)] * 3
    sure = drawn("reliability", classes)
    assert [line.get_xydata().tolist() for line in sure.lines[1:]] == [[[0.6, 0.3]], [[0.6, 0.5]]]
    behaviour = drawn("behaviour", classes)
    assert [bar.get_alpha() for bar in behaviour.patches[:4]] == [1, 1, 1, 0.35]
    assert [line.get_xdata().round(2).tolist() for line in behaviour.lines[2:]] == [[0.33, 0.67], [0.44, 1.0]]


def test_legend_shows_the_calibration_error_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs(["a", "b"])
    measured = read_json(paths.EVALUATE_METRICS)
    measured["uncalibrated"] = measured["uncalibrated"] | {"ece": 0.75}
    measured["overall"] = measured["overall"] | {"ece": 0.125}
    write_json(paths.EVALUATE_METRICS, measured)
    figure = Figure(layout="constrained")
    plot_functions()["reliability"](figure.add_subplot())
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[1:] == ["uncalibrated, error 0.750", "calibrated, error 0.125"]
