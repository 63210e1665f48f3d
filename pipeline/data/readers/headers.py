"""The columns that a table has, and those that are wanted."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...base.errors import PipelineError, display_name

ColumnKey = str | int  # the name of a column, or its number, from 1, in a CSV without header


def check_columns(names: Sequence[ColumnKey], columns: Sequence[ColumnKey], file: Path | str, advice: str = "") -> None:
    """Refuse a table that lacks a column or has it twice.

    Parameters
    ----------
    names : sequence of str
        The columns of the table.
    columns : sequence of str
        Those wanted.
    file : Path or str
        For messages.
    advice : str
        What to do where one is missing.

    Examples
    --------
    >>> check_columns(["Text"], ["text"], "a.jsonl", "set --text-column")
    Traceback (most recent call last):
        ...
    pipeline.base.errors.PipelineError: a.jsonl has no column 'text'; did you mean 'Text'? set --text-column
    """
    for column in columns:
        count = list(names).count(column)
        if count > 1:
            raise PipelineError(f"{file} has the column {column!r} {count} times; rename or remove one")
        if not count and isinstance(column, int):
            raise PipelineError(
                f"{file} has no column {column} by number: only a CSV or TSV without header has; give the column's name"
            )
        if not count:
            close = difflib.get_close_matches(str(column), list(map(str, names)), n=1)
            listed = ", ".join(repr(display_name(str(name))) for name in names[:20])
            suggestion = f"did you mean {close[0]!r}?" if close else f"it has {listed}"
            separator = " " if close else "; "
            absent = f"{file} has no column {column!r}"
            sentence = f"{absent}; {suggestion}{separator + advice if advice else ''}"
            raise PipelineError(sentence, f"{absent} among its {len(names)}")


def check_stream_columns(names: Sequence[ColumnKey], columns: Mapping[str, ColumnKey], file: str) -> None:
    """Refuse a table that lacks a column of `columns`, which holds names by modality, such as "text" or "text 2"."""
    for kind, column in columns.items():
        name = kind.partition(" ")[0]
        option = "--text-column" if name == "text" else f"--column {name}=COLUMN"
        advice = f"set {option}" + (" or --delimiter" if len(names) == 1 else "")
        check_columns(names, [column], file, advice)


def check_added(names: Sequence[str], added: Sequence[str], file: str) -> None:
    """Refuse a table that already has a column of the name of one that is added."""
    for column in added:
        if column in names:
            raise PipelineError(f"{file} already has the column {column!r}; rename or remove it")
