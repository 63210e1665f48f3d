"""Lock in the git remote: one retraining at a time, on whatever machine.

The git remote is the only place that all machines are certain to share. The lock is a commit under a ref of its own,
which git replaces only for a client that knows its previous value.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..base.checkout import AlreadyRunningError
from ..base.errors import PipelineError
from ..base.versioning import git, identity, remote

LOCK = "refs/retrain/lock"


@contextmanager
def remote_lock(max_hours: float) -> Iterator[None]:
    """Hold the lock in the git remote; without a remote, do nothing.

    Parameters
    ----------
    max_hours : float
        Age after which a lock counts as left by a killed process. A dead process of this machine is noticed at once.

    Raises
    ------
    AlreadyRunningError
        Another process holds it.
    """
    if not remote():
        yield
        return
    before = _current()
    if before:
        _refuse_if_alive(_holder(before), max_hours)
    ours = _take(before)
    try:
        yield
    finally:
        with suppress(PipelineError):  # another process took it over after max_hours
            git("push", "--quiet", f"--force-with-lease={LOCK}:{ours}", remote(), f":{LOCK}")


def _current() -> str:
    """Return the commit that is the lock now; empty if nobody holds it."""
    return git("ls-remote", remote(), LOCK).partition("\t")[0]


def _holder(commit: str) -> dict[str, Any]:
    """Return who holds the lock: host, boot, pid and started."""
    try:
        git("fetch", "--quiet", remote(), LOCK)
    except PipelineError as error:
        if _current() == commit:
            raise
        raise AlreadyRunningError("another retraining ended a moment ago; start this one again") from error
    holder: dict[str, Any] = json.loads(git("log", "-1", "--format=%B", commit))
    return holder


def _refuse_if_alive(holder: dict[str, Any], max_hours: float) -> None:
    hours = (time.time() - holder["started"]) / 3600  # clocks differ: a little below 0 is possible, far below is wrong
    if -1 < hours < max_hours and not _is_dead(holder):
        raise AlreadyRunningError(
            f"a retraining on {holder['host']}, started {60 * hours:.0f} minutes ago, is in progress"
        )


def _take(before: str) -> str:
    """Replace the lock `before`, empty for none, by a lock of this process; return its commit."""
    host, boot = _machine()
    holder = {"host": host, "boot": boot, "pid": os.getpid(), "started": time.time()}
    ours = git(*identity(), "commit-tree", git("mktree"), "-m", json.dumps(holder))
    try:
        git("push", "--quiet", f"--force-with-lease={LOCK}:{before}", remote(), f"{ours}:{LOCK}")
    except PipelineError as error:
        if _current() in {"", before}:
            raise  # nobody else took it: the remote refused the push
        raise AlreadyRunningError("another retraining started a moment ago") from error
    return ours


def _machine() -> tuple[str, str]:
    """Return this machine's name and boot time: containers may share names and process numbers."""
    import psutil

    return socket.gethostname(), str(int(psutil.boot_time()))


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    import psutil

    if (holder["host"], holder["boot"]) != _machine():
        return False
    try:
        process = psutil.Process(int(holder["pid"]))
        return bool(process.create_time() > float(holder["started"]))
    except psutil.NoSuchProcess:
        return True
