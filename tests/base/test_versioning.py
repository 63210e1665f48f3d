"""Child processes end with their parent; a run is tagged with the revisions that it comes from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from helpers.project import ROOT

from pipeline.base import params, paths, versioning
from pipeline.base.files import write_json
from pipeline.registry import runs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_lock(digest: str) -> None:
    versioning.DVC_LOCK.write_text(f"stages: {{train: {{outs: [{{path: data/train, md5: {digest}}}]}}}}\n")


def test_dvc_digest_needs_the_lock_of_this_training() -> None:
    assert versioning.dvc_tags() == {}
    paths.TRAIN_HISTORY.parent.mkdir(parents=True)
    paths.TRAIN_HISTORY.write_bytes(b"epoch\n1\n")
    digest = versioning.folder_md5(Path("data/train"))
    write_lock(digest)
    assert versioning.dvc_tags() == {"dvc.model": digest}
    write_lock("0" * 32 + ".dir")  # of an earlier training
    assert versioning.dvc_tags() == {}


def test_run_name_has_experiment_strategy_preset_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    params.PARAMS_FILE.write_bytes((ROOT / params.PARAMS_FILE).read_bytes())
    write_json(paths.REBALANCE_SUMMARY, {"strategy": "focal"})
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    assert runs.run_name() == "focal · fast · tweets"
    monkeypatch.setenv("DVC_EXP_NAME", "trial")
    assert runs.run_name() == "trial · focal · fast · tweets"


def test_a_failed_command_reports_its_error_without_credentials() -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(versioning.CommandError, match=r"^`git show` failed: fatal: .*nothing"):
        versioning.git("show", "nothing")
    assert versioning.git("show", "nothing", check=False) == ""
    Path("fails.py").write_text("import sys; sys.exit('no https://me:secret@host/x\\nHaving any troubles? Chat')")
    with pytest.raises(versioning.CommandError) as raised:
        versioning.python("fails", capture=True)
    assert str(raised.value) == "`fails` failed: no https://***@host/x"
    assert "Having any troubles?" in raised.value.stderr
    with pytest.raises(versioning.CommandError, match="`fails one` failed, see above"):
        versioning.python("fails", "one", "two")


def test_identity_adds_only_what_git_lacks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    versioning.git("init", "-q")
    versioning.git("config", "user.email", "me@localhost")
    assert versioning.identity() == ["-c", "user.name=retrain"]
    versioning.git("config", "--unset", "user.email")
    versioning.git("config", "user.name", "me")
    assert versioning.identity() == ["-c", "user.email=retrain@localhost"]
    versioning.git("config", "user.email", "me@localhost")
    assert versioning.identity() == []


def test_stages_run_by_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    versioning.dvc("init", "-q", "--no-scm")
    command = "python -c \"import sys; open('who', 'w').write(sys.executable)\""
    Path("dvc.yaml").write_text(json.dumps({"stages": {"who": {"cmd": command, "outs": ["who"]}}}))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    versioning.dvc("repro", "-q")
    assert Path("who").read_text() == sys.executable


def test_a_terminated_process_ends_with_its_children() -> None:
    script = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        versioning.terminate(process)
    child.wait(10)
    assert not psutil.pid_exists(process.pid)
