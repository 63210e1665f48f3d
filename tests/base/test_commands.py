"""Command lines: --help, unknown arguments, the list_of_commands, and the entry points of MLproject."""

import argparse
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from helpers.project import ROOT, clean_environment

from pipeline.__main__ import COMMANDS, STAGES, list_of_commands, main
from pipeline.base.files import read_yaml

ENTRY_POINTS = read_yaml(ROOT / "MLproject")["entry_points"]


def parser_of(monkeypatch: pytest.MonkeyPatch, name: str) -> argparse.ArgumentParser:
    """Return the parser of a command, which is stopped before it parses."""
    parsers: list[argparse.ArgumentParser] = []

    def stop(self: argparse.ArgumentParser, *_: object) -> None:
        parsers.append(self)
        sys.exit(0)

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(SystemExit):
            import_module(f"pipeline.{COMMANDS[name]}").main([])
    return parsers[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option_and_an_example(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m pipeline {name} ")
    assert f"example: python -m pipeline {name}" in text
    for action in parser_of(monkeypatch, name)._actions:
        option = max(action.option_strings, key=len, default=action.dest)
        assert re.search(rf"(?m)^  .*{re.escape(option)}", text), option
        assert action.help, f"{option} has no help"
        if action.option_strings and action.default not in (None, "", False, [], argparse.SUPPRESS):
            default = str(action.default) if not isinstance(action.default, (list, tuple)) else "default"
            assert "default" in action.help or default in action.help, f"{option} does not name its default"


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_arguments_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--no-such-option"])
    assert ended.value.code == 2
    assert "usage: " in capsys.readouterr().err


@pytest.mark.parametrize("name", STAGES)
def test_help_of_a_stage_runs_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"pipeline.{name}", "--help"]
    environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: python -m pipeline.{name}")
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())


def test_overview_lists_every_command_and_stage() -> None:
    lines = list_of_commands().splitlines()
    for name in [*COMMANDS, *STAGES]:
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert len(line.split()) > 3
        assert len(line) <= 120


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("predct", "did you mean predict?"),
        ("trian", "did you mean train?"),
        ("x", "lists"),
        ("train", "dvc repro train"),
    ],
)
def test_unknown_command_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(SystemExit, match=re.escape(hint)):
        main([name])


def test_paths_are_relative_to_the_folder_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_bytes(b"\xff")
    command = [sys.executable, "-m", "pipeline", "forget", "--file", "own.txt"]
    environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{tmp_path}/own.txt" in done.stderr


CALLS = [
    (entry, *match.groups())
    for entry, definition in ENTRY_POINTS.items()
    for match in re.finditer(r"python -m pipeline (\w+)((?: [^&]*)?)", definition["command"])
    if match[1] in COMMANDS
]


@pytest.mark.parametrize(("entry", "name", "arguments"), CALLS, ids=[call[0] for call in CALLS])
def test_entry_points_match_the_commands(
    entry: str, name: str, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = ENTRY_POINTS[entry].get("parameters", {})
    given = {key: value.get("default", "1") if isinstance(value, dict) else "1" for key, value in parameters.items()}
    assert set(re.findall(r"\{(\w+)\}", arguments)) == set(parameters)
    parsed = parser_of(monkeypatch, name).parse_args(shlex.split(arguments.split("<")[0].format(**given)))
    defaults = vars(parser_of(monkeypatch, name).parse_args(required(entry)))
    for key, value in vars(parsed).items():
        if key in parameters and "default" in parameters[key] and defaults[key] is not None:
            assert value == defaults[key], f"{entry}: default of {key} differs from the command's"


def required(entry: str) -> list[str]:
    """Return the arguments that a command requires."""
    arguments = {
        "adapt": ["1", "--user", "1"],
        "compare": ["main"],
        "drift": ["1"],
        "explain": ["-"],
        "predict": ["1", "1"],
        "promote": ["1", "--why", "1"],
        "rollback": ["--why", "1"],
    }
    return arguments.get(entry, [])
