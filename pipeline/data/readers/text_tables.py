"""Files named `.txt`: a delimited table or JSON by their content, or a text that is not a table."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import PipelineError
from . import csv_tables, json_lines
from .compression import open_unpacked
from .delimiters import DELIMITERS, choose_delimiter
from .headerless import are_numbers, is_sentence
from .headers import ColumnKey
from .reading import Reading
from .sources import Source
from .streams import TableStream

if TYPE_CHECKING:
    import pandas as pd

NOT_A_TABLE = "is a text, not a table: a table has a header, and a tab, comma, semicolon or bar between its cells"
BEGINNING = 1 << 16  # bytes that decide
REGULAR = 0.9  # share of a table's lines that have as many cells as the first
# Lines of text with one comma each are no rarity; lines with one tab each are.
FEWEST_LINES = {"\t": 2, ",": 3, ";": 3, "|": 3}
_JSON = re.compile(r"\s*(\{\s*[\"}]|\[\s*\{)")


def parse(
    content: bytes,
    path: Path,
    columns: Sequence[ColumnKey],
    optional: Sequence[ColumnKey],
    delimiter: str | None,
    reading: Reading,
) -> "pd.DataFrame":
    """Return columns of a table in UTF-8; parameters, result and errors are those of `formats.read`."""
    beginning = content[:BEGINNING].decode(errors="replace")
    if _JSON.match(beginning):
        return json_lines.parse(content, path, columns, optional, delimiter, reading)
    if not is_table(beginning, columns, delimiter):
        raise PipelineError(f"{path} {NOT_A_TABLE}")
    return csv_tables.parse(content, path, columns, optional, delimiter, reading)


def open_text_table(
    source: Source, columns: Mapping[str, ColumnKey], *, encoding: str | None, delimiter: str | None
) -> TableStream:
    """Return the stream of a table; the parameters are those of `CsvStream`."""
    if source.rereadable:
        with source.open() as file:
            beginning = _as_text(file.read(BEGINNING))
        if _JSON.match(beginning):
            return json_lines.JsonLinesStream(source, columns, encoding=encoding, delimiter=delimiter)
        if beginning.strip() and not is_table(beginning, [*columns.values()], delimiter):
            raise PipelineError(f"{source.name} {NOT_A_TABLE}")
    return csv_tables.CsvStream(source, columns, encoding=encoding, delimiter=delimiter)


def is_table_file(path: Path, columns: Sequence[ColumnKey]) -> bool:
    """Whether a `.txt` that nobody named, but that lies in a folder of tables, is one too."""
    try:
        with open_unpacked(path) as file:
            beginning = _as_text(file.read(BEGINNING))
    except PipelineError:
        return False
    return bool(_JSON.match(beginning)) or is_table(beginning, columns)


def is_table(beginning: str, columns: Sequence[ColumnKey], delimiter: str | None = None) -> bool:
    r"""Whether a text has a header with the wanted columns, or lines of equally many cells.

    Parameters
    ----------
    beginning : str
        The first lines.
    columns : sequence of str
        The wanted columns.
    delimiter : str or None
        The delimiter, where it is known.

    Examples
    --------
    >>> is_table("text\tlabel\nso glad, yes\tjoy\n", []), is_table("text,label\n", ["text", "label"])
    (True, True)
    >>> is_table("I said, no.\nAnd I went.\nHome, at last.\n", ["text"])
    False
    """
    if columns and {*columns} <= {*choose_delimiter(beginning, columns, delimiter=delimiter)[1]}:
        return True
    lines = [line for line in beginning.splitlines() if line.strip()]
    numbered = are_numbers(columns)
    return any(
        _is_regular(lines, candidate, quoted=quoted, numbered=numbered)
        for candidate in (delimiter or DELIMITERS)
        for quoted in (True, False)
    )


def _is_regular(lines: Sequence[str], delimiter: str, *, quoted: bool, numbered: bool) -> bool:
    try:
        cells = csv.reader(lines, delimiter=delimiter) if quoted else (line.split(delimiter) for line in lines)
        rows = [*cells]
    except csv.Error:
        return False
    widths = [len(row) for row in rows]
    if delimiter != "\t" and not numbered and any(map(is_sentence, rows[0] if rows else [])):
        return False
    enough = len(widths) >= FEWEST_LINES.get(delimiter, 2)
    return enough and widths[0] > 1 and widths.count(widths[0]) >= REGULAR * len(widths)


def _as_text(beginning: bytes) -> str:
    """Decode as far as delimiters and names of columns need it; UTF-16 has a NUL next to each of these."""
    beginning = beginning.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    return beginning.replace(b"\0", b"").decode(errors="replace")
