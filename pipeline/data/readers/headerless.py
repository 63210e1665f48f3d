"""CSV and TSV without a header: their columns have numbers, from 1; and whether a first line is one."""

import csv
import difflib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from ...base.errors import MAX_NAME_LENGTH, PipelineError
from .delimiters import DELIMITERS
from .headers import ColumnKey

SEEN_ROWS = 1000  # that decide
MAX_NAME_WORDS = 5  # of a column
FOR_INGEST = "ingest.text_column and ingest.label_column to the numbers of their columns, from 1"
FOR_STREAM = "--no-header, and --text-column to the number of its column, from 1"


def are_numbers(columns: Iterable[ColumnKey]) -> bool:
    """Whether columns are named by number, so that the first line is data.

    >>> are_numbers([2, 1]), are_numbers(["2", "1"])
    (True, False)
    """
    return any(isinstance(column, int) for column in columns)


def choose_numbered(
    sample: str, columns: Sequence[ColumnKey], file: Path | str, delimiter: str | None = None
) -> tuple[str, list[ColumnKey]]:
    """Choose the delimiter by which most lines have equally many cells; among several, the one that gives most cells.

    Parameters
    ----------
    sample : str
        The first lines of the file.
    columns : sequence of int
        The columns that it must have.
    file : Path or str
        For messages.
    delimiter : str or None
        The delimiter, where it is known.

    Returns
    -------
    delimiter : str
    header : list of int
        The numbers of the columns.

    Raises
    ------
    PipelineError
        There are fewer columns.

    Examples
    --------
    >>> choose_numbered("joy;so, so good\\nsad;no\\n", [1, 2], "a.csv")
    (';', [1, 2])
    """
    widths = {candidate: _width(sample, candidate) for candidate in (delimiter or DELIMITERS)}
    last = max(int(column) for column in columns)
    best = max(widths, key=lambda candidate: (widths[candidate][1] >= last, *widths[candidate]))
    width = widths[best][1]
    if width < last:
        raise PipelineError(f"{file} has {width} column(s), and no column {last}; correct its number, or the delimiter")
    return best, list(range(1, width + 1))


def _width(sample: str, delimiter: str) -> tuple[float, int]:
    """Return the share of rows that have the most frequent number of cells, and this number."""
    counts = Counter(len(row) for row in _rows(sample, delimiter))
    width, rows = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    return rows / max(counts.total(), 1), width


def _rows(sample: str, delimiter: str) -> list[list[str]]:
    try:
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        return [row for row in islice(reader, SEEN_ROWS) if row]
    except csv.Error:
        return []


def refuse_data_as_header(
    header: Sequence[str], columns: Sequence[ColumnKey], file: Path | str, *, sample: str, delimiter: str, advice: str
) -> None:
    """Refuse a table that has none of the wanted columns, and whose first line looks like data.

    The message shows no name of a column, since it may be a cell of a text.

    Parameters
    ----------
    header : sequence of str
        The first line.
    columns : sequence of str
        The wanted columns.
    file : Path or str
        For messages.
    sample : str
        The first lines of the file.
    delimiter : str
        Between cells.
    advice : str
        What to set if the file has no header.
    """
    if any(difflib.get_close_matches(str(column), header, n=1) for column in columns):
        return
    if looks_like_data(header, _rows(sample, delimiter)[1:]):
        raise PipelineError(
            f"{file} has no column {columns[0]!r}, and its first line looks like data; if the file has no header, set "
            f"{advice}; if it has one, correct the column's name"
        )


def looks_like_data(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether cells of the first line are texts, numbers, or found again below, as those of a header are not.

    Parameters
    ----------
    first : sequence of str
        The first line.
    rows : sequence of sequence of str
        Lines after it.

    Examples
    --------
    >>> looks_like_data(["pos", "so good"], [["neg", "no"], ["pos", "ok"]])
    True
    >>> looks_like_data(["label", "text"], [["neg", "no"], ["pos", "ok"]])
    False
    """
    first = [cell.strip() for cell in first]
    names = [cell for cell in first if cell]
    if names in ([str(number) for number in range(start, start + len(names))] for start in (0, 1)):
        return False  # how pandas names columns without a name
    repeated = any(
        cell and any(len(row) > place and row[place].strip() == cell for row in rows if not _is_same(row, first))
        for place, cell in enumerate(first)
    )
    return repeated or any(is_sentence(cell) or _is_number(cell) for cell in first)


def is_sentence(cell: str) -> bool:
    """Whether a cell reads like a text rather than like the name of a column.

    >>> is_sentence("I am so sad."), is_sentence("review text"), is_sentence("No. of stars")
    (True, False, False)
    """
    words = len(cell.split())
    ends = re.search(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d)]*$", cell.strip())
    return len(cell) > MAX_NAME_LENGTH or words > MAX_NAME_WORDS or bool(ends and (words > 2 or not cell.isascii()))


def _is_same(row: Sequence[str], first: Sequence[str]) -> bool:
    """Whether a row repeats the whole header."""
    return [cell.strip() for cell in row] == list(first)


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"[+-]?(\d+([.,]\d*)?|\.\d+)(e[+-]?\d+)?", cell, re.IGNORECASE))
