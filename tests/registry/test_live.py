"""Logging while training goes on: a kill or a store that does not answer loses no training."""

from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.registry import tracking
from pipeline.registry.live import live_run
from pipeline.registry.store import Store

STATE = "a" * 64

HISTORY = [
    {"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6},
    {"epoch": 2, "train_loss": 0.4, "validation_loss": 0.5},
]


def test_killed_run_is_continued(store: Store) -> None:
    def interrupted() -> None:
        with live_run(STATE) as on_epoch:
            on_epoch(1, HISTORY[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    run = store.runs.find(STATE)
    assert run is not None
    assert run.info.status == "FAILED"
    with live_run(STATE) as on_epoch:
        assert store.client.get_run(run.info.run_id).info.status == "RUNNING"
        for epoch, metrics in enumerate(HISTORY, start=1):
            on_epoch(epoch, metrics)
    assert len(store.client.search_runs([store.experiment_id])) == 1
    assert len(store.client.get_metric_history(run.info.run_id, "train/loss")) == 2


def test_training_continues_without_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PipelineError, match=r"the MLflow store http://127\.0\.0\.1:9 failed"):
        tracking.connect()
    with live_run(STATE) as on_epoch:
        on_epoch(1, HISTORY[0])
        on_epoch(2, HISTORY[1])
    assert capsys.readouterr().err.count("continues without logging to MLflow") == 1


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + bytes(200), bytes(range(256)) * 40])
def test_training_continues_with_broken_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(content)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    with pytest.raises(PipelineError, match=r"the MLflow store sqlite:.* failed"):
        tracking.connect()
    with live_run(STATE) as on_epoch:
        on_epoch(1, {"epoch": 1})
    assert capsys.readouterr().err.count("continues without logging to MLflow") == 1


def test_nothing_is_logged_when_tracking_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", "off")
    connections: list[str] = []
    monkeypatch.setattr(tracking, "connect", lambda: connections.append("a store"))
    with live_run(STATE) as on_epoch:
        on_epoch(1, HISTORY[0])
    assert not connections
