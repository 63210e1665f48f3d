"""Folders that the tests of retraining start from."""

import os
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from helpers.nightly import git
from helpers.project import ROOT

from pipeline.base import params, paths
from pipeline.data.datasets import DATASETS


@pytest.fixture(scope="session")
def tweets() -> pd.DataFrame:
    table = DATASETS["tweets"]()[["text", "label"]].drop_duplicates("text")
    return table.sample(n=2_000, random_state=0).reset_index(drop=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with parameters and empty lists."""
    for name in (str(params.PARAMS_FILE), *map(str, (paths.FORGOTTEN, paths.INCREMENTS, paths.QUARANTINE))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of a bare repository with parameters and files that a retraining changes, checked out at main."""
    for key in list(os.environ):
        if key.startswith("GIT_"):
            monkeypatch.delenv(key)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", tmp_path / "hub.git"], check=True)
    subprocess.run(["git", "clone", "-q", tmp_path / "hub.git", tmp_path / "runner"], check=True, capture_output=True)
    monkeypatch.chdir(tmp_path / "runner")
    for path, text in {"data/batches.csv": "batch\na\n", "dvc.lock": "one\n", "code.py": "x\n"}.items():
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
    for name in (params.PARAMS_FILE, Path(".gitattributes")):
        shutil.copy(ROOT / name, name)
    Path(".gitignore").write_text(".state/\n")
    git("checkout", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("push", "-q", "-u", "origin", "main")
    return Path.cwd()
