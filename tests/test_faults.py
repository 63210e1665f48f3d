"""Faults: after kills, outages and races the store holds exactly the states that exist, each once and complete.

Real processes, and a real tracking server with an artifact store of its own.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from conftest import ROOT, Project, clean_environment
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import tracking
from pipeline.store import HOLDER, MODEL_DIGEST, PUBLISHED, STATE

pytestmark = pytest.mark.slow  # ten minutes
NAME = "tweets-lstm"
PUBLISH = ("python", "-m", "pipeline.publish")


@dataclass
class Server:
    """An `mlflow server` on loopback, which can be killed and started again."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Server":
        self.folder.mkdir(exist_ok=True)
        stores = ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        stores += ["--artifacts-destination", str(self.folder / "artifacts")]
        command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", *stores]
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=clean_environment(), stdout=log, stderr=log, start_new_session=True
            )
        until(self.answers, 120)
        return self

    def answers(self) -> bool:
        """Whether it does; a port that is open is not enough, for a first answer takes it long."""
        try:
            with urlopen(f"{self.address}/health", timeout=30) as answer:  # noqa: S310 - on loopback
                return answer.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = Server(tmp_path / "server", port).start()
    yield found
    found.kill()


def until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def copied(project: Project, folder: Path, *, store: bool = True) -> Project:
    """A copy of a finished project, with its store or without."""
    shutil.copytree(project.folder, folder, symlinks=True)
    if not store:
        forget(Project(folder))
    return Project(folder)


def forget(project: Project) -> None:
    for path in project.folder.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(project.folder / "mlruns")


def local(project: Project) -> str:
    return f"sqlite:///{project.folder}/mlflow.db"


def state_runs(address: str) -> list[Run]:
    store = MlflowClient(address, address)
    experiment = store.get_experiment_by_name("emotion-recognition")
    return [] if experiment is None else list(store.search_runs([experiment.experiment_id]))


def assert_states(address: str, number: int, epochs: int = 2) -> None:
    """The store holds so many states, each once, complete, with no figure twice, and one version for each."""
    store, runs = MlflowClient(address, address), state_runs(address)
    assert len(runs) == len({run.data.tags[STATE] for run in runs}) == number
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.tags[PUBLISHED]
        for key in run.data.metrics:
            points = store.get_metric_history(run.info.run_id, key)
            assert len(points) == (
                int(run.data.params["train.epochs"]) if key.startswith(("train/", "validation/")) else 1
            ), key
        folders = {each.path for each in store.list_artifacts(run.info.run_id)}
        assert folders >= {"plots", "evaluation", "pipeline", "decision"}
    versions = store.search_model_versions(f"name = '{NAME}'")
    assert len({each.tags[MODEL_DIGEST] for each in versions}) == len(versions) == number
    champions = [each for each in store.get_registered_model(NAME).aliases if each == "champion"]
    assert champions == ["champion"]
    assert [each.name for each in store.search_registered_models()] == [NAME]  # nothing is left in use


def other_state(project: Project, *, epochs: int = 2) -> None:
    """Make the project's state another one, that has to be trained."""
    path = project.folder / "params.yaml"
    head, train = path.read_text(encoding="utf-8").split("\ntrain:\n")
    train, number = re.subn(r"(?m)^  seed: \d+", "  seed: 1", train, count=1)
    assert number == 1
    path.write_text(f"{head}\ntrain:\n{train}", encoding="utf-8")
    project.set(epochs=str(epochs), patience=str(epochs))


def started(project: Project, *command: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        cwd=project.folder,
        env=clean_environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def has_epochs(address: str, number: int) -> bool:
    """Whether a run is in training and has so many epochs."""
    store = MlflowClient(address, address)
    running = [run for run in state_runs(address) if run.info.status == "RUNNING"]
    return any(len(store.get_metric_history(run.info.run_id, "train/loss")) >= number for run in running)


def test_training_that_is_killed_and_run_again(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project")
    other_state(project, epochs=12)
    process = started(project, "dvc", "repro")
    until(lambda: has_epochs(local(project), 2), 240)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    project.run("dvc", "repro")
    assert_states(local(project), 2)


def test_publishing_that_is_killed_at_any_moment(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project", store=False)
    for seconds in (4, 6, 8, 10, 13):
        process = started(project, *PUBLISH)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    project.run(*PUBLISH)
    assert_states(local(project), 1)


def test_a_store_that_is_deleted(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project", store=False)
    assert "Data and pipelines are up to date" in project.run("dvc", "repro").stdout
    assert "champion" in project.run(*PUBLISH).stdout
    assert_states(local(project), 1)


def test_a_fresh_clone_that_pulls(reference: Project, tmp_path: Path) -> None:
    project = copied(reference, tmp_path / "project")
    project.run("dvc", "remote", "add", "-d", "--local", "backup", str(tmp_path / "remote"))
    project.run("dvc", "push")
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "remote", "add", "-d", "--local", "backup", str(tmp_path / "remote"))
    clone.run("dvc", "pull")
    assert "version 1, champion" in clone.run(*PUBLISH).stdout
    assert_states(local(clone), 1)


def test_a_server_gets_the_state_once(reference: Project, tmp_path: Path, server: Server) -> None:
    project = copied(reference, tmp_path / "project")
    first = project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address)
    again = project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address)
    assert "version 1, champion" in first.stdout
    assert "already published" in again.stdout
    assert_states(server.address, 1)
    (run,) = state_runs(server.address)
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")


def test_a_server_that_is_down_from_the_start(reference: Project, tmp_path: Path, server: Server) -> None:
    project = copied(reference, tmp_path / "project")
    server.kill()
    other_state(project)
    began = time.monotonic()
    done = project.run("dvc", "repro", MLFLOW_TRACKING_URI=server.address)
    said = done.stdout + done.stderr
    assert said.count("train: goes on without logging to MLflow") == 1
    assert said.count("evaluate: not published") == 1
    assert time.monotonic() - began < 240
    failed = project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address, check=False)
    assert (failed.returncode, "Traceback" in failed.stderr) == (1, False)
    server.start()
    project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address)
    assert_states(server.address, 1)


def test_a_server_that_dies_in_training(reference: Project, tmp_path: Path, server: Server) -> None:
    project = copied(reference, tmp_path / "project")
    other_state(project, epochs=12)
    process = started(project, "dvc", "repro", MLFLOW_TRACKING_URI=server.address)
    until(lambda: has_epochs(server.address, 2), 240)
    server.kill()
    said = process.communicate(timeout=400)[0]
    assert process.returncode == 0, said
    assert said.count("train: goes on without logging to MLflow") == 1
    server.start()
    project.run(*PUBLISH, MLFLOW_TRACKING_URI=server.address)
    assert_states(server.address, 1)


def test_two_machines_that_publish_one_state_at_once(reference: Project, tmp_path: Path, server: Server) -> None:
    machines = [copied(reference, tmp_path / name, store=False) for name in ("one", "two")]
    processes = [started(machine, *PUBLISH, MLFLOW_TRACKING_URI=server.address) for machine in machines]
    said = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert_states(server.address, 1)


def test_a_machine_that_dies_while_it_holds_the_server(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setattr("pipeline.store.STALE", 2.0)
    store = tracking.connect()
    store._take("m (in use)")  # and is never heard of again
    began = time.monotonic()
    with store.alone("m"):
        assert 2 <= time.monotonic() - began < 30
    assert not store.client.search_registered_models()


def test_a_machine_that_held_the_server_too_long_leaves_it_to_the_next(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setattr("pipeline.store.STALE", 1.0)
    store = tracking.connect()
    with store.alone("m"):
        other = store._take("m (in use)")  # another machine, which did not wait longer
    (held,) = store.client.search_registered_models()
    assert held.tags[HOLDER] == other
    store._release("m (in use)", other)
    assert not store.client.search_registered_models()


def test_two_workers_of_a_queue_make_the_store_once(reference: Project, tmp_path: Path) -> None:
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


def test_an_altered_or_cut_file_is_neither_published_nor_predicted_with(reference: Project, tmp_path: Path) -> None:
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
        "python", "-m", "pipeline.predict", str(tmp_path / "in.csv"), str(tmp_path / "o.csv"), check=False
    )
    assert done.returncode == 1
    assert "is missing or altered" in done.stderr
    assert "Traceback" not in done.stderr
