"""Repository: what is published comes in, what a retraining did goes out, and one is at it at a time."""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from helpers.project import ROOT, clean_environment

from pipeline.base import params, versioning
from pipeline.base.checkout import STARTED, BusyError
from pipeline.base.errors import PipelineError
from pipeline.nightly import lock, report, repository, retrain


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of a bare repository with what a retraining changes, checked out at main."""
    for key in list(os.environ):
        if key.startswith("GIT_"):
            monkeypatch.delenv(key)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", tmp_path / "hub.git"], check=True)
    subprocess.run(["git", "clone", "-q", tmp_path / "hub.git", tmp_path / "runner"], check=True, capture_output=True)
    monkeypatch.chdir(tmp_path / "runner")
    for path, text in {"data/batches.csv": "batch\na\n", "dvc.lock": "one\n", "code.py": "x\n"}.items():
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
    Path(".gitattributes").write_text((ROOT / ".gitattributes").read_text())
    Path(".gitignore").write_text(".state/\n")
    git("checkout", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("push", "-q", "-u", "origin", "main")
    return Path.cwd()


def git(*arguments: str, folder: Path | None = None) -> str:
    named = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def person(checkout: Path, **files: str) -> None:
    """Somebody else pushes to main."""
    other = checkout.parent / "person"
    if not other.exists():
        git("clone", "-q", str(checkout.parent / "hub.git"), str(other))
    git("pull", "-q", "origin", "main", folder=other)
    for name, text in files.items():
        (other / name.replace("__", "/").replace("_", ".")).write_text(text)
    git("commit", "-qam", "theirs", folder=other)
    git("push", "-q", "origin", "main", folder=other)


def test_what_people_pushed_is_brought_in_and_what_a_killed_run_left_is_not(checkout: Path) -> None:
    assert repository.start(None) == "main"
    Path("dvc.lock").write_text("half")
    Path("data/batches").mkdir()
    Path("data/batches/x.parquet.dvc").write_text("left")
    person(checkout, code_py="y\n")
    assert repository.start(None) == "main"
    assert Path("dvc.lock").read_text() == "one\n"
    assert Path("code.py").read_text() == "y\n"
    assert not Path("data/batches/x.parquet.dvc").exists()


def test_data_that_were_changed_and_not_added_are_not_overwritten(checkout: Path) -> None:
    versioning.dvc("init", "-q")
    reviews = Path("data/reviews.csv")
    reviews.write_text("text,label\n")
    versioning.dvc("add", "-q", str(reviews))
    git("add", "-A")
    git("commit", "-qm", "data")
    assert repository.start(None) == "main"
    reviews.write_text("text,label\nmine,x\n")
    with pytest.raises(
        PipelineError, match=r"data/reviews\.csv is not what DVC has of it; run `dvc add data/reviews\.csv`"
    ):
        repository.start(None)
    shutil.copy(ROOT / params.PARAMS_FILE, params.PARAMS_FILE)
    with pytest.raises(PipelineError, match=r"data/reviews\.csv is not what DVC has"):
        retrain.retrain(report.Night(datetime.now(UTC), "m"), dry=True)
    assert "mine" in reviews.read_text()
    reviews.unlink()  # as in a fresh clone
    assert repository.start(None) == "main"


def test_any_name_may_be_tracked_and_stages_run_by_this_python(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versioning.dvc("init", "-q")
    names = ("data/über uns.csv", "data/评论.csv")
    for name in names:
        Path(name).write_text("text,label\n")
    versioning.dvc("add", "-q", *names)
    git("add", "-A")
    assert repository.data_files() == ["data/über uns.csv.dvc", "data/评论.csv.dvc"]
    Path("data/评论.csv").write_text("text,label\nmine,x\n")
    assert repository.changed_data() == ["data/评论.csv"]
    # The lock of the fixture is none.
    Path("dvc.lock").unlink()
    command = "python -c \"import sys; open('who', 'w').write(sys.executable)\""
    Path("dvc.yaml").write_text(json.dumps({"stages": {"who": {"cmd": command, "outs": ["who"]}}}))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    versioning.dvc("repro", "-q")
    assert Path("who").read_text() == sys.executable


def test_half_an_identity_is_completed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(checkout))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    git("config", "user.email", "me@localhost")
    assert versioning.identity() == ["-c", "user.name=retrain"]
    git("config", "--unset", "user.email")
    git("config", "user.name", "me")
    assert versioning.identity() == ["-c", "user.email=retrain@localhost"]
    git("config", "user.email", "me@localhost")
    assert versioning.identity() == []


def test_every_checkout_has_the_same_bytes(checkout: Path) -> None:
    git("clone", "-q", "-c", "core.autocrlf=true", str(checkout.parent / "hub.git"), str(checkout.parent / "windows"))
    assert (checkout.parent / "windows/dvc.lock").read_bytes() == b"one\n"


def test_after_a_failure_people_may_change_the_lists(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a night that failed had changed is put back at once, and what is changed after it stays."""

    def fail() -> None:
        Path("data/batches.csv").write_text("batch\na\nhalf\n")
        raise PipelineError("the store is down")

    shutil.copy(ROOT / params.PARAMS_FILE, params.PARAMS_FILE)
    git("add", "-A")
    git("commit", "-q", "-m", "parameters")
    monkeypatch.setattr(retrain.recover, "recover", fail)
    night = report.Night(datetime.now(UTC), "m")
    with pytest.raises(PipelineError, match="the store is down"):
        retrain.retrain(night, dry=False)
    assert "as in git again: data/batches.csv" in capsys.readouterr().out
    assert Path("data/batches.csv").read_text() == "batch\na\n"
    Path("data/batches.csv").write_text("batch\n")
    with pytest.raises(PipelineError, match=r"not committed: data/batches\.csv"):
        retrain.retrain(night, dry=False)
    assert Path("data/batches.csv").read_text() == "batch\n"


def test_changes_of_ones_own_are_not_swept_away(checkout: Path) -> None:
    Path("dvc.lock").write_text("mine")
    with pytest.raises(PipelineError, match=r"not committed: dvc\.lock"):
        repository.start(None)
    assert Path("dvc.lock").read_text() == "mine"


def test_results_reach_main_although_somebody_pushed_meanwhile(checkout: Path) -> None:
    repository.start(None)
    Path("data/batches.csv").write_text("batch\na\nb\n")
    Path("dvc.lock").write_text("two\n")
    person(checkout, code_py="y\n", data__batches_csv="batch\na\nc\n", dvc_lock="three\n")
    assert repository.deliver_code("main", "done") == "pushed to main"
    hub = checkout.parent / "hub.git"
    assert git("show", "main:code.py", folder=hub) == "y"
    assert sorted(git("show", "main:data/batches.csv", folder=hub).split()) == ["a", "b", "batch", "c"]
    assert git("show", "main:dvc.lock", folder=hub) == "two"


def test_what_could_not_be_pushed_is_pushed_later(checkout: Path) -> None:
    hook = checkout.parent / "hub.git/hooks/update"
    repository.start(None)
    Path("dvc.lock").write_text("two\n")
    assert not repository.waits("main")
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PipelineError, match="`git push` failed"):
        repository.deliver_code("main", "done")
    hook.unlink()
    assert repository.waits("main")
    assert repository.push("main") == "pushed to main"
    assert not repository.waits("main")
    assert git("show", "main:dvc.lock", folder=checkout.parent / "hub.git") == "two"
    Path("code.py").write_text("mine\n")
    git("commit", "-qam", "a person's own")
    assert not repository.waits("main")  # which nobody pushes unasked


def test_a_start_that_fails_leaves_no_marker(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / params.PARAMS_FILE, params.PARAMS_FILE)
    git("add", "-A")
    git("commit", "-q", "-m", "parameters")
    git("push", "-q", "origin", "main")
    person(checkout, code_py="y\n")
    other = checkout.parent / "person"
    (other / "new.txt").write_text("theirs")
    git("add", "-A", folder=other)
    git("commit", "-qm", "new", folder=other)
    git("push", "-q", "origin", "main", folder=other)
    Path("new.txt").write_text("mine")  # in the way of the merge
    with pytest.raises(PipelineError, match="cannot be merged here"):
        retrain.retrain(report.Night(datetime.now(UTC), "m"), dry=False)
    assert not STARTED.exists()


def test_a_stage_ends_with_the_dvc_that_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        stage = psutil.Process(int(running.stdout.readline()))
        versioning._end(running)
    stage.wait(10)
    assert not psutil.pid_exists(running.pid)


def test_a_clock_that_is_wrong_by_years_holds_nobody_off(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = holding()
    with monkeypatch.context() as now:
        now.setattr(lock, "_machine", lambda: ("elsewhere", "1"))
        now.setattr(time, "time", lambda now=time.time: now() - 10 * 365 * 86_400)
        before = git("ls-remote", "origin", lock.LOCK)
        with lock.alone(1.0):
            assert git("ls-remote", "origin", lock.LOCK) not in {"", before}  # taken over
    holder.kill()
    holder.wait()


def test_without_a_remote_results_are_committed(checkout: Path) -> None:
    git("remote", "remove", "origin")
    with lock.alone(1.0):
        assert repository.start(None) == "main"
        Path("dvc.lock").write_text("two\n")
        assert "committed; there is no git remote" in repository.deliver_code("main", "done")
    assert git("status", "--porcelain") == ""
    assert git("log", "-1", "--format=%s") == "Retrain: done"


def test_results_for_a_pull_request_gather_on_a_branch(checkout: Path) -> None:
    hub = checkout.parent / "hub.git"
    for number, content in enumerate(("two", "three")):
        subprocess.run(["git", "clone", "-q", hub, checkout.parent / f"night{number}"], check=True)
        os.chdir(checkout.parent / f"night{number}")
        assert repository.start("retrain") == "retrain"
        assert Path("dvc.lock").read_text() == ["one\n", "two\n"][number]
        Path("dvc.lock").write_text(f"{content}\n")
        repository.deliver_code("retrain", "done")
        person(checkout, code_py=f"y{number}\n")
    assert git("show", "main:dvc.lock", folder=hub) == "one"
    assert git("show", "retrain:dvc.lock", folder=hub) == "three"
    assert git("show", "retrain:code.py", folder=hub) == "y0"


HOLD = """
import sys, time
from pipeline.nightly import lock, retrain
retrain.let_go_when_stopped()
with lock.alone(1.0):
    print("held", flush=True)
    time.sleep(60)
"""


def holding() -> "subprocess.Popen[str]":
    """Another process, which holds the lock by now."""
    environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen([sys.executable, "-c", HOLD], env=environment, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_one_retraining_at_a_time_whatever_the_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = holding()
    with pytest.raises(BusyError, match="goes on"), lock.alone(1.0):
        raise AssertionError
    with monkeypatch.context() as later:  # as if of another machine, and long ago
        later.setattr(lock, "_machine", lambda: ("elsewhere", "1"))
        later.setattr(time, "time", lambda now=time.time: now() + 7_200)
        with lock.alone(1.0):
            pass
    with lock.alone(1.0):  # let go
        taken = git("ls-remote", "origin", lock.LOCK)
        assert taken
    holder.kill()
    holder.wait()
    assert git("ls-remote", "origin", lock.LOCK) == ""


def test_a_holder_that_is_stopped_lets_go(checkout: Path) -> None:
    holder = holding()
    holder.terminate()
    assert holder.wait(30) == 143
    assert git("ls-remote", "origin", lock.LOCK) == ""


def test_a_killed_holder_of_this_machine_is_seen_at_once(checkout: Path) -> None:
    holder = holding()
    holder.kill()
    holder.wait()
    assert git("ls-remote", "origin", lock.LOCK)
    with lock.alone(1.0):
        held = git("ls-remote", "origin", lock.LOCK).partition("\t")[0]
        assert json.loads(git("log", "-1", "--format=%B", held))["pid"] == os.getpid()
    assert git("ls-remote", "origin", lock.LOCK) == ""


def test_a_process_of_another_machine_is_not_looked_for_on_this_one(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = holding()
    holder.kill()
    holder.wait()
    monkeypatch.setattr(lock, "_machine", lambda: ("elsewhere", "1"))
    with pytest.raises(BusyError, match="goes on"), lock.alone(1.0):
        raise AssertionError


def test_a_merge_that_fails_leaves_none_begun(checkout: Path) -> None:
    """A file that one side removed and the other changed: no side's lines decide that."""
    repository.start(None)
    Path("code.py").write_text("ours\n")
    git("commit", "-qam", "ours")
    person(checkout, dvc_lock="three\n")
    git("rm", "-q", "code.py", folder=checkout.parent / "person")
    git("commit", "-qm", "theirs", folder=checkout.parent / "person")
    git("push", "-q", "origin", "main", folder=checkout.parent / "person")
    with pytest.raises(PipelineError, match="branch main of the remote cannot be merged here"):
        repository.start(None)
    assert git("status", "--porcelain", "--untracked-files=no") == ""
    assert Path("code.py").read_text() == "ours\n"
