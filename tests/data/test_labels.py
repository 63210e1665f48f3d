"""Labels: missing markers, one spelling of a number, lists, characters that nobody sees, new names."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.data.labels import MISSING_MARKERS, as_labels, map_labels, unify_labels, unknown_labels
from pipeline.data.readers.reading import Reading


def labels_of(*cells: Any, missing: list[str] | None = None, reading: Reading | None = None) -> list[str | None]:
    series = pd.Series(list(cells), range(1, len(cells) + 1), dtype=object, name="label")
    labels = as_labels(series, Path("a.csv"), missing, reading)
    assert labels.index.equals(series.index)
    return [None if pd.isna(label) else label for label in labels]


@pytest.mark.parametrize("marker", [*MISSING_MARKERS, "null", "NaN", "n/a", " NA "])
def test_missing_markers_are_counted_and_no_class(marker: str) -> None:
    reading = Reading()
    assert labels_of("sad", marker, "NAy", reading=reading) == ["sad", None, "NAy"]
    assert reading.missing == {marker.strip(): 1}


def test_list_of_missing_labels_replaces_the_markers() -> None:
    assert labels_of("NA", "none", "sad", missing=["None"]) == ["NA", None, "sad"]
    assert labels_of("NA", "nan", missing=[]) == ["NA", "nan"]


def test_doubtful_label_stays() -> None:
    assert labels_of("None", "sad") == ["None", "sad"]


@pytest.mark.parametrize(
    ("spellings", "label"),
    [
        (["0", "0.0", "+0", "-0", "0.00", 0, 0.0, False + 0], "0"),
        (["1", "+1", "1.0", 1, 1.0, np.int64(1), Decimal("1.00")], "1"),
        (["-1", "\u22121", "-1.0", -1.0], "-1"),
        (["0.5", ".5", "0.50", 0.5, Decimal("0.5")], "0.5"),
        (["100", "100.0", 100.0], "100"),
        ([2**64, str(2**64)], str(2**64)),
    ],
)
def test_number_is_one_class_in_every_spelling(spellings: list[Any], label: str) -> None:
    assert labels_of(*spellings, "unknown") == [label] * len(spellings) + ["unknown"]


@pytest.mark.parametrize("label", ["007", "1-2", "1.2.3", "v1.0", ".", "1,0", "+", "-"])
def test_other_labels_with_digits_stay(label: str) -> None:
    assert labels_of(label, "sad") == [label, "sad"]


def test_truth_values_are_lower_case_only_among_themselves() -> None:
    assert labels_of("True", "false", True, None) == ["true", "false", "true", None]
    assert labels_of("True", "Maybe") == ["True", "Maybe"]


def test_list_of_one_is_its_element() -> None:
    assert labels_of(["joy"], ("sad",), np.array(["joy"]), []) == ["joy", "sad", "joy", None]
    assert labels_of("['joy']", '["sad"]', "[ 3 ]", "[]") == ["joy", "sad", "3", None]
    assert labels_of("[joy]", "sad") == ["[joy]", "sad"]


@pytest.mark.parametrize("cell", [["joy", "sad"], "['joy', 'sad']"])
def test_list_of_several_stops(cell: Any) -> None:
    with pytest.raises(PipelineError, match=r"a\.csv, row 2: column 'label' holds several labels in a list"):
        labels_of("[1]", cell)


def test_other_type_stops() -> None:
    with pytest.raises(
        PipelineError, match="row 1: column 'label' must hold names, numbers, or true and false, not dict"
    ):
        labels_of({"a": 1})


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u2060", "\u00ad", "\u200e", "\u2069", "\u200d", "\x00"])
def test_labels_that_look_the_same_are_one(unseen: str) -> None:
    reading = Reading()
    assert unify_labels(pd.Series(["neu", f"neu{unseen}", "sad"]), reading).tolist() == ["neu", "neu", "sad"]
    assert list(reading.folded.values()) == [1]


def test_label_of_one_file_has_only_what_is_seen() -> None:
    assert labels_of("neu\u200b", "\ufeff1.0", "N\u2060A", "\u200b") == ["neu", "1", None, None]


def test_variants_of_a_symbol_and_composed_letters_are_one() -> None:
    labels = ["\u2764\ufe0f", "\u2764", "caf\u00e9", "cafe\u0301", "so\u00a0so", "so so"]
    assert unify_labels(pd.Series(labels), Reading()).nunique() == 3


def test_label_that_nothing_resembles_keeps_its_symbol() -> None:
    reading = Reading()
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert unify_labels(pd.Series(["\u2764\ufe0f", family]), reading).tolist() == ["\u2764\ufe0f", family]
    assert reading.folded == {}


def test_label_map_renames_and_drops() -> None:
    table = pd.DataFrame({"text": list("abcd"), "label": ["3", "2", None, "true"]}, dtype="str")
    mapped = map_labels(table, {3: "three", "2": None})
    assert mapped["label"].fillna("missing").tolist() == ["three", "missing", "true"]
    assert map_labels(table, {"3.0": "three"})["label"].iloc[0] == "three"
    assert map_labels(table, None) is table
    with pytest.raises(PipelineError, match="names a label twice"):
        map_labels(table, {3: "three", "3": "four"})
    with pytest.raises(PipelineError, match=r"ingest\.label_map names '4', but the labels are '2', '3', 'true'"):
        map_labels(table, {4: "four"})


def test_labels_that_may_be_texts_are_not_shown() -> None:
    many = pd.DataFrame({"label": [f"text {number}" for number in range(51)]}, dtype="str")
    with pytest.raises(PipelineError, match=r"names 'x', but the labels are 51 labels"):
        map_labels(many, {"x": "y"})


def test_unknown_labels_are_named_or_counted() -> None:
    known = ["negative", "positive"]
    assert unknown_labels(["Negative", "negative"], known) == "'Negative' (did you mean 'negative'?)"
    assert unknown_labels(["so sad"], known) == "1 other label"
    assert unknown_labels(["Negative", "so sad", "too bad"], known).endswith("?) and 2 other labels")
    close = unknown_labels([f"negative{number}" for number in range(6)], known)
    assert (close.count("did you mean"), close.endswith(" and 1 other label")) == (5, True)


def test_as_many_labels_as_are_listed() -> None:
    table = pd.DataFrame({"label": [f"label {number}" for number in range(50)]}, dtype="str")
    with pytest.raises(PipelineError, match="but the labels are 'label 0', 'label 1'"):
        map_labels(table, {"x": "y"})


@pytest.mark.parametrize(
    ("labels", "changed"), [(("1.0", "1", "2"), [1]), (("['joy']", "['1']"), [2]), (("a", "b"), [])]
)
def test_labels_in_another_spelling_are_counted(labels: tuple[str, ...], changed: list[int]) -> None:
    reading = Reading()
    labels_of(*labels, reading=reading)
    assert list(reading.folded.values()) == changed


def test_white_space_inside_a_label_stays_a_space() -> None:
    assert labels_of("so\tso", "so\nso") == ["so so", "so so"]
