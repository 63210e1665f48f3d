"""A table stays as it is, value by value, and gets predictions; bad rows are marked, bad files are one sentence."""

import io
import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.base.errors import PipelineError
from pipeline.data.readers.formats import BY_NAME
from pipeline.data.readers.sources import Source
from pipeline.registry.models import Predict, Predicted
from pipeline.serving.prediction_job import cell_error, predict_table
from pipeline.text.cleaning import clean_text

EMPTY, MISSING, NOT_A_STRING, NOT_UTF8 = (
    f"the text is {what}" for what in ("empty", "missing", "not a string", "not valid UTF-8")
)


class Shouting:
    """A model without a network: the label is the text's length."""

    def manifest(self) -> dict[str, Any]:
        return {"classes": ["a"], "class_shares": [1.0]}

    def load(self) -> Predict:
        def predict(rows: Mapping[str, list[str]], class_shares: str) -> Predicted:
            lengths = [str(len(text)) for text in rows["text"]]
            return [lengths, [0.5] * len(lengths), [0.5] * len(lengths), [1] * len(lengths)]

        return predict


def labelled(content: bytes, kind: str = "csv", text_column: str = "text") -> tuple[bytes, dict[str, int]]:
    target = io.BytesIO()
    source = Source("in", lambda: io.BytesIO(content))
    table = BY_NAME[kind].stream(source, {"text": text_column}, encoding=None, delimiter=None)
    counts = predict_table(table, target, Shouting())  # type: ignore[arg-type]
    return target.getvalue(), dict(counts)


def of_csv(content: str | bytes) -> list[list[str]]:
    result, _ = labelled(content if isinstance(content, bytes) else content.encode())
    table = pd.read_csv(io.BytesIO(result), dtype=str, keep_default_na=False, encoding_errors="surrogateescape")
    assert list(table.columns[-5:]) == ["predicted_label", "confidence", "p_a", "known_words", "error"]
    return table.drop(columns=["p_a", "known_words"]).to_numpy().tolist()


@pytest.mark.parametrize(
    "text", ["\ufe0f", "\u034f\u200d", "\u3164", "\u2800", r"\n\t", "\u200b", "ï»¿", "Â\u00ad", "\u00ad <br>", "&shy;"]
)
def test_text_of_nothing_visible_is_empty(text: str) -> None:
    assert clean_text(text) == ""
    assert cell_error(text) == "the text is empty"


def test_csv_cells_stay_unchanged() -> None:
    content = '\ufeffid,text,note\n007,"a ""b"", c",=1+1\n1.50,"x\ry\nz",None\nNA,,\nshort\n'
    assert of_csv(content) == [
        ["007", 'a "b", c', "=1+1", "8", "0.5", ""],
        ["1.50", "x\ry\nz", "None", "5", "0.5", ""],
        ["NA", "", "", "", "", EMPTY],
        ["short", "", "", "", "", EMPTY],
    ]


def test_empty_line_keeps_its_row() -> None:
    assert [row[1:] for row in of_csv("text\na\n\nbc\n")] == [["1", "0.5", ""], ["", "", EMPTY], ["2", "0.5", ""]]


def test_row_with_too_many_cells_keeps_them_and_is_marked() -> None:
    broken = "the row has more cells than the header; quote cells that hold the delimiter"
    assert of_csv("n,text\n1,a\n2,b,c,d\n3,e\n") == [
        ["1", "a", "1", "0.5", ""],
        ["2", "b,c,d", "", "", broken],
        ["3", "e", "1", "0.5", ""],
    ]
    _, counts = labelled(b"n,text\n1,a\n2,b,c,d\n3,e\n")
    assert counts == {"": 2, broken: 1}


def test_repeated_header_is_no_text() -> None:
    content = 'n,text\n1,a\n"n","text"\ntext,n\n'
    assert of_csv(content) == [
        ["1", "a", "1", "0.5", ""],
        ["n", "text", "", "", "the row repeats the header"],
        ["text", "n", "1", "0.5", ""],
    ]


def test_unnamed_column_and_header_without_rows() -> None:
    header = labelled(b",text\n0,a\n")[0].splitlines()[0]
    assert header == b'"","text","predicted_label","confidence","p_a","known_words","error"'
    assert of_csv("id,text\n") == []


def test_bytes_that_are_not_utf8_come_back() -> None:
    result, counts = labelled(b"text,n\ncaf\xe9,1\ncaf\xc3\xa9,2\n")
    assert result.splitlines()[1:] == [
        b'"caf\xe9","1","","","","","the text is not valid UTF-8"',
        '"café","2","4",0.5,0.5,1,""'.encode(),
    ]
    assert counts == {"": 1, NOT_UTF8: 1}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("good", None),
        (" ! ", None),
        ("&lt;3", None),
        ("<3", None),
        ("\u200bgood", None),
        ("", EMPTY),
        (" \t\u3000", EMPTY),
        ("<br/> <p>", EMPTY),
        ("&nbsp;", EMPTY),
        ("\u200b\x00", EMPTY),
        (None, MISSING),
        (3, NOT_A_STRING),
        (float("nan"), NOT_A_STRING),
        (b"good", NOT_A_STRING),
        ("a\ud83d", NOT_UTF8),
    ],
)
def test_error_of_a_text(text: object, error: str | None) -> None:
    assert cell_error(text) == error


def test_json_lines_stay_to_the_character() -> None:
    lines = [
        '{"text": "good", "n": 1.10, "deep": {"a": [1, null]}, "big": 12345678901234567890 }',
        "{}",
        '  {"text": 3, "n": "é"}',
        '{"text": "a\\ud83d"}',
        "nonsense",
        "[1]",
    ]
    result, counts = labelled(("\ufeff" + "\n".join(lines) + "\n\n").encode(), "jsonl")
    nothing = '"predicted_label": null, "confidence": null, "p_a": null, "known_words": null'
    assert result.decode().splitlines() == [
        lines[0][:-2] + ', "predicted_label": "4", "confidence": 0.5, "p_a": 0.5, "known_words": 1, "error": null}',
        f'{{{nothing}, "error": "{MISSING}"}}',
        f'{{"text": 3, "n": "é", {nothing}, "error": "{NOT_A_STRING}"}}',
        f'{{"text": "a\\ud83d", {nothing}, "error": "{NOT_UTF8}"}}',
        f'{{"line": "nonsense", {nothing}, "error": "the line is not a JSON object"}}',
        f'{{"line": "[1]", {nothing}, "error": "the line is not a JSON object"}}',
    ]
    assert sum(counts.values()) == 6
    assert counts[""] == 1
    assert labelled(b"", "jsonl") == (b"", {})


def test_parquet_keeps_its_types_and_metadata() -> None:
    columns = {
        "text": pa.array(["good", None, ""], pa.large_string()),
        "when": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "list": pa.array([[1], [], None], pa.list_(pa.int16())),
    }
    table = pa.table(columns).replace_schema_metadata({"made": "here"})
    source = io.BytesIO()
    parquet.write_table(table, source)
    result, counts = labelled(source.getvalue(), "parquet")
    whole = parquet.read_table(io.BytesIO(result))
    assert whole.select(table.column_names).equals(table)
    assert whole.schema.metadata[b"made"] == b"here"
    assert whole["predicted_label"].to_pylist() == ["4", None, None]
    assert whole["confidence"].to_pylist() == whole["p_a"].to_pylist() == [0.5, None, None]
    assert whole.schema.field("known_words").type == pa.int64()
    assert whole["known_words"].to_pylist() == [1, None, None]
    assert whole["error"].to_pylist() == [None, MISSING, EMPTY]
    assert counts == {"": 1, MISSING: 1, EMPTY: 1}


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        (b"", "csv", "in is empty; its first line must name the columns"),
        (b"\n\r\n", "csv", "in is empty"),
        (b"a,b\n1,2\n", "csv", "in has no column 'text'; it has 'a', 'b'; set --text-column"),
        (b"Text,b\n1,2\n", "csv", r"in has no column 'text'; did you mean 'Text'\? set --text-column"),
        (b"a\n1\n", "csv", "it has 'a'; set --text-column or --delimiter"),
        (b"text,text\n1,2\n", "csv", "has the column 'text' 2 times"),
        (b"text,predicted_label\n1,2\n", "csv", "already has the column 'predicted_label'"),
        (b"text,error\n1,2\n", "csv", "already has the column 'error'"),
        (b'text\ra\r"two\nlines"\r', "csv", r"some lines end in \\r, others in \\n"),
        (b'{"a": 1}\n', "jsonl", "in has no column 'text'; it has 'a'; set --text-column"),
        (b'{"text": "a", "error": 1}\n', "jsonl", "already has the column 'error'"),
        (b"text\n", "parquet", "in is not a readable Parquet file"),
    ],
)
def test_bad_file_is_one_sentence(content: bytes, kind: str, sentence: str) -> None:
    with pytest.raises(PipelineError, match=sentence):
        labelled(content, kind)


def test_parquet_broken_inside_is_one_sentence() -> None:
    source = io.BytesIO()
    parquet.write_table(pa.table({"text": [f"text {number}" for number in range(5_000)]}), source, compression="none")
    content = bytearray(source.getvalue())
    content[4:400] = bytes(396)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is raised while something is freed is a warning of pytest's
        with pytest.raises(PipelineError, match=r"^in is not a readable Parquet file: "):
            labelled(bytes(content), "parquet")
    doubled = io.BytesIO()
    columns = [pa.array(["a"]), pa.array(["b"])]
    parquet.write_table(pa.Table.from_arrays(columns, names=["text", "text"]), doubled)
    with pytest.raises(PipelineError, match="in has the column 'text' 2 times"):
        labelled(doubled.getvalue(), "parquet")
