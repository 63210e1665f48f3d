"""What the tests of the reports share."""

import shutil
from pathlib import Path

import pytest
from helpers.project import Project


@pytest.fixture
def state(reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small reference run's files, as the current folder."""
    for name in ("data", "reports"):
        shutil.copytree(reference.folder / name, tmp_path / name)
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "requirements.lock"):
        shutil.copy(reference.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
