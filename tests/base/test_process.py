"""Worker processes: results and errors come back, an early exit is reported, and no worker outlives its parent."""

import multiprocessing.spawn
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.project import ROOT

from pipeline.base.errors import PipelineError
from pipeline.base.process import run_in_process, worker_pool


def fail(message: str, kept: str) -> None:
    raise PipelineError(message, kept)


def set_variable(value: str) -> None:
    os.environ["WORKER_TEST"] = value


def end_by(sent: signal.Signals) -> None:
    os.kill(os.getpid(), sent)


def test_each_call_runs_in_a_new_process() -> None:
    first, second = run_in_process(os.getpid), run_in_process(os.getpid)
    assert len({first, second, os.getpid()}) == 3
    assert run_in_process(sorted, [3, 1, 2]) == [1, 2, 3]


def test_errors_of_the_function_are_raised_in_the_parent() -> None:
    with pytest.raises(PipelineError, match=r"^train\.units is odd$") as error:
        run_in_process(fail, "train.units is odd", "for files")
    assert error.value.redacted == "for files"
    with pytest.raises(ZeroDivisionError):
        run_in_process(divmod, 1, 0)


def test_early_exit_is_reported_with_its_code() -> None:
    with pytest.raises(PipelineError, match="worker process exited with code 3;"):
        run_in_process(os._exit, 3)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_end_by_signal_is_reported_with_its_name(sent: signal.Signals) -> None:
    with pytest.raises(PipelineError, match=f"worker process was ended by {sent.name}"):
        run_in_process(end_by, sent)


def test_process_that_never_starts_does_not_block_large_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(shutil.which("false") or "/bin/false"))
    with pytest.raises(PipelineError, match="worker process exited with code 1;"):
        run_in_process(len, bytes(10_000_000))


def test_pool_initialises_its_workers_and_reports_one_that_exits() -> None:
    with worker_pool(2, set_variable, "a") as pool:
        assert list(pool.map(os.getenv, ["WORKER_TEST"] * 4)) == ["a"] * 4

    def lose_one_of_two() -> None:
        with worker_pool(2) as pool:
            for future in [pool.submit(time.sleep, 1), pool.submit(os._exit, 9)]:
                future.result()

    with pytest.raises(PipelineError, match="worker process exited with code 9;"):
        lose_one_of_two()


def test_error_in_the_block_ends_busy_workers() -> None:
    def fail_while_one_works() -> None:
        with worker_pool(1) as pool:
            pool.submit(time.sleep, 600)
            raise KeyError

    started = time.monotonic()
    with pytest.raises(KeyError):
        fail_while_one_works()
    assert time.monotonic() - started < 60


WAITING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
sys.path.insert(0, {tests!r})
from pipeline.base import command, process
from helpers.waiting import wait_and_tell
if __name__ == "__main__":
    command.run("x", lambda: process.run_in_process(wait_and_tell, {pid_file!r}))
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_worker_ends_with_its_parent(tmp_path: Path, sent: signal.Signals, status: int) -> None:
    pid_file, script = tmp_path / "pid", tmp_path / "waiting.py"
    script.write_text(WAITING.format(tests=str(ROOT / "tests"), pid_file=str(pid_file)))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], env=environment, stderr=subprocess.PIPE, text=True) as parent:
        deadline = time.monotonic() + 60
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        worker = int(pid_file.read_text())
        parent.send_signal(sent)
        assert parent.wait(timeout=30) == status
        assert parent.stderr is not None
        if sent == signal.SIGINT:  # after a kill, Python reports the semaphores that it frees
            assert parent.stderr.read() == "x: stopped\n"
        while time.monotonic() < deadline:
            try:
                os.kill(worker, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        pytest.fail("the worker outlived its parent")
