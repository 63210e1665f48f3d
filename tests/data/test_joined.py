"""Several columns of texts become one."""

from pathlib import Path
from typing import Any

import pytest
from helpers.project import ROOT, set_params

from pipeline.base.errors import PipelineError
from pipeline.data import tables
from pipeline.data.joined import open_joined
from pipeline.data.settings import FILE_DEFAULTS, Ingest
from pipeline.tools import adapt, drift


def settings(path: Path, **values: Any) -> Ingest:
    return Ingest(**(FILE_DEFAULTS | {"dataset": "file", "max_rows": None, "skew": None, "path": str(path)} | values))


CONTENT = "title,label,body\nGood,x,I like it.\n,y,Bad.\nSo so, z , \n,w,\n"
TEXTS = ["Good\nI like it.", "Bad.", "So so", ""]


def test_columns_are_joined_in_the_order_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CONTENT)
    table = tables.read_files(settings(tmp_path / "a.csv", text_column=["title", "body"]))
    assert table["text"].tolist() == TEXTS
    assert table["label"].tolist() == ["x", "y", "z", "w"]
    table = tables.read_files(settings(tmp_path / "a.csv", text_column=["body", "title"]))
    assert table["text"][0] == "I like it.\nGood"


def test_columns_by_number_are_joined(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CONTENT.partition("\n")[2])
    assert tables.read_files(settings(tmp_path, text_column=[1, 3], label_column=2))["text"].tolist() == TEXTS


def test_missing_cells(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": "x", "b": null, "label": "l"}\n{"a": null, "b": null, "label": "l"}\n')
    table = tables.read_files(settings(tmp_path, text_column=["a", "b"]))
    assert table["text"].fillna("missing").tolist() == ["x", "missing"]
    (tmp_path / "a.jsonl").write_text('{"a": "x", "b": 1, "label": "l"}\n')
    with pytest.raises(PipelineError, match="column 'b' must hold text"):
        tables.read_files(settings(tmp_path, text_column=["a", "b"]))


@pytest.mark.parametrize("columns", [["a"], ["a", "a"], ["a", "label"], ["a", 2], []])
def test_unusable_lists_are_refused(tmp_path: Path, columns: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"text_column|two purposes|by number and others by name"):
        settings(tmp_path, text_column=columns)


@pytest.mark.parametrize("share", ["0.0", "0.1"])
def test_broken_rows_are_left_out_of_drift_and_adapt_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: str
) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {"dataset": "file", "path": "a.csv", "max_broken": share}
    text = set_params((ROOT / "params.yaml").read_text(encoding="utf-8"), changes)
    Path("params.yaml").write_text(text, encoding="utf-8")
    rows = "".join(f"text {number},{'xy'[number % 2]}\n" for number in range(60))
    Path("a.csv").write_text(f"text,label\n{rows}a,b,c\nshort\n")
    readers = (
        lambda: drift.read_new_rows(Path("a.csv")),
        lambda: adapt.read_personal_rows(Path("a.csv"), ["text"], "label", ["x", "y"]),
    )
    for read in readers:
        if share == "0.1":
            assert len(read()) == 60
        else:
            with pytest.raises(PipelineError, match="has 2 broken of 62 rows: 61, 62;"):
                read()


def test_drift_joins_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {"dataset": "file", "path": "a.csv", "text_column": "[title, body]"}
    text = set_params((ROOT / "params.yaml").read_text(encoding="utf-8"), changes)
    Path("params.yaml").write_text(text, encoding="utf-8")
    Path("a.csv").write_text(CONTENT)
    assert drift.read_new_rows(Path("a.csv"))["text"].tolist() == TEXTS


def test_stream_of_joined_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "so", "b": "good", "c": "x"}\n{"a": null, "b": "bad"}\n{"a": 5, "b": "bad"}\n7\n')
    columns = {"text": ["a", "b"], "other": ["c"]}
    (_, cells), *_ = open_joined(str(path), columns).chunks(9)
    assert cells["text"] == ["so\ngood", "bad", 5, "the line is not a JSON object"]
    assert cells["other"][:2] == ["x", None]
    (_, single), *_ = open_joined(str(path), {"text": ["a"]}).chunks(9)
    assert single["text"][:3] == ["so", None, 5]
