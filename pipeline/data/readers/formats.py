"""The formats of tables, by file extension: each can be read whole, and as a stream."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import PipelineError, display_name
from . import csv_tables, excel_tables, json_lines, parquet_tables, text_tables
from .compression import UNPACK, unpacked
from .encodings import to_utf8
from .headers import ColumnKey
from .reading import Reading
from .sources import check_unpacked, open_source
from .streams import TableStream

if TYPE_CHECKING:
    import pandas as pd

COMPRESSIONS = tuple(UNPACK)


@dataclass(frozen=True)
class Format:
    """A format of tables.

    Parameters
    ----------
    name : str
        As `--format` names it.
    parse : callable
        Returns wanted columns of a file's content as a DataFrame; its index is the number of the row, from 1.
    stream : callable
        Returns a `TableStream` of a source.
    is_text : bool
        Whether files of it have an encoding.
    delimiter : str or None
        Between cells, if the format has a fixed one.
    is_zip : bool
        Whether files of it are zip archives by themselves.
    """

    name: str
    parse: Callable[[bytes, Path, Sequence[ColumnKey], Sequence[ColumnKey], str | None, Reading], "pd.DataFrame"]
    stream: Callable[..., TableStream]
    is_text: bool = True
    delimiter: str | None = None
    is_zip: bool = False


CSV = Format("csv", csv_tables.parse, csv_tables.CsvStream)
TSV = Format("tsv", csv_tables.parse, csv_tables.CsvStream, delimiter="\t")
JSON = Format("jsonl", json_lines.parse, json_lines.JsonLinesStream)  # one object a line, or an array of them
TEXT = Format("txt", text_tables.parse, text_tables.open_text_table)
PARQUET = Format("parquet", parquet_tables.parse, parquet_tables.ParquetStream, is_text=False)
EXCEL = Format("xlsx", excel_tables.parse, excel_tables.ExcelStream, is_text=False, is_zip=True)

JSON_LINES = (".jsonl", ".ndjson")  # endings of files that are written as lines, whatever was read
FORMATS = {
    ".csv": CSV, ".tsv": TSV, ".txt": TEXT, ".json": JSON, **dict.fromkeys(JSON_LINES, JSON), ".parquet": PARQUET,
    ".xlsx": EXCEL, ".xlsm": EXCEL,
}  # fmt: skip
BY_NAME = {form.name: form for form in FORMATS.values()}
# What Spark, Windows and macOS write next to a table, for themselves.
BOOKKEEPING = (
    "_SUCCESS",
    "_metadata",
    "_common_metadata",
    "_committed_",
    "_started_",
    "Thumbs.db",
    "desktop.ini",
    "~$",
)
MAX_LEFT_OUT = 10  # names in a message


def table_files(path: Path, columns: Sequence[ColumnKey] = (), left_out: list[str] | None = None) -> list[Path]:
    """Return the tables that a path names: the file itself, or all tables in a folder, by name.

    The files of a folder that are not tables are named on standard error.

    Parameters
    ----------
    path : Path
        The file or folder.
    columns : sequence of str
        The columns wanted, by which a `.txt` in a folder is told from a text that is not a table.
    left_out : list of str or None
        Gets the names of files in the folder that are not tables.

    Raises
    ------
    PipelineError
        There is no such file or folder, or no table in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise PipelineError(f"{path} does not exist; name your file or folder with ingest.path")
    files = visible_files(path)
    tables = [file for file in files if _is_table(file, columns)]
    others = [shown_name(file.relative_to(path)) for file in sorted({*files} - {*tables})]
    if not tables:
        also = f"; it has {listed_names(others)}" if others else ""
        raise PipelineError(f"the folder {path} has no table in it{also}; supported file extensions: {_extensions()}")
    if others:
        print(f"{path}: left out, since not tables: {listed_names(others)}", file=sys.stderr)
    if left_out is not None:
        left_out += others
    return tables


def visible_files(folder: Path) -> list[Path]:
    """Return all files in a folder and its folders, by name, except hidden ones and the bookkeeping of programs."""
    files = []
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in file.relative_to(folder).parts)
        pointer = file.suffix == ".dvc" and file.with_suffix("").exists()
        if not hidden and not pointer and not file.name.startswith(BOOKKEEPING) and file.is_file():
            files.append(file)
    return files


def listed_names(names: Sequence[str]) -> str:
    """Return names for a message, at most `MAX_LEFT_OUT`, and the number of those that are not shown.

    >>> listed_names(["notes.docx"]), listed_names(["a"] * 12)
    ('notes.docx', 'a, a, a, a, a, a, a, a, a, a and 2 more')
    """
    more = len(names) - MAX_LEFT_OUT
    return ", ".join(names[:MAX_LEFT_OUT]) + (f" and {more:,} more" if more > 0 else "")


def shown_name(path: Path) -> str:
    """Return a file's name for a message, in UTF-8."""
    return display_name(os.fsencode(path.as_posix()).decode(errors="replace"))


def _is_table(file: Path, columns: Sequence[ColumnKey]) -> bool:
    kind = FORMATS.get(extension(file))
    return kind is not None and (kind is not TEXT or text_tables.is_table_file(file, columns))


def read(
    path: Path,
    columns: Sequence[ColumnKey],
    *,
    optional: Sequence[ColumnKey] = (),
    encoding: str | None = None,
    delimiter: str | None = None,
    partitions: Mapping[str, str | None] | None = None,
    reading: Reading | None = None,
) -> "pd.DataFrame":
    """Read columns of one file.

    Parameters
    ----------
    path : Path
        CSV, TSV, JSON, Parquet or Excel by its extension, or a `.txt` that is a table by its content; with `.gz`,
        `.bz2`, `.xz`, `.zst` or `.zip` after it if compressed.
    columns : sequence of str or int
        The columns wanted, by name; or by number, from 1, if the file is a CSV or TSV without header.
    optional : sequence of str or int
        More columns, which are null where the file does not have them.
    encoding : str or None
        As Python names it; None to detect it. Not for Parquet and Excel.
    delimiter : str or None
        Between the cells of a CSV; None to detect it.
    partitions : mapping or None
        Columns that the file's folders name, with the value of all its rows; the file's own columns come first.
    reading : Reading or None
        Gets what was done beyond the plain reading.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        The columns in the order wanted, optional ones last; a cell is null where the file has none. Those of CSV, TSV
        and Excel are strings, as they stand there, and empty cells are empty strings; others are as the file has them.
        The index is the number of the row in the file, from 1.

    Raises
    ------
    PipelineError
        The file cannot be read, is empty or broken, or lacks a column.
    """
    import pandas as pd

    form, reading = _format_of(path), reading or Reading()
    content = unpacked(path)
    if not form.is_zip:
        check_unpacked(content, path)
    if content.strip() and form.is_text:
        content = to_utf8(content, encoding, path, reading)  # empty afterwards if it had only a byte order mark
    if not content.strip():
        raise PipelineError(f"{path} is empty; it must have the columns {', '.join(map(str, columns))}")
    named = {column: value for column, value in (partitions or {}).items() if column in {*columns, *optional}}
    needed = [column for column in columns if column not in named] or columns
    table = form.parse(content, path, needed, [*optional, *named], form.delimiter or delimiter, reading)
    for key, value in (dict.fromkeys(optional) | named).items():
        if key not in table:
            table[key] = pd.Series([value] * len(table), table.index, dtype=object)
    return table[list(dict.fromkeys([*columns, *optional]))]


def open_stream(
    path: str,
    columns: Mapping[str, ColumnKey],
    *,
    format_name: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    output: str = "-",
) -> TableStream:
    """Open a table of any length, to be read a chunk at a time and written with columns added.

    It reads what `read` reads, in constant memory except for a JSON array: a file is read once more to detect its
    encoding, and a TSV again to detect whether it is quoted. Standard input, which can be read only once, is UTF-8
    unless `encoding` is given, and its quotes always quote.

    Parameters
    ----------
    path : str
        As in `read`; "-" for standard input.
    columns : mapping
        Names or numbers of the wanted columns by modality, such as `{"text": "review"}`.
    format_name : str or None
        A key of `BY_NAME`; None for the format of the extension, and CSV for standard input.
    encoding, delimiter : str or None
        None to detect them.
    output : str
        The file that is written: a JSON array is written as lines to a `.jsonl` or `.ndjson`.

    Raises
    ------
    PipelineError
        The file cannot be read or lacks a column; or it has no encoding or delimiter, but one is given.
    """
    form = format_by_name(path, format_name)
    if encoding and not form.is_text:
        raise PipelineError(f"--encoding does not apply to {form.name}")
    if delimiter and form.delimiter != delimiter and form not in {CSV, TEXT}:
        raise PipelineError(f"--delimiter applies only to csv, not to {form.name}")
    table = form.stream(
        open_source(path, is_zip=form.is_zip), columns, encoding=encoding, delimiter=form.delimiter or delimiter
    )
    if isinstance(table, json_lines.JsonLinesStream) and extension(Path(output)) in JSON_LINES:
        table.as_array = False
    return table


def format_by_name(path: str, name: str | None = None) -> Format:
    """Return the format of this name; without one, that of the path's extension, and CSV for "-".

    >>> format_by_name("reviews.jsonl.gz").name
    'jsonl'
    """
    if name or path == "-":
        return BY_NAME[name or "csv"]
    if extension(Path(path)) not in FORMATS:
        raise PipelineError(f"unsupported file extension of {path}; use {', '.join(FORMATS)}, or set --format")
    return FORMATS[extension(Path(path))]


def extension(path: Path) -> str:
    """Return the extension that names the format, in lower case.

    >>> extension(Path("a.CSV.gz"))
    '.csv'
    """
    name = path.name.lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    return Path(name).suffix


def _format_of(path: Path) -> Format:
    if extension(path) not in FORMATS:
        raise PipelineError(f"unsupported file extension: {path}; convert it to one of {_extensions()}")
    return FORMATS[extension(path)]


def _extensions() -> str:
    return f"{', '.join(FORMATS)}, each also with {', '.join(COMPRESSIONS)} after it"
