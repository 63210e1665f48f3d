"""Reading: the user's tables, in the formats, compressions and encodings in which they come.

CSV, TSV and JSON lines become UTF-8 first; whatever cannot be read is one sentence that names file and line.
"""

import bz2
import csv
import difflib
import gzip
import io
import json
import lzma
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ..base.errors import PipelineError, display_name
from .encodings import to_utf8

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
DELIMITERS = ",;\t|"

MOST_UNPACKED = 4_000_000_000  # bytes of a compressed file


class MissingColumnError(PipelineError):
    """A table has no column of a name that is wanted."""


def table_files(path: Path) -> list[Path]:
    """The tables that a path names: the file itself, or all files of a known format in a folder, by name.

    Raises
    ------
    PipelineError
        There is no such file or folder, or no table in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise PipelineError(f"{path} does not exist; name your file or folder with ingest.path")
    found = tables_in(path)
    if not found:
        raise PipelineError(f"the folder {path} holds no table; put a file there that ends in {_known()}")
    return found


def tables_in(folder: Path) -> list[Path]:
    """All files of a known format in a folder, by name; hidden ones are left out."""
    found = [file for file in sorted(folder.rglob("*")) if file.is_file() and _format(file) in FORMATS]
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def read(
    path: Path, columns: Sequence[str], *, encoding: str | None = None, delimiter: str | None = None
) -> pd.DataFrame:
    """Read columns of one file.

    Parameters
    ----------
    path : Path
        CSV, TSV, JSON lines or Parquet by its name's ending, with `.gz`, `.bz2`, `.xz`, `.zst` or `.zip` after it where
        compressed.
    columns : sequence of str
        The columns wanted.
    encoding : str or None
        As Python names it; None to detect it. Not for Parquet.
    delimiter : str or None
        Between the cells of a CSV; None to detect it.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        The columns in the order wanted; a cell is null where the file has none. Those of a CSV or TSV are strings, as
        they stand there, and empty cells are empty strings; others hold what the file holds.

    Raises
    ------
    PipelineError
        The file cannot be read, is empty or broken, or lacks a column.
    """
    kind = _format(path)
    if kind not in FORMATS:
        raise PipelineError(f"{path} has no ending that is known; convert it to one of {_known()}")
    content = _decompress(path)
    if content.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        raise PipelineError(f"{path} is compressed or a spreadsheet, by its first bytes; rename or convert it")
    if content.strip() and kind != ".parquet":
        content = to_utf8(content, encoding, path)  # of which a byte order mark may have been all
    if not content.strip():
        raise PipelineError(f"{path} is empty; it must hold the columns {', '.join(columns)}")
    if kind == ".parquet":
        return _parse_parquet(content, columns, path)
    if kind in {".jsonl", ".ndjson"}:
        return _parse_json_lines(content, columns, path)
    return _parse_csv(content, columns, "\t" if kind == ".tsv" else delimiter, path)


def _decompress(path: Path) -> bytes:
    """The file's bytes, unpacked by its name's ending."""
    unpack: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {
        ".gz": gzip.GzipFile,
        ".bz2": bz2.BZ2File,
        ".xz": lzma.LZMAFile,
        ".zst": _open_zstd,
        ".zip": _open_zip,
    }
    ending = path.suffix.lower()
    try:
        if ending not in unpack:
            return path.read_bytes()
        with unpack[ending](path) as stream:
            return _whole(stream, path)
    except FileNotFoundError as error:
        raise PipelineError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise PipelineError(f"{path} is a folder; name a file") from error
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
        raise PipelineError(f"{path} cannot be read ({error}); is it whole and what its ending says?") from error


def _whole(stream: Any, path: Path) -> bytes:
    """What a stream holds: a small file may unpack to more than there is memory."""
    content = bytearray()
    while part := stream.read(1 << 24):
        content += part
        if len(content) > MOST_UNPACKED:
            raise PipelineError(f"{path} is more than {MOST_UNPACKED / 1e9:.0f} GB unpacked; split it, or unpack it")
    return bytes(content)


def _open_zstd(path: Path) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


@contextmanager
def _open_zip(path: Path) -> Iterator[Any]:
    with zipfile.ZipFile(path) as archive:
        files = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        names = [name for name in files if not Path(name).name.startswith(".")]
        if len(names) != 1:
            raise PipelineError(f"{path} holds {len(names)} files; it must hold one table")
        with archive.open(names[0]) as stream:
            yield stream


def _parse_csv(content: bytes, columns: Sequence[str], delimiter: str | None, path: Path) -> pd.DataFrame:
    content = content.lstrip(b"\n")
    if content.startswith(b"sep="):  # Excel's own way to name the delimiter
        first, _, content = content.partition(b"\n")
        delimiter = delimiter or first[4:].decode(errors="replace")[:1] or None
    headers = {each: _header(content, each) for each in (delimiter or DELIMITERS)}
    best = max(headers, key=lambda each: (set(columns) <= set(headers[each]), len(headers[each])))
    header = headers[best]
    _check_columns(header, columns, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # the first row has a cell too many
            table = pd.read_csv(
                io.BytesIO(content),
                sep=best,
                header=0,
                names=range(len(header)),  # of the columns that are not wanted, several may have one name, or none
                index_col=False,
                dtype=str,
                keep_default_na=False,  # a review that reads "None" is a text
                lineterminator="\n",
                low_memory=False,
                quoting=csv.QUOTE_NONE if _quotes_are_text(content, best, len(header)) else csv.QUOTE_MINIMAL,
            )
    except pd.errors.ParserWarning as error:
        raise PipelineError(
            f"{path}: row 1 has more cells than the header's {len(header)}; name all columns, quote cells that hold "
            "the delimiter, or name the delimiter with ingest.delimiter"
        ) from error
    except pd.errors.ParserError as error:
        raise PipelineError(f"{path} {_csv_fault(str(error))}") from error
    if table.empty:
        raise PipelineError(f"{path} has a header and no rows")
    return pd.DataFrame({column: table[header.index(column)] for column in columns})


def _quotes_are_text(content: bytes, delimiter: str, columns: int) -> bool:
    """Whether quotes are characters like others: each line has all its cells without them, and one opens and ends not.

    To read such a file as if they quoted would make one text of all the rows up to the next quote.
    """
    if b'"' not in content or delimiter != "\t":
        return False
    lines = [line.split(b"\t") for line in content.split(b"\n") if line]
    whole = all(len(line) == columns for line in lines)
    return whole and any(cell.count(b'"') % 2 for line in lines for cell in line)


def _header(content: bytes, delimiter: str) -> list[str]:
    text = io.TextIOWrapper(io.BytesIO(content[: 1 << 20]), encoding="utf-8", errors="replace", newline="")
    try:
        return [cell.strip() for cell in next(csv.reader(text, delimiter=delimiter), [])]
    except csv.Error:  # a quote that nothing closes: no header by this delimiter
        return []


def _csv_fault(message: str) -> str:
    """What pandas says of a broken CSV, in the words of the person who has to mend it."""
    if cells := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        expected, line, saw = cells.groups()
        return f"has {saw} cells in row {int(line) - 1}, but {expected} columns; quote cells that hold the delimiter"
    if quote := re.search(r"EOF inside string starting at row (\d+)", message):
        return f"opens a quote in row {max(int(quote[1]), 1)} that nothing closes; close or double it"
    return f"is no valid CSV: {message}"


def _parse_json_lines(content: bytes, columns: Sequence[str], path: Path) -> pd.DataFrame:
    cells: dict[str, list[object]] = {column: [] for column in columns}
    seen: dict[str, None] = {}
    if content.lstrip().startswith(b"[") and content.rstrip().endswith(b"]"):
        raise PipelineError(f"{path} is a JSON array; write one object a line instead (pandas: to_json(lines=True))")
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PipelineError(f"{path}, line {number}, is no valid JSON: {error}") from error
        if not isinstance(row, dict):
            raise PipelineError(f"{path}, line {number}, is no JSON object; each line must be one, such as {{...}}")
        seen.update(dict.fromkeys(row))
        for column, values in cells.items():
            cell = row.get(column)
            # Half a character, as a cut text has at its end, is none.
            values.append(re.sub(r"[\ud800-\udfff]", "\ufffd", cell) if isinstance(cell, str) else cell)
    _check_columns(list(seen), columns, path)
    return pd.DataFrame({column: pd.Series(values, dtype=object) for column, values in cells.items()})


def _parse_parquet(content: bytes, columns: Sequence[str], path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        _check_columns(file.schema_arrow.names, columns, path)
        table = file.read(columns=list(dict.fromkeys(columns)))
    except (pa.ArrowException, OSError) as error:
        raise PipelineError(f"{path} is no readable Parquet file: {' '.join(str(error).split())}") from error
    if table.num_rows == 0:
        raise PipelineError(f"{path} has columns and no rows")
    # Of nested columns, only the leaf names would match: what is not flat shows as what it is, and is refused later.
    try:
        return pd.DataFrame({column: pd.Series(table[column].to_pylist(), dtype=object) for column in columns})
    except (UnicodeDecodeError, OverflowError, ValueError) as error:  # strings that are no text, times without end
        raise PipelineError(f"{path} holds what cannot be read ({type(error).__name__}); write it anew") from error


def _check_columns(found: list[str], wanted: Sequence[str], path: Path) -> None:
    for column in wanted:
        if column not in found:
            close = difflib.get_close_matches(column, found, n=1)
            names = ", ".join(repr(display_name(name)) for name in found[:20])
            there = f"did you mean {close[0]!r}?" if close else f"it has {names}"
            hint = "; is the header its first line, and ingest.delimiter right?" if len(found) == 1 else ""
            absent = f"{path} has no column {column!r}"
            raise MissingColumnError(f"{absent}; {there}{hint}", f"{absent} among its {len(found)}")
        if found.count(column) > 1:
            raise PipelineError(f"{path} has the column {column!r} {found.count(column)} times; rename or remove one")


def _format(path: Path) -> str:
    """The ending that tells the format, in lower case: ".csv" of "a.CSV.gz"."""
    name = path.name.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return Path(name).suffix


def _known() -> str:
    return f"{', '.join(FORMATS)}, also with {', '.join(COMPRESSIONS)} after it"
