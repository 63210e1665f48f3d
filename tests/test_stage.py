"""Stage: how a command ends that a person stops, or that finds a disk full."""

import pytest

from pipeline import stage
from pipeline.stage import PipelineError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (PipelineError("it is broken; mend it"), "x: it is broken; mend it", ""),
        (KeyboardInterrupt(), 130, "x: stopped\n"),
        (OSError(28, "No space left on device", "a.csv"), "x: a.csv cannot be used: No space left on device", ""),
    ],
)
def test_every_end_is_one_sentence(
    error: BaseException, status: object, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        stage.run("x", main)
    assert ended.value.code == status
    assert capsys.readouterr().err == said
