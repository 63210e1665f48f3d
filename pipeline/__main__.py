"""Run a command, `python -m pipeline COMMAND`, or list all commands and stages."""

import ast
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .base import command

STAGES = ("ingest", "validate", "clean", "tokenize", "rebalance", "train", "evaluate")
COMMANDS = {
    "params": "tools.params",
    "recover": "nightly.recover",
    "publish": "publish",
    "predict": "serving.table",
    "serve": "serving.app",
    "explain": "tools.explain",
    "adapt": "tools.adapt",
    "drift": "tools.drift",
    "promote": "tools.promote",
    "rollback": "tools.rollback",
    "card": "tools.card",
    "compare": "tools.compare",
    "forget": "tools.forget",
    "retrain": "nightly.retrain",
    "ablation": "studies.ablation",
    "search": "studies.search",
    "imbalance": "studies.imbalance",
}


def list_of_commands() -> str:
    """Return the list of commands and stages, one line each."""
    lines = ["usage: python -m pipeline COMMAND [OPTIONS]; --help after a command explains it", "", "commands:"]
    lines += [f"  {name:<11}{about(module)}" for name, module in COMMANDS.items()]
    lines += ["", "stages, run by `dvc repro` (one of them: python -m pipeline.STAGE):"]
    lines += [f"  {name:<11}{about(name)}" for name in STAGES]
    return "\n".join(lines)


def about(module: str) -> str:
    """Return the summary of a module's docstring without importing the module, which can take seconds."""
    source = Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py")
    return command.summary(ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))))


def main(arguments: Sequence[str]) -> None:
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(list_of_commands())
        return
    name, *rest = arguments
    if name in STAGES:
        sys.exit(f"pipeline: {name} is a stage; run `dvc repro {name}`, or `python -m pipeline.{name}`")
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, [*COMMANDS, *STAGES], n=1)
        hint = f"did you mean {close[0]}?" if close else "`python -m pipeline` lists the commands"
        sys.exit(f"pipeline: unknown command {name}; {hint}")
    module = import_module(f".{COMMANDS[name]}", __package__)
    command.enter_root()
    command.run(name, lambda: module.main(rest))


if __name__ == "__main__":
    main(sys.argv[1:])
