"""Recover: what a kill left of DVC's own files is mended, and what is whole or in use is not touched."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from helpers.project import ROOT, Project

from pipeline.base.errors import PipelineError
from pipeline.nightly import recover

LOCK = (ROOT / "dvc.lock").read_bytes()

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_bytes(LOCK)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], check=True)
    return tmp_path


def test_a_whole_lock_file_stays(place: Path) -> None:
    recover.main()
    assert Path("dvc.lock").read_bytes() == LOCK
    Path("dvc.lock").unlink()
    recover.main()
    assert not Path("dvc.lock").exists()


@pytest.mark.parametrize(
    "torn", [b"", LOCK[: LOCK.index(b"- path:", 8_000) + 4], LOCK[:-40] + b"\n  - pa", b"schema: '2.0'\nstages: [\xff"]
)
def test_a_torn_lock_file_becomes_gits_or_none(place: Path, capsys: pytest.CaptureFixture[str], torn: bytes) -> None:
    Path("dvc.lock").write_bytes(torn)
    recover.main()
    assert capsys.readouterr().out == "dvc.lock was torn: removed, `dvc repro` writes it anew\n"
    assert not Path("dvc.lock").exists()

    Path("dvc.lock").write_bytes(LOCK)
    for command in (("add", "dvc.lock"), ("commit", "-q", "-m", "lock")):
        subprocess.run(["git", *IDENTITY, *command], check=True)
    Path("dvc.lock").write_bytes(torn)
    recover.main()
    assert capsys.readouterr().out == "dvc.lock was torn: replaced by the one that git has\n"
    assert Path("dvc.lock").read_bytes() == LOCK
    assert [each.name for each in place.iterdir() if "partial" in each.name] == []


def entry(pid: int) -> dict[str, object]:
    return {"pid": pid, "cmd": "/usr/bin/dvc repro"}


@pytest.mark.parametrize("content", ["", '{"write": {"a', "[]", '{"write": {"a": {}}}'])
def test_a_torn_list_of_paths_in_use_is_removed(place: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    recover.IN_USE.write_text(content)
    recover.main()
    assert capsys.readouterr().out == ".dvc/tmp/rwlock was left by a DVC that is gone: removed\n"
    assert not recover.IN_USE.exists()


def test_paths_that_a_living_dvc_uses_stay_and_a_number_that_another_process_has_does_not(place: Path) -> None:
    sleeper = "import time; time.sleep(60)"
    dvc, other = (subprocess.Popen(["python3", "-c", sleeper, name, "repro"]) for name in ("/usr/bin/dvc", "other"))
    try:
        for content, stays in (
            ({"write": {"data/a": entry(dvc.pid)}, "read": {}}, True),
            ({"write": {"data/b": entry(other.pid)}, "read": {"data/a": [entry(other.pid), entry(dvc.pid)]}}, True),
            ({"write": {}, "read": {}}, True),
            ({"write": {"data/a": entry(other.pid)}, "read": {}}, False),
            ({"write": {}, "read": {"data/a": [entry(4_194_304)]}}, False),
        ):
            recover.IN_USE.write_text(json.dumps(content))
            recover.main()
            assert recover.IN_USE.exists() == stays, content
    finally:
        for process in (dvc, other):
            process.kill()
            process.wait()


def test_what_was_begun_in_the_run_cache_and_not_filled_is_removed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = place / ".dvc/cache/runs"
    entries = {name: runs / name[:2] / name for name in ("whole", "torn", "empty", "both", "now")}
    for name, files in {"whole": ["a"], "torn": [".x.tmp"], "empty": [], "both": ["a", ".x.tmp"], "now": []}.items():
        entries[name].mkdir(parents=True)
        for file in files:
            (entries[name] / file).write_text("cmd: x")
        if name != "now":  # another DVC is about to fill it
            os.utime(entries[name], (time.time() - 2,) * 2)
    recover.main()
    assert capsys.readouterr().out == f"{runs}: 4 entries that were begun and not filled are removed\n"
    left = {str(path.relative_to(runs)) for path in runs.glob("*/**/*")}
    assert left == {"wh/whole", "wh/whole/a", "bo/both", "bo/both/a", "no/now"}
    recover.main()
    assert capsys.readouterr().out == ""


def test_what_dvc_began_to_copy_beside_outputs_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/clean"
    folder.mkdir(parents=True)
    old, new, other = folder / ".xdMic-jjYUpUgX_o3jtAJw.tmp", folder / ".ydMic-jjYUpUgX_o3jtAJw.tmp", folder / ".my.tmp"
    for file in (old, new, other):
        file.write_text("x")
    for file in (old, other):
        os.utime(file, (1, 1))
    assert recover.tidy_outputs() == "data: 1 files that DVC had begun to copy are removed"
    assert sorted(folder.iterdir()) == [other, new]
    assert recover.tidy_outputs() == ""


def test_outside_of_a_project_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="run from the project's root"):
        recover.main()


@pytest.mark.slow  # DVC runs a stage
def test_dvc_goes_on_where_its_run_cache_was_torn(reference: Project, tmp_path: Path) -> None:
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
    assert "NoneType" in project.run("dvc", "repro", "validate", check=False).stderr  # DVC 3.67's own mistake
    project.run("python", "-m", "pipeline", "recover")
    project.run("dvc", "repro", "validate")
