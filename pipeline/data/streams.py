"""Rows: tables read and written as streams, a chunk at a time, every value kept: CSV, JSON lines and Parquet."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from ..base.errors import PipelineError, display_name

if TYPE_CHECKING:
    import pyarrow

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
LONGEST_CELL = 2**31 - 1  # the csv module's own bound is 131,072
# What is no UTF-8 becomes surrogates, which are written as the bytes that they were.
ENCODING: dict[str, Any] = {"errors": "surrogateescape", "newline": ""}

Chunk = Any  # of rows, as each format keeps them
Added = Mapping[str, Sequence[Any]]  # values of the new columns, by name; None where a row has none


class Unreadable(str):
    """In the place of a text: why its row has none."""


class Table(Protocol):
    """A table that is read once, from its start, and written with columns added."""

    def chunks(self, size: int) -> Iterator[tuple[Chunk, list[Any]]]:
        """At most `size` rows at a time, and what they have in the text column, of whatever type."""

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        """Begin to write to `target`, with new columns of these names and types."""

    def write(self, chunk: Chunk, added: Added) -> None:
        """Write a chunk and its new columns."""

    def finish(self) -> None:
        """Write what is left."""

    def abandon(self) -> None:
        """Write no more, where something failed."""


def kind_of(path: str, given: str | None) -> str:
    """The format of a file: the one given, else by the end of its name; "-" is CSV."""
    if given or path == "-":
        return given or "csv"
    found = FORMATS.get(Path(path).suffix.lower())
    if not found:
        raise PipelineError(f"{path} does not end in {', '.join(FORMATS)}; set --format")
    return found


def open_table(kind: str, source: BinaryIO, name: str, text_column: str) -> Table:
    """A table of a format, "csv", "jsonl" or "parquet", in an open file called `name`."""
    formats: dict[str, Callable[[BinaryIO, str, str], Table]] = {"csv": Csv, "jsonl": JsonLines, "parquet": Parquet}
    return formats[kind](source, name, text_column)


def _chunked(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _check(columns: Sequence[str], name: str, text_column: str) -> None:
    if text_column not in columns:
        names = ", ".join(display_name(column) for column in columns)
        raise PipelineError(f"{name} has no column {text_column!r} but {names}; set --text-column")
    for column in columns:
        if columns.count(column) > 1:
            raise PipelineError(f"{name} has the column {column!r} twice; rename one of them")


def _check_added(columns: Sequence[str], added: Mapping[str, type], name: str) -> None:
    for column in added:
        if column in columns:
            raise PipelineError(f"{name} already has the column {column!r}; rename or remove it")


class Csv:
    """Cells are strings and stay as they are; a row that ends early is filled up with empty ones."""

    def __init__(self, source: BinaryIO, name: str, text_column: str) -> None:
        csv.field_size_limit(LONGEST_CELL)
        self.name = name
        self.rows = csv.reader(io.TextIOWrapper(source, encoding="utf-8-sig", **ENCODING), strict=True)
        self.columns = next(self._rows(), [])
        if not self.columns:
            raise PipelineError(f"{name} is no valid CSV: its first line, which names the columns, is empty")
        _check(self.columns, name, text_column)
        self.place = self.columns.index(text_column)

    def _rows(self) -> Iterator[list[str]]:
        try:
            yield from self.rows
        except csv.Error as error:
            raise PipelineError(f"{self.name} is no valid CSV: line {self.rows.line_num:,}: {error}") from error

    def chunks(self, size: int) -> Iterator[tuple[list[list[str]], list[str]]]:
        width = len(self.columns)
        for chunk in _chunked(self._rows(), size):
            for row in chunk:
                if len(row) > width:
                    raise PipelineError(
                        f"{self.name} is no valid CSV: a row before line {self.rows.line_num + 1:,} has more cells "
                        "than the header; quote cells that hold a comma"
                    )
                row += [""] * (width - len(row))
            yield chunk, [row[self.place] for row in chunk]

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        _check_added(self.columns, added, self.name)
        self.target = io.TextIOWrapper(target, encoding="utf-8", **ENCODING)
        # Quoted, because a reader may take a bare carriage return in a text for the end of the row.
        self.writer = csv.writer(self.target, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        self.writer.writerow([*self.columns, *added])

    def write(self, chunk: list[list[str]], added: Added) -> None:
        self.writer.writerows([*row, *new] for row, new in zip(chunk, zip(*added.values(), strict=True), strict=True))

    def finish(self) -> None:
        self.target.detach().flush()

    def abandon(self) -> None:
        pass


class JsonLines:
    """A line is an object and stays as it is, to the character; new values stand at its end."""

    def __init__(self, source: BinaryIO, name: str, text_column: str) -> None:
        self.name, self.text_column = name, text_column
        lines = io.TextIOWrapper(source, encoding="utf-8-sig", **ENCODING | {"newline": "\n"})
        self.lines: Iterator[str] = (line.strip(" \t\r\n") for line in lines if not line.isspace())
        first = next(self.lines, None)
        if first is not None:
            found = self._parsed(first)
            if found is not None:
                _check(list(found), name, text_column)
            self.lines = chain([first], self.lines)

    @staticmethod
    def _parsed(line: str) -> dict[str, Any] | None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def chunks(self, size: int) -> Iterator[tuple[list[tuple[str, Any]], list[Any]]]:
        for lines in _chunked(self.lines, size):
            chunk = [(line, self._parsed(line)) for line in lines]
            unreadable = Unreadable("the line is no JSON object")
            yield chunk, [unreadable if found is None else found.get(self.text_column) for _, found in chunk]

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        self.target, self.added = target, added

    def write(self, chunk: list[tuple[str, Any]], added: Added) -> None:
        for (line, found), values in zip(chunk, zip(*added.values(), strict=True), strict=True):
            new = dict(zip(added, values, strict=True))
            if found is None:  # what is no object becomes one
                line, found = json.dumps({"line": line}), {"line": line}
            _check_added(list(found), self.added, self.name)
            ending = json.dumps(new, ensure_ascii=False)[1:]
            whole = f"{line[:-1].rstrip()}{', ' if found else ''}{ending}\n"
            self.target.write(whole.encode("utf-8", errors="surrogateescape"))

    def finish(self) -> None:
        self.target.flush()

    def abandon(self) -> None:
        pass


class Parquet:
    """Columns keep their types, and the file its metadata."""

    def __init__(self, source: BinaryIO, name: str, text_column: str) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise PipelineError(f"{name} is a Parquet file, which needs the package pyarrow; install it") from error
        if not source.seekable():
            raise PipelineError("Parquet cannot be read from standard input; name a file")
        self.name, self.text_column = name, text_column
        try:
            self.file = parquet.ParquetFile(source)
        except (pa.ArrowInvalid, OSError) as error:
            raise PipelineError(f"{name} is no valid Parquet file: {error}") from error
        self.schema = self.file.schema_arrow
        _check(self.schema.names, name, text_column)

    def chunks(self, size: int) -> Iterator[tuple["pyarrow.RecordBatch", list[Any]]]:
        import pyarrow as pa

        try:
            for batch in self.file.iter_batches(size):
                yield batch, batch.column(self.text_column).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise PipelineError(f"{self.name} is no readable Parquet file: {' '.join(str(error).split())}") from error

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        _check_added(self.schema.names, added, self.name)
        types = {str: pa.string(), float: pa.float64()}
        self.fields = [pa.field(column, types[kind]) for column, kind in added.items()]
        self.whole = pa.schema([*self.schema, *self.fields], metadata=self.schema.metadata)
        self.writer = parquet.ParquetWriter(target, self.whole, compression="zstd")

    def write(self, chunk: "pyarrow.RecordBatch", added: Added) -> None:
        import pyarrow as pa

        new = [pa.array(added[field.name], field.type) for field in self.fields]
        self.writer.write_batch(pa.record_batch([*chunk.columns, *new], schema=self.whole))

    def finish(self) -> None:
        self.writer.close()

    def abandon(self) -> None:
        self.writer.is_open = False  # or it would end the file when it is freed
