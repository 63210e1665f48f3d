"""JSON: an array or lines, whatever the file's ending, read whole, as a stream, and written with columns added."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.readers import CHINESE, COLUMNS, ENGLISH, read, rows, stream

from pipeline.base.errors import PipelineError
from pipeline.data.readers import formats


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson"])
@pytest.mark.parametrize("indent", [None, 2])
def test_array_of_any_ending(tmp_path: Path, name: str, indent: int | None) -> None:
    text = pd.DataFrame(ENGLISH, columns=COLUMNS).to_json(orient="records", indent=indent)
    assert rows(read(tmp_path, name, text.encode())) == ENGLISH
    assert stream(tmp_path / name) == ENGLISH


def test_lines_in_a_json_file(tmp_path: Path) -> None:
    text = pd.DataFrame(CHINESE, columns=COLUMNS).to_json(orient="records", lines=True)
    assert rows(read(tmp_path, "a.json", text.encode("utf-16"))) == CHINESE


def test_rows_of_an_array_are_numbered_and_keep_types(tmp_path: Path) -> None:
    content = b'[{"text": "a \\ud83d", "label": 1},\n\n{"label": true, "text": null}]'
    table = read(tmp_path, "a.json", content)
    assert rows(table) == [("a \ufffd", 1), (None, True)]
    assert list(table.index) == [1, 2]


def written(tmp_path: Path, content: bytes, output: str) -> str:
    """Return what is written with a column added."""
    (tmp_path / "a.json").write_bytes(content)
    table = formats.open_stream(str(tmp_path / "a.json"), {"text": "text"}, output=output)
    table.start(target := io.BytesIO(), {"new": str})
    for chunk, cells in table.chunks(2):
        table.write(chunk, {"new": [str(cell) for cell in cells["text"]]})
    table.finish()
    return target.getvalue().decode()


ARRAY = b'[\n {"text": "a",\n  "x": 1.50},\n {"text": "b"},\n 3,\n {}\n]\n'
LINES = [
    '{"text": "a", "x": 1.50, "new": "a"}',
    '{"text": "b", "new": "b"}',
    '{"line": "3", "new": "the line is not a JSON object"}',
    '{"new": "None"}',
]


def test_array_is_written_as_an_array_or_as_lines(tmp_path: Path) -> None:
    assert written(tmp_path, ARRAY, "b.json") == "[\n" + ",\n".join(LINES) + "\n]\n"
    assert written(tmp_path, ARRAY, "-").startswith("[")
    assert written(tmp_path, ARRAY, "b.jsonl.gz") == "\n".join(LINES) + "\n"
    assert json.loads(written(tmp_path, b"[]", "b.json")) == []


def test_lines_are_written_as_lines(tmp_path: Path) -> None:
    content = b'{"text":"a",  "x": 1.50}\n{"text": "b"}\n'
    assert written(tmp_path, content, "b.json") == '{"text":"a",  "x": 1.50, "new": "a"}\n{"text": "b", "new": "b"}\n'


def test_lines_that_are_arrays_are_unreadable_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'[1]\n{"text": "a"}\n')
    assert stream(tmp_path / "a.jsonl", ["text"]) == [("the line is not a JSON object",), ("a",)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": }\n', "line 2, is not valid JSON"),
        ("a.json", b'{"review": "a", "tags": []}', "has no column 'text'"),
        ("a.json", b'{"review": "a", "tags": ["x"]}', "has no column 'text'"),
        ("a.json", b'{"review": "a", "stars": 5}', "has no column 'text'"),
        ("a.json", b'{"data": {"review": "a"}}', "neither an array of objects"),
    ],
)
def test_one_object_holds_rows_or_is_one(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        read(tmp_path, name, content)


def test_stream_of_no_or_unusual_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"")
    assert stream(path, ["text"]) == []
    path.write_bytes(b'"a string"\n')
    assert stream(path, ["text"]) == [("the line is not a JSON object",)]
    path.write_bytes(b'"broken\n{"text": "a"}\n')
    assert stream(path, ["text"]) == [("the line is not a JSON object",), ("a",)]
    path.write_bytes(b'{"text": ["a"]}\n{"text": "b"}\n')
    assert stream(path, ["text"]) == [(["a"],), ("b",)]
