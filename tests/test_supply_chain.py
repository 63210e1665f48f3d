"""Supply chain: every locked package is pinned by hashes, and no rule against unsafe calls is switched off."""

import re
import tomllib

import pytest
from helpers.project import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-serve.lock", "requirements-storage.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / name).read_text(encoding="utf-8").strip())
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._\[\]-]+==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_linter_refuses_unsafe_calls() -> None:
    """Its rules S find pickle, yaml.load, eval, exec, shell=True and os.system; `make lint` runs them."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert {rule for rule in lint["ignore"] if rule.startswith("S")} == {"S603", "S607"}
    for file in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"noqa: ?S(?!IM)\d|^import pickle|allow_pickle=True|os\.system", source, re.M), file.name
