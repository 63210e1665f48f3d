"""Commands end in one sentence and an exit status, whatever stops them."""

import subprocess
import sys

import pytest
from helpers.project import ROOT

from pipeline.base import command
from pipeline.base.errors import PipelineError


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        (PipelineError("it is broken; repair it"), "x: it is broken; repair it", ""),
        (KeyboardInterrupt(), 130, "x: stopped\n"),
        (OSError(28, "No space left on device", "a.csv"), "x: cannot use a.csv: No space left on device", ""),
    ],
)
def test_errors_end_in_one_sentence(
    error: BaseException, status: object, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        command.run("x", main)
    assert ended.value.code == status
    assert capsys.readouterr().err == printed


def test_characters_that_the_terminal_lacks_are_escaped() -> None:
    code = "from pipeline.base import command; command.run('x', lambda: print('喜悦'))"
    command = [sys.executable, "-X", "utf8=0", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, rb"\u559c\u60a6" + b"\n"), done.stderr
