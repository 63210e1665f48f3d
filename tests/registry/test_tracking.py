"""Where the store is, what is published in it, and stores that do not answer."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.project import ROOT

from pipeline.base import params
from pipeline.base.errors import PipelineError, without_credentials
from pipeline.registry import tracking
from pipeline.registry.runs import PUBLISHED
from pipeline.registry.store import Store
from pipeline.registry.versions import MODEL_DIGEST

STATE = "a" * 64


def test_shortcut_sees_published_states_and_deletions(store: Store) -> None:
    assert not tracking.is_published(content="x", digest="d")
    run = store.runs.open(STATE)
    store.runs.finish(run, {PUBLISHED: "x"})
    store.client.create_registered_model("m")
    store.client.create_model_version("m", "somewhere", tags={MODEL_DIGEST: "d"})
    assert tracking.is_published(content="x", digest="d")
    assert not tracking.is_published(content="y", digest="d")
    assert not tracking.is_published(content="x", digest="e")
    store.client.delete_model_version("m", "1")  # whose tags stay
    assert not tracking.is_published(content="x", digest="d")
    store.client.create_model_version("m", "somewhere", tags={MODEL_DIGEST: "d"})
    assert tracking.is_published(content="x", digest="d")
    store.client.delete_run(run.info.run_id)
    assert not tracking.is_published(content="x", digest="d")


def test_shortcut_is_not_taken_by_mlflow_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose run waits for its link."""
    store.runs.finish(store.runs.open(STATE), {PUBLISHED: "x"})
    store.client.create_registered_model("m")
    store.client.create_model_version("m", "somewhere", tags={MODEL_DIGEST: "d"})
    assert tracking.is_published(content="x", digest="d")
    monkeypatch.setenv("MLFLOW_RUN_ID", "started by mlflow run")
    assert not tracking.is_published(content="x", digest="d")


def test_nothing_is_published_in_a_foreign_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert not tracking.is_published(content="x", digest="d")
    sqlite3.connect(tmp_path / tracking.DATABASE).execute("CREATE TABLE t (a)").connection.close()
    assert not tracking.is_published(content="x", digest="d")


def test_tracking_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", "off")
    assert not tracking.enabled()
    monkeypatch.setenv("PIPELINE_TRACKING", "live")
    assert tracking.enabled()
    monkeypatch.setenv("PIPELINE_TRACKING", "no")
    with pytest.raises(PipelineError, match="must be on, live or off, got 'no'"):
        tracking.enabled()


@pytest.mark.slow
def test_kill_while_the_database_is_created(tmp_path: Path) -> None:
    shutil.copy(ROOT / params.PARAMS_FILE, tmp_path)
    environment = os.environ | {"DVC_ROOT": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-c", "from pipeline.registry import tracking; tracking.connect()"]
    database = tmp_path / tracking.DATABASE
    killed_midway = 0
    for kill in range(6):
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(tmp_path.glob("*.db")) + list(tmp_path.glob(".partial-*.db")):
            time.sleep(0.001)
        time.sleep(0.25 * kill)
        process.kill()
        killed_midway += process.wait() != 0
        subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True)
        assert sqlite3.connect(database).execute("SELECT count(*) FROM experiments").fetchone() == (2,)
        database.unlink()
        time.sleep(1.1)  # a younger partial file may be another process's
    assert killed_midway >= 3
    subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    assert not list(tmp_path.glob(".partial-*"))


@pytest.mark.parametrize("password", ["secret", "se/cret", "se@cret"])
def test_password_is_removed(password: str) -> None:
    shown = without_credentials(f"no answer of postgresql://me:{password}@db/mlflow after 3 s")
    assert shown == "no answer of postgresql://***@db/mlflow after 3 s"


def test_error_does_not_show_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://jane:s3cret@127.0.0.1:9/path")
    with pytest.raises(PipelineError, match=r"http://\*\*\*@127\.0\.0\.1:9/path") as raised:
        tracking.connect()
    assert "s3cr" not in str(raised.value)
    assert "jane" not in str(raised.value)


def test_store_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # the same in an experiment's temporary folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    assert tracking.store_address() == f"sqlite:///{tmp_path}/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking.store_address() == "http://127.0.0.1:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "a%20b"))
    with pytest.raises(PipelineError, match="its path has a % or a"):
        tracking.store_address()
