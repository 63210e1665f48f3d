"""Files without a header: columns by number, and an error that does not take a text for a column's name."""

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.readers import read, rows

from pipeline.base.errors import PipelineError
from pipeline.data import tables
from pipeline.data.readers import formats
from pipeline.data.readers.headerless import MAX_NAME_LENGTH, MAX_NAME_WORDS, is_sentence, looks_like_data
from pipeline.data.settings import FILE_DEFAULTS, Ingest

CONTENT = b'joy,"so, so good"\nsad,no; no\njoy,yes; "yes"\n'
CELLS = [("so, so good", "joy"), ("no; no", "sad"), ('yes; "yes"', "joy")]


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_first_line_is_a_row(tmp_path: Path, name: str) -> None:
    table = read(tmp_path, name, CONTENT, [2, 1])
    assert rows(table) == CELLS
    assert list(table.index) == [1, 2, 3]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_detected(tmp_path: Path, delimiter: str) -> None:
    content = pd.DataFrame(CELLS).to_csv(index=False, header=False, sep=delimiter).encode()
    assert rows(read(tmp_path, "a.csv", content, [1, 2])) == CELLS
    assert rows(read(tmp_path, "a.csv", content, [1, 2], delimiter=delimiter)) == CELLS
    assert streamed(tmp_path / "a.csv", {"text": 1}) == [text for text, _ in CELLS]


def streamed(path: Path, columns: dict[str, Any], target: io.BytesIO | None = None) -> list[str]:
    table = formats.open_stream(str(path), columns)
    texts = []
    if target:
        table.start(target, {"new": str})
    for chunk, cells in table.chunks(2):
        texts += cells["text"]
        if target:
            table.write(chunk, {"new": cells["text"]})
    if target:
        table.finish()
    return texts


def test_stream_names_columns_by_number_in_its_output(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x,good\ny,bad\nz,so so\n")
    target = io.BytesIO()
    assert streamed(tmp_path / "a.csv", {"text": 2}, target) == ["good", "bad", "so so"]
    written = pd.read_csv(io.BytesIO(target.getvalue()))
    assert list(written.columns) == ["1", "2", "new"]
    assert written["new"].tolist() == written["2"].tolist() == ["good", "bad", "so so"]


def test_one_column(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", b"good\nbad\n", [1], optional=[2])) == [("good", None), ("bad", None)]


def test_delimiter_gives_the_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x,a\ny\nz,c\n")
    assert streamed(tmp_path / "a.csv", {"text": 2}) == ["a", "", "c"]


def test_missing_number(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"a\.csv has 2 column\(s\), and no column 3"):
        read(tmp_path, "a.csv", CONTENT, [3, 1])
    with pytest.raises(PipelineError, match=r"a\.csv has 2 column\(s\), and no column 3"):
        streamed(tmp_path / "a.csv", {"text": 3})


def test_formats_with_names_have_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}')
    pd.DataFrame({"text": ["a"]}).to_parquet(tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        with pytest.raises(PipelineError, match="has no column 1 by number: only a CSV or TSV"):
            formats.read(tmp_path / name, [1])
        with pytest.raises(PipelineError, match="has no column 1 by number: only a CSV or TSV"):
            streamed(tmp_path / name, {"text": 1})


LIKE_DATA = {
    "repeated": b"neg,bad\npos,good\nneg,worse\n",
    "number": b"0,bad\n1,good\n",
    "decimal": b"4.5,bad\n1.0,good\n",
    "sentence": b"I am sad.,b\nNo.,c\n",
    "words": b"sad that it had to end,b\nNo,c\n",
    "long": b"a," + b"so sad " * 9 + b"\nb,good\n",
}


@pytest.mark.parametrize("case", LIKE_DATA)
def test_first_line_that_looks_like_data_is_not_shown(tmp_path: Path, case: str) -> None:
    with pytest.raises(PipelineError) as error:
        read(tmp_path, "a.csv", LIKE_DATA[case])
    sentence = str(error.value).replace(str(tmp_path), "")
    assert "has no column 'text', and its first line looks like data" in sentence
    assert "set ingest.text_column and ingest.label_column to the numbers" in sentence
    assert not any(cell in sentence for cell in ("neg", "bad", "sad", "4.5", "'0'"))
    with pytest.raises(PipelineError, match="looks like data; if the file has no header, set --no-header") as error:
        streamed(tmp_path / "a.csv", {"text": "text"})
    assert "bad" not in str(error.value)


HEADERS = {
    "names": b"review,stars\nbad,1\ngood,2\n",
    "numbers of pandas": b"0,1\nbad,1\ngood,2\n",
    "index and numbers of pandas": b",0,1\n0,bad,1\n1,good,0\n",
    "repeated header": b"review,stars\nbad,1\nreview,stars\ngood,2\n",
    "one wanted column": b"text,5\nbad,1\ngood,5\n",
    "nearly the name": b"Text,5\nbad,1\ngood,5\n",
}


@pytest.mark.parametrize("case", HEADERS)
def test_header_without_the_column_is_shown(tmp_path: Path, case: str) -> None:
    with pytest.raises(PipelineError, match=r"has no column '(text|label)'; (it has|did you mean)"):
        read(tmp_path, "a.csv", HEADERS[case])
    wanted = "label" if case == "one wanted column" else "text"
    with pytest.raises(PipelineError, match=f"has no column '{wanted}'; (it has|did you mean)"):
        streamed(tmp_path / "a.csv", {"text": "text", "label": "label"})


def test_columns_by_number_in_params(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    defaults = FILE_DEFAULTS | {"dataset": "file", "max_rows": None, "skew": None, "path": str(tmp_path)}
    table = tables.read_files(Ingest(**(defaults | {"text_column": 2, "label_column": 1})))
    assert list(zip(table["text"], table["label"], strict=True)) == CELLS
    assert table["row"].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="some columns by number and others by name"):
        Ingest(**(defaults | {"text_column": 2}))
    with pytest.raises(ValueError, match="column 2 for two purposes"):
        Ingest(**(defaults | {"text_column": 2, "label_column": 2}))
    for wrong in (0, True):
        with pytest.raises(ValueError, match="text_column"):
            Ingest(**(defaults | {"text_column": wrong, "label_column": 1}))


def test_what_reads_like_a_sentence() -> None:
    names = ["No. 3.", "so it is", "x" * MAX_NAME_LENGTH, " ".join("x" * MAX_NAME_WORDS)]
    sentences = ["So it is.", "很好。", "x" * (MAX_NAME_LENGTH + 1), " ".join("x" * (MAX_NAME_WORDS + 1))]
    assert [*map(is_sentence, names)] == [False] * 4
    assert [*map(is_sentence, sentences)] == [True] * 4


def test_blank_and_short_rows_do_not_make_a_header_data() -> None:
    assert looks_like_data(["review", ""], [["a", ""], ["b", ""]]) is False
    assert looks_like_data(["review", "stars"], [["a"]]) is False


def test_given_delimiter_of_numbered_columns(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", b"a;b,c\nd;e,f\n", [1, 2], delimiter=",")) == [("a;b", "c"), ("d;e", "f")]
