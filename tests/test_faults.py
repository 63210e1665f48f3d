"""After kills, outages and races, the store holds exactly the states that exist, each once and complete.

Real processes, and a real tracking server with an artifact store of its own.
"""

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.faults import (
    Server,
    assert_states,
    change_state,
    copied,
    local,
    started,
    state_runs,
    until,
)
from helpers.project import ROOT, Project
from mlflow import MlflowClient

from pipeline.registry import lock, tracking
from pipeline.registry.lock import HOLDER, StoreLock
from pipeline.registry.store import Store

pytestmark = pytest.mark.slow  # ten minutes

PUBLISH = ("python", "-m", "pipeline", "publish")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(tmp_path / "server", port).start()
    yield server
    server.kill()


def has_epochs(address: str, number: int) -> bool:
    """Whether a run is in training and has logged this many epochs."""
    store = MlflowClient(address, address)
    running = [run for run in state_runs(address) if run.info.status == "RUNNING"]
    return any(len(store.get_metric_history(run.info.run_id, "train/loss")) >= number for run in running)


def test_training_is_killed_and_repeated(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project")
    change_state(project, epochs=12)
    process = started(project, "dvc", "repro")
    until(lambda: has_epochs(local(project), 2), 240)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    project.run("dvc", "repro")
    assert_states(local(project), 2)


def test_publishing_is_killed_at_any_moment(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project", store=False)
    for seconds in (4, 6, 8, 10, 13):
        process = started(project, *PUBLISH)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    project.run(*PUBLISH)
    assert_states(local(project), 1)


def test_store_is_deleted(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project", store=False)
    assert "Data and pipelines are up to date" in project.run("dvc", "repro").stdout
    assert "champion" in project.run(*PUBLISH).stdout
    assert_states(local(project), 1)


def test_fresh_clone_pulls(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project")
    project.run("dvc", "remote", "add", "-d", "--local", "backup", str(tmp_path / "remote"))
    project.run("dvc", "push")
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "remote", "add", "-d", "--local", "backup", str(tmp_path / "remote"))
    clone.run("dvc", "pull")
    assert "version 1, champion" in clone.run(*PUBLISH).stdout
    assert_states(local(clone), 1)


def test_server_gets_the_state_once(reference: Project, tmp_path: Path, server: Server) -> None:
    project = copied(reference, tmp_path / "project")
    first = project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address)
    again = project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address)
    assert "version 1, champion" in first.stdout
    assert "already published" in again.stdout
    assert_states(server.address, 1)
    (run,) = state_runs(server.address)
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")


def test_server_is_down_from_the_start(reference: Project, tmp_path: Path, server: Server) -> None:
    project = copied(reference, tmp_path / "project")
    server.kill()
    change_state(project)
    began = time.monotonic()
    done = project.run("dvc", "repro", MLFLOW_TRACKING_URI=server.address)
    output = done.stdout + done.stderr
    assert output.count("train: continues without logging to MLflow") == 1
    assert output.count("publish: not published") == 1
    assert time.monotonic() - began < 240
    failed = project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address, check=False)
    assert (failed.returncode, "Traceback" in failed.stderr) == (1, False)
    server.start()
    project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address)
    assert_states(server.address, 1)


def test_server_dies_in_training(reference: Project, tmp_path: Path, server: Server) -> None:
    project = copied(reference, tmp_path / "project")
    change_state(project, epochs=12)
    process = started(project, "dvc", "repro", MLFLOW_TRACKING_URI=server.address)
    until(lambda: has_epochs(server.address, 2), 240)
    server.kill()
    output = process.communicate(timeout=400)[0]
    assert process.returncode == 0, output
    assert output.count("train: continues without logging to MLflow") == 1
    server.start()
    project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address)
    assert_states(server.address, 1)


def test_two_machines_publish_one_state(reference: Project, tmp_path: Path, server: Server) -> None:
    machines = [copied(reference, tmp_path / name, store=False) for name in ("one", "two")]
    processes = [started(machine, *PUBLISH, MLFLOW_TRACKING_URI=server.address) for machine in machines]
    outputs = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert_states(server.address, 1)


@pytest.fixture
def server_store(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    return tracking.connect()


def test_machine_dies_while_it_holds_the_server(server_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "STALE_SECONDS", 2.0)
    server_store.client.create_registered_model("m (in use)", tags={HOLDER: "a machine that is gone"})
    began = time.monotonic()
    with server_store.lock.hold("m"):
        assert 2 <= time.monotonic() - began < 30
    assert not server_store.client.search_registered_models()


def test_machine_that_holds_the_server_too_long_loses_it(
    server_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "STALE_SECONDS", 1.0)
    client = server_store.client
    other_machine = StoreLock(client, FileLock(tmp_path / "other.lock"), on_server=True)
    with ExitStack() as other:
        with server_store.lock.hold("m"):
            (first,) = client.search_registered_models()
            other.enter_context(other_machine.hold("m"))
        (held,) = client.search_registered_models()
        assert held.tags[HOLDER] != first.tags[HOLDER]
    assert not client.search_registered_models()


def test_two_queue_workers_create_one_store(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project", store=False)
    for seed in ("1", "2"):
        project.run("dvc", "exp", "run", "--queue", "-n", f"seed-{seed}", "-S", f"train.seed={seed}")
    project.run("dvc", "queue", "start", "-j", "2")
    until(
        lambda: (
            "Success" in (listed := project.run("dvc", "queue", "status").stdout)
            and "Running" not in listed
            and "Queued" not in listed
        ),
        600,
    )
    assert project.run("dvc", "queue", "status").stdout.count("Success") == 2
    assert_states(local(project), 2)
    names = {run.data.tags["dvc.experiment"] for run in state_runs(local(project))}
    assert names == {"seed-1", "seed-2"}
    project.run(*PUBLISH)  # the state of the workspace
    assert_states(local(project), 3)


def test_altered_file_is_neither_published_nor_loaded(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project", store=False)
    project.run(*PUBLISH)
    weights = project.folder / "data/train/model/model.weights.h5"
    content = weights.read_bytes()
    for wrong in (content[:-1], content[:100] + bytes([content[100] ^ 1]) + content[101:]):
        weights.unlink()
        weights.write_bytes(wrong)
        done = project.run(*PUBLISH, check=False)
        assert done.returncode == 1
        assert "model.weights.h5 is missing or altered" in done.stderr
    registered = next((project.folder / "mlruns").rglob("model.weights.h5"))
    registered.write_bytes(content[:-1])
    (tmp_path / "in.csv").write_text("text\nhello\n")
    done = project.run(
        "python", "-m", "pipeline", "predict", str(tmp_path / "in.csv"), str(tmp_path / "o.csv"), check=False
    )
    assert done.returncode == 1
    assert "is missing or altered" in done.stderr
    assert "Traceback" not in done.stderr
