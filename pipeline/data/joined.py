"""Several columns of texts, such as a title and a body, joined to one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from .columns import as_texts
from .readers.formats import open_stream
from .readers.headers import ColumnKey
from .readers.streams import Added, Chunk, RawCells, TableStream, UnreadableRow


def with_joined(cells: pd.DataFrame, columns: Sequence[ColumnKey], file: Path) -> tuple[pd.DataFrame, str]:
    """Add a column of texts: those of several columns, a line each; blank ones are skipped.

    Parameters
    ----------
    cells : DataFrame of shape (n_rows, >= n_columns)
        Raw cells.
    columns : sequence of str or int
        The columns to join, in this order.
    file : Path
        For messages.

    Returns
    -------
    cells : DataFrame of shape (n_rows, >= n_columns + 1)
        Also has the new column, null where all its parts are.
    name : str
        Of the new column.

    Raises
    ------
    PipelineError
        A cell is neither a string nor null.

    Examples
    --------
    >>> cells = pd.DataFrame({"title": ["Good", None], "body": ["I like it.", "Bad."]})
    >>> with_joined(cells, ["title", "body"], Path("a.csv"))[0]["title + body"].to_list()
    ['Good\\nI like it.', 'Bad.']
    """
    parts = [as_texts(cells[column], file) for column in columns]
    texts = [_joined(row) for row in zip(*parts, strict=True)]
    name = " + ".join(map(str, columns))
    return cells.assign(**{name: pd.Series(texts, cells.index, dtype=object)}), name


def _joined(row: Sequence[object]) -> str | None:
    texts = [cell for cell in row if isinstance(cell, str)]
    return "\n".join(text for text in texts if text.strip()) if texts else None


def open_joined(path: str, columns: Mapping[str, Sequence[ColumnKey]], **options: Any) -> TableStream:
    """Open a table as `formats.open_stream` does, whose parameters these are, but with several columns by modality."""
    keys = {name: [name, *(f"{name} {n}" for n in range(2, len(parts) + 1))] for name, parts in columns.items()}
    single = {key: part for name, parts in columns.items() for key, part in zip(keys[name], parts, strict=True)}
    table = open_stream(path, single, **options)
    return table if single.keys() == columns.keys() else JoinedStream(table, keys)


@dataclass
class JoinedStream:
    """A `TableStream` whose columns are joined as `with_joined` does.

    Parameters
    ----------
    table : TableStream
        With its columns by themselves.
    columns : mapping of str to sequence of str
        By modality, the columns to join, under the names that `table` yields them.
    """

    table: TableStream
    columns: Mapping[str, Sequence[str]]

    def chunks(self, size: int) -> Iterator[tuple[Chunk, RawCells]]:
        for chunk, cells in self.table.chunks(size):
            by_modality = {name: zip(*(cells[key] for key in keys), strict=True) for name, keys in self.columns.items()}
            yield chunk, {name: [_joined_or_wrong(row) for row in rows] for name, rows in by_modality.items()}

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        self.table.start(target, added)

    def write(self, chunk: Chunk, added: Added) -> None:
        self.table.write(chunk, added)

    def finish(self) -> None:
        self.table.finish()

    def abandon(self) -> None:
        self.table.abandon()


def _joined_or_wrong(row: Sequence[Any]) -> Any:
    """Return the joined text, or the first cell that cannot be joined."""
    wrong = [cell for cell in row if isinstance(cell, UnreadableRow) or not (cell is None or isinstance(cell, str))]
    return wrong[0] if wrong else _joined(row)
