"""Check `params.yaml`, and that the files named in it exist."""

from collections.abc import Sequence
from pathlib import Path

from ..base import command, params
from ..base.errors import PipelineError
from ..data.settings import Ingest


def main(arguments: Sequence[str] | None = None) -> None:
    command.parser("params", __doc__, example="").parse_args(arguments)
    settings = params.load(Ingest)  # checks all sections
    for key in ("path", "test_path"):
        if not Path(getattr(settings, key)).exists():
            raise PipelineError(
                f"{params.PARAMS_FILE}: ingest.{key} is {getattr(settings, key)}, which does not exist; "
                "correct the path"
            )
