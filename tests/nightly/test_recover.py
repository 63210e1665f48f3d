"""DVC's own files are repaired after a kill; valid files and files in use stay as they are."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from helpers.nightly import git
from helpers.project import ROOT, Project

from pipeline.base.errors import PipelineError
from pipeline.nightly import recover

LOCK = (ROOT / "dvc.lock").read_bytes()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_bytes(LOCK)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], check=True)
    return tmp_path


def test_valid_lock_file_stays(place: Path) -> None:
    recover.main([])
    assert Path("dvc.lock").read_bytes() == LOCK
    Path("dvc.lock").unlink()
    recover.main([])
    assert not Path("dvc.lock").exists()


@pytest.mark.parametrize(
    "corrupt",
    [b"", LOCK[: LOCK.index(b"- path:", 8_000) + 4], LOCK[:-40] + b"\n  - pa", b"schema: '2.0'\nstages: [\xff"],
)
def test_corrupt_lock_file_is_replaced_or_removed(
    place: Path, capsys: pytest.CaptureFixture[str], corrupt: bytes
) -> None:
    Path("dvc.lock").write_bytes(corrupt)
    recover.main([])
    assert capsys.readouterr().out == "dvc.lock was corrupt: removed; `dvc repro` writes it again\n"
    assert not Path("dvc.lock").exists()

    Path("dvc.lock").write_bytes(LOCK)
    git("add", "dvc.lock")
    git("commit", "-q", "-m", "lock")
    Path("dvc.lock").write_bytes(corrupt)
    recover.main([])
    assert capsys.readouterr().out == "dvc.lock was corrupt: replaced by the committed one\n"
    assert Path("dvc.lock").read_bytes() == LOCK
    assert [file for file in place.iterdir() if "partial" in file.name] == []


def user(pid: int) -> dict[str, object]:
    return {"pid": pid, "cmd": "/usr/bin/dvc repro"}


@pytest.mark.parametrize("content", ["", '{"write": {"a', "[]", '{"write": {"a": {}}}'])
def test_corrupt_rwlock_is_removed(place: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    recover.RWLOCK.write_text(content)
    recover.main([])
    assert capsys.readouterr().out == ".dvc/tmp/rwlock was left by a DVC process that has ended: removed\n"
    assert not recover.RWLOCK.exists()


def test_rwlock_of_a_running_dvc_stays_and_others_are_removed(place: Path) -> None:
    sleeper = "import time; time.sleep(60)"
    dvc, other = (subprocess.Popen(["python3", "-c", sleeper, name, "repro"]) for name in ("/usr/bin/dvc", "other"))
    try:
        for content, stays in (
            ({"write": {"data/a": user(dvc.pid)}, "read": {}}, True),
            ({"write": {"data/b": user(other.pid)}, "read": {"data/a": [user(other.pid), user(dvc.pid)]}}, True),
            ({"write": {}, "read": {}}, True),
            ({"write": {"data/a": user(other.pid)}, "read": {}}, False),
            ({"write": {}, "read": {"data/a": [user(4_194_304)]}}, False),
        ):
            recover.RWLOCK.write_text(json.dumps(content))
            recover.main([])
            assert recover.RWLOCK.exists() == stays, content
    finally:
        for process in (dvc, other):
            process.kill()
            process.wait()


def test_unfinished_run_cache_entries_are_removed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = place / ".dvc/cache/runs"
    entries = {name: runs / name[:2] / name for name in ("whole", "torn", "empty", "both", "now")}
    for name, files in {"whole": ["a"], "torn": [".x.tmp"], "empty": [], "both": ["a", ".x.tmp"], "now": []}.items():
        entries[name].mkdir(parents=True)
        for file in files:
            (entries[name] / file).write_text("cmd: x")
        age = -60 if name == "now" else 2  # another DVC is about to fill it; importing DVC may take seconds here
        os.utime(entries[name], (time.time() - age,) * 2)
    recover.main([])
    assert capsys.readouterr().out == f"{runs}: 4 unfinished entries removed\n"
    left = {str(path.relative_to(runs)) for path in runs.glob("*/**/*")}
    assert left == {"wh/whole", "wh/whole/a", "bo/both", "bo/both/a", "no/now"}
    recover.main([])
    assert capsys.readouterr().out == ""


def test_unfinished_copies_of_outputs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/clean"
    folder.mkdir(parents=True)
    old, new, other = folder / ".xdMic-jjYUpUgX_o3jtAJw.tmp", folder / ".ydMic-jjYUpUgX_o3jtAJw.tmp", folder / ".my.tmp"
    for file in (old, new, other):
        file.write_text("x")
    for file in (old, other):
        os.utime(file, (1, 1))
    assert recover.remove_partial_outputs() == "data: 1 unfinished copies removed"
    assert sorted(folder.iterdir()) == [other, new]
    assert recover.remove_partial_outputs() == ""


def test_outside_a_project_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="run from the project's root"):
        recover.main([])


@pytest.mark.slow  # DVC runs a stage
def test_dvc_repro_continues_with_a_corrupt_run_cache(reference: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(reference.folder, project.folder, symlinks=True)
    shutil.rmtree(project.folder / ".dvc/cache/runs")
    (project.folder / "dvc.lock").unlink()
    (project.folder / "data/validate/passed.json").unlink()
    project.run("dvc", "repro", "validate")
    for entry in (project.folder / ".dvc/cache/runs").glob("*/*/*"):
        entry.unlink()
        os.utime(entry.parent, (time.time() - 2,) * 2)
    (project.folder / "dvc.lock").unlink()
    assert "NoneType" in project.run("dvc", "repro", "validate", check=False).stderr  # a bug of DVC 3.67
    project.run("python", "-m", "pipeline", "recover")
    project.run("dvc", "repro", "validate")
