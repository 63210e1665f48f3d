"""HTML pages from Markdown."""

import base64
from pathlib import Path

from pipeline.reports.page import fill, html


def test_html_is_shown_as_text() -> None:
    content = html("# a <b>\n\n<script>x</script>\n\n## c <i>\n", Path())
    assert "<title>a &lt;b&gt;</title>" in content
    assert "<h1>a &lt;b&gt;</h1>" in content
    assert ">c &lt;i&gt;</a>" in content
    assert "<script" not in content


def test_intervals_and_percentages_stay_on_one_line() -> None:
    content = html("# a\n\n0.5 [-0.1, 0.2] of 80 %, [1, a]\n", Path())
    assert "<p>0.5 [-0.1,\u00a00.2] of 80\u00a0%, [1, a]</p>" in content


def test_sections_are_linked() -> None:
    assert '<a href="#the-gate">The gate</a>' in html("# a\n\n## The gate\n", Path())
    assert "<nav" not in html("# a\n\n### b\n", Path())


def test_only_pictures_are_embedded(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "a.png").write_bytes(b"picture")
    page = html("# Title\n\n![x](secret.txt) ![y](a.png)\n", tmp_path)
    assert base64.b64encode(b"picture").decode() in page
    assert base64.b64encode(b"secret").decode() not in page


def test_templates_escape_values() -> None:
    assert "<title>&lt;b&gt;</title>" in fill("base.html", title="<b>")
