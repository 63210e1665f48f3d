"""Repair DVC's own files after a process was killed, before `dvc repro`.

DVC copes with most kills. It refuses a corrupt `dvc.lock`, a list of paths in use that is corrupt or names a process
number that now belongs to another process, and an entry of its run-cache that was left empty.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..base import command
from ..base.errors import PipelineError
from ..base.files import read_yaml, write_text
from ..base.versioning import DVC_LOCK, git

RWLOCK = Path(".dvc/tmp/rwlock")  # DVC's list of paths in use
MIN_AGE_SECONDS = 1  # age from which a file counts as left behind: DVC completes one within milliseconds


def recover() -> None:
    """Repair all of them, and print what was done."""
    for message in (repair_lock_file(), remove_rwlock(), tidy_run_cache(), remove_partial_outputs()):
        if message:
            print(message)


def repair_lock_file() -> str:
    """Replace a `dvc.lock` that DVC cannot read by the committed one, or remove it.

    DVC then restores finished stages from its run-cache.

    Returns
    -------
    str
        A message for the user; empty if nothing was done.
    """
    if not DVC_LOCK.is_file() or _is_lock_file(DVC_LOCK):
        return ""
    committed = git("show", f"HEAD:./{DVC_LOCK}", check=False)
    if not committed:
        DVC_LOCK.unlink()
        return f"{DVC_LOCK} was corrupt: removed; `dvc repro` writes it again"
    write_text(DVC_LOCK, f"{committed}\n")
    return f"{DVC_LOCK} was corrupt: replaced by the committed one"


def _is_lock_file(path: Path) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(read_yaml(path))
    except (Invalid, PipelineError):
        return False
    return True


def remove_rwlock() -> str:
    """Remove DVC's list of paths in use, unless it names a DVC process that is running; return a message as above."""
    if not RWLOCK.is_file() or _is_in_use(RWLOCK):
        return ""
    RWLOCK.unlink()
    return f"{RWLOCK} was left by a DVC process that has ended: removed"


def _is_in_use(path: Path) -> bool:
    """Whether the list names a DVC process that is running, or nobody; a corrupt list is not in use."""
    try:
        paths = json.loads(path.read_text(encoding="utf-8"))
        readers = [user for users in paths.get("read", {}).values() for user in users]
        users = [*paths.get("write", {}).values(), *readers]
        return not users or any(_is_dvc(user["pid"]) for user in users)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_dvc(pid: int) -> bool:
    import psutil

    try:
        return any(Path(part).name.startswith("dvc") for part in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def tidy_run_cache() -> str:
    """Remove unfinished entries of DVC's run-cache; return a message as above."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        runs = Path(Repo(".").cache.legacy.path) / "runs"
    except DvcException as error:
        raise PipelineError(f"not a DVC repository ({error}); run from the project's root") from error
    newest = time.time() - MIN_AGE_SECONDS
    removed = 0
    for entry in runs.glob("*/*"):
        if entry.stat().st_mtime > newest:
            continue
        for partial in entry.glob(".*.tmp"):
            partial.unlink()
            removed += 1
        with suppress(OSError):  # not empty
            entry.rmdir()
            removed += 1
    return f"{runs}: {removed} unfinished entries removed" if removed else ""


def remove_partial_outputs() -> str:
    """Remove unfinished copies that DVC left next to the stages' outputs; return a message as above."""
    newest = time.time() - MIN_AGE_SECONDS  # a file that is being copied changes all the time
    partial = [file for file in Path("data").rglob(f".{'?' * 22}.tmp") if file.stat().st_mtime < newest]
    for file in partial:
        file.unlink()
    return f"data: {len(partial)} unfinished copies removed" if partial else ""


def main(arguments: Sequence[str] | None = None) -> None:
    command.parser("recover", __doc__, example="").parse_args(arguments)
    recover()
