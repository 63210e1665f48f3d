"""Of several retrainings, on whatever machine, one runs at a time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.nightly import git
from helpers.project import ROOT, clean_environment

from pipeline.base.checkout import AlreadyRunningError
from pipeline.nightly import lock
from pipeline.nightly.lock import LOCK, remote_lock

SCRIPT = """
import time
from pipeline.nightly.lock import remote_lock
from pipeline.nightly.retrain import exit_on_sigterm
exit_on_sigterm()
with remote_lock(1.0):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def other_process() -> Iterator["subprocess.Popen[str]"]:
    """Another process, which holds the lock; it is killed at the end."""
    environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def held() -> str:
    """The commit that is the lock; empty if nobody holds it."""
    return git("ls-remote", "origin", LOCK).partition("\t")[0]


def pretend(monkeypatch: pytest.MonkeyPatch, *, seconds: float = 0.0) -> None:
    """Be another machine, whose clock is ahead."""
    monkeypatch.setattr(lock, "_machine", lambda: ("elsewhere", "1"))
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + seconds)


def test_lock_admits_one_process(checkout: Path) -> None:
    with other_process():
        with pytest.raises(AlreadyRunningError, match="minutes ago, is in progress"), remote_lock(1.0):
            raise AssertionError
        assert held()


def test_lock_expires_after_max_hours(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with other_process() as holder:
        with monkeypatch.context() as later:
            pretend(later, seconds=7_200)
            with remote_lock(1.0):
                pass
        with remote_lock(1.0):  # released
            ours = held()
            assert ours
            holder.terminate()
            assert holder.wait(30) == 143
            assert held() == ours  # a process releases only its own lock
    assert held() == ""


def test_lock_ignores_clock_wrong_by_years(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with other_process():
        before = held()
        pretend(monkeypatch, seconds=-10 * 365 * 86_400)
        with remote_lock(1.0):
            assert held() not in {"", before}


def test_lock_is_released_at_sigterm(checkout: Path) -> None:
    with other_process() as holder:
        holder.terminate()
        assert holder.wait(30) == 143
    assert held() == ""


def test_killed_holder_of_this_machine_is_noticed(checkout: Path) -> None:
    with other_process() as holder:
        holder.kill()
        holder.wait()
    assert held()
    with remote_lock(1.0):
        assert json.loads(git("log", "-1", "--format=%B", held()))["pid"] == os.getpid()
    assert held() == ""


def test_killed_holder_of_another_machine_is_not(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with other_process() as holder:
        holder.kill()
        holder.wait()
    pretend(monkeypatch)
    with pytest.raises(AlreadyRunningError, match="is in progress"), remote_lock(1.0):
        raise AssertionError


def test_lock_without_a_remote_does_nothing(checkout: Path) -> None:
    git("remote", "remove", "origin")
    entered = []
    with remote_lock(1.0), remote_lock(1.0):
        entered.append("both")
    assert entered == ["both"]
