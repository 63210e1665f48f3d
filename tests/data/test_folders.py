"""Folders: which files are tables, and which are left out and named; a `.txt` is a table by its content."""

from pathlib import Path

import pytest
from helpers.readers import COLUMNS, csv_text, read, rows, stream

from pipeline.base.errors import PipelineError
from pipeline.data.readers import formats
from pipeline.data.readers.text_tables import is_table

PROSE = {
    "one line": "It was good, so good.\n",
    "lines": "It was good.\nIt was, all in all, bad.\nOr, was it?\nNo.\n",
    "two lines of one comma": "Good, very\nBad, very\n",
    "regular commas": "Dear Anna, Good that I am so sad.\nYou left, and I cried.\nBye, now.\n",
    "nothing": "",
    "numbers": "0.1\n-0.2\n0.3\n",
    "one tab": "a\tb\n",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(content, encoding="utf-8")


def test_files_that_are_not_tables_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("b.csv", "a/c.jsonl.gz", "README.md", "a/notes.docx", "data.xls", ".hidden.csv", ".git/d.csv", "b.csv.dvc")
    write(tmp_path, dict.fromkeys([*names, "_SUCCESS", "lost.csv.dvc", "__MACOSX/x", "d/.hidden/e"], ""))
    left_out: list[str] = []
    tables = [file.relative_to(tmp_path).as_posix() for file in formats.table_files(tmp_path, COLUMNS, left_out)]
    assert tables == ["a/c.jsonl.gz", "b.csv"]
    assert left_out == ["README.md", "a/notes.docx", "data.xls", "lost.csv.dvc"]
    assert capsys.readouterr().err == f"{tmp_path}: left out, since not tables: {', '.join(left_out)}\n"
    assert formats.table_files(tmp_path / "a/c.jsonl.gz") == [tmp_path / "a/c.jsonl.gz"]
    assert capsys.readouterr().err == ""


def test_at_most_ten_names_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"a.csv": ""} | {f"{number:02}.pdf": "" for number in range(13)} | {f"{'x' * 70}.pdf": ""})
    left_out: list[str] = []
    formats.table_files(tmp_path, COLUMNS, left_out)
    assert capsys.readouterr().err.endswith("08.pdf, 09.pdf and 4 more\n")
    assert left_out[-1] == "(a name of 74 characters)"


def test_folder_without_a_table_names_what_it_has(tmp_path: Path) -> None:
    write(tmp_path, {"notes.docx": "x", "prose.txt": PROSE["lines"]})
    with pytest.raises(PipelineError, match=r"has no table in it; it has notes\.docx, prose\.txt; supported file ext"):
        formats.table_files(tmp_path, COLUMNS)


ROWS = [("so, so good", "joy"), ("bad; |bad|", "sadness")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_file_that_is_a_table(tmp_path: Path, delimiter: str, encoding: str) -> None:
    assert rows(read(tmp_path, "a.txt", csv_text(ROWS, delimiter).encode(encoding))) == ROWS
    assert stream(tmp_path / "a.txt") == ROWS
    assert formats.table_files(tmp_path, COLUMNS) == [tmp_path / "a.txt"]
    assert formats.table_files(tmp_path) == [tmp_path / "a.txt"]


def test_text_file_that_is_json(tmp_path: Path) -> None:
    for content in (b'[{"text": "a", "label": "b"}]', b'{"text": "a", "label": "b"}\n'):
        assert rows(read(tmp_path, "a.txt", content)) == [("a", "b")]
        assert stream(tmp_path / "a.txt") == [("a", "b")]
        assert formats.table_files(tmp_path) == [tmp_path / "a.txt"]


@pytest.mark.parametrize("case", PROSE)
def test_text_file_that_is_not_a_table(tmp_path: Path, case: str) -> None:
    write(tmp_path, {"a.csv": "", "a.txt": PROSE[case]})
    assert formats.table_files(tmp_path, COLUMNS) == [tmp_path / "a.csv"]
    for open_file in (lambda path: formats.read(path, COLUMNS), stream):
        with pytest.raises(PipelineError, match=r"a\.txt is (a text, not a table|empty)") as error:
            open_file(tmp_path / "a.txt")
        assert "Good" not in str(error.value)


def test_tables_of_few_or_irregular_lines(tmp_path: Path) -> None:
    write(tmp_path, {"short.txt": "text,label\na,b\n", "tabs.txt": "x\ty\n" * 10 + "broken\n", "damaged.txt.gz": "x"})
    (tmp_path / "wide.txt").write_bytes("text,label\na,b\n".encode("utf-16"))
    names = [file.name for file in formats.table_files(tmp_path, COLUMNS)]
    assert names == ["short.txt", "tabs.txt", "wide.txt"]


def test_text_file_without_the_column(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="has no column 'label'; it has 'text', 'class'"):
        read(tmp_path, "a.txt", b"text\tclass\na\tb\n")


def test_tables_by_regular_lines() -> None:
    assert is_table("Well, I said so.\nand, home\nand, on\n", []) is False  # a sentence is no name of a column
    assert is_table("I said so.\tno\nand\thome\n", []) is True  # prose has no tabs
    assert is_table("Well, I said so.\nand, home\nand, on\n", [1]) is True  # there is no header
    assert is_table("one\ntwo\nthree\n", [], "|") is False
    assert is_table("", ["text"]) is False
    assert is_table('a\t"b\nc\td"\ne\tf\n', []) is True  # quotes may be characters
    assert is_table('"a\n"\tb\n"c\n"\td\n', []) is True  # or quote line breaks


@pytest.mark.parametrize(
    ("beginning", "delimiter", "table"),
    [
        ("a\tb\nso\nso\nso\n", None, False),  # one line has two cells
        ("a\tb\n" * 9 + "so\n", None, True),
        ("a\tb\n" * 8 + "so\nso\n", None, False),
        ("a^b\nc^d\n", None, False),
        ("a^b\nc^d\n", "^", True),
    ],
)
def test_table_has_equally_many_cells_in_nine_of_ten_lines(beginning: str, delimiter: str | None, table: bool) -> None:
    assert is_table(beginning, ["text"], delimiter) is table


def test_empty_text_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(PipelineError, match=r"a\.txt is empty; its first line must name the columns"):
        stream(tmp_path / "a.txt", ["text"])
