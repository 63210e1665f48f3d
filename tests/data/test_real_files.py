"""Files as people have them: each kind that was once misread in silence, read whole and as `predict` reads it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from pipeline.base.errors import PipelineError
from pipeline.data import tables
from pipeline.data.joined import open_joined
from pipeline.data.readers.reading import Reading
from pipeline.data.settings import FILE_DEFAULTS, Ingest

WORDS = {"neg": "awful", "neu": "paper", "pos": "lovely"}
ROWS = [(f"the {word} room number {n}", label) for n in range(20) for label, word in WORDS.items()]
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]
POLISH = ("źle się dzieje, łóżko złamane", "świetny, żółty, śliczny", "książka przyszła w piątek")
TURKISH = ("çok kötü, hiç beğenmedim", "ürün güzel, ışıklı ve şık", "kargo geç geldi, ilgisiz şirket")


class Case(NamedTuple):
    """Files by name, and what must come of them: texts and labels, or words of the error."""

    files: dict[str, bytes]
    texts: Sequence[str] = tuple(TEXTS)
    labels: Sequence[str | None] = tuple(LABELS)
    error: str = ""
    columns: Mapping[str, Any] = MappingProxyType({})
    streams: bool = True  # a folder is none


def lines(*rows: tuple[str, ...], delimiter: str = ",", header: tuple[str, ...] = ("text", "label")) -> str:
    return "".join(delimiter.join(row) + "\n" for row in ([header] if header else []) + list(rows))


def stray(delimiter: str) -> Case:
    texts = [('"' + text if n in (5, 9, 26) else text) for n, (text, _) in enumerate(ROWS)]
    content = lines(*zip(texts, LABELS, strict=True), delimiter=delimiter)
    return Case({"a.tsv" if delimiter == "\t" else "a.csv": content.encode()}, texts)


def missing(marker: str) -> Case:
    labels = [marker if n < 6 else label for n, (_, label) in enumerate(ROWS)]
    texts = ["None" if n == 7 else text for n, (text, _) in enumerate(ROWS)]
    known = [None if n < 6 else label for n, (_, label) in enumerate(ROWS)]
    return Case({"a.csv": lines(*zip(texts, labels, strict=True)).encode()}, texts, known)


def encoded(texts: tuple[str, ...], encoding: str, end: str = "\n") -> Case:
    rows = [(f"{texts[n % len(texts)]} {n}", label) for n, (_, label) in enumerate(ROWS)]
    content = "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows)
    return Case({"a.csv": content.replace("\n", end).encode(encoding)}, [text for text, _ in rows])


def as_json(label: Callable[[str], Any], name: str, *, array: bool = False) -> Case:
    rows = [{"text": text, "label": label(own)} for text, own in ROWS]
    content = json.dumps(rows) if array else "".join(json.dumps(row) + "\n" for row in rows)
    spelt = {list: lambda own: own[0], float: lambda own: f"{own:g}", str: str}
    shown = [spelt[type(row["label"])](row["label"]) for row in rows]
    return Case({name: content.encode()}, labels=shown)


STARS = {"neg": 1.5, "neu": 3.0, "pos": 4.5}
NUMBERS = {"neg": "0", "neu": "2", "pos": "4"}
SPELT = [("unknown" if n > 56 else NUMBERS[own] + (".0" if n % 2 else "")) for n, (_, own) in enumerate(ROWS)]
BROKEN = [(text, f"{label},x" if n % 20 == 7 else label) for n, (text, label) in enumerate(ROWS)]
MARKED = (lambda text: text, lambda text: f"{text[:3]}\u2060{text[3:]}", lambda text: f"\u200f{text}")
INVISIBLE = [MARKED[n % 3](text) for n, text in enumerate(TEXTS)]
INCHES = [text + (' 55"' if n % 7 == 0 else "") for n, (text, _) in enumerate(ROWS)]
COMMAS = [text + (' "so", so' if n % 7 == 0 else "") for n, (text, _) in enumerate(ROWS)]


def escaped(texts: list[str]) -> Case:
    rows = [(f'"{text}"'.replace('"', '\\"')[1:-2] + '"', label) for text, (_, label) in zip(texts, ROWS, strict=True)]
    return Case({"a.csv": lines(*rows).encode()}, texts)


CASES = {
    "lone quotes, comma": stray(","),
    "lone quotes, semicolon": stray(";"),
    "lone quotes, tab": stray("\t"),
    "lone quotes and a ragged line": Case(
        {"a.tsv": stray("\t").files["a.tsv"].replace(b"\tpos\n", b"\n", 1)}, error="has 1 broken of 60 rows: 3"
    ),
    "backslash before a quote": escaped(INCHES),
    "backslash before a quote, and commas": escaped(COMMAS),
    **{f"{marker} as a label": missing(marker) for marker in ("NA", "NULL", "\\N", "nan", "N/A", "<NA>", "#N/A")},
    "None as a label": missing("None")._replace(labels=["None" if n < 6 else own for n, (_, own) in enumerate(ROWS)]),
    "0 and 0.0 beside a word": Case(
        {"a.csv": lines(*zip(TEXTS, SPELT, strict=True)).encode()},
        labels=[own.removesuffix(".0") for own in SPELT],
    ),
    "0 in one file, 0.0 in another": Case(
        {
            "a.csv": lines(*((text, NUMBERS[own]) for text, own in ROWS[:30])).encode(),
            "b.csv": lines(*((text, NUMBERS[own] + ".0") for text, own in ROWS[30:])).encode(),
        },
        labels=[NUMBERS[own] for own in LABELS],
        streams=False,
    ),
    "Turkish, Windows-1254": encoded(TURKISH, "cp1254"),
    "Polish, Windows-1250": encoded(POLISH, "cp1250"),
    "English in GBK": encoded(("I don’t like it – at all", "the room was fine"), "gbk"),
    "Mac Roman with CR": encoded(("I don’t like it, naïve crew", "the room was fine"), "mac_roman", "\r"),
    "zero-width space behind a label": Case(
        {"a.csv": lines(*((t, own + "\u200b" * (n % 4 == 1)) for n, (t, own) in enumerate(ROWS))).encode()}
    ),
    "invisible characters in texts": Case(
        {"a.csv": lines(*zip(INVISIBLE, LABELS, strict=True)).encode()}, INVISIBLE
    ),
    "blank rows": Case({"a.csv": (lines(*ROWS, delimiter=";") + ";\n" * 40).encode()}, streams=False),
    "headers inside": Case(
        {"a.csv": "".join(lines(*ROWS[n : n + 20]) for n in range(0, 60, 20)).encode()}, streams=False
    ),
    "space before a quote": Case(
        {"a.csv": lines(*((own, f' "{text}, so"') for text, own in ROWS), header=("label", " text")).encode()},
        [f"{text}, so" for text, _ in ROWS],
    ),
    "broken rows": Case({"a.csv": lines(*BROKEN).encode()}, error="has 3 broken of 60 rows: 8, 28, 48;"),
    "lines in .json": as_json(str, "a.json"),
    "an array in .json": as_json(str, "a.json", array=True),
    "an array in .jsonl": as_json(str, "a.jsonl", array=True),
    "a table in .txt": Case({"a.txt": lines(*ROWS, delimiter="\t").encode()}),
    "lists of one label": as_json(lambda own: [own], "a.jsonl"),
    "lists of two labels": as_json(lambda own: [own, "so"], "a.jsonl")._replace(error="several labels in a list"),
    "half stars": as_json(STARS.__getitem__, "a.jsonl"),
    "a file that is no table": Case({"a.csv": lines(*ROWS).encode(), "notes.docx": b"no table"}, streams=False),
    "no header": Case(
        {"a.csv": lines(*ROWS, header=()).encode()}, error="looks like data; if the file has no header, set ingest"
    ),
    "no header, columns by number": Case(
        {"a.csv": lines(*ROWS, header=()).encode()}, columns={"text_column": 1, "label_column": 2}
    ),
    "a folder by class": Case(
        {f"{own}/{n:02}.txt": text.encode() for n, (text, own) in enumerate(ROWS)},
        [text for text, _ in sorted(ROWS, key=lambda row: row[1])],
        sorted(own for _, own in ROWS),
        streams=False,
    ),
}  # fmt: skip


def read(case: Case, folder: Path) -> tuple[Ingest, dict[str, Reading], Callable[[], Any]]:
    for name, content in case.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    path = folder / next(iter(case.files)) if len(case.files) == 1 else folder
    values = FILE_DEFAULTS | {"dataset": "file", "max_rows": None, "skew": None, "path": str(path)} | dict(case.columns)
    settings, readings = Ingest(**values), dict[str, Reading]()
    return settings, readings, lambda: tables.read_all(settings, readings)


@pytest.fixture(autouse=True)
def no_increments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables.increments, "names", list)


@pytest.mark.parametrize("name", CASES)
def test_file_is_read_as_its_author_meant(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    _, _, read_all = read(case, tmp_path)
    if case.error:
        with pytest.raises(PipelineError, match=case.error) as refused:
            read_all()
        assert "room number" not in str(refused.value)  # no text of the user's
        return
    table = read_all()
    assert table["text"].tolist() == list(case.texts)
    assert table["label"].astype(object).where(table["label"].notna(), None).tolist() == list(case.labels)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.streams and not case.error])
def test_predict_reads_the_same_texts(name: str, tmp_path: Path) -> None:
    settings, _, _ = read(CASES[name], tmp_path)
    stream = open_joined(settings.path, settings.columns)
    assert [text for _, cells in stream.chunks(7) for text in cells["text"]] == list(CASES[name].texts)


def test_report_says_what_the_reader_did(tmp_path: Path) -> None:
    wanted = {
        "blank rows": "40 blank rows skipped: 61, 62",
        "headers inside": "2 repeated header rows skipped: 21, 42",
        "lone quotes, comma": "quotes are characters",
        "backslash before a quote": "a backslash",
        "Polish, Windows-1250": "encoding cp1250, detected, with the letters ",
        "NA as a label": "NA",
        "0 and 0.0 beside a word": "labels in another spelling of a number",
        "zero-width space behind a label": "labels with characters that nobody sees",
    }
    for number, (name, words) in enumerate(wanted.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, readings, read_all = read(CASES[name], folder)
        read_all()
        said = "; ".join(line for reading in readings.values() for line in reading.lines())
        assert words in said, (name, said)
