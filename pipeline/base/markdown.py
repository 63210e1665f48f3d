"""Markdown: the parts of a report as text (CommonMark with tables), without HTML."""

import re
from collections.abc import Iterable, Sequence

NAME_LENGTH = 60  # characters of a name from the data that are shown
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$!#@:]")
_PIPE = re.compile(r"(?<!\\)\|")


def escaped(text: str) -> str:
    """Text on one line that Markdown takes for nothing else."""
    return re.sub(_SPECIAL, r"\\\g<0>", " ".join(text.split()))


def named(name: str) -> str:
    """A name from the data, escaped, the middle of a long one left out."""
    name = " ".join(name.split())
    return escaped(name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 11]}…{name[-10:]}")


def pipe_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: int = 0) -> str:
    """A table, its last `right` columns set to the right; a bare `|` breaks no cell."""
    rules = ["---"] * (len(header) - right) + ["---:"] * right
    lines = ((re.sub(_PIPE, r"\\|", cell) for cell in line) for line in (header, rules, *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(points: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {point}" for point in points)


def fenced(text: str, language: str) -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```"
