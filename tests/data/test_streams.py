"""Read files as streams: the same cells and errors as when read whole."""

import gzip
import io
import re
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest
from helpers.readers import BROKEN, CHINESE, COLUMNS, ENGLISH, csv_text, read, rows, stream, zipped, zstd

from pipeline.base.errors import PipelineError
from pipeline.data.readers import formats
from pipeline.data.readers.headers import check_stream_columns

STREAMED: dict[str, tuple[str, bytes]] = {
    "spaces around names": ("a.csv", b"id, text ,label\n1,a,b\n"),
    "blank lines above the header": ("a.csv", b"\n\r\ntext,label\na,b\n"),
    "blank lines between rows": ("a.csv", b"text,label\na,b\n\nc,d\n"),
    "Excel": ("a.csv", b"sep=;\r\ntext;label;;\r\na,b;c;;\r\n"),
    "old Mac": ("a.csv", b"text,label\ra,b\rc,d\r"),
    "bare carriage return in a cell": ("a.csv", b'text,label\na\rb,x\n"c\rd",y\n'),
    "line break in a name": ("a.csv", b'"a\nname",text,label\n1,a,b\n'),
    "characters after a quote": ("a.csv", b'text,label\n"a" b,x\nc "d",y\n'),
    "lone quotes": ("a.tsv", b'text\tlabel\n"he said so\ta\nfine\tb\nsaid "\ta\n'),
    "quoted": ("a.tsv", b'text\tlabel\n"he ""said"" so"\ta\n"two\nlines"\tb\n'),
    "two columns of one name": ("a.csv", b"text,x,label,x\na,1,b,2\n"),
    "GBK": ("a.csv", csv_text(CHINESE).encode("gbk")),
    "GBK in JSON": (
        "a.jsonl",
        pd.DataFrame(CHINESE, columns=COLUMNS).to_json(orient="records", lines=True, force_ascii=False).encode("gbk"),
    ),
    "JSON array": ("a.json", b'[\n  {"text": "a [1], \\"b\\"",\n "label": "x"}, {"label": "y","text": "c"}\n]\n'),
    "JSON array in a line": ("a.jsonl", b' [{"text": "a", "label": "x"}]'),
    "JSON lines": ("a.json", b'{"text": "a", "label": "x"}\n\n{"text": "[b]", "label": "y"}'),
    "Windows-1252": ("a.csv", csv_text(ENGLISH * 30).encode("cp1252")),
    "UTF-16": ("a.csv", csv_text(CHINESE * 30).encode("utf-16")),
    "UTF-16 without mark": ("a.csv", csv_text(CHINESE * 30).encode("utf-16-be")),
    "UTF-8 with mark": ("a.csv", csv_text(CHINESE).encode("utf-8-sig")),
    "zip": ("a.csv.zip", zipped(csv_text(CHINESE).encode())),
    "zstd": ("a.tsv.zst", zstd(csv_text(CHINESE, "\t").encode("gbk"))),
}


@pytest.mark.parametrize("case", STREAMED)
def test_stream_reads_what_ingest_reads(tmp_path: Path, case: str) -> None:
    name, content = STREAMED[case]
    table = read(tmp_path, name, content)
    cells = [(text, label) for text, label in stream(tmp_path / name) if text or label]  # of blank lines
    assert [tuple(cell.replace("\r\n", "\n") for cell in row) for row in cells] == rows(table)


def test_short_rows_are_broken_for_ingest_and_filled_up_for_predict(tmp_path: Path) -> None:
    """With and without quotes, which may hide delimiters; a row that is full, but ends in an empty cell, is fine."""
    for content in (b"text,label,n\na\nb,c,\nd,,\n", b'text,label,n\na\n"b",c,\nd,,\n'):
        with pytest.raises(PipelineError, match="has 1 broken of 3 rows: 1;"):
            read(tmp_path, "a.csv", content)
        assert stream(tmp_path / "a.csv") == [("a", ""), ("b", "c"), ("d", "")]
        assert rows(read(tmp_path, "a.csv", content, columns=["text"])) == [("a",), ("b",), ("d",)]
    for content in (b"text,label,n\nb,c\nd,,\n", b'text,label\n"b",\nd,\n', b"text,label\nb,\n\n"):
        assert len(read(tmp_path, "a.csv", content)) == content.count(b"\n") - 1 - content.endswith(b"\n\n")


def test_line_of_excel_names_any_delimiter(tmp_path: Path) -> None:
    content = b"sep=^\ntext^label\na^b\n"
    assert rows(read(tmp_path, "a.csv", content)) == stream(tmp_path / "a.csv") == [("a", "b")]


@pytest.mark.parametrize(("count", "listed"), [(5, "1, 2, 3, 4, 5;"), (6, "1, 2, 3, 4, 5, ...;")])
def test_first_five_broken_rows_are_listed(tmp_path: Path, count: int, listed: str) -> None:
    with pytest.raises(PipelineError, match=rf"has {count} broken of {count + 1} rows: {re.escape(listed)}"):
        read(tmp_path, "a.csv", b"text,label\n" + b"a,b,c\n" * count + b"a,b\n")


def test_column_that_is_missing_is_set_by_an_option(tmp_path: Path) -> None:
    for kind, option in (("text", "--text-column"), ("text 2", "--text-column"), ("speech", "--column speech=COLUMN")):
        with pytest.raises(PipelineError, match=f"it has 'a', 'b'; set {option}$"):
            check_stream_columns(["a", "b"], {kind: "x"}, "a.csv")


DAMAGED = csv_text(CHINESE * 1000).encode("gbk").replace("太差".encode("gbk"), b"\xff\xff", 1)


def test_stream_of_another_encoding_with_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = read(tmp_path, "a.csv", DAMAGED, encoding="gbk")
    message = capsys.readouterr().err
    assert stream(tmp_path / "a.csv", encoding="gbk") == rows(table)
    assert capsys.readouterr().err == message
    assert "1 line(s) hold bytes that are not gbk, the first being line 3" in message
    with pytest.raises(PipelineError, match=r"a\.csv, line 2, is not cp1253; name its encoding with --encoding"):
        stream(tmp_path / "a.csv", encoding="cp1253")


STREAM_BROKEN = set(BROKEN) - {
    "unclosed quote",
    "header only",
    "NUL byte",
    "malformed JSON",
    "JSON without an object",
    "JSON array of arrays",
    "empty JSON array",
    "too many cells",  # becomes an error of that row
    "too many cells everywhere",
}


@pytest.mark.parametrize("case", sorted(STREAM_BROKEN))
def test_broken_stream_is_one_sentence(tmp_path: Path, case: str) -> None:
    name, content, _ = BROKEN[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError) as error:
        stream(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)
    assert "ingest" not in str(error.value)


@pytest.mark.slow  # four seconds
def test_stream_holds_little_memory(tmp_path: Path) -> None:
    """GBK and gzip, so that each step of reading takes part."""
    line = ("很好，我喜欢这个手机" * 20 + ",正面\n").encode("gbk")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text,label\n" + line * 50_000, compresslevel=1))
    opened = formats.open_stream(str(tmp_path / "a.csv.gz"), {"text": "text"})
    tracemalloc.start()
    try:
        count = sum(len(cells["text"]) for _, cells in opened.chunks(1_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 50_000
    assert peak < 8_000_000  # the file has 20 MB


def test_byte_order_mark_is_written_again(tmp_path: Path) -> None:
    for encoding, start in (("utf-8-sig", b"\xef\xbb\xbf"), ("utf-8", b'"text"')):
        (tmp_path / "a.csv").write_bytes("text\na\n".encode(encoding))
        table, target = formats.open_stream(str(tmp_path / "a.csv"), {"text": "text"}), io.BytesIO()
        table.start(target, {"new": str})
        table.finish()
        assert target.getvalue().startswith(start)
