"""How a stage ends: in success, or in one clear sentence."""

import io
import sys
from collections.abc import Callable

LONGEST_NAME = 60  # characters of a column's or class's name that messages show: a longer one may be a text


class PipelineError(Exception):
    """What was wrong, where (file, row, column, parameter), and what to do: one sentence for the user.

    Parameters
    ----------
    sentence : str
        For the user, at a terminal.
    kept : str
        For what is kept, where the sentence quotes cells of a file, which may be texts; empty for the same.
    """

    def __init__(self, sentence: str, kept: str = "") -> None:
        super().__init__(sentence)
        self.kept = kept or sentence


def shown(name: str) -> str:
    """A name from the user's data as messages and reports show it: not where it is so long that it may be a text."""
    return name if len(name) <= LONGEST_NAME else f"(a name of {len(name):,} characters)"


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`; turn what a person can mend into a sentence on standard error and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # which a test's is not
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks ends nothing
    try:
        main()
    except PipelineError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        sys.exit(130)  # as shells say of what Ctrl-C ends
    except OSError as error:  # a full disk, a folder that may not be written
        sys.exit(f"{name}: {error.filename or 'a file'} cannot be used: {error.strerror or error}")
