"""One run for each state, however often it is logged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import ROOT

from pipeline.registry.runs import PUBLISHED
from pipeline.registry.store import Store

STATE = "a" * 64

HISTORY = [
    {"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6},
    {"epoch": 2, "train_loss": 0.4, "validation_loss": 0.5},
]


def test_logging_twice_changes_nothing(store: Store) -> None:
    for _ in range(2):
        run = store.runs.open(STATE)
        store.runs.log_epochs(run, HISTORY)
        store.runs.log_params(run, {"train.units": 64})
        store.runs.log_metrics(run, {"test/accuracy": 0.7})
        store.runs.log_datasets(run, "tweets", {"training": (Path("data/clean/train.parquet"), "b" * 64, 10)})
        store.runs.finish(run, {PUBLISHED: "x"})
    runs = store.client.search_runs([store.experiment_id])
    assert len(runs) == 1
    run = runs[0]
    assert (run.info.run_name, run.info.status) == ("class_weight · fast · tweets", "FINISHED")
    assert run.data.params == {"train.units": "64"}
    for key, values in {"train/loss": [0.5, 0.4], "validation/loss": [0.6, 0.5], "test/accuracy": [0.7]}.items():
        assert [point.value for point in store.client.get_metric_history(run.info.run_id, key)] == values
    assert len(run.inputs.dataset_inputs) == 1


def test_changed_metric_is_shown(store: Store) -> None:
    for value in (0.7, 0.6, 0.6):  # at equal timestamps, MLflow shows the greater value
        store.runs.log_metrics(store.runs.open(STATE), {"test/accuracy": value, "test/loss": 1.0})
    run = store.runs.open(STATE)
    assert run.data.metrics == {"test/accuracy": 0.6, "test/loss": 1.0}
    for key, values in {"test/accuracy": [0.7, 0.6], "test/loss": [1.0]}.items():
        assert [point.value for point in store.client.get_metric_history(run.info.run_id, key)] == values


@pytest.mark.parametrize(
    "names",
    [("a$", "a%"), ("a\n", "a\t"), ("..", ""), (".", ".."), ("x" * 300, "x" * 301), ("a//b", "a/./b"), ("😀", "😡")],
)
def test_names_that_mlflow_refuses_stay_distinct(store: Store, names: tuple[str, str]) -> None:
    run = store.runs.open(STATE)
    metrics = {f"per_class/{name}/recall": value for name, value in zip(names, (0.1, 0.2), strict=True)}
    store.runs.log_metrics(run, metrics)
    store.runs.log_metrics(run, {"per_class/好评 a_b/recall": 0.3})
    logged = store.client.get_run(run.info.run_id).data.metrics
    assert sorted(logged.values()) == [0.1, 0.2, 0.3]
    assert logged["per_class/好评 a_b/recall"] == 0.3  # unchanged, because MLflow accepts it


def test_more_metrics_than_one_request_takes(store: Store) -> None:
    run = store.runs.open(STATE)
    store.runs.log_metrics(run, {f"per_class/{number}/recall": number / 1_500 for number in range(1_500)})
    assert len(store.client.get_run(run.info.run_id).data.metrics) == 1_500


def test_run_is_closed_before_it_counts_as_published(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.runs.open(STATE)
    monkeypatch.setattr(store.client, "set_terminated", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.runs.finish(run, {PUBLISHED: "x"})
    assert PUBLISHED not in store.client.get_run(run.info.run_id).data.tags


OPEN = """
import sys
from pipeline.registry import tracking
store = tracking.connect()
print("ready", flush=True)
sys.stdin.readline()
print(store.runs.open("a" * 64).info.run_id)
"""


@pytest.mark.slow  # five seconds
def test_two_processes_create_one_run(store: Store, tmp_path: Path) -> None:
    environment = os.environ | {"DVC_ROOT": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command, pipes = [sys.executable, "-c", OPEN], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, env=environment, text=True, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        print("go", file=process.stdin, flush=True)
    runs = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert runs[0] == runs[1] != ""
