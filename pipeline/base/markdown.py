"""Build reports in Markdown (CommonMark with tables), without HTML."""

import re
from collections.abc import Iterable, Sequence

NAME_LENGTH = 60  # characters of a name from the data that are shown
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$!#@:]")
_PIPE = re.compile(r"(?<!\\)\|")


def escaped(text: str) -> str:
    r"""Return a text on one line, its Markdown characters escaped.

    >>> print(escaped("a *b*"))
    a \*b\*
    """
    return re.sub(_SPECIAL, r"\\\g<0>", " ".join(text.split()))


def named(name: str) -> str:
    """Return a name from the data, escaped, without the middle of a long one."""
    name = " ".join(name.split())
    return escaped(name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 11]}…{name[-10:]}")


def pipe_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: int = 0) -> str:
    """Return a table with its last `right` columns aligned to the right; a bare `|` in a cell is escaped.

    >>> print(pipe_table(["class", "rows"], [["joy", "12"]], right=1))
    | class | rows |
    | --- | ---: |
    | joy | 12 |
    """
    alignment = ["---"] * (len(header) - right) + ["---:"] * right
    lines = ((re.sub(_PIPE, r"\\|", cell) for cell in line) for line in (header, alignment, *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(points: Iterable[str]) -> str:
    """Return a bulleted list."""
    return "\n".join(f"- {point}" for point in points)


def fenced(text: str, language: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"
