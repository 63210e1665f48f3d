"""Bad files as users have them, with the stage that refuses each and part of its message; dirty files that work."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.data import datasets


def good(start: int = 0) -> pd.DataFrame:
    """Return 400 real tweets, 30 of them of a small class."""
    tweets = datasets.tweets().drop_duplicates("text")
    rows = {"negative": 200, "neutral": 170, "positive": 30}
    classes = [tweets[tweets["label"] == label][start : start + count] for label, count in rows.items()]
    return pd.concat(classes, ignore_index=True)


def csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, quoting=1).encode()


def cells(column: str, rows: slice, value: str) -> bytes:
    """Return the good table with another value in some rows of a column."""
    table = good()
    table.loc[rows, column] = value
    return csv(table)


@dataclass(frozen=True)
class Case:
    """A file that must stop the pipeline: its content, the stage that stops, and part of the message."""

    stage: str
    message: str
    content: Callable[[], bytes] = lambda: csv(good())
    name: str = "own.csv"
    params: dict[str, str] = field(default_factory=dict)
    others: dict[str, Callable[[], bytes]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        for name, content in {self.name: self.content, **self.others}.items():
            if not name.endswith("/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content())
            else:
                (folder / name).mkdir(parents=True, exist_ok=True)


def damaged(old: bytes, new: bytes) -> bytes:
    return csv(good()).replace(old, new, 1)


def last_line(content: bytes) -> bytes:
    return csv(good()) + content


CASES: dict[str, Case] = {
    "missing file": Case("ingest", "own.csv does not exist", name="other.csv", params={"path": "own.csv"}),
    "empty file": Case("ingest", "own.csv is empty", lambda: b""),
    "header only": Case("ingest", "own.csv has a header but no rows", lambda: b"text,label\n"),
    "missing column": Case(
        "ingest", "has no column 'label'; did you mean 'labels'?", lambda: damaged(b'"label"', b'"labels"')
    ),
    "column of another name": Case(
        "ingest", "has no column 'review'; it has 'text', 'label'", params={"text_column": "review"}
    ),
    "duplicate columns": Case(
        "ingest", "has the column 'text' 2 times", lambda: b"text,label,text\ngood,positive,bad\n"
    ),
    "only one class": Case("validate", "there are 2 classes or more", lambda: cells("label", slice(None), "same")),
    "sixty classes": Case(
        "validate",
        "there are at most 50 classes",
        lambda: csv(pd.concat([good()] * 3).assign(label=[f"c{i % 60}" for i in range(1_200)])),
    ),
    "a class of two rows": Case("validate", "min_rows_per_class", lambda: cells("label", slice(0, 1), "rare")),
    "too few rows": Case("validate", "min_rows", lambda: csv(good().tail(120))),
    "unbalanced": Case("validate", "max_imbalance", params={"max_imbalance": "2.0"}),
    "labels in two spellings": Case(
        "validate",
        "of characters and spaces (ingest.label_map), but found 'negative' and 'Negative'",
        lambda: cells("label", slice(0, 40), "Negative"),
    ),
    "undecodable bytes": Case("ingest", "is neither UTF-8 nor UTF-16", lambda: csv(good()).replace(b" ", b"\x81\x9d")),
    "wrong encoding named": Case(
        "ingest",
        "is not utf-8; name its encoding",
        lambda: csv(good()).replace(b"e", b"\xe9"),
        params={"encoding": "utf-8"},
    ),
    "many damaged rows": Case(
        "validate",
        "max_undecodable",
        lambda: csv(good().assign(text=good()["text"] + " ça va")).replace(b" the ", b" \xff "),
    ),
    "NUL bytes": Case("ingest", "holds a NUL byte", lambda: last_line(b'"a\0b","negative"\n')),
    "unclosed quote": Case("ingest", "has 1 broken of 401 rows: 401", lambda: last_line(b'"never closed\n')),
    "too many cells": Case("ingest", "has 1 broken of 401 rows: 401", lambda: last_line(b"one, two,negative\n")),
    "malformed JSON line": Case(
        "ingest", "line 2, is not valid JSON", lambda: b'{"text": "a", "label": "b"}\n{"text": "a",\n', "own.jsonl"
    ),
    "JSON line that is not an object": Case("ingest", "line 1, is not a JSON object", lambda: b"3\n", "own.jsonl"),
    "not a Parquet file": Case("ingest", "is not a readable Parquet file", lambda: csv(good()), "own.parquet"),
    "not a gzip file": Case("ingest", "cannot read own.csv.gz (Not a gzipped file", lambda: csv(good()), "own.csv.gz"),
    "incomplete download": Case(
        "ingest", "check that it is complete", lambda: gzip.compress(csv(good()))[:-100], "own.csv.gz"
    ),
    "a spreadsheet": Case("ingest", "own.xlsx is not a readable Excel file", lambda: b"PK\3\4", "own.xlsx"),
    "a folder without tables": Case("ingest", "has no table in it", lambda: b"hello", "own/README.md", {"path": "own"}),
    "a folder named like a file": Case("ingest", "the folder own.csv has no table in it", name="own.csv/"),
    "a folder as test file": Case(
        "ingest",
        "tests is a folder; name a file with ingest.test_path",
        params={"test_path": "tests"},
        others={"tests/": lambda: b""},
    ),
    "numbers as text": Case(
        "ingest",
        "row 2: column 'text' must hold text",
        lambda: b'{"text": "a", "label": "b"}\n{"text": 3, "label": "b"}\n',
        "own.jsonl",
    ),
    "a column of numbers as text": Case("validate", "numbers", lambda: csv(good().assign(text=range(400)))),
    "a list as label": Case(
        "ingest",
        "row 1: column 'label' holds several labels",
        lambda: b'{"text": "a", "label": ["b", "c"]}\n',
        "own.jsonl",
    ),
    "all texts empty after cleaning": Case(
        "clean", "no row is left", lambda: csv(good().assign(text=[f"<p class='{i}'></p>" for i in range(400)]))
    ),
    "all texts blank": Case("validate", "max_missing", lambda: cells("text", slice(None), " ")),
    "all labels missing": Case("validate", "max_missing", lambda: cells("label", slice(None), "")),
    "a tenth of the labels missing": Case("validate", "max_missing", lambda: cells("label", slice(0, 40), "")),
    "every text conflicting": Case(
        "validate",
        "max_conflicts",
        lambda: csv(pd.concat([good(), good().assign(label=["positive", "neutral"] * 200)])),
    ),
    "a text of 50,000 characters": Case(
        "validate", "row 8 of own.csv", lambda: cells("text", slice(7, 7), "word " * 10_000)
    ),
    "labels that are not allowed": Case("validate", "validate.labels", params={"labels": "[negative, positive]"}),
    "a label only in the test file": Case(
        "clean",
        "class 'rare' has 30 row(s) after cleaning, but none in the train split",
        params={"test_path": "test.csv"},
        others={"test.csv": lambda: csv(good(1_000).assign(label=lambda t: t["label"].replace("positive", "rare")))},
    ),
    "an unknown label in the map": Case(
        "ingest", "ingest.label_map names 'angry', but", params={"label_map": "{negative: bad, angry: bad}"}
    ),
    "not a time": Case(
        "ingest",
        "row 1: column 'when' must hold a time",
        lambda: csv(good().assign(when="03/02/2020")),
        params={"time_column": "when"},
    ),
    "equal times": Case(
        "clean",
        "too many rows have the latest time",
        lambda: csv(good().assign(when="2020-02-03")),
        params={"time_column": "when"},
    ),
    "unknown name of a split": Case(
        "ingest",
        "row 1: column 'part' must be train, validation or test",
        lambda: csv(good().assign(part="holdout")),
        params={"split_column": "part"},
    ),
}


def repeat(rows: int) -> pd.DataFrame:
    """Return real tweets with as many duplicates as exports have."""
    tweets = datasets.tweets().drop_duplicates("text").sample(rows - 849, random_state=0)
    return pd.concat([tweets, tweets.head(849)], ignore_index=True)


def dirty() -> pd.DataFrame:
    """Return duplicates, formulas, line breaks, the text None, blank texts, missing labels and empty columns."""
    table = repeat(3_150)
    table.loc[[3, 5, 7], "text"] = ["=@SUM(A1)+cmd", 'two\nlines, and a "quote"', "None"]
    table.loc[[11, 13], "text"] = ["", " \t"]
    table.loc[[17, 19, 23], "label"] = ""
    return table.assign(**{f"empty {number}": "" for number in range(13)})


def airline() -> bytes:
    """Return 14,640 rows, one of them with bytes of no encoding."""
    tweets = datasets.tweets().sample(14_640, random_state=0)
    return csv(tweets.assign(text=tweets["text"] + " ✈")).replace(" ✈".encode(), b" \xe2\x9c", 1)


def gbk() -> bytes:
    reviews = datasets.chinese_reviews().drop_duplicates("text").sample(600, random_state=0)
    return reviews.to_csv(index=False).encode("gb18030")


DIRT: dict[str, tuple[Callable[[], bytes], str]] = {
    "a real export": (lambda: csv(dirty()), "own.csv"),
    "one broken row of 14,640": (airline, "own.csv"),
    "GBK": (gbk, "own.csv"),
}
