"""CSV and TSV: cells are strings, as they stand in the file."""

import csv
import io
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ...base.errors import PipelineError
from .delimiters import SAMPLE, choose_delimiter, excel_delimiter
from .dialects import LEARNED, Dialect, Record, choose_dialect, records
from .encodings import BYTE_ORDER_MARKS, choose_decoding, text_lines
from .headerless import FOR_INGEST, FOR_STREAM, SEEN_ROWS, are_numbers, choose_numbered, refuse_data_as_header
from .headers import ColumnKey, check_added, check_columns, check_stream_columns
from .reading import Reading
from .sources import Source
from .streams import REPEATED_HEADER, TOO_MANY_CELLS, Added, OtherRow, in_chunks

if TYPE_CHECKING:
    import pandas as pd

# By the note of a `Record`, as the validation report names it.
NOTES = {
    "stray quotes": "rows whose quotes are characters",
    "unescaped quotes": "rows with quotes inside quoted cells that are not doubled",
    "empty cells beyond the header": "rows with empty cells beyond the header",
}


def parse(
    content: bytes,
    path: Path,
    columns: Sequence[ColumnKey],
    optional: Sequence[ColumnKey],
    delimiter: str | None,
    reading: Reading,
) -> "pd.DataFrame":
    """Return columns of a CSV in UTF-8; parameters, result and errors are those of `formats.read`.

    Rows whose cells are all blank, and repeated headers, are left out; so are broken rows if `reading` allows it.
    """
    import pandas as pd

    content = content.lstrip(b"\n")
    if content.startswith(b"sep="):
        first, _, content = content.partition(b"\n")
        delimiter = delimiter or excel_delimiter(first.decode(errors="replace"))
        reading.change("line sep= above the header", 1)
    sample, header = content[:SAMPLE].decode(errors="replace"), list[ColumnKey]()
    if numbered := are_numbers(columns):
        delimiter, header = choose_numbered(sample, columns, path, delimiter)
    else:
        delimiter, names = choose_delimiter(sample, columns, optional, delimiter)
        refuse_data_as_header(names, columns, path, sample=sample, delimiter=delimiter, advice=FOR_INGEST)
        header = [*names]
    advice = "check that the header is the first line, and ingest.delimiter" if len(header) == 1 else ""
    check_columns(header, columns, path, advice)
    present = [*columns, *(column for column in optional if column in header)]
    check_columns(header, present, path)
    places = [header.index(column) for column in present]
    dialect = Dialect(delimiter, len(header))
    body = partial(_body, content, numbered)
    table = _parsed(content, dialect, places, numbered) if b'"' not in content or dialect.is_plain(body()) else None
    if table is None:
        named = "" if numbered else "".join(_start(_lines(content))[0])
        dialect, plain = choose_dialect(body, delimiter, len(header), header=named)
        table = _parsed(content, dialect, places, numbered) if plain else None
    if table is None:
        table = _repaired(body(), dialect, places, path, reading)
    reading.dialect = dialect.title
    table = _without_other_lines(table, [] if numbered else [*map(str, header)], places, reading)
    if table.empty:
        raise PipelineError(f"{path} has a header but no rows")
    return pd.DataFrame(
        {column: table[place] for column, place in zip(present, places, strict=True)}, index=table.index
    )


def _lines(content: bytes) -> Iterator[str]:
    return io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="\n")


def _body(content: bytes, numbered: bool) -> Iterator[str]:
    """Yield the lines after the header, if there is one, without their ends."""
    lines = _lines(content) if numbered else _start(_lines(content))[1]
    return (line.removesuffix("\n") for line in lines)


def _parsed(content: bytes, dialect: Dialect, places: Sequence[int], numbered: bool) -> "pd.DataFrame | None":
    """Return all cells, by the position of the column; None if rows have too many or too few of them."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # the first row has a cell too many
            table = pd.read_csv(
                io.BytesIO(content),
                sep=dialect.delimiter,
                header=None if numbered else 0,
                names=range(dialect.width),  # columns that are not wanted may share a name, or have none
                index_col=False,
                dtype=str,
                keep_default_na=False,  # a review that reads "None" is a text
                lineterminator="\n",
                low_memory=False,
            )
    except (pd.errors.ParserWarning, pd.errors.ParserError):
        return None
    table.index += 1
    return None if _may_be_short(table, content, dialect, max(places), numbered) else table


def _may_be_short(table: "pd.DataFrame", content: bytes, dialect: Dialect, last: int, numbered: bool) -> bool:
    """Whether a row may end before the `last` wanted column: pandas fills it up with cells that look empty."""
    ends = table.loc[table[last] == "", last:]
    if not (ends == "").all(axis=1).any():
        return False
    delimiters = (len(table) + (not numbered)) * (dialect.width - 1)  # of full rows
    return b'"' in content or content.count(dialect.delimiter.encode()) != delimiters


def _repaired(
    lines: Iterator[str], dialect: Dialect, places: Sequence[int], path: Path, reading: Reading
) -> "pd.DataFrame":
    """Return all cells of a file in which some lines are not plain CSV, without its broken rows."""
    import pandas as pd

    width, number = dialect.width, 0
    rows: list[list[str]] = []
    numbers: list[int] = []
    broken: list[int] = []
    notes: Counter[str] = Counter()
    for record in records(lines, dialect):
        if record.cells == [""]:  # an empty line
            continue
        number += 1
        cells = record.cells
        if len(cells) > width and not "".join(cells[width:]).strip():
            cells, record = cells[:width], Record(cells[:width], "empty cells beyond the header")
        elif len(cells) > width or max(places) >= len(cells):
            broken.append(number)
            continue
        notes[record.note] += 1
        rows.append(cells + [""] * (width - len(cells)))
        numbers.append(number)
    for note, title in NOTES.items():
        reading.change(title, notes[note])
    if len(broken) > reading.max_broken * number:
        raise PipelineError(_broken_rows(broken, number, width, path))
    reading.skip("broken", broken)
    return pd.DataFrame(rows, numbers, range(width), dtype="str")


def _broken_rows(broken: Sequence[int], rows: int, width: int, path: Path) -> str:
    first = ", ".join(f"{number:,}" for number in broken[:5]) + (", ..." if len(broken) > 5 else "")
    return (
        f"{path} has {len(broken):,} broken of {rows:,} rows: {first}; their number of cells is not that of the "
        f"header, {width}. Quote cells that hold the delimiter, name the delimiter with ingest.delimiter, or let "
        "ingest.max_broken leave such rows out"
    )


def _without_other_lines(
    table: "pd.DataFrame", header: Sequence[str], places: Sequence[int], reading: Reading
) -> "pd.DataFrame":
    """Drop the rows whose cells are all blank, and those that repeat the header, as files do that were joined."""
    kinds = {"blank": [""] * table.shape[1]} | ({"repeated header": [*header]} if header else {})
    for reason, cells in kinds.items():
        mask = np.ones(len(table), dtype=bool)
        for place in dict.fromkeys([*places, *range(len(cells))]):  # the wanted columns first: most rows end there
            if not mask.any():
                break
            mask[mask] = (table.loc[mask, place].str.strip() == cells[place]).to_numpy()
        reading.skip(reason, table.index[mask].to_list())
        table = table[~mask]
    return table


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
        self.name = source.name
        self.mark = ""  # Excel needs a byte order mark to read UTF-8
        if source.rereadable:
            with source.open() as file:
                self.mark = "\ufeff" if file.read(3).startswith(tuple(BYTE_ORDER_MARKS)) else ""
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
        head = "" if numbered else "".join(sample)
        self.header = [str(name) for name in names]
        if not numbered:
            self.header = Dialect(self.delimiter, len(names)).split(head.rstrip("\r\n"))
        if [cell.strip(' "') for cell in self.header] != [str(name).strip(' "') for name in names]:
            # a bare carriage return ended the header
            raise PipelineError(f"{source.name}: some lines end in \\r, others in \\n; end all of them in \\n")
        self.width, self.names = len(names), [] if numbered else [*map(str, names)]  # which joined files repeat
        self.first = None if numbered else self.names[0]
        lines = map(_without_end, rest)
        first = [*map(_without_end, sample if numbered else ()), *islice(lines, LEARNED)]

        def again() -> Iterator[str]:
            start, others, _ = _start(text_lines(source, decoding))
            return map(_without_end, chain(start, others) if numbered else others)

        self.dialect, _ = choose_dialect(
            again if source.rereadable else lambda: first, self.delimiter, len(names), header=head
        )
        self.rows = (self._cells(record) for record in records(chain(first, lines), self.dialect))

    def _cells(self, record: Record) -> list[str]:
        cells, width = record.cells, self.width
        if len(cells) == width and cells[0].strip() != self.first:  # most rows
            return cells
        if "".join(cells[width:]).strip():
            return OtherRow(TOO_MANY_CELLS, [*cells[: width - 1], self.delimiter.join(cells[width - 1 :])])
        if [*map(str.strip, cells)] == self.names:
            return OtherRow(REPEATED_HEADER, cells)
        return cells[:width] + [""] * (width - len(cells))

    def chunks(self, size: int) -> Iterator[tuple[list[list[str]], dict[str, list[str]]]]:
        for chunk in in_chunks(self.rows, size):
            cells = {
                kind: [row.reason if type(row) is OtherRow else row[place] for row in chunk]
                for kind, place in self.places.items()
            }
            yield chunk, cells

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        check_added(self.header, list(added), self.name)
        self.target = io.TextIOWrapper(target, encoding="utf-8", errors="surrogateescape", newline="")
        self.target.write(self.mark)
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


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")
