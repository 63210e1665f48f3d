"""Read and write files: written whole or not at all, the same bytes for the same content."""

import glob
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import PipelineError

if TYPE_CHECKING:
    import pandas as pd

MAX_NAME_BYTES = 200  # of a file name that a temporary one can contain: file systems allow 255


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path next to `path`; move it to `path` if the block succeeds, remove it otherwise.

    A temporary file is locked while its writer lives, so that the next writer of `path` can remove what a killed one
    left.

    Raises
    ------
    PipelineError
        `path` exists and is not a regular file, such as a device, which a file must not replace.
    """
    if path.exists() and not path.is_file():
        raise PipelineError(f"cannot overwrite {path}: not a regular file; choose another output path")
    path.parent.mkdir(parents=True, exist_ok=True)
    is_long = len(os.fsencode(path.name)) > MAX_NAME_BYTES
    suffix = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16] if is_long else path.name
    for abandoned in path.parent.glob(f".partial-????????{glob.escape(suffix)}"):
        _remove_abandoned(abandoned)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-", suffix=suffix)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "rb"):
            with suppress(OSError):  # some file systems have no locks: what a killed process left stays there
                _lock(handle)
            yield temporary
        os.umask(umask := os.umask(0o077))
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _lock(handle: int) -> None:
    """Lock an open file for this process.

    Raises
    ------
    OSError
        Another process holds the lock.
    """
    if sys.platform != "win32":  # whose locks also keep this process from writing
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_abandoned(temporary: Path) -> None:
    """Remove a temporary file whose writer is gone; a new one is left, as it may not be locked yet."""
    with suppress(OSError):
        if temporary.stat().st_mtime < time.time() - 1:
            with temporary.open("rb") as stream:
                _lock(stream.fileno())
                temporary.unlink()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_tree(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files in a folder, except compiled Python."""
    if path.is_file():
        return sha256(path)
    files = (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sha256_json({file.relative_to(path).as_posix(): sha256(file) for file in files})


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys.

    >>> sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8 with LF line ends."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value, indented by one space."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON value; a missing file is a PipelineError, here and in the other functions that read."""
    return json.loads(_existing(path).read_text(encoding="utf-8"))


def read_yaml(path: Path) -> Any:
    """Read a YAML file with the parser that DVC uses (YAML 1.2), so that both see the same values."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"{path} cannot be read ({error.strerror}); run from the project's root") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as Parquet, or as CSV by the file's extension.

    In a CSV file every field is quoted, so that a bare carriage return in a text is preserved.
    """
    import csv

    with atomic(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", encoding="utf-8")
        else:
            table.to_parquet(temporary, index=False, compression="zstd")


def read_table(path: Path, *, strings: Sequence[str] = ()) -> "pd.DataFrame":
    """Read a table from Parquet, or from CSV by the file's extension.

    Parameters
    ----------
    path : Path
        The file.
    strings : sequence of str
        Columns of a CSV file to read as strings, even if they look like numbers.
    """
    import pandas as pd

    if path.suffix == ".csv":
        types = dict.fromkeys(strings, "str")
        return pd.read_csv(_existing(path), dtype=types, keep_default_na=False)
    return pd.read_parquet(_existing(path))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as a compressed `.npz` file without pickled objects."""
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` file by name."""
    with np.load(_existing(path), allow_pickle=False) as arrays:
        return dict(arrays)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise PipelineError(f"{path} is missing; run `dvc repro` to create it")
    return path
