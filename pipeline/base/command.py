"""How a command starts and ends: at the root, with `--help`; in success, or in one clear sentence."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from .errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]  # where the package lies: all paths of the project start there
_caller = Path()  # the folder that the command was started in, relative to the current one


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`; turn what a person can repair into a sentence on standard error and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a test replaces them by others
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no failure
    try:
        main()
    except PipelineError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        sys.exit(130)  # the shells' status of a command that Ctrl-C ends
    except OSError as error:  # a full disk, a folder without write permission
        sys.exit(f"{name}: cannot use {error.filename or 'a file'}: {error.strerror or error}")


def run_stage(name: str, description: str | None, main: Callable[[], None]) -> None:
    """Run a stage, which has no options: its settings are in `params.yaml`."""
    options = argparse.ArgumentParser(
        prog=f"python -m pipeline.{name}",
        description=summary(description),
        epilog=f"Settings: section {name} of params.yaml. Example: dvc repro {name}",
    )
    options.parse_args()
    enter_root()
    run(name, main)


def parser(name: str, description: str | None, *, example: str, epilog: str = "") -> argparse.ArgumentParser:
    """Return the argument parser of a command.

    Parameters
    ----------
    name : str
        The command's name.
    description : str
        What it does: the first sentence of the module's docstring.
    example : str
        Arguments that someone might give it.
    epilog : str
        What else to know, such as exit statuses.
    """
    return argparse.ArgumentParser(
        prog=f"python -m pipeline {name}",
        description=summary(description),
        epilog=f"{epilog}\n\nexample: python -m pipeline {name} {example}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def summary(docstring: str | None) -> str:
    r"""Return the first paragraph of a docstring without the title before its colon.

    >>> summary("Predict: label the texts of a table.\n\nMore.")
    'Label the texts of a table.'
    """
    first = " ".join((docstring or "").partition("\n\n")[0].split())
    title, colon, rest = first.partition(": ")
    text = rest if colon and len(title.split()) <= 3 else first
    return text[:1].upper() + text[1:]


def path(text: str) -> Path:
    """Return a path that the user named, relative to the folder that the command was started in."""
    return _caller / text if text else Path()


def file(text: str) -> str:
    """Return a file that the user named, as in `path`; "-" stays, for standard input or output."""
    return text if text == "-" else str(path(text))


def model(text: str) -> str:
    """Return a model that the user named: a folder where there is one so called, else an alias or version."""
    return str(_caller / text) if (_caller / text).is_dir() else text


def enter_root() -> None:
    """Go to the root, wherever the command was started; `path` remembers from where."""
    global _caller  # noqa: PLW0603
    here = Path.cwd()
    if here != ROOT:
        _caller = here
        os.chdir(ROOT)
