"""Recover: mend what a kill may have left of the two files that DVC writes in place, before `dvc repro`.

DVC forgives a kill at any other moment by itself; a torn `dvc.lock`, or a list of paths in use that is torn or names a
number that another process has by now, it refuses.
"""

import json
import subprocess
from pathlib import Path

from . import stage
from .files import atomic, read_yaml
from .revision import DVC_LOCK
from .stage import PipelineError

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


def _is_dvc(pid: int) -> bool:
    import psutil

    try:
        return any(Path(part).name.startswith("dvc") for part in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def main() -> None:
    for said in (mend_lock_file(), free_paths()):
        if said:
            print(said)


if __name__ == "__main__":
    stage.run("recover", main)
