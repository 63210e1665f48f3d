"""Champion: a promoted model is taken while requests go on; a broken one, or a store that is gone, changes nothing."""

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
from helpers import service as helper
from helpers.project import ROOT, Project, clean_environment
from helpers.service import Counting, Service, served

from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json, write_json
from pipeline.registry import packaging, tracking
from pipeline.registry.models import OpenedModel
from pipeline.serving import champion
from pipeline.serving.champion import Champion
from pipeline.serving.metrics import Monitor

NAME = "tweets-lstm"


class Registry:
    """A store with one alias; raises what it is told to."""

    address = "sqlite:///moods.db"

    def __init__(self) -> None:
        self.at: str | None = "1"
        self.error: Exception | None = None
        self.versions = self

    def alias(self, name: str, alias: str) -> Any:
        if self.error:
            raise self.error
        return self.at and SimpleNamespace(name=name, version=self.at)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> tuple[Champion, Any, Monitor]:
    def load(store: Registry, version: Any) -> Any:
        if version.version == "3":
            raise PipelineError("it is broken")
        return served(Counting(), version.version)

    monkeypatch.setattr(champion, "load_version", load)
    monitor, registry = Monitor(set()), Registry()
    return Champion(served(Counting()), monitor, registry, "champion"), registry, monitor  # type: ignore[arg-type]


def test_a_promoted_version_is_taken_and_a_broken_one_refused_once(
    followed: tuple[Champion, Any, Monitor], caplog: pytest.LogCaptureFixture
) -> None:
    champion, registry, monitor = followed
    caplog.set_level(logging.INFO)
    champion.look(registry)
    assert champion.served.version == "1"
    registry.at = "2"
    champion.look(registry)
    assert champion.served.version == "2"
    registry.at = "3"
    for _ in range(3):
        champion.look(registry)
    assert champion.served.version == "2"
    assert champion.information()["refused"] == {"version": "3", "reason": "it is broken"}
    registry.at = "2"
    champion.look(registry)
    assert champion.information()["refused"] is None
    assert [record.getMessage() for record in caplog.records] == [
        "now in service: moods version 2",
        "moods version 3 is refused, moods version 2 stays: it is broken",
    ]
    counted = monitor.render().decode()
    assert 'serve_model_info{name="moods",version="2"} 1.0' in counted
    assert "serve_model_switches_total 1.0" in counted
    assert "serve_models_refused_total 1.0" in counted


def test_a_store_that_is_gone_is_told_once(
    followed: tuple[Champion, Any, Monitor], caplog: pytest.LogCaptureFixture
) -> None:
    champion, registry, monitor = followed
    caplog.set_level(logging.INFO)
    registry.error = ConnectionError("no route to anything")
    for _ in range(3):
        champion.look(registry)
    assert champion.information()["trouble"] == "the store sqlite:///moods.db does not answer (ConnectionError)"
    assert "serve_store_up 0.0" in monitor.render().decode()
    registry.error = None
    champion.look(registry)
    assert champion.information()["trouble"] is None
    registry.at = None
    champion.look(registry)
    assert champion.served.version == "1"
    assert [record.getMessage() for record in caplog.records] == [
        "the store sqlite:///moods.db does not answer (ConnectionError); moods version 1 stays in service",
        "the store is well again",
        "the store sqlite:///moods.db has no champion of moods; moods version 1 stays in service",
    ]


class ClientError(Exception):
    """What the client of some object store raises: no OSError."""


def test_whatever_a_store_raises_the_next_champion_is_taken(followed: tuple[Champion, Any, Monitor]) -> None:
    champion, registry, _ = followed
    registry.error = ClientError("access denied")
    champion.follow(0.01)
    try:
        deadline = time.monotonic() + 10
        while not champion.trouble and time.monotonic() < deadline:
            time.sleep(0.01)
        assert champion.trouble == "the store sqlite:///moods.db does not answer (ClientError)"
        registry.error, registry.at = None, "2"
        while champion.served.version != "2" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert champion.served.version == "2"
    finally:
        champion.close()


@pytest.mark.parametrize("fault", ["sum", "nan", "shape", "batch"])
def test_a_model_that_gives_no_probabilities_is_refused(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    model = Counting()
    sound = model.probabilities

    def broken(texts: list[str]) -> Any:
        rows = sound(texts)
        if fault == "shape":
            return rows[:, :2]
        if fault == "batch" and len(texts) > 1:
            return rows[::-1]
        return rows * {"sum": 2, "nan": float("nan")}.get(fault, 1)

    monkeypatch.setattr(model, "probabilities", broken)
    with pytest.raises(PipelineError, match="does not answer texts with probabilities that sum to 1"):
        champion._check(model)  # type: ignore[arg-type]


class Registered:
    """A store of its own, and the model of the first run in it, again and again, a little changed."""

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
def registered(quick_stores: None, reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    shutil.copy(reference.folder / "params.yaml", tmp_path)
    for name in ("requirements.lock", "data/rebalance/summary.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(reference.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Registered(tmp_path, reference.folder / "data/train/model")


@pytest.fixture
def started(registered: Registered) -> Iterator[tuple[Service, "subprocess.Popen[str]"]]:
    registered.promote(registered.register())
    command = [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--check-every", "0.2", "--quiet"]
    environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            told = process.stdout.readline()
            assert told.startswith(f"serve: {NAME} version 1 at http://127.0.0.1:"), told or process.communicate()
            yield Service(int(told.rpartition(":")[2]), None), process  # type: ignore[arg-type]
        finally:
            process.kill()


def until(service: Service, holds: Callable[[dict[str, Any]], Any]) -> None:
    """Until something holds of what the service says of its model."""
    helper.until(lambda: holds(service.get("/model")[1]), seconds=120)


def rename_table(old: str, new: str) -> None:
    """In the store, which MLflow cannot read without it."""
    with closing(sqlite3.connect("mlflow.db")) as database:
        database.execute(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.mark.slow  # half a minute
def test_no_request_is_lost_while_champions_change(
    registered: Registered, started: tuple[Service, "subprocess.Popen[str]"]
) -> None:
    service, process = started
    stop, seen = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            status, answer = service.post("/predict/batch", {"texts": ["I love it", "late again"] * 40})
            seen.append((status, answer.get("model")))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        registered.promote(registered.register(temperature=2.0))
        until(service, lambda model: model["version"] == "2")
        older = registered.register(format=1)
        registered.promote(older)
        until(service, lambda model: model["refused"] and model["refused"]["version"] == "3")
        broken = registered.register(temperature=3.0)
        latest = max(registered.folder.glob("mlruns/**/tokenizer.json"), key=lambda path: path.stat().st_ctime)
        latest.write_text("{}")
        registered.promote(broken)
        until(service, lambda model: model["refused"]["version"] == "4")
        rename_table("registered_model_aliases", "away")
        until(service, lambda model: model["trouble"])
        assert service.post("/predict", {"text": "still here"})[1]["model"] == f"{NAME} version 2"
        rename_table("away", "registered_model_aliases")
        until(service, lambda model: not model["trouble"])
        registered.promote(registered.store.versions.get(NAME, "1"))
        until(service, lambda model: model["version"] == "1" and not model["refused"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in seen} == {200}
    assert {model for _, model in seen} == {f"{NAME} version 1", f"{NAME} version 2"}
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    refused = [line for line in errors.splitlines() if "is refused" in line]
    assert len(refused) == 2, errors
    assert "has format 1, this code reads" in refused[0]
    assert "tokenizer.json is missing or altered" in refused[1]
    assert errors.count("does not answer") == 1, errors
    assert "love" not in errors


def test_without_a_champion_it_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "serve", "--port", "0"]
    environment = clean_environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("serve: the store sqlite:///")
    assert done.stderr.endswith("has no champion of model tweets-lstm; `make repro` registers one\n")


def test_a_version_after_a_refused_one_is_taken_and_the_last_is_shown_alone(
    followed: tuple[Champion, Any, Monitor],
) -> None:
    champion, registry, monitor = followed
    for registry.at in ("3", "4"):
        champion.look(registry)
    assert (champion.served.version, champion.information()["refused"]) == ("4", None)
    shown = [line for line in monitor.render().decode().splitlines() if line.startswith("serve_model_info{")]
    assert shown == ['serve_model_info{name="moods",version="4"} 1.0']


@pytest.mark.parametrize(
    ("fault", "sentence"), [("", ""), ("model", "sum to 1"), ("explainer", "ValueError: no words")]
)
def test_a_model_is_asked_and_explained_before_it_answers_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, sentence: str
) -> None:
    model, explainer = Counting(), Counting()
    if fault == "model":
        monkeypatch.setattr(model, "probabilities", lambda texts: np.full((len(texts), 3), 0.5))
    if fault == "explainer":
        monkeypatch.setattr(explainer, "explain", lambda text: (_ for _ in ()).throw(ValueError("no words")))
    monkeypatch.setattr(champion.Predictor, "load", lambda folder: model)
    monkeypatch.setattr(champion.Explainer, "beside", lambda predictor, folder: explainer)
    write_json(tmp_path / "model.json", {"state": "s"})
    write_json(tmp_path / "tokenizer.json", {"language": "en"})
    if not fault:
        assert champion.load_folder(tmp_path).predictor is model  # type: ignore[comparison-overlap]
        return
    with pytest.raises(PipelineError, match=sentence):
        champion.load_folder(tmp_path)


def test_a_temporary_folder_is_named_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(folder: Path, *_: object) -> Any:
        raise PipelineError(f"{folder}/tokenizer.json is altered in {folder}")

    monkeypatch.setattr(champion, "load_folder", load)
    model = OpenedModel("m version 2", Path("/somewhere/else/model"))
    monkeypatch.setattr(champion, "open_version", lambda store, version: nullcontext(model))
    store = SimpleNamespace(versions=SimpleNamespace(test_metrics=lambda version: {}))
    with pytest.raises(PipelineError, match=r"^tokenizer\.json is altered in its folder$"):
        champion.load_version(store, SimpleNamespace(name="m", version=2))  # type: ignore[arg-type]
