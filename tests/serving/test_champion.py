"""The model in service: promoted versions replace it without lost requests; a broken one or a lost store does not."""

import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT, Project, clean_environment
from helpers.service import Client, FakeModel, loaded_model, wait_until

from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json, write_json
from pipeline.registry import packaging, tracking
from pipeline.registry.models import OpenedModel
from pipeline.serving import champion
from pipeline.serving.champion import LiveChampion
from pipeline.serving.metrics import Monitor

NAME = "tweets-lstm"


class FakeStore:
    """A store with one alias; raises `error` if it is set."""

    address = "sqlite:///moods.db"

    def __init__(self) -> None:
        self.promoted: str | None = "1"
        self.error: Exception | None = None
        self.versions = self

    def alias(self, name: str, alias: str) -> Any:
        if self.error:
            raise self.error
        return self.promoted and SimpleNamespace(name=name, version=self.promoted)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> tuple[LiveChampion, Any, Monitor]:
    """Version 1 in service, a store in which version 3 is broken, and the metrics."""

    def load_version(store: FakeStore, version: Any) -> Any:
        if version.version == "3":
            raise PipelineError("it is broken")
        return loaded_model(FakeModel(), version.version)

    monkeypatch.setattr(champion, "load_version", load_version)
    monitor, store = Monitor(set()), FakeStore()
    return LiveChampion(loaded_model(FakeModel()), monitor, store, "champion"), store, monitor  # type: ignore[arg-type]


def test_promoted_version_is_taken_and_broken_one_refused_once(
    followed: tuple[LiveChampion, Any, Monitor], caplog: pytest.LogCaptureFixture
) -> None:
    live, store, monitor = followed
    caplog.set_level(logging.INFO)
    live.check(store)
    assert live.model.version == "1"
    store.promoted = "2"
    live.check(store)
    assert live.model.version == "2"
    store.promoted = "3"
    for _ in range(3):
        live.check(store)
    assert live.model.version == "2"
    assert live.information()["refused"] == {"version": "3", "reason": "it is broken"}
    store.promoted = "2"
    live.check(store)
    assert live.information()["refused"] is None
    assert [record.getMessage() for record in caplog.records] == [
        "now in service: moods version 2",
        "refused moods version 3, moods version 2 stays in service: it is broken",
    ]
    metrics = monitor.render().decode()
    assert 'serve_model_info{name="moods",version="2"} 1.0' in metrics
    assert "serve_model_switches_total 1.0" in metrics
    assert "serve_models_refused_total 1.0" in metrics


def test_store_problem_is_logged_once(
    followed: tuple[LiveChampion, Any, Monitor], caplog: pytest.LogCaptureFixture
) -> None:
    live, store, monitor = followed
    caplog.set_level(logging.INFO)
    store.error = ConnectionError("no route to anything")
    for _ in range(3):
        live.check(store)
    assert live.information()["trouble"] == "the store sqlite:///moods.db does not answer (ConnectionError)"
    assert "serve_store_up 0.0" in monitor.render().decode()
    store.error = None
    live.check(store)
    assert live.information()["trouble"] is None
    assert "serve_store_up 1.0" in monitor.render().decode()
    store.promoted = None
    live.check(store)
    assert live.model.version == "1"
    assert [record.getMessage() for record in caplog.records] == [
        "the store sqlite:///moods.db does not answer (ConnectionError); moods version 1 stays in service",
        "solved: the store sqlite:///moods.db does not answer (ConnectionError)",
        "the store sqlite:///moods.db has no champion of moods; moods version 1 stays in service",
    ]


class ClientError(Exception):
    """An error of an object store's client, which is not an OSError."""


@pytest.mark.parametrize("error", [ClientError("access denied"), PipelineError("the store failed")])
def test_alias_is_followed_after_any_error_of_the_store(
    followed: tuple[LiveChampion, Any, Monitor], error: Exception
) -> None:
    live, store, _ = followed
    store.error = error
    live.follow(0.01)
    try:
        wait_until(lambda: live.store_problem, seconds=10)
        assert live.store_problem == f"the store sqlite:///moods.db does not answer ({type(error).__name__})"
        store.error, store.promoted = None, "2"
        wait_until(lambda: live.model.version == "2", seconds=10)
    finally:
        live.close()


def test_version_after_a_refused_one_is_taken_and_shown(followed: tuple[LiveChampion, Any, Monitor]) -> None:
    live, store, monitor = followed
    for store.promoted in ("3", "4"):
        live.check(store)
    assert (live.model.version, live.information()["refused"]) == ("4", None)
    shown = [line for line in monitor.render().decode().splitlines() if line.startswith("serve_model_info{")]
    assert shown == ['serve_model_info{name="moods",version="4"} 1.0']


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with what the service reads itself."""
    write_json(tmp_path / "model.json", {"state": "s"})
    write_json(tmp_path / "tokenizer.json", {"language": "en"})
    return tmp_path


def load_folder_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, fault: str = "", explainer_error: Exception | None = None
) -> Any:
    """Load a folder whose model and explainer are fakes with a fault; return the model and what was loaded."""
    model = FakeModel()
    valid = model.answers

    def probabilities(texts: list[str]) -> Any:
        rows = valid(texts).probabilities
        if fault == "shape":
            return rows[:, :2]
        if fault == "batch" and len(texts) > 1:
            return rows[::-1]
        return rows * {"sum": 2, "nan": np.nan}.get(fault, 1)

    def explain(text: str) -> None:
        if explainer_error:
            raise explainer_error

    monkeypatch.setattr(model, "probabilities", probabilities, raising=False)
    monkeypatch.setattr(champion.Predictor, "load", lambda folder: model)
    explainer = SimpleNamespace(explain=explain)
    monkeypatch.setattr(champion.Explainer, "from_predictor", lambda predictor, folder: explainer)
    return model, champion.load_folder(folder)


def test_sound_model_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, loaded = load_folder_with(folder, monkeypatch)
    assert loaded.predictor is model
    assert (loaded.title, loaded.state, loaded.language) == (folder.name, "s", "en")


@pytest.mark.parametrize("fault", ["sum", "nan", "shape", "batch"])
def test_model_without_valid_probabilities_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    with pytest.raises(PipelineError, match="does not return probabilities that sum to 1"):
        load_folder_with(folder, monkeypatch, fault=fault)


def test_model_without_explanations_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PipelineError, match="cannot be loaded: ValueError: no words"):
        load_folder_with(folder, monkeypatch, explainer_error=ValueError("no words"))


def test_error_does_not_name_the_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_folder(folder: Path, *_: object) -> Any:
        raise PipelineError(f"{folder}/tokenizer.json is altered in {folder}")

    monkeypatch.setattr(champion, "load_folder", load_folder)
    model = OpenedModel("m version 2", Path("/somewhere/else/model"))
    monkeypatch.setattr(champion, "open_version", lambda store, version: nullcontext(model))
    store = SimpleNamespace(versions=SimpleNamespace(test_metrics=lambda version: {}))
    with pytest.raises(PipelineError, match=r"^tokenizer\.json is altered in its folder$"):
        champion.load_version(store, SimpleNamespace(name="m", version=2))  # type: ignore[arg-type]


class Registry:
    """A store of its own; it registers slightly changed copies of the model of the first run."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        self.store = tracking.connect()
        self.run = self.store.runs.open("a state")

    def register(self, **changes: Any) -> Any:
        changed = self.folder / f"model-{time.monotonic_ns()}"
        shutil.copytree(self.model, changed)
        manifest = read_json(changed / "model.json") | changes
        write_json(changed / "model.json", manifest)
        return self.store.versions.register(self.run, NAME, changed, packaging.digest(manifest), manifest)

    def promote(self, version: Any) -> None:
        self.store.versions.move_alias("champion", version)


@pytest.fixture
def registry(quick_stores: None, reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    shutil.copy(reference.folder / "params.yaml", tmp_path)
    for name in ("requirements.lock", "data/rebalance/summary.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(reference.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Registry(tmp_path, reference.folder / "data/train/model")


@pytest.fixture
def started(registry: Registry) -> Iterator[tuple[Client, "subprocess.Popen[str]"]]:
    """The `serve` command with version 1 as champion, and a client of it."""
    registry.promote(registry.register())
    command = [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--check-every", "0.2", "--quiet"]
    environment = clean_environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{registry.folder}/mlflow.db"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith(f"serve: {NAME} version 1 at http://127.0.0.1:"), line or process.communicate()
            yield Client(int(line.rpartition(":")[2])), process
        finally:
            process.kill()


def wait_for_model(client: Client, condition: Callable[[dict[str, Any]], Any]) -> None:
    """Wait until a condition holds for the answer of `GET /model`."""
    wait_until(lambda: condition(client.get("/model")[1]), seconds=120)


def rename_table(old: str, new: str) -> None:
    """Rename a table of the store; MLflow cannot read the store without it."""
    with closing(sqlite3.connect("mlflow.db")) as database:
        database.execute(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.mark.slow  # half a minute
def test_no_request_is_lost_while_champions_change(
    registry: Registry, started: tuple[Client, "subprocess.Popen[str]"]
) -> None:
    client, process = started
    stop, answers = threading.Event(), []

    def send_requests() -> None:
        while not stop.is_set():
            status, answer = client.post("/predict/batch", {"texts": ["I love it", "late again"] * 40})
            answers.append((status, answer.get("model")))

    threads = [threading.Thread(target=send_requests) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        registry.promote(registry.register(temperature=2.0))
        wait_for_model(client, lambda model: model["version"] == "2")
        registry.promote(registry.register(format=1))  # an older format
        wait_for_model(client, lambda model: model["refused"] and model["refused"]["version"] == "3")
        broken = registry.register(temperature=3.0)
        latest = max(registry.folder.glob("mlruns/**/tokenizer.json"), key=lambda path: path.stat().st_ctime)
        latest.write_text("{}")
        registry.promote(broken)
        wait_for_model(client, lambda model: model["refused"]["version"] == "4")
        rename_table("registered_model_aliases", "renamed")
        wait_for_model(client, lambda model: model["trouble"])
        assert client.post("/predict", {"text": "still here"})[1]["model"] == f"{NAME} version 2"
        rename_table("renamed", "registered_model_aliases")
        wait_for_model(client, lambda model: not model["trouble"])
        registry.promote(registry.store.versions.get(NAME, "1"))
        wait_for_model(client, lambda model: model["version"] == "1" and not model["refused"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {200}
    assert {model for _, model in answers} == {f"{NAME} version 1", f"{NAME} version 2"}
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    refused = [line for line in errors.splitlines() if f"refused {NAME}" in line]
    assert len(refused) == 2, errors
    assert "has format 1, this code reads" in refused[0]
    assert "tokenizer.json is missing or altered" in refused[1]
    assert errors.count("does not answer") == 1, errors
    assert "love" not in errors


@pytest.mark.slow  # four seconds
def test_missing_champion_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "serve", "--port", "0"]
    environment = clean_environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("serve: the store sqlite:///")
    assert done.stderr.endswith("has no champion of model tweets-lstm; `make repro` registers one\n")
