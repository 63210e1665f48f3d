"""Commands: each tells its options by --help, and the entry points of MLproject call them as they are."""

import argparse
import re
import runpy
import shlex
import sys
from typing import Any

import pytest
from conftest import ROOT

from pipeline.files import read_yaml

COMMANDS = (
    "ablate",
    "adapt",
    "card",
    "compare",
    "drift",
    "explain",
    "forget",
    "imbalance",
    "predict",
    "promote",
    "retrain",
    "rollback",
    "search",
    "serve",
)
ENTRY_POINTS = read_yaml(ROOT / "MLproject")["entry_points"]


def call(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> Any:
    """The exit status of `python -m pipeline.NAME`, in this process."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.delitem(sys.modules, f"pipeline.{name}", raising=False)  # else runpy warns
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"pipeline.{name}", run_name="__main__")
    return ended.value.code


def parser_of(monkeypatch: pytest.MonkeyPatch, name: str) -> argparse.ArgumentParser:
    """The parser that a command makes, before it reads anything."""
    found: list[argparse.ArgumentParser] = []

    def stop(self: argparse.ArgumentParser, *_: object) -> None:
        found.append(self)
        sys.exit(0)

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", stop)
        call(patched, name)
    return found[0]


def test_the_commands_are_those_with_options() -> None:
    modules = {path.stem for path in (ROOT / "pipeline").glob("*.py") if "parse_args(" in path.read_text()}
    assert modules == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, name, "--help") == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: python -m pipeline.{name} ")
    for action in parser_of(monkeypatch, name)._actions:
        option = max(action.option_strings, key=len, default=action.dest)
        assert re.search(rf"(?m)^  .*{re.escape(option)}", told), option
        assert action.help, f"{option} has no help"
        if action.option_strings and action.default not in (None, "", False, [], argparse.SUPPRESS):
            shown = str(action.default) if not isinstance(action.default, (list, tuple)) else "default"
            assert "default" in action.help or shown in action.help, f"{option} does not tell its default"


CALLS = [
    (entry, *found.groups())
    for entry, of in ENTRY_POINTS.items()
    for found in re.finditer(r"python -m pipeline\.(\w+)((?: [^&]*)?)", of["command"])
    if found[1] in COMMANDS
]


@pytest.mark.parametrize(("entry", "name", "arguments"), CALLS, ids=[each[0] for each in CALLS])
def test_entry_points_call_commands_as_they_are(
    entry: str, name: str, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = ENTRY_POINTS[entry].get("parameters", {})
    given = {key: of.get("default", "1") if isinstance(of, dict) else "1" for key, of in parameters.items()}
    assert set(re.findall(r"\{(\w+)\}", arguments)) == set(parameters)
    parsed = parser_of(monkeypatch, name).parse_args(shlex.split(arguments.split("<")[0].format(**given)))
    own = vars(parser_of(monkeypatch, name).parse_args(required(entry)))
    for key, value in vars(parsed).items():
        if key in parameters and "default" in parameters[key] and own[key] is not None:
            assert value == own[key], f"{entry}: the default of {key} is not the command's"


def required(entry: str) -> list[str]:
    """The least that a command takes."""
    least = {
        "adapt": ["1", "--user", "1"],
        "compare": ["main"],
        "drift": ["1"],
        "explain": ["-"],
        "predict": ["1", "1"],
        "promote": ["1", "--why", "1"],
        "rollback": ["--why", "1"],
    }
    return least.get(entry, [])
