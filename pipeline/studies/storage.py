"""Folders in `.state/` where studies cache their results, so that they continue after a kill."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base.errors import PipelineError

ABLATION, SEARCH, IMBALANCE = (Path(".state", study) for study in ("ablation", "search", "imbalance"))


@contextmanager
def locked_folder(folder: Path) -> Iterator[Path]:
    """Create `folder` and lock it for this process: two at once would train everything twice.

    Raises
    ------
    PipelineError
        Another process has locked it.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield folder
    except Timeout as error:
        raise PipelineError(f"another process is using {folder}; wait until it has finished") from error
