"""Document: a Markdown text as one HTML page that needs no network, no script and no other file."""

import base64
import itertools
import re
from html import escape
from pathlib import Path

from ..base.files import write_text

TOGETHER = re.compile(r"(?<=\[)(-?[\d.]+,) (?=-?[\d.]+\])| (?=%)")  # intervals and percentages stay on one line
HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
"""
LAYOUT = """\
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, ul { margin: .6rem 0; max-width: 48rem; overflow-wrap: anywhere; }
ul { padding-left: 1.3rem; }
li { margin: .3rem 0; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0; font-size: .9rem; }
a { color: var(--bar); }
.table {
  margin: .75rem 0; overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
table { width: 100%; border-collapse: collapse; }
th, td { padding: .45rem .75rem; text-align: left; vertical-align: top; unicode-bidi: plaintext; }
th { color: var(--soft); font-size: .85rem; font-weight: 600; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { min-width: 7rem; max-width: 22rem; overflow-wrap: anywhere; }
td[style] { font-variant-numeric: tabular-nums; }
tbody tr + tr { border-top: 1px solid var(--line); }
thead:not(:has(th:not(:empty))) { display: none; }
code { font: .9em ui-monospace, "SF Mono", Consolas, monospace; overflow-wrap: anywhere; }
pre {
  margin: .75rem 0; padding: .75rem 1rem; overflow-x: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: 10px;
}
img { display: block; max-width: 100%; height: auto; border-radius: 10px; background: #fff; }
@media (max-width: 640px) {
  body { padding: 1rem .75rem; font-size: 15px; }
  table { font-size: .85rem; }
  th, td { padding: .35rem .4rem; }
  th:first-child, td:first-child { min-width: 6.25rem; position: sticky; left: 0; background: var(--card); }
}
@media print {
  :root { --page: #fff; --card: #fff; --text: #000; --soft: #444; --line: #ccc; --bar: #000; color-scheme: light; }
  body { padding: 0; font-size: 10pt; }
  nav { display: none; }
  .table, pre { overflow: visible; border-radius: 0; }
  pre { white-space: pre-wrap; }
  tr, img, pre { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""


def html(markdown: str, folder: Path) -> str:
    """The page of a Markdown text, with its style and its pictures inside.

    Parameters
    ----------
    markdown : str
        CommonMark with tables; HTML in it is shown as text. Its first heading is the title; those of the second level
        become the links above.
    folder : Path
        Where its pictures, PNG files, are looked for.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(markdown)
    links = []
    for token, inside in itertools.pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            name = re.sub(r"\W+", "-", inside.content.lower())
            token.attrs["id"] = name
            links.append(f'<a href="#{name}">{escape(inside.content)}</a>')
        for child in inside.children or []:
            child.content = re.sub(TOGETHER, "\\1\u00a0", child.content)
            if child.type == "image":
                source = (folder / str(child.attrs["src"])).resolve()
                content = base64.b64encode(source.read_bytes() if source.suffix == ".png" else b"").decode()
                child.attrs["src"] = f"data:image/png;base64,{content}"
    heading, rest = parser.renderer.render(tokens, parser.options, {}).split("</h1>\n", 1)
    title = escape("".join(child.content for child in tokens[1].children or []))
    return (
        f"{HEAD}<title>{title}</title>\n<style>\n{STYLE}{LAYOUT}</style>\n</head>\n<body>\n<main>\n{heading}</h1>\n"
        f'<nav aria-label="Sections">{" ".join(links)}</nav>\n{rest}</main>\n</body>\n</html>\n'
    )


def write(folder: Path, name: str, markdown: str) -> list[Path]:
    """Write a Markdown text into `folder`, also as a page; give the two files, `name` with `.md` and `.html`."""
    contents = {folder / f"{name}.md": markdown, folder / f"{name}.html": html(markdown, folder)}
    for path, content in contents.items():
        write_text(path, content)
    return list(contents)


STYLE = """\
:root {
  --page: #f5f6f8; --card: #fff; --text: #1c2330; --soft: #5b6473; --line: #e2e5ea; --bar: #1f5f99;
  --pass: #17683a; --pass-back: #e0f3e7; --warn: #7d4e00; --warn-back: #fdefcf; --stop: #a4191f; --stop-back: #fde4e4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1b2129; --text: #e6e9ee; --soft: #9aa4b2; --line: #2e3641; --bar: #5a9bd5;
    --pass: #7fd6a0; --pass-back: #16321f; --warn: #f2c265; --warn-back: #3a2b0c; --stop: #ff9c9c; --stop-back: #421a1c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 2rem 1rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "PingFang SC",
    "Microsoft YaHei", sans-serif;
}
main { max-width: 62rem; margin: 0 auto; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .75rem; }
"""  # of every page of the project
