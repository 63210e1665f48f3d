"""Files between stages: written whole or not at all, the same bytes for the same content."""

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

LONGEST_NAME = 200  # bytes of a name that another one, with something before it, can be made of


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it to `path` if the block succeeds, remove it if not.

    What a killed process left there is removed by the next that writes `path`: it was locked as long as that one lived.

    Raises
    ------
    PipelineError
        There is something else than a file, such as a device, in whose place no file shall be.
    """
    if path.exists() and not path.is_file():
        raise PipelineError(f"{path} is no file that could be written anew; name another one")
    path.parent.mkdir(parents=True, exist_ok=True)
    long = len(os.fsencode(path.name)) > LONGEST_NAME
    ending = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16] if long else path.name
    for left in path.parent.glob(f".partial-????????{glob.escape(ending)}"):
        _remove_left(left)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-", suffix=ending)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "rb"):
            with suppress(OSError):  # where files cannot be locked, what a killed process left stays
                _lock(handle)
            yield temporary
        os.umask(umask := os.umask(0o077))
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _lock(handle: int) -> None:
    """Lock an open file for this process; fail where another one has it."""
    if sys.platform != "win32":  # which knows no lock that lets others write
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_left(temporary: Path) -> None:
    """Remove a temporary file whose process is gone; one of a moment ago may not have been locked yet."""
    with suppress(OSError):
        if temporary.stat().st_mtime < time.time() - 1:
            with temporary.open("rb") as stream:
                _lock(stream.fileno())
                temporary.unlink()


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_tree(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, or of the names and contents of all files in a folder but compiled Python."""
    if path.is_file():
        return sha256(path)
    files = (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sha256_json({file.relative_to(path).as_posix(): sha256(file) for file in files})


def sha256_json(value: Any) -> str:
    """Hexadecimal SHA-256 of what JSON can hold, in whatever order its keys are."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(_existing(path).read_text(encoding="utf-8"))


def read_yaml(path: Path) -> Any:
    """Read a YAML file by the parser that DVC uses (YAML 1.2), so that both see the same values."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"{path} cannot be read ({error.strerror}); run from the project's root") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as Parquet, or as CSV with every field quoted (a bare carriage return in a text survives that)."""
    import csv

    with atomic(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n", encoding="utf-8")
        else:
            table.to_parquet(temporary, index=False, compression="zstd")


def read_table(path: Path, *, strings: Sequence[str] = ()) -> "pd.DataFrame":
    """Read a table; of a CSV, the columns `strings` as they stand there, even where they look like numbers."""
    import pandas as pd

    if path.suffix == ".csv":
        types = dict.fromkeys(strings, "str")
        return pd.read_csv(_existing(path), dtype=types, keep_default_na=False)
    return pd.read_parquet(_existing(path))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(_existing(path), allow_pickle=False) as arrays:
        return dict(arrays)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise PipelineError(f"{path} is missing; run `dvc repro`, which makes it")
    return path
