"""JSON: one object a line, or an array of objects."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ...base.errors import PipelineError
from .encodings import choose_decoding, text_lines
from .headers import ColumnKey, check_added, check_columns, check_stream_columns
from .reading import Reading
from .sources import Source
from .streams import Added, UnreadableRow, in_chunks

if TYPE_CHECKING:
    import pandas as pd

NOT_AN_OBJECT = "the line is not a JSON object"
NOT_ROWS = "is JSON, but neither an array of objects nor one object a line; write one of these"
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


def parse(
    content: bytes,
    path: Path,
    columns: Sequence[ColumnKey],
    optional: Sequence[ColumnKey],
    delimiter: str | None,
    reading: Reading,
) -> "pd.DataFrame":
    """Return columns of JSON in UTF-8; parameters, result and errors are those of `formats.read`."""
    import pandas as pd

    cells: dict[ColumnKey, list[object]] = {column: [] for column in [*columns, *optional]}
    names: dict[str, None] = {}
    rows: Iterator[tuple[str, Any]]
    if is_array := content.lstrip().startswith(b"["):
        rows = ((f"element {number}", row) for number, (row, _) in enumerate(_elements(content.decode(), path), 1))
    else:
        rows = _lines(content, path)
    first = None
    for number, (place, row) in enumerate(rows):
        if not isinstance(row, dict):
            raise PipelineError(
                f"{path}, {place}, is not a JSON object; expected {'objects' if is_array else 'one object per line'}"
            )
        first = row if number == 0 else None
        names.update(dict.fromkeys(row))
        for column, values in cells.items():
            cell = row.get(column)
            # Half a character, as at the end of a cut text, becomes the replacement character.
            values.append(re.sub(r"[\ud800-\udfff]", "\ufffd", cell) if isinstance(cell, str) else cell)
    if not names:
        raise PipelineError(f"{path} has no rows; it must have the columns {', '.join(map(str, columns))}")
    if first is not None and _is_nested(first, columns):  # it is the only row
        raise PipelineError(f"{path} {NOT_ROWS}")
    check_columns(list(names), columns, path)
    index = range(1, len(cells[columns[0]]) + 1)
    return pd.DataFrame(
        {column: pd.Series(values, index, dtype=object) for column, values in cells.items() if column in names}
    )


def _lines(content: bytes, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each line is and what it holds; blank ones are skipped."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if line.strip() == b"{" or _is_one_object(content):
                raise PipelineError(f"{path} {NOT_ROWS}") from error
            raise PipelineError(f"{path}, line {number}, is not valid JSON: {error}") from error
        yield f"line {number}", row


def _is_one_object(content: bytes) -> bool:
    """Whether a file is one object over several lines."""
    return content.rstrip().endswith(b"}") and _parsed(content) is not None


def _is_nested(row: Mapping[Any, Any], columns: Iterable[ColumnKey]) -> bool:
    """Whether the only object of a file holds its rows or columns, rather than being one.

    >>> _is_nested({"data": [{"text": "a"}]}, ["text"]), _is_nested({"text": "a", "tags": []}, ["text"])
    (True, False)
    """
    held = [isinstance(row[column], dict | list) for column in columns if column in row]
    if held:
        return all(held)
    return any(isinstance(value, dict) or (isinstance(value, list) and _holds_rows(value)) for value in row.values())


def _holds_rows(values: Sequence[Any]) -> bool:
    return bool(values) and isinstance(values[0], dict | list)


def _elements(text: str, file: Path | str) -> Iterator[tuple[Any, str]]:
    r"""Yield the elements of a JSON array: each parsed, and on one line, otherwise to the character as it stands there.

    >>> list(_elements('[{"a":\n  1.50}, 2]', "a.json"))
    [({'a': 1.5}, '{"a": 1.50}'), (2, '2')]
    """
    place = _space(text, _space(text, 0) + 1)
    try:
        while text[place : place + 1] != "]":
            element, end = _DECODER.raw_decode(text, place)
            written = text[place:end]
            # No string can hold a line break: whatever is around one only lays the array out.
            yield element, re.sub(r"[ \t]*[\r\n][ \t\r\n]*", " ", written) if "\n" in written else written
            place = _space(text, end)
            if text[place : place + 1] == ",":
                place = _space(text, place + 1)
            elif text[place : place + 1] != "]":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, place)
        if _space(text, place + 1) < len(text):
            raise json.JSONDecodeError("Extra data", text, place + 1)
    except (ValueError, RecursionError) as error:
        raise PipelineError(f"{file} is not a valid JSON array: {error}") from error


def _space(text: str, place: int) -> int:
    return cast(re.Match[str], _SPACE.match(text, place)).end()


class JsonLinesStream:
    """A row is an object and stays as it is, to the character; new values stand at its end.

    Of an array, which is held in memory as a whole, line breaks inside of a row become spaces.

    Parameters are those of `CsvStream`.
    """

    def __init__(
        self, source: Source, columns: Mapping[str, ColumnKey], *, encoding: str | None, delimiter: str | None
    ) -> None:
        self.name, self.columns = source.name, columns
        text = text_lines(source, choose_decoding(source, encoding))
        self.lines: Iterator[str] = (line.strip(" \t\r\n") for line in text if not line.isspace())
        beginning = list(islice(self.lines, 2))
        self.as_array = _begins_array(beginning)  # also of what is written
        if self.as_array:
            rows = _elements("\n".join([*beginning, *self.lines]), source.name)
            self.lines = (line for _, line in list(rows))
            beginning = list(islice(self.lines, 2))
        if beginning:
            row = _parsed(beginning[0])
            goes_on = row is None and re.fullmatch(r"\{(.*[\[{,:])?", beginning[0])
            if goes_on or (row and len(beginning) == 1 and _is_nested(row, columns.values())):
                raise PipelineError(f"{source.name} {NOT_ROWS}")
            if row is not None:
                check_stream_columns(list(row), columns, source.name)
            self.lines = chain(beginning, self.lines)

    def chunks(self, size: int) -> Iterator[tuple[list[tuple[str, dict[Any, Any] | None]], dict[str, list[Any]]]]:
        unreadable = UnreadableRow(NOT_AN_OBJECT)
        for lines in in_chunks(self.lines, size):
            rows = [_parsed(line) for line in lines]
            cells = {
                kind: [unreadable if row is None else row.get(column) for row in rows]
                for kind, column in self.columns.items()
            }
            yield list(zip(lines, rows, strict=True)), cells

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        self.target, self.added = target, added
        self.before = "[\n" if self.as_array else ""  # the next row

    def write(self, chunk: list[tuple[str, dict[Any, Any] | None]], added: Added) -> None:
        for (line, row), values in zip(chunk, zip(*added.values(), strict=True), strict=True):
            if row is None:  # what is not an object becomes one
                line, row = json.dumps({"line": line}), {"line": line}
            check_added(list(row), list(self.added), self.name)
            new = json.dumps(dict(zip(added, values, strict=True)), ensure_ascii=False)[1:]
            written = f"{self.before}{line[:-1].rstrip()}{', ' if row else ''}{new}"
            self.target.write((written if self.as_array else f"{written}\n").encode(errors="surrogateescape"))
            self.before = ",\n" if self.as_array else ""

    def finish(self) -> None:
        if self.as_array:
            self.target.write(b"[]\n" if self.before == "[\n" else b"\n]\n")
        self.target.flush()

    def abandon(self) -> None:
        pass


def _begins_array(lines: Sequence[str]) -> bool:
    """Whether the first lines of a file begin an array of rows, rather than being lines that are not objects.

    >>> _begins_array(["[", '{"text": "a"},']), _begins_array(["[1]", '{"text": "a"}'])
    (True, False)
    """
    if not lines or not lines[0].startswith("["):
        return False
    try:
        json.loads(lines[0])
    except (ValueError, RecursionError):
        return True
    return len(lines) == 1


def _parsed(line: str | bytes) -> dict[Any, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
