"""Run commands: at the project's root, with `--help`, and with one sentence for an error that the user can fix."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]  # the folder that contains the package: all paths of the project start there
_start_folder = Path()  # the folder that the command was started in, or the current one


def run(name: str, main: Callable[[], None]) -> None:
    """Call `main`; report an error that the user can fix as one sentence on standard error, with exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # pytest replaces them by other streams
            stream.reconfigure(errors="backslashreplace")  # not an error: a name that the terminal cannot show
    try:
        main()
    except PipelineError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        sys.exit(130)  # the exit status by which shells report Ctrl-C
    except OSError as error:  # a full disk, a folder without write permission
        sys.exit(f"{name}: cannot use {error.filename or 'a file'}: {error.strerror or error}")


def run_stage(name: str, description: str | None, main: Callable[[], None]) -> None:
    """Run a stage, which has no options except `--help`: its settings are in `params.yaml`."""
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
        The module's docstring; its first paragraph says what the command does.
    example : str
        Typical arguments.
    epilog : str
        More to know, such as exit statuses.
    """
    return argparse.ArgumentParser(
        prog=f"python -m pipeline {name}",
        description=summary(description),
        epilog=f"{epilog}\n\nexample: python -m pipeline {name} {example}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def summary(docstring: str | None) -> str:
    r"""Return the first paragraph of a docstring, without a title of up to three words before a colon.

    >>> summary("Predict: label the texts of a table.\n\nMore.")
    'Label the texts of a table.'
    """
    first = " ".join((docstring or "").partition("\n\n")[0].split())
    title, colon, rest = first.partition(": ")
    text = rest if colon and len(title.split()) <= 3 else first
    return text[:1].upper() + text[1:]


def path(text: str) -> Path:
    """Resolve a path argument against the folder that the command was started in."""
    return _start_folder / text if text else Path()


def file(text: str) -> str:
    """Resolve a file argument as `path` does; "-" stays, for standard input or output."""
    return text if text == "-" else str(path(text))


def model(text: str) -> str:
    """Resolve a model argument: the path of a folder, if there is one of that name, otherwise an alias or version."""
    return str(_start_folder / text) if (_start_folder / text).is_dir() else text


def enter_root() -> None:
    """Change to the root; `path` and `file` resolve arguments against the folder before."""
    global _start_folder  # noqa: PLW0603
    here = Path.cwd()
    if here != ROOT:
        _start_folder = here
        os.chdir(ROOT)


def column_number(text: str) -> int:
    """Return the number of a column of a file without header, from 1.

    >>> column_number("2")
    2
    """
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise PipelineError("--no-header needs numbers of columns, from 1, such as --text-column 2")
    return int(text)


def check_columns(columns: Sequence[str | int], *, no_header: bool) -> None:
    """Check that columns are all names, or all numbers of a file without header; some may be those of training.

    >>> check_columns(["review", 2], no_header=False)
    Traceback (most recent call last):
        ...
    pipeline.base.errors.PipelineError: columns must be all names, or with --no-header all numbers, got 'review', 2
    """
    kinds = {type(column) for column in columns}
    if len(kinds) > 1 or (no_header and kinds != {int}):
        listed = ", ".join(map(repr, columns))
        raise PipelineError(f"columns must be all names, or with --no-header all numbers, got {listed}")
