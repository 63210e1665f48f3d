"""A copy of the project in a folder of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A real sample and a tiny network: seconds instead of minutes.
SMALL = {
    "max_rows": "1500",
    "min_rows": "100",
    "vocabulary_size": "1000",
    "length": "16",  # one padded length, for each costs a compilation in every process
    "embedding_dim": "8",
    "units": "8",
    "batch_size": "64",
    "epochs": "2",
    "pretraining_epochs": "0",
    "bidirectional": "false",
    "adversarial": "0.0",
    "learning_rate": "0.01",
    "bootstrap": "120",
    "baseline_rows": "1000",
}


def set_params(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^(  {key}: )(?:\[.*?\]|\S+)", rf"\g<1>{value}", text)
        assert count == 1, key
    return text


@dataclass(frozen=True)
class Project:
    """A copy of the project in a folder of its own, with a store of its own."""

    folder: Path

    def run(self, *command: str, check: bool = True, **environment: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command, cwd=self.folder, env=clean_environment() | environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def set(self, **values: str) -> None:
        path = self.folder / "params.yaml"
        path.write_text(set_params(path.read_text(encoding="utf-8"), values), encoding="utf-8")


def clean_environment() -> dict[str, str]:
    """This process's environment with the tests' Python first on the path, and none of a caller's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "PIPELINE_", "GIT_", "XLA_"))}
    return kept | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def copy_project(folder: Path, files: Sequence[str] | None = None) -> Project:
    """Copy `files` of the project, or all that git tracks or would track."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in files or listed:
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    return Project(folder)
