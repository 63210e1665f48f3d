"""Tracking: one run for a state, whatever is logged again; a store that does not answer stops no training."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS

from pipeline import publish
from pipeline.base import params, paths
from pipeline.base.errors import PipelineError, without_credentials
from pipeline.base.files import write_json
from pipeline.registry import store as subject
from pipeline.registry import tracking
from pipeline.registry.store import HOLDER, MODEL_DIGEST, PUBLISHED, Store

ROOT = Path(__file__).parents[2]

STATE = "a" * 64

HISTORY = [
    {"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6},
    {"epoch": 2, "train_loss": 0.4, "validation_loss": 0.5},
]


@pytest.fixture
def store(quick_stores: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    shutil.copy(ROOT / params.PARAMS_FILE, tmp_path)
    monkeypatch.chdir(tmp_path)
    write_json(paths.REBALANCE_SUMMARY, {"strategy": "class_weight"})  # which names the run
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking.connect()


def test_logging_again_changes_nothing(store: Store) -> None:
    for _ in range(2):
        run = store.open_run(STATE)
        store.log_epochs(run, HISTORY)
        store.log_params(run, {"train.units": 64})
        store.log_figures(run, {"test/accuracy": 0.7})
        store.log_datasets(run, "tweets", {"training": (Path("data/clean/train.parquet"), "b" * 64, 10)})
        store.finish(run, {PUBLISHED: "x"})
    runs = store.client.search_runs([store.experiment_id])
    assert len(runs) == 1
    run = runs[0]
    assert (run.info.run_name, run.info.status) == ("class_weight · fast · tweets", "FINISHED")
    assert run.data.params == {"train.units": "64"}
    for key, values in {"train/loss": [0.5, 0.4], "validation/loss": [0.6, 0.5], "test/accuracy": [0.7]}.items():
        assert [point.value for point in store.client.get_metric_history(run.info.run_id, key)] == values
    assert len(run.inputs.dataset_inputs) == 1


def test_a_figure_that_changed_is_the_one_that_is_shown(store: Store) -> None:
    for value in (0.7, 0.6, 0.6):  # under equal timestamps MLflow shows the greater one
        store.log_figures(store.open_run(STATE), {"test/accuracy": value, "test/loss": 1.0})
    run = store.open_run(STATE)
    assert run.data.metrics == {"test/accuracy": 0.6, "test/loss": 1.0}
    for key, values in {"test/accuracy": [0.7, 0.6], "test/loss": [1.0]}.items():
        assert [point.value for point in store.client.get_metric_history(run.info.run_id, key)] == values


@pytest.mark.parametrize(
    "names",
    [("a$", "a%"), ("a\n", "a\t"), ("..", ""), (".", ".."), ("x" * 300, "x" * 301), ("a//b", "a/./b"), ("😀", "😡")],
)
def test_names_that_mlflow_refuses_stay_apart(store: Store, names: tuple[str, str]) -> None:
    run = store.open_run(STATE)
    figures = {f"per_class/{name}/recall": value for name, value in zip(names, (0.1, 0.2), strict=True)}
    store.log_figures(run, figures)
    store.log_figures(run, {"per_class/好评 a_b/recall": 0.3})
    logged = store.client.get_run(run.info.run_id).data.metrics
    assert sorted(logged.values()) == [0.1, 0.2, 0.3]
    assert logged["per_class/好评 a_b/recall"] == 0.3  # as it is, where MLflow takes it


def test_a_killed_run_is_taken_up_again(store: Store) -> None:
    def interrupted() -> None:
        with tracking.live_run(STATE) as on_epoch:
            on_epoch(1, HISTORY[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    run = store.find_run(STATE)
    assert run is not None
    assert run.info.status == "FAILED"
    with tracking.live_run(STATE) as on_epoch:
        assert store.client.get_run(run.info.run_id).info.status == "RUNNING"
        for epoch, figures in enumerate(HISTORY, start=1):
            on_epoch(epoch, figures)
    assert len(store.client.search_runs([store.experiment_id])) == 1
    assert len(store.client.get_metric_history(run.info.run_id, "train/loss")) == 2


def test_the_short_cut_sees_a_published_state_and_a_deleted_run(store: Store, tmp_path: Path) -> None:
    assert not tracking.published(content="x", digest="d")
    run = store.open_run(STATE)
    store.finish(run, {PUBLISHED: "x"})
    store.client.create_registered_model("m")
    store.client.create_model_version("m", "somewhere", tags={MODEL_DIGEST: "d"})
    assert tracking.published(content="x", digest="d")
    assert not tracking.published(content="y", digest="d")
    assert not tracking.published(content="x", digest="e")
    store.client.delete_model_version("m", "1")  # whose tags stay
    assert not tracking.published(content="x", digest="d")
    store.client.create_model_version("m", "somewhere", tags={MODEL_DIGEST: "d"})
    assert tracking.published(content="x", digest="d")
    store.client.delete_run(run.info.run_id)
    assert not tracking.published(content="x", digest="d")


def test_a_foreign_database_is_no_published_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert not tracking.published(content="x", digest="d")
    sqlite3.connect(tmp_path / tracking.DATABASE).execute("CREATE TABLE t (a)").connection.close()
    assert not tracking.published(content="x", digest="d")


def test_a_dead_server_is_told_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PipelineError, match=r"the MLflow store http://127\.0\.0\.1:9 failed"):
        tracking.connect()
    with tracking.live_run(STATE) as on_epoch:
        on_epoch(1, HISTORY[0])
        on_epoch(2, HISTORY[1])
    assert capsys.readouterr().err.count("goes on without logging to MLflow") == 1


def test_tracking_and_publishing_can_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", "off")
    assert not tracking.enabled()
    monkeypatch.setenv("PIPELINE_TRACKING", "live")
    assert tracking.enabled()
    monkeypatch.setattr(publish, "publish", lambda: pytest.fail("published"))
    publish.main(["--after-evaluate"])
    monkeypatch.setenv("PIPELINE_TRACKING", "no")
    with pytest.raises(PipelineError, match="must be on, live or off, got 'no'"):
        tracking.enabled()


OPEN = """
import sys
from pipeline.registry import tracking
store = tracking.connect()
print("ready", flush=True)
sys.stdin.readline()
print(store.open_run("a" * 64).info.run_id)
"""


def test_two_processes_at_once_make_one_run(store: Store, tmp_path: Path) -> None:
    environment = os.environ | {"DVC_ROOT": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command, pipes = [sys.executable, "-c", OPEN], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    both = [subprocess.Popen(command, env=environment, text=True, **pipes) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        print("go", file=process.stdin, flush=True)
    runs = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert runs[0] == runs[1] != ""


@pytest.mark.slow
def test_a_kill_while_the_database_is_made_breaks_nothing(tmp_path: Path) -> None:
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
        time.sleep(1.1)  # what is younger may be another process's
    assert killed_midway >= 3
    subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    assert not list(tmp_path.glob(".partial-*"))


@pytest.mark.parametrize("password", ["secret", "se/cret", "se@cret"])
def test_no_password_is_shown(password: str) -> None:
    shown = without_credentials(f"no answer of postgresql://me:{password}@db/mlflow after 3 s")
    assert shown == "no answer of postgresql://***@db/mlflow after 3 s"


def test_a_store_address_is_the_same_in_a_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    assert tracking.store_address() == f"sqlite:///{tmp_path}/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking.store_address() == "http://127.0.0.1:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "a%20b"))
    with pytest.raises(PipelineError, match="its path has a % or a"):
        tracking.store_address()


def test_no_message_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://jane:s3cret@127.0.0.1:9/path")
    with pytest.raises(PipelineError, match=r"http://\*\*\*@127\.0\.0\.1:9/path") as raised:
        tracking.connect()
    assert "s3cr" not in str(raised.value)
    assert "jane" not in str(raised.value)


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + bytes(200), bytes(range(256)) * 40])
def test_a_broken_database_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(content)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    with pytest.raises(PipelineError, match=r"the MLflow store sqlite:.* failed"):
        tracking.connect()
    with tracking.live_run("s" * 64) as on_epoch:
        on_epoch(1, {"epoch": 1})


def test_a_run_is_closed_before_it_counts_as_published(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.open_run("s" * 64)
    monkeypatch.setattr(store.client, "set_terminated", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.finish(run, {"pipeline.published": "x"})
    assert "pipeline.published" not in store.client.get_run(run.info.run_id).data.tags


@pytest.mark.parametrize("visible", [True, False])
def test_a_hold_that_nobody_may_end_is_told(monkeypatch: pytest.MonkeyPatch, visible: bool) -> None:
    """As on a server that lets only its maker delete a model, or see it."""

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("it exists", RESOURCE_ALREADY_EXISTS)

    found = [SimpleNamespace(tags={"holder": "x"})] if visible else []
    client = SimpleNamespace(
        create_registered_model=refuse, delete_registered_model=refuse, search_registered_models=lambda _: found
    )
    monkeypatch.setattr(subject, "STALE", 0.1)
    held = Store("http://x", client, "1", FileLock("unused.lock"))  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match=r"holds a model called 'm \(in use\)' for too long; delete it in MLflow"):
        held._take("m (in use)")


def test_what_a_version_learnt_from_are_the_rows_of_train_and_validation(store: Store) -> None:
    run = store.open_run(STATE)
    names = {"training": "train", "validation": "validation", "test": "test"}
    datasets = {context: (Path(f"{name}.parquet"), name * 9, 10) for context, name in names.items()}
    store.log_datasets(run, "tweets", datasets)
    store.client.create_registered_model("m")
    store.client.create_model_version("m", "somewhere", run.info.run_id)
    store.client.create_model_version("m", "elsewhere")
    found = {version: sorted(digests) for version, digests in store.learnt_from("m")}
    assert found == {"1": ["train" * 9, "validation" * 9], "2": []}


def test_a_description_that_a_person_wrote_stays(store: Store) -> None:
    store.client.create_registered_model("m")
    store.describe("m", "ours")
    assert store.client.get_registered_model("m").description == "ours"
    store.client.update_registered_model("m", "a person's")
    store.describe("m", "ours, changed")
    assert store.client.get_registered_model("m").description == "a person's"


def test_an_alias_is_taken_from_the_version_that_has_it_alone(store: Store) -> None:
    store.client.create_registered_model("m")
    first, second = (store.client.create_model_version("m", "somewhere") for _ in range(2))
    store.move_alias("challenger", first)
    store.drop_alias("challenger", second)
    assert store.find("m", "challenger").version == first.version  # type: ignore[union-attr]
    store.drop_alias("challenger", first)
    assert store.find("m", "challenger") is None
    assert store.find("m", "2").version == second.version  # type: ignore[union-attr]
    assert (store.find("m", "3"), store.find("other", "1")) == (None, None)


def test_what_another_holds_by_now_is_not_let_go() -> None:
    deleted: list[str] = []
    found = [SimpleNamespace(tags={HOLDER: "theirs"})]
    client = SimpleNamespace(search_registered_models=lambda _: found, delete_registered_model=deleted.append)
    held = Store("http://x", client, "1", FileLock("unused.lock"))  # type: ignore[arg-type]
    held._release("m (in use)", "ours")
    assert deleted == []
    held._release("m (in use)", "theirs")
    assert deleted == ["m (in use)"]


def test_more_figures_than_a_server_takes_at_once_are_all_logged(store: Store) -> None:
    run = store.open_run(STATE)
    store.log_figures(run, {f"per_class/{number}/recall": number / 1_500 for number in range(1_500)})
    assert len(store.client.get_run(run.info.run_id).data.metrics) == 1_500


def test_no_short_cut_is_taken_where_a_run_of_mlflow_run_waits_for_its_link(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.finish(store.open_run(STATE), {PUBLISHED: "x"})
    store.client.create_registered_model("m")
    store.client.create_model_version("m", "somewhere", tags={MODEL_DIGEST: "d"})
    assert tracking.published(content="x", digest="d")
    monkeypatch.setenv("MLFLOW_RUN_ID", "started by mlflow run")
    assert not tracking.published(content="x", digest="d")
