"""The lock of a store on a server, which is a registered model; tests/test_faults.py has a real server."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS

from pipeline.base.errors import PipelineError
from pipeline.registry import lock
from pipeline.registry.lock import HOLDER, StoreLock


def server_lock(folder: Path, client: Any) -> StoreLock:
    return StoreLock(client, FileLock(folder / "store.lock"), on_server=True)


class Server:
    """One name that can be held, as a registered model."""

    holder = ""

    def create_registered_model(self, name: str, tags: dict[str, str], description: str) -> None:
        if self.holder:
            raise MlflowException("it exists", RESOURCE_ALREADY_EXISTS)
        self.holder = tags[HOLDER]

    def search_registered_models(self, query: str) -> list[Any]:
        assert query == "name = 'm (in use)'"
        return [SimpleNamespace(tags={HOLDER: self.holder})] if self.holder else []

    def delete_registered_model(self, name: str) -> None:
        self.holder = ""


def test_server_is_held_for_the_block(tmp_path: Path) -> None:
    server = Server()
    with server_lock(tmp_path, server).hold("m"):
        assert server.holder
    assert not server.holder


def test_server_is_released_after_an_error(tmp_path: Path) -> None:
    server = Server()
    with pytest.raises(KeyboardInterrupt), server_lock(tmp_path, server).hold("m"):
        raise KeyboardInterrupt
    assert not server.holder


def test_lock_that_another_took_over_stays(tmp_path: Path) -> None:
    server = Server()
    with server_lock(tmp_path, server).hold("m"):
        server.holder = "another"
    assert server.holder == "another"


def test_database_needs_only_the_file_lock(tmp_path: Path) -> None:
    file = FileLock(tmp_path / "store.lock")
    with StoreLock(SimpleNamespace(), file, on_server=False).hold("m"):  # type: ignore[arg-type]
        assert file.is_locked
    assert not file.is_locked


@pytest.mark.parametrize("visible", [True, False])
def test_lock_that_cannot_be_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: bool) -> None:
    """As on a server where only its creator may delete a model, or see it."""

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("it exists", RESOURCE_ALREADY_EXISTS)

    models = [SimpleNamespace(tags={"holder": "x"})] if visible else []
    client = SimpleNamespace(
        create_registered_model=refuse, delete_registered_model=refuse, search_registered_models=lambda _: models
    )
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.1)
    message = r"holds a model called 'm \(in use\)' for too long; delete it in MLflow"
    with pytest.raises(PipelineError, match=message), server_lock(tmp_path, client).hold("m"):
        pytest.fail("held")
