"""Stage clean: which rows are dropped and why, and classes that lack a split."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.project import set_params

from pipeline import clean
from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_table, write_json, write_table
from pipeline.data import selection
from pipeline.data.split import assign_split
from pipeline.data.tables import complete


def frame(rows: list[tuple[str, str | None]], split: list[str] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["text", "label"], dtype="str")
    return table.assign(group="", split=split or "")


def dropped(table: pd.DataFrame) -> dict[str, list[int]]:
    return {reason: list(np.flatnonzero(mask)) for reason, mask in selection.unusable(table).items()}


def test_each_row_has_one_reason() -> None:
    rows = [("a", "x"), ("a", "x"), ("b", "x"), ("b", "y"), ("c", "y"), ("c", "x"), ("c", "y"), ("", "x"), ("d", None)]
    # a: one of two; b: a tie, none; c: the majority's first
    expected = {"unlabelled": [8], "empty": [7], "held_out": [], "conflicting": [2, 3, 5], "duplicate": [1, 6]}
    assert dropped(frame(rows)) == expected


def test_training_labels_drop_no_test_row() -> None:
    rows = [("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"), ("b", "x")]
    assert dropped(frame(rows, split=["train", "", "test", "test", "test"])) == {
        "unlabelled": [],
        "empty": [],
        "held_out": [0, 1],
        "conflicting": [],
        "duplicate": [4],
    }


def counted(rows: list[tuple[str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["split", "label"], dtype="str")
    return selection.count_rows(table, sorted(table["label"].unique()))


SPLITS = ["train", "validation", "test"]


def test_rows_are_counted_by_split_and_class() -> None:
    counts = counted([("train", "a"), ("train", "a"), ("test", "b")])
    assert counts.to_numpy().tolist()[:3] == [["train", "a", 2], ["train", "b", 0], ["validation", "a", 0]]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], r"after cleaning, no row is left \(dropped: 3 empty\); there must be two classes"),
        ([(name, "a") for name in SPLITS], "after cleaning, all rows have the label 'a'"),
        (
            [(name, "a") for name in SPLITS] + [("test", "b"), ("validation", "b")],
            r"class 'b' has 2 row\(s\) after cleaning, but none in the train split \(dropped: 3 empty\)",
        ),
    ],
)
def test_unusable_classes_are_refused(rows: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(PipelineError, match=sentence):
        selection.check_classes(counted(rows), {"empty": 3, "duplicate": 0})


def test_stage_splits_by_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = params.PARAMS_FILE.read_text(encoding="utf-8")
    table = pd.DataFrame({"text": [f"Text {n}" for n in range(2_000)], "label": ["x", "y"] * 1_000}, dtype="str")
    monkeypatch.chdir(tmp_path)
    write_table(paths.INGEST_TABLE, complete(table, source="s"))
    write_json(paths.VALIDATE_PASSED, {})
    tests = []
    for seed in ("0", "1"):
        changes = {"validation_share": "0.3", "test_share": "0.1", "split_seed": seed}
        Path("params.yaml").write_text(set_params(text, changes), encoding="utf-8")
        clean.main()
        tables = {split: read_table(path) for split, path in paths.CLEAN_TABLES.items()}
        assert [len(tables[split]) / 2_000 for split in SPLITS] == pytest.approx([0.6, 0.3, 0.1], abs=0.03)
        assert list(tables["test"].columns) == ["id", "text", "label", "source", "group", "split", "time", "row"]
        tests.append(set(tables["test"]["id"]))
    assert len(tests[0] & tests[1]) < 60


def test_conflicting_test_rows_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of texts with copies of two labels, those that the hash puts into the test split, with each label."""
    text = params.PARAMS_FILE.read_text(encoding="utf-8")
    table = pd.DataFrame({"text": [f"text {n}" for n in range(1_000)], "label": ["x", "y"] * 500}, dtype="str")
    copies = table[table.index % 4 == 0].replace({"label": {"x": "y"}})
    rare = table[table.index % 100 == 1].assign(label="only in conflicts")
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text, encoding="utf-8")
    write_table(paths.INGEST_TABLE, complete(pd.concat([table, copies, rare], ignore_index=True), source="s"))
    write_json(paths.VALIDATE_PASSED, {})
    clean.main()
    conflicting = read_table(paths.CLEAN_CONFLICTING)
    assert list(conflicting.columns) == list(read_table(paths.CLEAN_TABLES["test"]).columns)
    assert conflicting["label"].value_counts().to_dict().keys() == {"x", "y"}
    pairs = conflicting.groupby("text")["label"].nunique()
    assert set(pairs) == {1, 2}
    assert 20 < (pairs == 2).sum() < 60  # of 250 texts, 15 %
    shares = {name: set(read_table(path)["text"]) for name, path in paths.CLEAN_TABLES.items()}
    assert not set(conflicting["text"]) & set.union(*shares.values())
    alone = complete(table, source="s").assign(raw=table["text"])
    alone["split"] = assign_split(alone, validation_share=0.15, test_share=0.15, seed=0)
    assert set(conflicting["text"]) <= set(alone.loc[alone["split"] == "test", "text"])


def test_two_classes_in_every_split_pass() -> None:
    selection.check_classes(counted([(name, label) for name in SPLITS for label in "ab"]), {})


def skewed(counts: dict[str, int], skew: float) -> tuple[dict[str, int], pd.DataFrame, np.ndarray]:
    """Return the kept training rows by class, the table, with as many rows in each split, and the dropped rows."""
    labels = [label for label, rows in counts.items() for _ in range(rows)]
    table = complete(
        pd.DataFrame({"text": [f"text {n}" for n in range(3 * len(labels))], "label": labels * 3}), source="s"
    )
    table["split"] = np.repeat(["train", "validation", "test"], len(labels))
    mask = selection.surplus(table, skew)
    assert not mask[table["split"] != "train"].any()
    return table[~mask & (table["split"] == "train")]["label"].value_counts().to_dict(), table, mask


@pytest.mark.parametrize(
    ("counts", "skew", "expected"),
    [
        ({"a": 100, "b": 100}, 10, {"a": 100, "b": 10}),
        ({"a": 90, "b": 100}, 10, {"a": 10, "b": 100}),
        ({"a": 100, "b": 100, "c": 100}, 100, {"a": 100, "b": 10, "c": 1}),
        ({"a": 100, "b": 5}, 10, {"a": 100, "b": 5}),
        ({"a": 20, "b": 20}, 1_000, {"a": 20, "b": 1}),
        ({"a": 30, "b": 20}, 1, {"a": 30, "b": 20}),
    ],
)
def test_skew_drops_training_rows(counts: dict[str, int], skew: float, expected: dict[str, int]) -> None:
    assert skewed(counts, skew)[0] == expected


def test_rows_of_larger_skew_are_a_subset() -> None:
    (_, table, less), (_, _, more) = (skewed({"a": 100, "b": 100}, skew) for skew in (5, 20))
    assert set(table.loc[~more, "id"]) < set(table.loc[~less, "id"])


def test_skew_ignores_the_order_of_rows() -> None:
    _, table, mask = skewed({"a": 100, "b": 100}, 10)
    reverse = table.iloc[::-1].reset_index(drop=True)
    assert set(reverse.loc[selection.surplus(reverse, 10), "id"]) == set(table.loc[mask, "id"])
