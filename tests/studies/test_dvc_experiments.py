"""DVC experiments of the study of imbalance."""

from pathlib import Path

import pytest
from helpers.project import Project
from helpers.study import enter

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.studies import dvc_experiments
from pipeline.studies.imbalance import with_changes


def test_failed_experiment_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "dvc"
    command.write_text("#!/bin/sh\necho \"Running stage 'train':\"\necho no room left\nexit 3\n")
    command.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))  # dvc is looked for next to it
    with pytest.raises(PipelineError, match=r"experiment x failed: no room left; its full output is in .*/log\.txt"):
        dvc_experiments.run_experiment({}, "x", tmp_path / "kept")
    assert "no room left" in (tmp_path / "kept/log.txt").read_text()


def test_repository_without_a_commit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(PipelineError, match="need a git repository with a commit"):
        dvc_experiments.experiment_names()


def test_untracked_files_and_shallow_clones(
    reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = enter(reference, tmp_path, monkeypatch)
    document = params.read_document(params.PARAMS_FILE)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for name in ("known.csv", "评论.csv", "unknown.csv", "by_dvc.csv", "by_dvc.csv.dvc"):
        Path(name).write_text("text,label\n")
    project.run("git", "init", "-q")
    project.run("git", "add", "known.csv", "评论.csv", "data/none")
    project.run(*git, "commit", "-q", "-m", "one")
    assert dvc_experiments.experiment_names() == set()
    project.run("git", "clone", "-q", "--depth", "1", project.folder.as_uri(), "shallow")
    with monkeypatch.context() as patch:
        patch.chdir("shallow")
        with pytest.raises(PipelineError, match="run `git fetch --unshallow` first"):
            dvc_experiments.experiment_names()
    untracked = {}
    for name in ("known.csv", "评论.csv", "unknown.csv", "by_dvc.csv", str(Path("unknown.csv").resolve())):
        untracked[name] = dvc_experiments.untracked_files(with_changes(document, {"ingest.path": name}))
    assert {name: copied for name, copied in untracked.items() if copied} == {"unknown.csv": ["unknown.csv"]}
