"""Files for the tests of readers, and short calls to read them."""

import gzip
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.data.readers import formats

COLUMNS = ["text", "label"]


ENGLISH = [("it's great", "positive"), ("café très “moyen”", "neutral"), ("line one\nline two, and more", "negative")]


CHINESE = [("很好，我喜欢这个手机", "正面"), ("太差了！再也不买", "负面"), ("一般般，没有说的那么好", "中性")]


def csv_text(rows: list[tuple[str, str]], delimiter: str = ",") -> str:
    return pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, sep=delimiter)


def read(tmp_path: Path, name: str, content: bytes, columns: list[str] = COLUMNS, **options: str) -> pd.DataFrame:
    (tmp_path / name).write_bytes(content)
    return formats.read(tmp_path / name, columns, **options)


def stream(path: Path, columns: Sequence[str] = COLUMNS, **options: str) -> list[tuple[str, ...]]:
    """Return the cells that a stream yields, in chunks of two rows."""
    opened = formats.open_stream(str(path), {column: column for column in columns}, **options)
    return [row for _, cells in opened.chunks(2) for row in zip(*(cells[column] for column in columns), strict=True)]


def rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return [tuple(row) for row in table.to_numpy(dtype=object).tolist()]


def zipped(content: bytes, files: int = 1) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        for number in range(files):
            archive.writestr(f"{number}.csv", content)
    return stream.getvalue()


def zstd(content: bytes) -> bytes:
    stream = pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, "zstd") as compressed:
        compressed.write(content)
    return bytes(stream.getvalue())


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.csv", b"", "is empty; it must have the columns text, label"),
    "blank": ("a.csv", b"\n \n", "is empty"),
    "header only": ("a.csv", b"text,label\n", "has a header but no rows"),
    "missing column": ("a.csv", b"Text,class\na,b\n", "has no column 'text'; did you mean 'Text'?"),
    "no such column": ("a.csv", b"x,y\na,b\n", "has no column 'text'; it has 'x', 'y'"),
    "duplicate column": ("a.csv", b"text,label,text\na,b,c\n", "has the column 'text' 2 times"),
    "unclosed quote": ("a.csv", b'text,label\na,b\n"c\n', "has 1 broken of 2 rows: 2"),
    "unclosed quote in the header": ("a.csv", b'"text,label\na,b\n', "has no column 'text'"),
    "too many cells": ("a.csv", b"text,label\na,b\nc,d,e\n", "has 1 broken of 2 rows: 2"),
    "too many cells everywhere": ("a.csv", b"text,label\na,b,c\n", "has 1 broken of 1 rows: 1"),
    "NUL byte": ("a.csv", b"text,label\na,b\nc\0,d\n", "line 3, holds a NUL byte"),
    "NUL byte at the start": ("a.csv", b"\0text,label\na,b\n", "line 1, holds a NUL byte"),
    "half a UTF-16 character": ("a.csv", "text,label\na,b\n".encode("utf-16")[:-1], "is not utf-16"),
    "unknown encoding": ("a.csv", b"text,label\n" + b"\x81\x8d\x9d,b\n" * 9, "is neither UTF-8 nor UTF-16"),
    "Shift JIS": ("a.csv", "text,label\nかなです,b\n".encode("shift-jis") * 9, "is neither UTF-8 nor UTF-16"),
    "malformed JSON": ("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": \n', "line 2, is not valid JSON"),
    "JSON without an object": ("a.jsonl", b'"a"\n', "line 1, is not a JSON object"),
    "JSON without the key": ("a.jsonl", b'{"text": "a"}\n', "has no column 'label'; it has 'text'"),
    "JSON array without the key": ("a.json", b'[{"text": "a"}]\n', "has no column 'label'; it has 'text'"),
    "JSON array of arrays": ("a.json", b'[["a", "b"]]\n', "element 1, is not a JSON object; expected objects"),
    "incomplete JSON array": ("a.json", b'[{"text": "a", "label": "b"},\n', "is not a valid JSON array: "),
    "JSON array without commas": ("a.json", b'[\n{"text": "a"}\n{"text": "b"}\n]', "not a valid JSON array: Expecting"),
    "more after a JSON array": ("a.json", b'[\n{"text": "a"}\n]\n[', "is not a valid JSON array: Extra data"),
    "empty JSON array": ("a.json", b"[ ]\n", "has no rows; it must have the columns text, label"),
    "JSON rows inside an object": ("a.json", b'{"data": [{"text": "a", "label": "b"}]}', "neither an array of objects"),
    "the same, laid out": ("a.json", b'{\n "data": [\n  {"text": "a"}\n ]\n}\n', "neither an array of objects"),
    "laid out in part": ("a.json", b'{"data": [\n  {"text": "a"}\n]}\n', "neither an array of objects"),
    "JSON columns": ("a.json", b'{"text": {"0": "a"}, "label": {"0": "b"}}', "neither an array of objects"),
    "objects over several lines": ("a.jsonl", b'{\n"text": "a"}\n{\n"text": "b"}', "nor one object a line"),
    "gzip without the extension": (
        "a.csv",
        gzip.compress(b"text,label\na,b\n"),
        "is a compressed file or a spreadsheet",
    ),
    "a title above the header": ("a.csv", b"Report\n\ntext,label\na,b\n", "check that the header is the first line"),
    "not Parquet": ("a.parquet", b"PAR1 but not really", "is not a readable Parquet file"),
    "not gzip": ("a.csv.gz", b"text,label\na,b\n", "(Not a gzipped file"),
    "incomplete gzip": ("a.csv.gz", gzip.compress(b"text,label\na,b\n")[:-9], "check that it is complete"),
    "not a zip": ("a.csv.zip", b"hello", "(File is not a zip file)"),
    "two in a zip": ("a.csv.zip", zipped(b"text,label\na,b\n", 2), "holds 2 files; it must hold one table"),
    "unknown extension": ("a.xls", b"PK", "convert it to one of .csv, .tsv"),
}
