"""JSON lines: one object a line."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ...base.errors import PipelineError
from .encodings import choose_decoding, text_lines
from .headers import check_added, check_columns, check_stream_columns
from .reading import Reading
from .sources import Source
from .streams import Added, UnreadableRow, in_chunks

if TYPE_CHECKING:
    import pandas as pd

NOT_AN_OBJECT = "the line is not a JSON object"


def parse(
    content: bytes,
    path: Path,
    columns: Sequence[str],
    optional: Sequence[str],
    delimiter: str | None,
    reading: Reading,
) -> "pd.DataFrame":
    """Return columns of JSON lines in UTF-8; parameters, result and errors are those of `formats.read`."""
    import pandas as pd

    cells: dict[str, list[object]] = {column: [] for column in [*columns, *optional]}
    names: dict[str, None] = {}
    if content.lstrip().startswith(b"[") and content.rstrip().endswith(b"]"):
        raise PipelineError(f"{path} is a JSON array; write one object a line instead (pandas: to_json(lines=True))")
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PipelineError(f"{path}, line {number}, is not valid JSON: {error}") from error
        if not isinstance(row, dict):
            raise PipelineError(f"{path}, line {number}, is not a JSON object; expected one object per line")
        names.update(dict.fromkeys(row))
        for column, values in cells.items():
            cell = row.get(column)
            # Half a character, as at the end of a cut text, becomes the replacement character.
            values.append(re.sub(r"[\ud800-\udfff]", "\ufffd", cell) if isinstance(cell, str) else cell)
    check_columns(list(names), columns, path)
    index = range(1, len(cells[columns[0]]) + 1)
    return pd.DataFrame(
        {column: pd.Series(values, index, dtype=object) for column, values in cells.items() if column in names}
    )


class JsonLinesStream:
    """A line is an object and stays as it is, to the character; new values stand at its end.

    Parameters are those of `CsvStream`.
    """

    def __init__(
        self, source: Source, columns: Mapping[str, str], *, encoding: str | None, delimiter: str | None
    ) -> None:
        self.name, self.columns = source.name, columns
        lines = text_lines(source, choose_decoding(source, encoding))
        self.lines: Iterator[str] = (line.strip(" \t\r\n") for line in lines if not line.isspace())
        first = next(self.lines, None)
        if first is not None:
            row = _parsed(first)
            if row is not None:
                check_stream_columns(list(row), columns, source.name)
            self.lines = chain([first], self.lines)

    def chunks(self, size: int) -> Iterator[tuple[list[tuple[str, dict[str, Any] | None]], dict[str, list[Any]]]]:
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

    def write(self, chunk: list[tuple[str, dict[str, Any] | None]], added: Added) -> None:
        for (line, row), values in zip(chunk, zip(*added.values(), strict=True), strict=True):
            if row is None:  # what is not an object becomes one
                line, row = json.dumps({"line": line}), {"line": line}
            check_added(list(row), list(self.added), self.name)
            new = json.dumps(dict(zip(added, values, strict=True)), ensure_ascii=False)[1:]
            self.target.write(f"{line[:-1].rstrip()}{', ' if row else ''}{new}\n".encode(errors="surrogateescape"))

    def finish(self) -> None:
        self.target.flush()

    def abandon(self) -> None:
        pass


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
