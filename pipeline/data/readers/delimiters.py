"""How the cells of a CSV or TSV are delimited and quoted."""

import csv
import io
from collections.abc import Sequence

from .headers import ColumnKey

DELIMITERS = ",;\t|"
SAMPLE = 1 << 20  # bytes or characters that hold the header


def choose_delimiter(
    sample: str, columns: Sequence[ColumnKey], optional: Sequence[ColumnKey] = (), delimiter: str | None = None
) -> tuple[str, list[str]]:
    """Choose the delimiter whose header has the wanted columns; among several, the one that gives most columns.

    Parameters
    ----------
    sample : str
        The first lines of the file.
    columns, optional : sequence of str
        The columns that it must have, and those that it may have.
    delimiter : str or None
        The delimiter, where it is known.

    Returns
    -------
    delimiter : str
    header : list of str
        The names of the columns, without space around them.

    Examples
    --------
    >>> choose_delimiter("text;label, as given\\n", ["text"])
    (';', ['text', 'label, as given'])
    """
    headers = {candidate: _header(sample, candidate) for candidate in (delimiter or DELIMITERS)}

    def merit(candidate: str) -> tuple[bool, bool, int]:
        header = headers[candidate]
        return {*columns, *optional} <= set(header), set(columns) <= set(header), len(header)

    best = max(headers, key=merit)
    return best, headers[best]


def _header(sample: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), [])]
    except csv.Error:  # an unclosed quote: the delimiter is another one
        return []


def excel_delimiter(line: str) -> str | None:
    """Return the delimiter that Excel names in a line of its own above the header.

    >>> excel_delimiter("sep=;\\n")
    ';'
    """
    return line.rstrip("\r\n")[4:5] or None
