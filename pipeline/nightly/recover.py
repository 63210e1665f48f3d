"""Recover: repair what a kill may have left of DVC's own files, before `dvc repro`.

DVC forgives a kill at most moments by itself. It refuses a torn `dvc.lock`, a list of paths in use that is torn or
names a number that another process has by now, and an entry of its run-cache that was begun and not filled.
"""

import json
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..base import command
from ..base.errors import PipelineError
from ..base.files import atomic, read_yaml
from ..base.versioning import DVC_LOCK

IN_USE = Path(".dvc/tmp/rwlock")


def mend_lock_file() -> str:
    """Where DVC could not read `dvc.lock`, take git's, or none; stages that are done come from DVC's run-cache then.

    Returns
    -------
    str
        What was done, for the user; empty where nothing was.
    """
    if not DVC_LOCK.is_file() or _is_lock_file(DVC_LOCK):
        return ""
    committed = subprocess.run(["git", "show", f"HEAD:./{DVC_LOCK}"], capture_output=True, check=False)
    if committed.returncode:
        DVC_LOCK.unlink()
        return f"{DVC_LOCK} was torn: removed, `dvc repro` writes it anew"
    with atomic(DVC_LOCK) as temporary:
        temporary.write_bytes(committed.stdout)
    return f"{DVC_LOCK} was torn: replaced by the one that git has"


def _is_lock_file(path: Path) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(read_yaml(path))
    except (Invalid, PipelineError):
        return False
    return True


def free_paths() -> str:
    """Remove DVC's list of paths in use, unless a DVC that is alive stands in it; tell as above."""
    if not IN_USE.is_file():
        return ""
    try:
        held = json.loads(IN_USE.read_text(encoding="utf-8"))
        users = [*held.get("write", {}).values(), *(user for of in held.get("read", {}).values() for user in of)]
        if not users or any(_is_dvc(user["pid"]) for user in users):
            return ""
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # torn
    IN_USE.unlink()
    return f"{IN_USE} was left by a DVC that is gone: removed"


def tidy_run_cache() -> str:
    """Remove what was begun in DVC's run-cache and not filled, a moment ago or earlier; tell as above."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        place = Path(Repo(".").cache.legacy.path) / "runs"
    except DvcException as error:
        raise PipelineError(f"DVC does not know this folder ({error}); run from the project's root") from error
    dead = time.time() - 1  # DVC fills an entry within milliseconds
    removed = 0
    for entry in place.glob("*/*"):
        if entry.stat().st_mtime > dead:
            continue
        for left in entry.glob(".*.tmp"):
            left.unlink()
            removed += 1
        with suppress(OSError):  # it holds something
            entry.rmdir()
            removed += 1
    return f"{place}: {removed} entries that were begun and not filled are removed" if removed else ""


def tidy_outputs() -> str:
    """Remove what DVC began to copy beside the stages' outputs, a moment ago or earlier; tell as above."""
    dead = time.time() - 1  # what is being copied changes all the time
    left = [file for file in Path("data").rglob(f".{'?' * 22}.tmp") if file.stat().st_mtime < dead]
    for file in left:
        file.unlink()
    return f"data: {len(left)} files that DVC had begun to copy are removed" if left else ""


def _is_dvc(pid: int) -> bool:
    import psutil

    try:
        return any(Path(part).name.startswith("dvc") for part in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def recover() -> None:
    """Repair each of them, and print what was done."""
    for message in (mend_lock_file(), free_paths(), tidy_run_cache(), tidy_outputs()):
        if message:
            print(message)


def main(arguments: Sequence[str] | None = None) -> None:
    command.parser("recover", __doc__, example="").parse_args(arguments)
    recover()
