"""Excel workbooks (.xlsx, .xlsm): one sheet, whose first row names the columns; cells are strings, as in a CSV."""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ...base.errors import PipelineError, display_name
from .compression import MOST_UNPACKED
from .headers import ColumnKey, check_added, check_columns, check_stream_columns
from .reading import Reading
from .sources import Source
from .streams import Added, in_chunks

if TYPE_CHECKING:
    import pandas as pd

SheetRow = Sequence[Any]  # of a row


def parse(
    content: bytes,
    path: Path,
    columns: Sequence[ColumnKey],
    optional: Sequence[ColumnKey],
    delimiter: str | None,
    reading: Reading,
) -> "pd.DataFrame":
    """Return columns of a workbook; parameters, result and errors are those of `formats.read`."""
    import pandas as pd

    _, names, rows = _open_sheet(content, path, columns)
    present = [*columns, *(column for column in optional if column in names)]
    check_columns(names, present, path)
    places = [names.index(str(column)) for column in present]
    table, numbers, blank = [], [], []
    for number, row in enumerate(rows, start=1):
        if any(cell is not None for cell in row):
            numbers.append(number)
            table.append([_as_text(row[place]) if place < len(row) else "" for place in places])
        else:
            blank.append(number)
    if not table:
        raise PipelineError(f"{path} has a header but no rows")
    reading.skip("blank", [number for number in blank if number < numbers[-1]])  # those below are only formatted
    return pd.DataFrame(table, index=numbers, columns=pd.Index(present, dtype=object), dtype="str")


def _open_sheet(
    content: bytes, file: Path | str, columns: Sequence[ColumnKey]
) -> tuple[str, list[str], Iterator[SheetRow]]:
    """Return the name, the header and the other rows of the sheet that has the wanted columns; or of the first one."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise PipelineError(
            f"{file}: Excel files need the package openpyxl; install it, or convert the file to CSV, JSON or Parquet"
        ) from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(item.file_size for item in archive.infolist()) > MOST_UNPACKED:
                raise PipelineError(f"{file} is more than {MOST_UNPACKED / 1e9:.0f} GB unpacked; split it")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        headers = {sheet.title: _header(sheet) for sheet in book.worksheets if sheet.sheet_state == "visible"}
    except PipelineError:
        raise
    except Exception as error:  # the package raises whatever a damaged part of the file leads to
        raise PipelineError(f"{file} is not a readable Excel file ({type(error).__name__}); save it again") from error
    matches = [name for name, (_, names) in headers.items() if {*columns} <= {*names}]
    if len(matches) > 1:
        listed = ", ".join(repr(display_name(name)) for name in matches)
        raise PipelineError(f"{file} has the columns in {len(matches)} sheets, {listed}; keep one, or save each as CSV")
    filled = [name for name, (_, names) in headers.items() if names]
    if not filled:
        raise PipelineError(f"{file} is empty; its first row must name the columns")
    name = (matches or filled)[0]
    first, names = headers[name]
    return name, names, book[name].iter_rows(min_row=first + 1, values_only=True)


def _header(sheet: Any) -> tuple[int, list[str]]:
    """Return the number of the first row that is not blank, and its cells."""
    sheet.reset_dimensions()  # programs write wrong ones
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        if any(cell is not None for cell in row):
            return number, [_as_text(cell).strip() for cell in row]
    return 0, []


def _as_text(cell: Any) -> str:
    """Return a cell as Excel would write it to a CSV.

    >>> _as_text(4.0), _as_text(4.5), _as_text(True), _as_text(None), _as_text("_x000D_ok")
    ('4', '4.5', 'TRUE', '', '\\rok')
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    return str(cell).replace("_x000D_", "\r")


class ExcelStream:
    """A workbook, which is held in memory; its values are written to a workbook of one sheet, without their formats.

    Parameters are those of `CsvStream`.
    """

    def __init__(
        self, source: Source, columns: Mapping[str, ColumnKey], *, encoding: str | None, delimiter: str | None
    ) -> None:
        if not source.rereadable:
            raise PipelineError(f"cannot read Excel from {source.name}; name a file")
        self.name = source.name
        with source.open() as file:
            content = file.read()
        self.sheet, self.header, self.rows = _open_sheet(content, source.name, [*columns.values()])
        check_stream_columns(self.header, columns, source.name)
        self.places = {kind: self.header.index(str(column)) for kind, column in columns.items()}

    def chunks(self, size: int) -> Iterator[tuple[list[list[Any]], dict[str, list[str]]]]:
        width = len(self.header)
        rows = ([*row, *[None] * (width - len(row))] for row in self.rows if any(cell is not None for cell in row))
        for chunk in in_chunks(rows, size):
            yield chunk, {kind: [_as_text(row[place]) for row in chunk] for kind, place in self.places.items()}

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        from openpyxl import Workbook

        check_added(self.header, list(added), self.name)
        self.target, self.book = target, Workbook(write_only=True)
        self.written = self.book.create_sheet(self.sheet)
        self.written.append([self._cell(name) for name in [*self.header, *added]])

    def _cell(self, value: Any) -> Any:
        from openpyxl.cell import WriteOnlyCell

        cell = WriteOnlyCell(self.written, value)
        if isinstance(value, str):
            cell.data_type = "s"  # also where it begins as a formula does
        return cell

    def write(self, chunk: list[list[Any]], added: Added) -> None:
        for row, new in zip(chunk, zip(*added.values(), strict=True), strict=True):
            self.written.append([self._cell(value) for value in (*row, *new)])

    def finish(self) -> None:
        self.book.save(whole := io.BytesIO())
        self.target.write(whole.getvalue())
        self.target.flush()

    def abandon(self) -> None:
        pass
