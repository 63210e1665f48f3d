"""How a stage ends: in success, or in one clear sentence."""

import sys
from collections.abc import Callable


class PipelineError(Exception):
    """What was wrong, where (file, row, column, parameter), and what to do: one sentence for the user."""


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`; turn a `PipelineError` into its sentence on standard error and exit status 1."""
    try:
        main()
    except PipelineError as error:
        sys.exit(f"{name}: {error}")
