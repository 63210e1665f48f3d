"""Studies in MLflow: a parent run and a run for each training, also if logged again or after a kill."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from mlflow import MlflowClient

from pipeline.base.errors import PipelineError
from pipeline.registry import experiments, tracking
from pipeline.registry.runs import STATE as STATE_TAG
from pipeline.registry.runs import Runs
from pipeline.studies import runs as subject
from pipeline.studies.runs import LONGEST_NOTE, MOST_COMPARED, NOTE, PARENT, ParentRun, StudyRun, comparison_link

STATE = "a" * 64

HISTORY = [{"epoch": 1, "validation_loss": 0.6}, {"epoch": 2, "validation_loss": 0.5}]

RUNS = [
    StudyRun(
        f"small · seed {seed}",
        {"variant": "small", "seed": seed, "train.units": 4},
        {"combined/macro_f1": 0.7 + seed / 10, "seconds": 3.5},
        HISTORY,
        {"why": "test"},
    )
    for seed in (0, 1, 2)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one store for all tests here: creating one takes seconds."""
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(autouse=True)
def experiment(folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of the test's own experiment."""
    monkeypatch.setenv("DVC_ROOT", str(folder))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(experiments.EXPERIMENTS, "ablation", request.node.name)
    return f"emotion-recognition-{request.node.name}"


def log(folder: Path, logged: list[StudyRun] = RUNS, note: str = "a table", study: str = "s") -> tuple[str, int]:
    table = folder / "tweets.md"
    table.write_text(note)
    parent = ParentRun(
        kind="ablation",
        study=study,
        name="tweets · fast",
        state=STATE,
        params={"dataset": "tweets"},
        metrics={"combined/macro_f1": len(logged) / 10},
        metrics_of="a tenth of the runs",
        note=f"# Ablation\n\n{note}",
        files=[table],
    )
    return subject.log_study(parent, logged)


def described(run: Any) -> tuple[str, list[str]]:
    """Return a parent run's description, and the runs that the link above it compares."""
    link, _, note = run.data.tags[NOTE].partition("\n\n")
    pattern = r"\[Compare the runs\]\(#/compare-runs\?(\S+)\)\. The metrics below are a tenth of the runs\."
    address = re.fullmatch(pattern, link)
    assert address
    query = {key: json.loads(value) for key, (value,) in parse_qs(address[1]).items()}
    assert query["experiments"] == [run.info.experiment_id]
    return note, query["runs"]


def runs(experiment: str) -> tuple[MlflowClient, list[Any], list[Any]]:
    """Return the store's client, the parent runs, and the others by name."""
    client = MlflowClient(tracking.store_address())
    logged = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    children = [run for run in logged if PARENT in run.data.tags]
    return client, [run for run in logged if run not in children], sorted(children, key=lambda run: run.info.run_name)


def test_study_is_logged_once(folder: Path, experiment: str) -> None:
    assert [log(folder)[1] for _ in range(3)] == [3, 0, 0]
    client, (parent,), children = runs(experiment)
    assert (parent.info.run_name, parent.info.status) == ("tweets · fast", "FINISHED")
    assert described(parent) == ("a table", [run.info.run_id for run in children])
    assert parent.data.metrics == {"combined/macro_f1": 0.3}
    assert parent.data.params == {"dataset": "tweets"}
    assert parent.info.end_time - parent.info.start_time >= 3 * 3_500
    assert parent.data.tags[STATE_TAG] == STATE
    assert [file.path for file in client.list_artifacts(parent.info.run_id)] == ["tweets.md"]
    assert (folder / "mlruns" / parent.info.run_id / "artifacts/tweets.md").is_file()
    for given, run in zip(RUNS, children, strict=True):
        assert run.info.run_name == given.name
        assert run.info.status == "FINISHED"
        assert run.data.tags[PARENT] == parent.info.run_id
        assert run.data.tags["why"] == "test"
        assert run.data.params == {key: str(value) for key, value in given.params.items()}
        assert run.data.metrics == {**given.metrics, "validation/loss": 0.5}
        assert run.info.end_time - run.info.start_time >= 3_500  # the duration of its training
        for key, values in {"validation/loss": [0.6, 0.5], "seconds": [3.5]}.items():
            assert [point.value for point in client.get_metric_history(run.info.run_id, key)] == values


@pytest.mark.parametrize("step", ["log_params", "log_epochs", "log_metrics", "finish"])
def test_kill_between_two_steps_duplicates_nothing(
    folder: Path, experiment: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    original, calls = getattr(Runs, step), []

    def killed(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Runs, step, killed)
        with pytest.raises(KeyboardInterrupt):
            log(folder)
    assert log(folder)[1] == 2
    client, parents, children = runs(experiment)
    assert len(parents) == 1
    assert [run.info.run_name for run in children] == [run.name for run in RUNS]
    assert {run.info.status for run in [*parents, *children]} == {"FINISHED"}
    for run in children:
        assert [point.step for point in client.get_metric_history(run.info.run_id, "validation/loss")] == [1, 2]
        assert len(client.get_metric_history(run.info.run_id, "seconds")) == 1


def test_link_compares_selected_runs(folder: Path, experiment: str) -> None:
    log(folder, [RUNS[0], replace(RUNS[1], compared=False), RUNS[2]])
    _, (parent,), children = runs(experiment)
    assert described(parent)[1] == [children[0].info.run_id, children[2].info.run_id]


def test_more_runs_join_the_same_parent(folder: Path, experiment: str) -> None:
    log(folder, RUNS[:1], "one")
    changed = replace(RUNS[0], params={**RUNS[0].params, "train.units": 8})
    assert log(folder, [changed, *RUNS[1:]], "three") == (experiment, 3)
    client, (parent,), children = runs(experiment)
    assert len(children) == 4
    assert described(parent)[0] == "three"
    assert parent.data.metrics == {"combined/macro_f1": 0.3}
    file = client.download_artifacts(parent.info.run_id, "tweets.md", str(folder))
    assert Path(file).read_text() == "three"
    log(folder, RUNS, study="another")
    assert len(runs(experiment)[1]) == 2


def test_deleted_runs_and_experiments_are_restored(folder: Path, experiment: str) -> None:
    log(folder)
    client, (parent,), children = runs(experiment)
    client.delete_run(children[0].info.run_id)
    assert log(folder)[1] == 1
    client.delete_run(parent.info.run_id)
    assert log(folder)[1] == 3
    client.delete_experiment(parent.info.experiment_id)
    log(folder)
    assert client.get_experiment(parent.info.experiment_id).lifecycle_stage == "active"


def test_study_is_not_in_the_pipelines_own_experiment(folder: Path) -> None:
    log(folder)
    store = tracking.connect()
    assert store.client.search_runs([store.experiment_id]) == []
    assert store.runs.find(STATE) is None


def test_store_that_does_not_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PipelineError, match=r"on disk, but not in MLflow: .* run the command again"):
        log(folder)


def test_long_note_ends_at_a_line(folder: Path, experiment: str) -> None:
    log(folder, note="\n".join(f"| row {number} | {'x' * 90} |" for number in range(200)))
    _, (parent,), _ = runs(experiment)
    *_, last, blank, end = parent.data.tags[NOTE].split("\n")
    assert re.fullmatch(r"\| row \d+ \| x{90} \|", last)
    assert (blank, end) == ("", "The rest is in the run's artifacts.")
    assert len(parent.data.tags[NOTE]) < 8_000


def test_link_leaves_room_for_the_note() -> None:
    assert len(comparison_link(["a" * 32] * (MOST_COMPARED + 1), "1")) < LONGEST_NOTE - 3_000


def test_link_compares_the_latest_runs(folder: Path, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MOST_COMPARED", 2)
    log(folder)
    _, (parent,), children = runs(experiment)
    latest = {run.info.run_id for run in children if run.info.run_name != "small · seed 0"}
    assert set(described(parent)[1]) == latest
