"""Folders of text files by class: one row a file, the label and the split are names of folders."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.data import tables
from pipeline.data.readers import class_folders
from pipeline.data.settings import FILE_DEFAULTS, Ingest


def settings(path: Path, **values: Any) -> Ingest:
    return Ingest(**(FILE_DEFAULTS | {"dataset": "file", "max_rows": None, "skew": None, "path": str(path)} | values))


def write(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(content.encode(encoding))


def rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return [tuple(row) for row in table[["source", "label", "split", "text"]].to_numpy().tolist()]


def test_label_is_the_folder(tmp_path: Path) -> None:
    write(
        tmp_path, {"neg/1.txt": "Bad,\r\nbad.\n\n", "pos/1.txt": "caf\u00e9", "pos/2.TXT": "", "pos/.hidden.txt": "x"}
    )
    table = tables.complete(tables.read_files(settings(tmp_path)), source="file")
    assert rows(table) == [
        ("neg/1.txt", "neg", "", "Bad,\nbad."),
        ("pos/1.txt", "pos", "", "caf\u00e9"),
        ("pos/2.TXT", "pos", "", ""),
    ]
    assert table["row"].tolist() == [1, 1, 1]


IMDB = {
    "README": "Read me.",
    "imdb.vocab": "the\nand\n",
    "imdbEr.txt": "0.1\n0.2\n",
    "train/urls_pos.txt": "http://a\nhttp://b\n",
    "train/labeledBow.feat": "9 0:9",
    "train/pos/0_9.txt": "Good.",
    "train/neg/0_3.txt": "Bad, so bad.",
    "train/unsup/0_0.txt": "Who knows?",
    "train/unsup/1_0.txt": "I do.",
    "test/pos/0_10.txt": "Great.",
    "test/neg/0_2.txt": "Poor.",
}


@pytest.mark.parametrize("around", ["", "aclImdb/"])
def test_as_the_original_imdb(tmp_path: Path, around: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {around + name: text for name, text in IMDB.items()})
    left_out: list[str] = []
    assert rows(tables.read_files(settings(tmp_path), left_out=left_out)) == [
        (f"{around}test/neg/0_2.txt", "neg", "test", "Poor."),
        (f"{around}test/pos/0_10.txt", "pos", "test", "Great."),
        (f"{around}train/neg/0_3.txt", "neg", "train", "Bad, so bad."),
        (f"{around}train/pos/0_9.txt", "pos", "train", "Good."),
    ]
    others = ["README", "imdb.vocab", "imdbEr.txt", "train/labeledBow.feat", "train/urls_pos.txt"]
    assert left_out == [f"{around}train/unsup (2 files)", *(around + name for name in others)]
    assert (
        f"left out, since not texts of a class: {around}train/unsup (2 files), {around}README"
        in capsys.readouterr().err
    )


def test_split_below_the_class(tmp_path: Path) -> None:
    write(tmp_path, {"pos/Dev/1.txt": "a", "neg/training/1.txt": "b"})
    assert [row[1:] for row in rows(tables.read_files(settings(tmp_path)))] == [
        ("neg", "train", "b"),
        ("pos", "validation", "a"),
    ]


OTHERS: dict[str, dict[str, str]] = {
    "a table": {"a.csv": "text,label\na,b\n"},
    "a table next to the folders": {"a.txt": "text,label\na,b\nc,d\n"},
    "tables in the folders": {f"{name}/more.txt": "a\tb\nc\td\n" for name in ("neg", "pos")},
}


@pytest.mark.parametrize("case", OTHERS)
def test_folder_with_tables_is_read_as_before(tmp_path: Path, case: str) -> None:
    write(tmp_path, {"neg/1.txt": "a\tb\nc\td\n", "pos/1.txt": "Good."} | OTHERS[case])
    assert class_folders.read_texts_by_class(tmp_path, split_names=["train"], encoding=None) is None


@pytest.mark.parametrize("files", [["pos/1.txt"], ["train/1.txt", "test/1.txt"], ["1.txt"], ["neg/1.md", "pos/1.md"]])
def test_folder_without_classes(tmp_path: Path, files: list[str]) -> None:
    write(tmp_path, dict.fromkeys(files, "Good."))
    with pytest.raises(PipelineError, match="has no table in it"):
        tables.read_files(settings(tmp_path))


def test_folders_of_folders_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"pos/true/1.txt": "Good.", "pos/false/1.txt": "Good.", "neg/true/1.txt": "Bad."})
    with pytest.raises(
        PipelineError, match="lie in folders of folders, such as neg/true; have one folder for each class"
    ):
        tables.read_files(settings(tmp_path))


def test_files_share_one_encoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {f"{label}/{number}.txt": "tr\u00e8s bon, \u00e7a" for label in ("neg", "pos") for number in range(9)}
    write(tmp_path, texts | {"neg/a.txt": "plain"}, "cp1252")
    assert set(tables.read_files(settings(tmp_path))["text"]) == {"tr\u00e8s bon, \u00e7a", "plain"}
    assert "is read as cp1252; name another encoding with ingest.encoding" in capsys.readouterr().err
    assert "tr\u010ds bon" in tables.read_files(settings(tmp_path, encoding="cp1250"))["text"][0]


def test_damaged_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {f"pos/{number}.txt": "sch\u00f6n" for number in range(9)} | {"neg/1.txt": "\ufffd"})
    (tmp_path / "neg/2.txt").write_bytes(b"sch\xf6n")
    assert tables.read_files(settings(tmp_path))["text"].tolist()[:3] == ["\ufffd", "sch\ufffdn", "sch\u00f6n"]
    assert "1 file(s) hold bytes that are not utf-8" in capsys.readouterr().err
    write(tmp_path, {"neg/3.txt": "a\0b"})
    with pytest.raises(PipelineError, match=r"neg/3\.txt holds a NUL character"):
        tables.read_files(settings(tmp_path))


def test_columns_do_not_apply(tmp_path: Path) -> None:
    write(tmp_path, {"neg/1.txt": "Bad.", "pos/1.txt": "Good."})
    with pytest.raises(
        PipelineError, match=r"text files by class, which have no columns; set ingest\.group_column to null"
    ):
        tables.read_files(settings(tmp_path, group_column="author"))


def test_texts_that_look_like_tables_by_chance(tmp_path: Path) -> None:
    write(tmp_path, {"neg/1.txt": "a\tb\nc\td\n", "pos/1.txt": "Good.", "notes.md": "a\tb\nc\td\n"})
    table = class_folders.read_texts_by_class(tmp_path, split_names=["train"], encoding=None)
    assert table is not None
    assert table["label"].tolist() == ["neg", "pos"]
