"""A retraining starts from what is published, and delivers its results."""

import os
import subprocess
from pathlib import Path

import pytest
from helpers.nightly import git, push_as_colleague

from pipeline.base import versioning
from pipeline.base.errors import PipelineError
from pipeline.nightly import repository


def test_start_merges_pushed_changes_and_restores_files_of_a_killed_run(checkout: Path) -> None:
    assert repository.start(None) == "main"
    Path("dvc.lock").write_text("half")
    Path("data/batches").mkdir()
    Path("data/batches/x.parquet.dvc").write_text("left")
    push_as_colleague(checkout, code_py="y\n")
    assert repository.start(None) == "main"
    assert Path("dvc.lock").read_text() == "one\n"
    assert Path("code.py").read_text() == "y\n"
    assert not Path("data/batches/x.parquet.dvc").exists()


def test_start_refuses_uncommitted_changes(checkout: Path) -> None:
    Path("dvc.lock").write_text("mine")
    with pytest.raises(PipelineError, match=r"not committed: dvc\.lock"):
        repository.start(None)
    assert Path("dvc.lock").read_text() == "mine"


def test_start_refuses_changed_data(checkout: Path) -> None:
    versioning.dvc("init", "-q")
    reviews = Path("data/reviews.csv")
    reviews.write_text("text,label\n")
    versioning.dvc("add", "-q", str(reviews))
    git("add", "-A")
    git("commit", "-qm", "data")
    assert repository.start(None) == "main"
    reviews.write_text("text,label\nmine,x\n")
    with pytest.raises(PipelineError, match=r"data/reviews\.csv differs from .*; run `dvc add data/reviews\.csv`"):
        repository.start(None)
    assert "mine" in reviews.read_text()
    reviews.unlink()  # as in a fresh clone
    assert repository.start(None) == "main"


def test_changed_data_may_have_any_name(checkout: Path) -> None:
    versioning.dvc("init", "-q")
    names = ("data/über uns.csv", "data/评论.csv")
    for name in names:
        Path(name).write_text("text,label\n")
    versioning.dvc("add", "-q", *names)
    git("add", "-A")
    assert versioning.data_files() == ["data/über uns.csv.dvc", "data/评论.csv.dvc"]
    Path("data/评论.csv").write_text("text,label\nmine,x\n")
    assert repository.changed_data() == ["data/评论.csv"]


def test_failed_merge_is_aborted(checkout: Path) -> None:
    """One side removed a file that the other changed: a merge that prefers one side's lines does not decide that."""
    repository.start(None)
    Path("code.py").write_text("ours\n")
    git("commit", "-qam", "ours")
    colleague = push_as_colleague(checkout, dvc_lock="three\n")
    git("rm", "-q", "code.py", folder=colleague)
    git("commit", "-qm", "theirs", folder=colleague)
    git("push", "-q", "origin", "main", folder=colleague)
    with pytest.raises(PipelineError, match="cannot merge the remote's branch main"):
        repository.start(None)
    assert git("status", "--porcelain", "--untracked-files=no") == ""
    assert Path("code.py").read_text() == "ours\n"


def test_every_checkout_has_the_same_bytes(checkout: Path) -> None:
    git("clone", "-q", "-c", "core.autocrlf=true", str(checkout.parent / "hub.git"), str(checkout.parent / "windows"))
    assert (checkout.parent / "windows/dvc.lock").read_bytes() == b"one\n"


def test_results_are_merged_with_what_others_pushed(checkout: Path) -> None:
    repository.start(None)
    Path("data/batches.csv").write_text("batch\na\nb\n")
    Path("dvc.lock").write_text("two\n")
    push_as_colleague(checkout, code_py="y\n", data__batches_csv="batch\na\nc\n", dvc_lock="three\n")
    assert repository.commit_and_push("main", "done") == "pushed to main"
    hub = checkout.parent / "hub.git"
    assert git("show", "main:code.py", folder=hub) == "y"
    assert sorted(git("show", "main:data/batches.csv", folder=hub).split()) == ["a", "b", "batch", "c"]
    assert git("show", "main:dvc.lock", folder=hub) == "two"


def test_unpushed_results_are_pushed_later(checkout: Path) -> None:
    hook = checkout.parent / "hub.git/hooks/update"
    repository.start(None)
    Path("dvc.lock").write_text("two\n")
    assert not repository.has_unpushed_results("main")
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PipelineError, match="`git push` failed"):
        repository.commit_and_push("main", "done")
    hook.unlink()
    assert repository.has_unpushed_results("main")
    assert repository.push("main") == "pushed to main"
    assert not repository.has_unpushed_results("main")
    assert git("show", "main:dvc.lock", folder=checkout.parent / "hub.git") == "two"
    Path("code.py").write_text("mine\n")
    git("commit", "-qam", "a person's own")
    assert not repository.has_unpushed_results("main")  # nobody asked to push this one


def test_results_are_committed_without_a_remote(checkout: Path) -> None:
    git("remote", "remove", "origin")
    assert repository.start(None) == "main"
    Path("dvc.lock").write_text("two\n")
    assert "committed; there is no git remote" in repository.commit_and_push("main", "done")
    assert git("status", "--porcelain") == ""
    assert git("log", "-1", "--format=%s") == "Retrain: done"


def test_results_for_a_pull_request_gather_on_a_branch(checkout: Path) -> None:
    hub = checkout.parent / "hub.git"
    for number, content in enumerate(("two", "three")):
        subprocess.run(["git", "clone", "-q", hub, checkout.parent / f"runner{number}"], check=True)
        os.chdir(checkout.parent / f"runner{number}")
        assert repository.start("retrain") == "retrain"
        assert Path("dvc.lock").read_text() == ["one\n", "two\n"][number]
        Path("dvc.lock").write_text(f"{content}\n")
        repository.commit_and_push("retrain", "done")
        push_as_colleague(checkout, code_py=f"y{number}\n")
    assert git("show", "main:dvc.lock", folder=hub) == "one"
    assert git("show", "retrain:dvc.lock", folder=hub) == "three"
    assert git("show", "retrain:code.py", folder=hub) == "y0"
