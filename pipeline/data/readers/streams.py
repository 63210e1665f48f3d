"""What all streams have in common: a table that is read a chunk at a time, and written with columns added."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO, Protocol, TypeVar

Chunk = Any  # of rows, as each format keeps them
RawCells = Mapping[str, list[Any]]  # cells of the wanted columns by modality, such as "text"
Added = Mapping[str, Sequence[Any]]  # values of the new columns by name; None where a row has none
Row = TypeVar("Row")


class UnreadableRow(str):
    """In the place of a cell: why its row cannot be read."""


REPEATED_HEADER = "the row repeats the header"
TOO_MANY_CELLS = "the row has more cells than the header; quote cells that hold the delimiter"


class OtherRow(list[str]):
    """The cells of a row that is none: why it is not, and its cells; the last one holds any beyond the header."""

    def __init__(self, reason: str, cells: Sequence[str]) -> None:
        super().__init__(cells)
        self.reason = UnreadableRow(reason)


class TableStream(Protocol):
    """A table that is read once, from its start, and written with columns added; its own cells stay unchanged."""

    def chunks(self, size: int) -> Iterator[tuple[Chunk, RawCells]]:
        """Yield at most `size` rows at a time, and their cells in the wanted columns, of any type."""

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        """Begin to write to `target`, with new columns of these names and types."""

    def write(self, chunk: Chunk, added: Added) -> None:
        """Write a chunk and its new columns."""

    def finish(self) -> None:
        """Write what is left."""

    def abandon(self) -> None:
        """Write no more, after a failure."""


def in_chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yield rows in lists of `size`, the last one shorter.

    >>> list(in_chunks("abc", 2))
    [['a', 'b'], ['c']]
    """
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk
