"""A process of its own: it gives back what it found, says what went wrong, and outlives nobody."""

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

from pipeline.base import process
from pipeline.base.errors import PipelineError


def fail(message: str) -> None:
    raise PipelineError(message)


def test_it_gives_back_what_the_function_returned_and_is_another_process() -> None:
    first, second = process.apart(os.getpid), process.apart(os.getpid)
    assert len({first, second, os.getpid()}) == 3
    assert process.apart(sorted, [3, 1, 2]) == [1, 2, 3]


def test_an_error_of_the_pipeline_is_raised_here() -> None:
    with pytest.raises(PipelineError, match=r"^train\.units is odd$"):
        process.apart(fail, "train.units is odd")


def test_a_process_that_dies_is_one_sentence_and_no_wait_without_end() -> None:
    with pytest.raises(PipelineError, match="ended with exit code 3;"):
        process.apart(os._exit, 3)


def test_one_that_dies_before_it_has_read_much_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(shutil.which("false") or "/bin/false"))
    with pytest.raises(PipelineError, match="ended with exit code 1;"):
        process.apart(len, bytes(10_000_000))


WAITING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
sys.path.insert(0, {tests!r})
from pipeline.base import process
from helpers.waiting import wait_and_tell
if __name__ == "__main__":
    process.apart(wait_and_tell, {told!r})
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_process_that_began_it(tmp_path: Path, sent: signal.Signals) -> None:
    told, script = tmp_path / "pid", tmp_path / "waiting.py"
    script.write_text(WAITING.format(tests=str(ROOT / "tests"), told=str(told)))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], env=environment, stderr=subprocess.PIPE, text=True) as parent:
        deadline = time.monotonic() + 60
        while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        child = int(told.read_text())
        parent.send_signal(sent)
        assert parent.wait(timeout=30) == -sent if sent == signal.SIGKILL else parent.wait(timeout=30) != 0
        while time.monotonic() < deadline:
            try:
                os.kill(child, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        pytest.fail("the child outlived its parent")
