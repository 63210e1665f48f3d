"""The formats of tables, by file extension: each can be read whole, and as a stream."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import PipelineError
from . import csv_tables, json_lines, parquet_tables
from .compression import UNPACK, unpacked
from .encodings import to_utf8
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
    """

    name: str
    parse: Callable[[bytes, Path, Sequence[str], Sequence[str], str | None, Reading], "pd.DataFrame"]
    stream: Callable[..., TableStream]
    is_text: bool = True
    delimiter: str | None = None


CSV = Format("csv", csv_tables.parse, csv_tables.CsvStream)
TSV = Format("tsv", csv_tables.parse, csv_tables.CsvStream, delimiter="\t")
JSON = Format("jsonl", json_lines.parse, json_lines.JsonLinesStream)  # one object a line, or an array of them
PARQUET = Format("parquet", parquet_tables.parse, parquet_tables.ParquetStream, is_text=False)

JSON_LINES = (".jsonl", ".ndjson")  # endings of files that are written as lines, whatever was read
FORMATS = {".csv": CSV, ".tsv": TSV, ".json": JSON, **dict.fromkeys(JSON_LINES, JSON), ".parquet": PARQUET}
BY_NAME = {form.name: form for form in FORMATS.values()}


def table_files(path: Path) -> list[Path]:
    """Return the tables that a path names: the file itself, or all files of a known format in a folder, by name.

    Raises
    ------
    PipelineError
        There is no such file or folder, or no table in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise PipelineError(f"{path} does not exist; name your file or folder with ingest.path")
    files = tables_in(path)
    if not files:
        raise PipelineError(f"the folder {path} has no table in it; supported file extensions: {_extensions()}")
    return files


def tables_in(folder: Path) -> list[Path]:
    """Return all files of a known format in a folder, by name, except hidden ones."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and extension(file) in FORMATS]
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def read(
    path: Path,
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    encoding: str | None = None,
    delimiter: str | None = None,
    reading: Reading | None = None,
) -> "pd.DataFrame":
    """Read columns of one file.

    Parameters
    ----------
    path : Path
        CSV, TSV, JSON or Parquet by its extension, with `.gz`, `.bz2`, `.xz`, `.zst` or `.zip` after it if
        compressed.
    columns : sequence of str
        The columns wanted.
    optional : sequence of str
        More columns, which are null where the file does not have them.
    encoding : str or None
        As Python names it; None to detect it. Not for Parquet.
    delimiter : str or None
        Between the cells of a CSV; None to detect it.
    reading : Reading or None
        Gets what was done beyond the plain reading.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        The columns in the order wanted, optional ones last; a cell is null where the file has none. Those of a CSV or
        TSV are strings, as they stand there, and empty cells are empty strings; others are as the file has them. The
        index is the number of the row in the file, from 1.

    Raises
    ------
    PipelineError
        The file cannot be read, is empty or broken, or lacks a column.
    """
    form, reading = _format_of(path), reading or Reading()
    content = unpacked(path)
    check_unpacked(content, path)
    if content.strip() and form.is_text:
        content = to_utf8(content, encoding, path, reading)  # empty afterwards if it had only a byte order mark
    if not content.strip():
        raise PipelineError(f"{path} is empty; it must have the columns {', '.join(columns)}")
    table = form.parse(content, path, columns, optional, form.delimiter or delimiter, reading)
    for column in optional:
        if column not in table:
            table[column] = None
    return table[list(dict.fromkeys([*columns, *optional]))]


def open_stream(
    path: str,
    columns: Mapping[str, str],
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
        Names of the wanted columns by modality, such as `{"text": "review"}`.
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
    if delimiter and form.delimiter != delimiter and form is not CSV:
        raise PipelineError(f"--delimiter applies only to csv, not to {form.name}")
    table = form.stream(open_source(path), columns, encoding=encoding, delimiter=form.delimiter or delimiter)
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
