"""HTML pages in one style. A page needs no network, no script and no other file."""

import base64
import itertools
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.files import write_text

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it.token import Token

PAGE_TEMPLATES = Path(__file__).parent / "templates"
KEEP_TOGETHER = re.compile(r"(?<=\[)(-?[\d.]+,) (?=-?[\d.]+\])| (?=%)")  # the spaces in "[0.1, 0.2]" and "80 %"


def fill(template: str, **values: Any) -> str:
    """Fill a file of `templates/`; values are escaped unless the file says otherwise.

    >>> "<title>a &lt;b&gt;</title>" in fill("base.html", title="a <b>")
    True
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(PAGE_TEMPLATES), autoescape=True, trim_blocks=True, undefined=StrictUndefined
    )


def html(markdown: str, folder: Path) -> str:
    """Convert Markdown to a page with its style and pictures inside.

    Parameters
    ----------
    markdown : str
        CommonMark with tables; HTML in it is shown as text. It begins with a heading, which becomes the title; the
        second-level headings become the links at the top.
    folder : Path
        Folder that the paths of its pictures (PNG files) are relative to.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(markdown)
    links = []
    for token, content in itertools.pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            anchor = re.sub(r"\W+", "-", content.content.lower())
            token.attrs["id"] = anchor
            links.append((anchor, content.content))
        for child in content.children or []:
            child.content = re.sub(KEEP_TOGETHER, "\\1\u00a0", child.content)
            if child.type == "image":
                _embed(child, folder)
    heading, body = parser.renderer.render(tokens, parser.options, {}).split("</h1>\n", 1)
    title = "".join(child.content for child in tokens[1].children or [])
    return fill("markdown.html", title=title, heading=f"{heading}</h1>", links=links, body=body)


def _embed(image: "Token", folder: Path) -> None:
    """Put the content of a PNG file into the page; of another file, nothing."""
    source = (folder / str(image.attrs["src"])).resolve()
    content = source.read_bytes() if source.suffix == ".png" else b""
    image.attrs["src"] = f"data:image/png;base64,{base64.b64encode(content).decode()}"


def write(folder: Path, name: str, markdown: str) -> list[Path]:
    """Write Markdown to `folder` as `<name>.md` and as the page `<name>.html`; return both paths."""
    contents = {folder / f"{name}.md": markdown, folder / f"{name}.html": html(markdown, folder)}
    for path, content in contents.items():
        write_text(path, content)
    return list(contents)
