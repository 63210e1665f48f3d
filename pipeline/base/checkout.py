"""Files of this checkout that a retraining changes, and the lock that lets one process at a time change them."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import paths
from .files import write_json
from .versioning import DVC_LOCK, git, root

RETRAIN_REPORT = Path("data/retrain.md")
# All files in git that a retraining changes.
RETRAIN_FILES = (
    DVC_LOCK,
    paths.EVALUATE_METRICS,
    paths.INCREMENTS,
    paths.INCREMENT_FILES,
    paths.QUARANTINE,
    paths.QUARANTINE_FILES,
    RETRAIN_REPORT,
)
STARTED = Path(".state/retrain.json")  # exists while a retraining runs, and after one that was killed


class AlreadyRunningError(Exception):
    """Another retraining is in progress; the message says whose."""


def mark_started() -> None:
    """Remember that from now on a retraining may change its files."""
    write_json(STARTED, {"pid": os.getpid(), "started": time.time()})


def mark_ended() -> None:
    """Forget what `mark_started` remembered: nothing needs to be restored."""
    STARTED.unlink(missing_ok=True)


def restore() -> None:
    """Restore, from git, the files that an unfinished retraining has changed, and print their names.

    Nothing is lost: the next retraining makes them again, from DVC's cache and the checkpoint.
    """
    if not STARTED.is_file():
        return
    files = [str(path) for path in RETRAIN_FILES]
    changed = git("status", "--porcelain", "--", *files)
    git("checkout", "HEAD", "--", *[path for path in files if git("ls-tree", "HEAD", path)])
    git("clean", "-fdq", "--", *files)
    mark_ended()
    if changed:
        names = ", ".join(line.split(maxsplit=1)[1] for line in changed.splitlines())
        print(f"restored these files from git, which an unfinished retraining had changed: {names}")


@contextmanager
def checkout_lock() -> Iterator[None]:
    """Hold the lock of this checkout; a killed process releases it.

    Raises
    ------
    AlreadyRunningError
        Another process holds it.
    """
    from filelock import FileLock, Timeout

    path = root() / ".state/retrain.lock"
    path.parent.mkdir(exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as error:
        raise AlreadyRunningError("a retraining is in progress in this folder") from error
