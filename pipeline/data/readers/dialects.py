"""How a CSV is quoted, judged by its lines and rows: a quote that nobody meant as quoting stays a character.

A quoting is right where it explains the lines: every quoted cell ends before a delimiter or the end of a line, every
row has as many cells as the header, and no row swallows lines that are rows of their own.
"""

import csv
import operator
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Literal, NamedTuple

LEARNED = 2_000  # lines from which the columns of few values are learned
LONGEST_NAME = 100  # characters of a value of such a column
Quoting = Literal["quoted", "spaced", "escaped", "text"]
# Cells as these quotings read them that show another quoting.
UNSUITED = {"quoted": re.compile(r' +".*"', re.DOTALL).fullmatch, "text": re.compile(r' *".*"', re.DOTALL).fullmatch}
QUOTINGS: tuple[Quoting, ...] = ("quoted", "spaced", "escaped", "text")  # of equal ones, the first is taken
Lines = Callable[[], Iterable[str]]  # opens the lines after the header, without their ends


DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
QUOTING_TITLES: dict[Quoting, str] = {
    "quoted": "cells may be quoted",
    "spaced": "cells may be quoted after a space",
    "escaped": "cells may be quoted, with a backslash before a quote inside",
    "text": "quotes are characters",
}


class Record(NamedTuple):
    """One row as it was read.

    Parameters
    ----------
    cells : list of str
        Its cells, as many as it has.
    note : {"", "stray quotes", "unescaped quotes", "broken"}
        What was done; "broken" for a row that no quoting explains, whose cells are a guess.
    """

    cells: list[str]
    note: str = ""


@dataclass(frozen=True)
class Dialect:
    """How the cells of a CSV are delimited and quoted.

    Parameters
    ----------
    delimiter : str
        One character.
    width : int
        Cells of the header.
    quoting : {"quoted", "spaced", "escaped", "text"}
        Quotes quote, and are doubled inside a cell; the same with a space before a quote; with a backslash before a
        quote inside a cell; or quotes are characters like others.
    names : mapping of int to frozenset of str
        The values of the columns that have few, such as the labels, by the column's position; with the quotes around
        them, if they have any.
    line_breaks : bool
        Whether the cells of this file do hold line breaks: then lines that look like rows may be lines of a text.
    """

    delimiter: str
    width: int
    quoting: Quoting = "quoted"
    names: Mapping[int, frozenset[str]] | None = None
    line_breaks: bool = False

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
        """Cells of a whole line; of a line that ends inside quotes; the rest of quoted text; one cell."""
        end = re.escape(self.delimiter)
        inside = r'[^"\\]*+(?:(?:\\.|\\$|"")[^"\\]*+)*+' if self.quoting == "escaped" else r'[^"]*+(?:""[^"]*+)*+'
        space = " *+" if self.quoting == "spaced" and self.delimiter != " " else ""
        cell = rf'(?:{space}"{inside}"|(?!{space}")[^{end}]*+)'
        whole = re.compile(rf"{cell}(?:{end}{cell})*+", re.DOTALL)
        opened = re.compile(rf'(?:{cell}{end})*+{space}"{inside}', re.DOTALL)
        return whole, opened, re.compile(inside, re.DOTALL), re.compile(rf"({cell})(?:{end}|\Z)", re.DOTALL)

    @property
    def title(self) -> str:
        """For the validation report.

        >>> Dialect(";", 2).title
        'semicolon; cells may be quoted'
        """
        return f"{DELIMITER_NAMES.get(self.delimiter, repr(self.delimiter))}; {QUOTING_TITLES[self.quoting]}"

    def split(self, text: str, *, unquote: bool = True) -> list[str]:
        r"""Split a row into its cells; `unquote` removes the quotes around them.

        >>> Dialect(",", 2, "escaped").split('"55\\" TV, large",good')
        ['55" TV, large', 'good']
        """
        if self.quoting == "text" or '"' not in text:
            return text.split(self.delimiter)
        cell, cells, start = self._patterns[3], [], 0
        while match := cell.match(text, start):
            cells.append(self._unquoted(match[1]) if unquote else match[1])
            if not match[0].endswith(self.delimiter):
                break
            start = match.end()
        return cells

    def _unquoted(self, cell: str) -> str:
        bare = cell.lstrip(" ") if self.quoting == "spaced" else cell
        if not bare.startswith('"'):
            return cell
        bare = bare[1:-1].replace('""', '"')
        return re.sub(r'\\(["\\])', r"\1", bare) if self.quoting == "escaped" else bare

    def closed(self, text: str) -> bool:
        """Whether every quote of a row, of one line or several, ends its cell."""
        return self._patterns[0].fullmatch(text) is not None

    def is_plain(self, lines: Iterable[str]) -> bool:
        """Whether no quote of any line needs a closer look: each ends its cell in its line, with no space before it."""
        spaced = re.compile(rf'(?:\A|{re.escape(self.delimiter)}) +"')
        return all(self.closed(line) and not spaced.search(line) for line in lines if '"' in line)

    def opens(self, line: str) -> bool:
        """Whether a line ends inside quotes."""
        return self._patterns[1].fullmatch(line) is not None

    def stays_open(self, line: str) -> bool:
        """Whether a line that begins inside quotes ends inside quotes too."""
        inside = self._patterns[2].match(line)
        end = inside.end() if inside else 0
        if end == len(line):
            return True
        rest = line[end + 1 :]
        return rest.startswith(self.delimiter) and self.opens(rest[1:])

    def swallows(self, lines: Sequence[str]) -> bool:
        """Whether a row of several lines is several rows, joined by quotes that nobody meant as quoting."""
        doubled = any('""' in line for line in lines)  # which somebody meant
        return len(lines) > 1 and not doubled and not self.line_breaks and all(map(self.is_row, lines))

    def is_row(self, line: str) -> bool:
        """Whether a line is a row of its own if its quotes are characters."""
        cells = line.split(self.delimiter)
        if len(cells) != self.width:
            return False
        if self.names:
            known = [cells[place].strip() in values for place, values in self.names.items()]
            stray = [cells[place].count('"') % 2 == 1 for place in self.names]
            return any(known) and all(map(operator.or_, known, stray))
        return self.width > 2 or self.delimiter == "\t"  # a line of a longer text may well have a comma


def records(lines: Iterable[str], dialect: Dialect) -> Iterator[Record]:
    r"""Read rows; lines that no quoting explains are read with their quotes as characters if that makes them rows.

    Parameters
    ----------
    lines : iterable of str
        The lines after the header, without their ends; a cell in quotes may go on in the next line.
    dialect : Dialect
        See `choose_dialect`.

    Examples
    --------
    >>> lines = ['"big", they said,bad', 'fine,good', '5",bad', '"a, b",good']
    >>> [record.cells for record in records(lines[1:], Dialect(",", 2))]
    [['fine', 'good'], ['5"', 'bad'], ['a, b', 'good']]
    """
    source, waiting = iter(lines), deque[str]()
    text = dialect.quoting == "text"
    while (line := waiting.popleft() if waiting else next(source, None)) is not None:
        if text or '"' not in line:
            cells = line.split(dialect.delimiter)
            yield Record(cells, "" if len(cells) == dialect.width or not line else "broken")
            continue
        taken = _gather(line, source, waiting, dialect)
        whole = "\n".join(taken)
        cells = dialect.split(whole) if dialect.closed(whole) else []
        if len(cells) == dialect.width and not dialect.swallows(taken):
            yield Record(cells)
            continue
        waiting.extendleft(reversed(taken[1:]))
        yield _repaired(line, dialect)


def _gather(line: str, source: Iterator[str], waiting: deque[str], dialect: Dialect) -> list[str]:
    """Return a line, with those that follow as long as a quote is open."""
    taken, is_open = [line], dialect.opens(line)
    while is_open and (following := waiting.popleft() if waiting else next(source, None)) is not None:
        taken.append(following)
        is_open = dialect.stays_open(following)
    return taken


def _repaired(line: str, dialect: Dialect) -> Record:
    """Read one line that the dialect does not explain."""
    cells = line.split(dialect.delimiter)
    if len(cells) == dialect.width and (dialect.is_row(line) or not dialect.names):
        return Record(cells, "stray quotes")
    lenient = next(csv.reader([line.replace("\r", "\ud800")], delimiter=dialect.delimiter), [])
    if len(lenient) == dialect.width and lenient[-1].count('"') % 2 == 0:
        return Record([cell.replace("\ud800", "\r") for cell in lenient], "unescaped quotes")
    if len(cells) == dialect.width:
        return Record(cells, "stray quotes")
    return Record(cells, "broken")


def choose_dialect(lines: Lines, delimiter: str, width: int, *, header: str = "") -> tuple[Dialect, bool]:
    r"""Choose the quoting that explains most lines.

    Parameters
    ----------
    lines : callable
        Opens the lines after the header; read once for each quoting, unless the plain one explains all.
    delimiter : str
        Between the cells.
    width : int
        Cells of the header.
    header : str
        The line of the header.

    Returns
    -------
    dialect : Dialect
    plain : bool
        Whether the plain quoting explains every line, so that any parser of CSV reads the same rows.

    Examples
    --------
    >>> lines = ["fine,glad", "so,sad"] * 9 + ['"he said so,sad', "fine,glad", '5",sad']
    >>> choose_dialect(lambda: lines, ",", 2)[0].quoting
    'text'
    """
    plain = Dialect(delimiter, width)
    plain = replace(plain, names=_names(islice(lines(), LEARNED), plain))
    plain = replace(plain, line_breaks=_has_line_breaks(islice(lines(), LEARNED), plain))
    total, explained = _explained(lines(), plain)
    if explained == total:
        return plain, True
    best, most = plain, explained
    for quoting in QUOTINGS[1:]:
        if quoting == "text" and '"' in header:
            continue
        dialect = replace(plain, quoting=quoting)
        explained = _explained(lines(), dialect)[1]
        if explained > most:
            best, most = dialect, explained
    return best, False


def _explained(lines: Iterable[str], dialect: Dialect) -> tuple[int, int]:
    """Return how many rows there are, and how many the dialect explains."""
    total = explained = 0
    for record in records(lines, dialect):
        total += 1
        quotes = dialect.quoting in UNSUITED and any(map(UNSUITED[dialect.quoting], record.cells))
        explained += not record.note and not quotes
    return total, explained


def _whole_rows(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    """Yield the lines of every row whose quotes all end their cells."""
    source, waiting = iter(lines), deque[str]()
    while (line := waiting.popleft() if waiting else next(source, None)) is not None:
        taken = _gather(line, source, waiting, dialect) if '"' in line else [line]
        if dialect.closed("\n".join(taken)):
            yield taken
        else:
            waiting.extendleft(reversed(taken[1:]))


def _has_line_breaks(lines: Iterable[str], dialect: Dialect) -> bool:
    rows = [taken for taken in _whole_rows(lines, dialect) if len(taken) > 1]
    return 2 * sum(map(dialect.swallows, rows)) < len(rows)


def _names(lines: Iterable[str], dialect: Dialect) -> dict[int, frozenset[str]]:
    """Return the values of the columns that have few; empty if no line tells."""
    rows = [dialect.split(taken[0], unquote=False) for taken in _whole_rows(lines, dialect) if len(taken) == 1]
    rows = [row for row in rows if len(row) == dialect.width]
    names = {}
    for place in range(dialect.width):
        values = Counter(row[place].strip() for row in rows)
        frequent = frozenset(value for value, count in values.items() if count > 1 and len(value) <= LONGEST_NAME)
        if len(rows) >= 6 and sum(values[value] for value in frequent) > 0.9 * len(rows) > 3 * len(frequent):
            names[place] = frequent - {""} or frequent
    return names
