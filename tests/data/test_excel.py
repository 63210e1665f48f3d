"""Excel: one sheet is read as the CSV that Excel would write, and values come back with columns added."""

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.readers import COLUMNS, ENGLISH, rows, stream

from pipeline.base.errors import PipelineError
from pipeline.data.readers import excel_tables, formats
from pipeline.data.readers.reading import Reading

openpyxl = pytest.importorskip("openpyxl")


def write(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    book.save(path)
    return path


@pytest.mark.parametrize("name", ["a.xlsx", "A.XLSM"])
def test_sheet_is_read_as_a_csv(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, Sheet1=[COLUMNS, *map(list, ENGLISH)])
    assert rows(formats.read(path, COLUMNS)) == ENGLISH
    assert stream(path) == ENGLISH
    assert formats.table_files(tmp_path) == [path]


def test_cells_become_strings(tmp_path: Path) -> None:
    lines = [[2012, 1.0], ["a", 4.5], ["b", True], [None, datetime(2024, 1, 2, 3)], ["007", None]]
    path = write(tmp_path / "a.xlsx", s=[COLUMNS, *lines])
    expected = [("2012", "1"), ("a", "4.5"), ("b", "TRUE"), ("", "2024-01-02T03:00:00"), ("007", "")]
    assert rows(formats.read(path, COLUMNS)) == expected
    assert stream(path) == expected


def test_blank_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", s=[[], COLUMNS, ["a", "x"], [], [None, None], ["b"], []])
    table = formats.read(path, COLUMNS, reading=(reading := Reading()))
    assert rows(table) == [("a", "x"), ("b", "")]
    assert list(table.index) == [1, 4]
    assert reading.skipped == {"blank": [2, 3]}
    assert stream(path) == [("a", "x"), ("b", "")]


def test_sheet_that_has_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", about=[["Made by"], ["me"]], data=[[*COLUMNS, "x"], ["a", "b", 1]])
    assert rows(formats.read(path, COLUMNS, optional=["y"])) == [("a", "b", None)]
    write(path, one=[COLUMNS, ["a", "b"]], two=[COLUMNS, ["c", "d"]])
    for read_table in (lambda: formats.read(path, COLUMNS), lambda: stream(path)):
        with pytest.raises(PipelineError, match="has the columns in 2 sheets, 'one', 'two'; keep one"):
            read_table()


BROKEN_SHEETS: dict[str, tuple[list[list[Any]], str]] = {
    "no column": ([["Text", "class"], ["a", "b"]], "has no column 'text'; did you mean 'Text'"),
    "twice": ([["text", "label", "text"], ["a", "b", "c"]], "has the column 'text' 2 times"),
    "no rows": ([COLUMNS, []], "has a header but no rows"),
    "nothing": ([], "is empty; its first row must name the columns"),
}


@pytest.mark.parametrize("case", BROKEN_SHEETS)
def test_broken_sheet_is_one_sentence(tmp_path: Path, case: str) -> None:
    lines, sentence = BROKEN_SHEETS[case]
    with pytest.raises(PipelineError, match=sentence):
        formats.read(write(tmp_path / "a.xlsx", s=lines), COLUMNS)


def test_broken_workbook_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK not really")
    for read_table in (lambda: formats.read(tmp_path / "a.xlsx", COLUMNS), lambda: stream(tmp_path / "a.xlsx")):
        with pytest.raises(PipelineError, match=r"a\.xlsx is not a readable Excel file"):
            read_table()
    path = write(tmp_path / "b.xlsx", s=[COLUMNS, ["a", "b"]])
    with pytest.raises(PipelineError, match="has no column 1 by number"):
        formats.read(path, [1, 2])
    monkeypatch.setattr(excel_tables, "MOST_UNPACKED", 1000)
    with pytest.raises(PipelineError, match="GB unpacked; split it"):
        formats.read(path, COLUMNS)


def test_values_come_back_with_columns_added(tmp_path: Path) -> None:
    lines = [["a", 1.5, datetime(2024, 1, 2)], ["=1+1", None, True]]
    book = openpyxl.load_workbook(write(tmp_path / "a.xlsx", mine=[["text", "n", "d"], *lines]))
    book["mine"]["A3"].data_type = "s"
    book.save(tmp_path / "a.xlsx")
    table = formats.open_stream(str(tmp_path / "a.xlsx"), {"text": "text"})
    table.start(target := io.BytesIO(), {"new": str, "p": float})
    for chunk, cells in table.chunks(1):
        table.write(chunk, {"new": cells["text"], "p": [None]})
    table.finish()
    sheet = openpyxl.load_workbook(target)["mine"]
    assert [list(row) for row in sheet.iter_rows(values_only=True)] == [
        ["text", "n", "d", "new", "p"],
        [*lines[0], "a", None],
        [*lines[1], "=1+1", None],
    ]
    assert sheet["A3"].data_type == sheet["D3"].data_type == "s"
