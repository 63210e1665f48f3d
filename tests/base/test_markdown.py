"""Markdown shows every text as it is, in cells, lists and code."""

from html import escape
from pathlib import Path

import pytest

from pipeline.base.markdown import NAME_LENGTH, bullets, escaped, fenced, named, pipe_table
from pipeline.reports.page import html

HOSTILE = ["a|b", "*not bold*", "<b>x</b>", "`code`", "[a](http://b.example)", "~~x~~", "a\\|b", "![x](y.png)", "_it_"]


def page(*blocks: str) -> str:
    return html("\n\n".join(["# Title", *blocks]), Path())


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    written = page(pipe_table(["name", "rows"], [[escaped(text), "1"]], right=1), bullets([escaped(text)]))
    assert f'<td>{escape(text)}</td>\n<td style="text-align:right">1</td>' in written
    assert f"<li>{escape(text)}</li>" in written


def test_cells_may_have_markup_and_bare_pipes() -> None:
    lines = pipe_table(["a", "b"], [["**1|2**", "3"], ["", "`x`"]]).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", "| **1\\|2** | 3 |", "|  | `x` |"]
    assert "<td><strong>1|2</strong></td>\n<td>3</td>" in page("\n".join(lines))


def test_long_names_are_shortened() -> None:
    assert named("a\n b") == "a b"
    assert named("x" * NAME_LENGTH) == "x" * NAME_LENGTH
    assert named("x" * 500 + "the end...") == "x" * (NAME_LENGTH - 11) + "…the end..."


def test_code_is_not_escaped() -> None:
    assert '<code class="language-sh">a | b *c*\n</code>' in page(fenced("a | b *c*", "sh"))
