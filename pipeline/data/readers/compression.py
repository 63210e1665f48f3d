"""Compressed files: unpacked while they are read, packed while they are written, by the name's ending."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ...base.errors import PipelineError

MOST_UNPACKED = 4_000_000_000  # bytes of a compressed file that is unpacked as a whole
BLOCK_BYTES = 1 << 20


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is opened or unpacked into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise PipelineError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise PipelineError(f"{path} is a folder; name a file") from error
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError) as error:
        raise PipelineError(
            f"cannot read {path} ({error}); check that it is complete and that its extension is right"
        ) from error


class Unpacked(io.RawIOBase):
    """A compressed file, open for reading; a damaged one raises a `PipelineError` where the damage is reached."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):
            self.stream = UNPACK[path.suffix.lower()](path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with reading(self.path):
            block = self.stream.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed and hasattr(self, "stream"):
            self.stream.close()
        super().close()


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file for reading; where its name says that it is compressed, what is read is unpacked."""
    if path.suffix.lower() in UNPACK:
        return cast(BinaryIO, io.BufferedReader(Unpacked(path), BLOCK_BYTES))
    with reading(path):
        return path.open("rb")


def unpacked(path: Path) -> bytes:
    """Return the whole content of a file, unpacked.

    Raises
    ------
    PipelineError
        The file cannot be read, or a compressed one unpacks to more than `MOST_UNPACKED` bytes.
    """
    if path.suffix.lower() not in UNPACK:
        with reading(path):
            return path.read_bytes()
    content = io.BytesIO()
    unpack_into(content, path)
    return content.getvalue()


def unpack_into(target: BinaryIO, path: Path) -> None:
    """Write the content of a compressed file to `target`: a small file may unpack to more than there is room for."""
    size = 0
    with open_unpacked(path) as source:
        while block := source.read(BLOCK_BYTES):
            size += target.write(block)
            if size > MOST_UNPACKED:
                raise PipelineError(
                    f"{path} is more than {MOST_UNPACKED / 1e9:.0f} GB unpacked; split it, or unpack it"
                )


@contextmanager
def packing(target: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Compress what is written to `target`, if `name` has the extension of a compressed file.

    Parameters
    ----------
    target : BinaryIO
        The open file.
    name : str
        Its final name.
    """
    ending = Path(name).suffix.lower()
    if ending not in PACK:
        yield target
        return
    with PACK[ending](target, Path(name).stem) as stream:
        yield stream


def _unpack_zstd(path: Path) -> Any:
    return _pyarrow(path).CompressedInputStream(_pyarrow(path).OSFile(str(path)), "zstd")


def _pack_zstd(target: BinaryIO, name: str) -> Any:
    return _pyarrow(name).CompressedOutputStream(target, "zstd")


def _pyarrow(name: Path | str) -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise PipelineError(f"{name}: zstd files need the package pyarrow; install it") from error
    return pyarrow


def _unpack_zip(path: Path) -> Any:
    archive = zipfile.ZipFile(path)
    files = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    names = [name for name in files if not Path(name).name.startswith(".")]
    if len(names) != 1:
        archive.close()
        raise PipelineError(f"{path} holds {len(names)} files; it must hold one table")
    try:
        return archive.open(names[0])  # keeps the file open as long as it is read
    finally:
        archive.close()


@contextmanager
def _pack_zip(target: BinaryIO, name: str) -> Iterator[Any]:
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        yield file


UNPACK: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _unpack_zstd,
    ".zip": _unpack_zip,
}
PACK: dict[str, Callable[[BinaryIO, str], Any]] = {
    ".gz": lambda target, name: gzip.GzipFile(name, "wb", compresslevel=6, fileobj=target, mtime=0),
    ".bz2": lambda target, _: bz2.BZ2File(target, "wb"),
    ".xz": lambda target, _: lzma.LZMAFile(target, "wb"),  # noqa: SIM115
    ".zst": _pack_zstd,
    ".zip": _pack_zip,
}
