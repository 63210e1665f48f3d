"""Lock."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..base.checkout import BusyError
from ..base.errors import PipelineError
from ..base.versioning import git, identity, remote

LOCK = "refs/retrain/lock"


@contextmanager
def alone(max_hours: float) -> Iterator[None]:
    """Hold the git remote's lock, or leave.

    Parameters
    ----------
    max_hours : float
        After which another's lock counts as left by a killed process. One of this machine is seen to be dead at once.

    Raises
    ------
    BusyError
        Another one holds it.
    """
    if not remote():
        yield
        return
    host, boot = _machine()
    holder = {"host": host, "boot": boot, "pid": os.getpid(), "started": time.time()}
    before = git("ls-remote", remote(), LOCK).partition("\t")[0]
    if before:
        try:
            git("fetch", "--quiet", remote(), LOCK)
        except PipelineError as error:
            if git("ls-remote", remote(), LOCK).partition("\t")[0] == before:
                raise
            raise BusyError("another retraining ended a moment ago: start this one again") from error
        other = json.loads(git("log", "-1", "--format=%B", before))
        hours = (time.time() - other["started"]) / 3600  # below 0 by another machine's clock; far below, it is wrong
        if -1 < hours < max_hours and not _is_dead(other):
            raise BusyError(f"a retraining on {other['host']} began {60 * hours:.0f} minutes ago and goes on")
    ours = git(*identity(), "commit-tree", git("mktree"), "-m", json.dumps(holder))
    try:
        git("push", "--quiet", f"--force-with-lease={LOCK}:{before}", remote(), f"{ours}:{LOCK}")
    except PipelineError as error:
        if git("ls-remote", remote(), LOCK).partition("\t")[0] in {"", before}:
            raise  # nobody took it: the remote refused
        raise BusyError("another retraining began a moment ago") from error
    try:
        yield
    finally:
        with suppress(PipelineError):  # gone where this took longer than max_hours
            git("push", "--quiet", f"--force-with-lease={LOCK}:{ours}", remote(), f":{LOCK}")


def _machine() -> tuple[str, str]:
    """This machine: its name, and when it started, because containers may share names and numbers of processes."""
    import psutil

    return socket.gethostname(), str(int(psutil.boot_time()))


def _is_dead(holder: dict[str, object]) -> bool:
    import psutil

    if (holder["host"], holder["boot"]) != _machine():
        return False
    try:
        process = psutil.Process(int(str(holder["pid"])))
        return bool(process.create_time() > float(str(holder["started"])))
    except psutil.NoSuchProcess:
        return True
