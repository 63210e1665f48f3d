"""Checkout."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import paths
from .versioning import DVC_LOCK, git, root

REPORT = Path("data/retrain.md")
STARTED = Path(".state/retrain.json")  # there while a retraining runs, and after one that was killed
# All that a retraining changes of what git tracks.
OWN = (DVC_LOCK, paths.EVALUATE_METRICS, paths.BATCHES, paths.BATCH_FILES, paths.QUARANTINE, paths.QUARANTINE_FILES)


class BusyError(Exception):
    """Another retraining is in progress; says whose."""


def put_back() -> None:
    """Put back, as git has it, what a retraining that did not end has changed, and say so; else do nothing.

    The same work makes it again, out of DVC's cache and from the checkpoint.
    """
    if not STARTED.is_file():
        return
    own = [str(path) for path in (*OWN, REPORT)]
    changed = git("status", "--porcelain", "--", *own)
    git("checkout", "HEAD", "--", *[path for path in own if git("ls-tree", "HEAD", path)])
    git("clean", "-fdq", "--", *own)
    done()
    if changed:
        files = ", ".join(line.split(maxsplit=1)[1] for line in changed.splitlines())
        print(f"a retraining that did not end had changed these files, which are as in git again: {files}")


def done() -> None:
    """Nothing is left to be put back."""
    STARTED.unlink(missing_ok=True)


@contextmanager
def alone_here() -> Iterator[None]:
    """Hold this checkout, or leave.

    Raises
    ------
    BusyError
        Another one holds it.
    """
    from filelock import FileLock, Timeout

    place = root() / ".state/retrain.lock"
    place.parent.mkdir(exist_ok=True)
    try:
        with FileLock(place, timeout=0):
            yield
    except Timeout as error:
        raise BusyError("a retraining is in progress in this folder") from error
