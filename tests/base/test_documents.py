"""Documents agree with the code: commands, rooms, links and make targets."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.project import ROOT, clean_environment

from pipeline.__main__ import COMMANDS, about

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
ROOMS = [folder.parent.name for folder in (ROOT / "pipeline").glob("*/__init__.py")]
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text)


def anchors(document: Path) -> set[str]:
    """Return the names by which GitHub links to a document's headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", without_code(document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_lists_the_commands() -> None:
    rows = [f"| `{name}` | {about(module)} |" for name, module in COMMANDS.items()]
    block = README.partition("<!-- commands:")[2].partition("<!-- end of commands -->")[0]
    table = block.splitlines()[3:]  # after the comment, the header and the rule
    assert table == rows, "replace the table in README.md by\n" + "\n".join(rows)


def test_readme_and_architecture_name_every_room() -> None:
    architecture = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for room in ROOMS:
        assert f"| `{room}/` |" in README
        assert room in architecture


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    for path, anchor in LINK.findall(without_code(document.read_text(encoding="utf-8"))):
        target = document.parent / path if path else document
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_lists_every_target(tmp_path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert "repro" in targets
    make = ["make", "--no-print-directory", "-C", str(ROOT)]
    done = subprocess.run(make, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=True)
    assert set(re.findall(r"(?m)^  ([a-z-]+) +\S", done.stdout)) == targets
