"""What a stream is read from: a file, which can be read again from its start, or a pipe, which cannot."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...base.errors import PipelineError
from .compression import open_unpacked

OpenFile = Callable[[], BinaryIO]
PACKED = (b"\x1f\x8b", b"PK\x03\x04")  # how gzip and zip files begin, spreadsheets among them


@dataclass(frozen=True)
class Source:
    """A table's bytes, unpacked.

    Parameters
    ----------
    name : str
        For messages.
    open : callable
        Opens it at its beginning.
    rereadable : bool
        Whether it may be opened more than once. If not, nothing can be detected from its whole content.
    path : Path or None
        Of the file; None for standard input.
    """

    name: str
    open: OpenFile
    rereadable: bool = True
    path: Path | None = None


def open_source(path: str, *, is_zip: bool = False) -> Source:
    """Return the source of a path; "-" is standard input. `is_zip` is whether its format is a zip archive itself."""
    if path == "-":
        return Source("standard input", lambda: sys.stdin.buffer, rereadable=False)
    file = Path(path)
    source = Source(path, lambda: open_unpacked(file), rereadable=file.is_file() or not file.exists(), path=file)
    if source.rereadable and not is_zip:
        with source.open() as stream:
            check_unpacked(stream.read(4), path)
    return source


def check_unpacked(start: bytes, name: Path | str) -> None:
    """Refuse a compressed file or a spreadsheet that is named as if it were a plain table."""
    if start.startswith(PACKED):
        raise PipelineError(f"{name} is a compressed file or a spreadsheet; rename or convert it")
