"""Markdown: whatever stands in a cell or a name, the page shows it as it is."""

from html import escape
from pathlib import Path

import pytest

from pipeline.base.markdown import NAME_LENGTH, bullets, escaped, fenced, named, pipe_table
from pipeline.reports.page import html

HOSTILE = ["a|b", "*not bold*", "<b>x</b>", "`code`", "[a](http://b.example)", "~~x~~", "a\\|b", "![x](y.png)", "_it_"]


def page(*blocks: str) -> str:
    return html("\n\n".join(["# Title", *blocks]), Path())


@pytest.mark.parametrize("text", HOSTILE)
def test_an_escaped_text_is_nothing_but_text_in_a_cell_and_in_a_list(text: str) -> None:
    written = page(pipe_table(["name", "rows"], [[escaped(text), "1"]], right=1), bullets([escaped(text)]))
    assert f'<td>{escape(text)}</td>\n<td style="text-align:right">1</td>' in written
    assert f"<li>{escape(text)}</li>" in written


def test_markup_in_a_cell_works_and_a_bare_pipe_breaks_none() -> None:
    lines = pipe_table(["a", "b"], [["**1|2**", "3"], ["", "`x`"]]).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", "| **1\\|2** | 3 |", "|  | `x` |"]
    assert "<td><strong>1|2</strong></td>\n<td>3</td>" in page("\n".join(lines))


def test_a_name_is_one_line_of_at_most_so_many_characters() -> None:
    assert named("a\n b") == "a b"
    assert named("x" * NAME_LENGTH) == "x" * NAME_LENGTH
    assert named("x" * 500 + "the end...") == "x" * (NAME_LENGTH - 11) + "…the end..."


def test_code_stays_as_it_is() -> None:
    assert '<code class="language-sh">a | b *c*\n</code>' in page(fenced("a | b *c*", "sh"))
