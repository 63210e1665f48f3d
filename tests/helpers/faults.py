"""A real tracking server, copies of a project to break, and what the store must hold afterwards."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from mlflow import MlflowClient
from mlflow.entities import Run

from helpers.project import Project, clean_environment
from pipeline.registry.runs import PUBLISHED, STATE
from pipeline.registry.versions import MODEL_DIGEST

NAME = "tweets-lstm"


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
        """Whether the server answers; an open port is not enough, because the first answer takes long."""
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


def until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def copied(project: Project, folder: Path, *, store: bool = True) -> Project:
    """Copy a finished project, with or without its store."""
    shutil.copytree(project.folder, folder, symlinks=True)
    if not store:
        delete_store(Project(folder))
    return Project(folder)


def delete_store(project: Project) -> None:
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
    """The store holds this many states, each once and complete, with no metric twice, and one version for each."""
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
        folders = {artifact.path for artifact in store.list_artifacts(run.info.run_id)}
        assert folders >= {"plots", "evaluation", "pipeline", "decision"}
    versions = store.search_model_versions(f"name = '{NAME}'")
    assert len({version.tags[MODEL_DIGEST] for version in versions}) == len(versions) == number
    champions = [alias for alias in store.get_registered_model(NAME).aliases if alias == "champion"]
    assert champions == ["champion"]
    assert [model.name for model in store.search_registered_models()] == [NAME]  # no lock is left


def change_state(project: Project, *, epochs: int = 2) -> None:
    """Change the project's state, so that it has to be trained."""
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
