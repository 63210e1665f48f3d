"""CSV and TSV: cells are strings, as they stand in the file."""

import csv
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ...base.errors import PipelineError
from .delimiters import SAMPLE, choose_delimiter, excel_delimiter, quotes_are_text
from .encodings import Decoding, choose_decoding, text_lines
from .headerless import FOR_INGEST, FOR_STREAM, SEEN_ROWS, are_numbers, choose_numbered, refuse_data_as_header
from .headers import ColumnKey, check_added, check_columns, check_stream_columns
from .reading import Reading
from .sources import Source
from .streams import Added, in_chunks

if TYPE_CHECKING:
    import pandas as pd

LONGEST_CELL = 2**31 - 1  # the csv module's own limit is 131,072
# In the place of a carriage return inside a line, which the csv module would take for the line's end. No decoder yields
# it, since it is half a character.
CARRIAGE_RETURN = "\ud800"


def parse(
    content: bytes,
    path: Path,
    columns: Sequence[ColumnKey],
    optional: Sequence[ColumnKey],
    delimiter: str | None,
    reading: Reading,
) -> "pd.DataFrame":
    """Return columns of a CSV in UTF-8; parameters, result and errors are those of `formats.read`."""
    import pandas as pd

    content = content.lstrip(b"\n")
    if content.startswith(b"sep="):
        first, _, content = content.partition(b"\n")
        delimiter = delimiter or excel_delimiter(first.decode(errors="replace"))
    sample, header = content[:SAMPLE].decode(errors="replace"), list[ColumnKey]()
    if numbered := are_numbers(columns):
        delimiter, header = choose_numbered(sample, columns, path, delimiter)
    else:
        delimiter, names = choose_delimiter(sample, columns, optional, delimiter)
        refuse_data_as_header(names, columns, path, sample=sample, delimiter=delimiter, advice=FOR_INGEST)
        header = [*names]
    check_columns(header, columns, path, _advice(header))
    present = [*columns, *(column for column in optional if column in header)]
    check_columns(header, present, path)
    unquoted = b'"' in content and quotes_are_text(content.split(b"\n"), delimiter, len(header))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # the first row has a cell too many
            table = pd.read_csv(
                io.BytesIO(content),
                sep=delimiter,
                header=None if numbered else 0,
                names=range(len(header)),  # columns that are not wanted may share a name, or have none
                index_col=False,
                dtype=str,
                keep_default_na=False,  # a review that reads "None" is a text
                lineterminator="\n",
                low_memory=False,
                quoting=csv.QUOTE_NONE if unquoted else csv.QUOTE_MINIMAL,
            )
    except pd.errors.ParserWarning as error:
        raise PipelineError(
            f"{path}: row 1 has more cells than the header's {len(header)}; name all columns, quote cells that hold "
            "the delimiter, or name the delimiter with ingest.delimiter"
        ) from error
    except pd.errors.ParserError as error:
        raise PipelineError(f"{path} {_parser_error(str(error))}") from error
    if table.empty:
        raise PipelineError(f"{path} has a header but no rows")
    table.index += 1
    return pd.DataFrame({column: table[header.index(column)] for column in present})


def _advice(header: Sequence[ColumnKey]) -> str:
    return "check that the header is the first line, and ingest.delimiter" if len(header) == 1 else ""


def _parser_error(message: str) -> str:
    """Return what pandas reports of a broken CSV, in the words of the person who has to repair it."""
    if cells := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        expected, line, count = cells.groups()
        return f"has {count} cells in row {int(line) - 1}, but {expected} columns; quote cells that hold the delimiter"
    if quote := re.search(r"EOF inside string starting at row (\d+)", message):
        return f"opens a quote in row {max(int(quote[1]), 1)} that nothing closes; close or double it"
    return f"is not valid CSV: {message}"


class CsvStream:
    """A CSV or TSV, row by row; a row that ends early is filled up with empty cells.

    Parameters
    ----------
    source : Source
        The file.
    columns : mapping
        Names of the wanted columns by modality, such as `{"text": "review"}`; or their numbers, from 1, if the file has
        no header.
    encoding, delimiter : str or None
        None to detect them.
    """

    def __init__(
        self, source: Source, columns: Mapping[str, ColumnKey], *, encoding: str | None, delimiter: str | None
    ) -> None:
        csv.field_size_limit(LONGEST_CELL)
        self.name = source.name
        self.ended = False
        decoding = choose_decoding(source, encoding)
        sample, rest, named = _start(text_lines(source, decoding))
        wanted, names = [*columns.values()], list[ColumnKey]()
        if numbered := are_numbers(wanted):
            sample += islice(rest, SEEN_ROWS)
            self.delimiter, names = choose_numbered("".join(sample), wanted, source.name, delimiter or named)
        else:
            self.delimiter, header = choose_delimiter("".join(sample), wanted, delimiter=delimiter or named)
            if not any(header):
                raise PipelineError(f"{source.name} is empty; its first line must name the columns")
            names = [*header]
            if not {*wanted} & {*header}:
                seen = "".join(chain(sample, islice(rest, SEEN_ROWS)))
                refuse_data_as_header(
                    header, wanted, source.name, sample=seen, delimiter=self.delimiter, advice=FOR_STREAM
                )
        check_stream_columns(names, columns, source.name)
        self.places = {kind: names.index(column) for kind, column in columns.items()}
        unquoted = source.rereadable and self.delimiter == "\t" and _has_bare_quotes(source, decoding, len(names))
        self.reader = csv.reader(
            self._marked(chain(sample, rest)),
            delimiter=self.delimiter,
            quoting=csv.QUOTE_NONE if unquoted else csv.QUOTE_MINIMAL,
        )
        self.header = [str(name) for name in names] if numbered else next(self._rows())
        if not numbered and [cell.strip() for cell in self.header] != names:  # a bare carriage return ended the header
            raise PipelineError(f"{source.name}: some lines end in \\r, others in \\n; end all of them in \\n")

    def _marked(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            yield _without_carriage_returns(line) if "\r" in line else line
        self.ended = True

    def _rows(self) -> Iterator[list[str]]:
        try:
            for row in self.reader:
                if self.ended:  # a row that goes on after the last line
                    raise PipelineError(f"{self.name} opens a quote that nothing closes; close or double it")
                yield [cell.replace(CARRIAGE_RETURN, "\r") for cell in row]
        except csv.Error as error:
            raise PipelineError(f"{self.name}, line {self.reader.line_num:,}, is not valid CSV: {error}") from error

    def chunks(self, size: int) -> Iterator[tuple[list[list[str]], dict[str, list[str]]]]:
        width = len(self.header)
        for chunk in in_chunks(self._rows(), size):
            for row in chunk:
                if len(row) > width:
                    raise PipelineError(
                        f"{self.name}: a row before line {self.reader.line_num + 1:,} has {len(row)} cells, but the "
                        f"header {width}; quote cells that hold the delimiter"
                    )
                row += [""] * (width - len(row))
            yield chunk, {kind: [row[place] for row in chunk] for kind, place in self.places.items()}

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        check_added(self.header, list(added), self.name)
        self.target = io.TextIOWrapper(target, encoding="utf-8", errors="surrogateescape", newline="")
        # Quoted, because a reader may take a bare carriage return in a text for the end of the row.
        self.writer = csv.writer(
            self.target, delimiter=self.delimiter, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
        )
        self.writer.writerow([*self.header, *added])

    def write(self, chunk: list[list[str]], added: Added) -> None:
        self.writer.writerows([*row, *new] for row, new in zip(chunk, zip(*added.values(), strict=True), strict=True))

    def finish(self) -> None:
        self.target.detach().flush()

    def abandon(self) -> None:
        pass


def _start(lines: Iterator[str]) -> tuple[list[str], Iterator[str], str | None]:
    """Split lines into those of the header and the rest; return the delimiter that a line above the header names."""
    named = None
    first = next((line for line in lines if line not in {"\n", "\r\n"}), "")
    if first.startswith("sep="):
        named, first = excel_delimiter(first), next(lines, "")
    header, size = [first], len(first)
    quotes = first.count('"')
    while quotes % 2 and size < SAMPLE and (line := next(lines, "")):  # a line break in the name of a column
        header.append(line)
        size, quotes = size + len(line), quotes + line.count('"')
    return header, lines, named


def _without_carriage_returns(line: str) -> str:
    end = "\r\n" if line.endswith("\r\n") else "\n" if line.endswith("\n") else ""
    return line.removesuffix(end).replace("\r", CARRIAGE_RETURN) + end


def _has_bare_quotes(source: Source, decoding: Decoding, columns: int) -> bool:
    header, rest, _ = _start(text_lines(source, decoding))
    lines = (line.rstrip("\r\n").encode("utf-8", "surrogateescape") for line in chain(header, rest))
    return quotes_are_text(lines, "\t", columns)
