"""Search: better parameters from validation rows only, in as many trials as asked for, also after a kill."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.project import Project, set_params
from helpers.study import FakeTraining, enter
from mlflow import MlflowClient

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_yaml
from pipeline.studies import crossfit, runs, search
from pipeline.training import fit, loop
from pipeline.training.backend import make_repeatable, prepare_keras
from pipeline.training.encoders.text import build
from pipeline.training.settings import Train

pytest.importorskip("optuna", reason="only the search needs it")
from optuna import TrialPruned, create_study, load_study
from optuna.pruners import NopPruner, ThresholdPruner
from optuna.trial import FrozenTrial, TrialState


@pytest.fixture
def project(quick_stores: None, reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter(reference, tmp_path, monkeypatch)


def trials() -> list[FrozenTrial]:
    (path,) = Path(".state/search").glob("*/trials.db")
    return load_study(study_name=None, storage=f"sqlite:///{path}").trials


@pytest.mark.slow
def test_search_continues_to_the_number_of_trials(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeTraining(monkeypatch, fail_at=4)
    with pytest.raises(KeyboardInterrupt):
        search.main(["--trials", "12"])
    assert not Path("reports/search").exists()
    search.main(["--trials", "12"])
    assert len(fake.trained) == 12
    assert fake.trained[0] == (0, 4)  # the parameters in force
    proposed = [(trial.params["units"], trial.params["learning_rate"]) for trial in trials()]
    assert len(set(proposed)) == len(proposed) == 13  # none twice, although the process was started again
    assert [trial.state for trial in trials()].count(TrialState.FAIL) == 1
    assert "12 of 12 runs are new" in capsys.readouterr().out
    search.main(["--trials", "12"])
    assert len(fake.trained) == 12
    assert "0 of 12 runs are new in MLflow's experiment emotion-recognition-search" in capsys.readouterr().out
    search.main(["--trials", "14"])
    assert len(fake.trained) == 14
    assert "2 of 14 runs are new" in capsys.readouterr().out

    best = min((trial for trial in trials() if trial.state == TrialState.COMPLETE), key=lambda trial: trial.value)
    assert best.user_attrs["settings"]["units"] > 100  # more units predict better here
    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    logged = client.search_runs([client.get_experiment_by_name("emotion-recognition-search").experiment_id])
    (parent,) = [run for run in logged if runs.PARENT not in run.data.tags]
    assert len(logged) == 15
    assert f"trial {best.number}, the best of 14" in parent.data.tags[runs.NOTE]
    assert parent.data.metrics == best.user_attrs["metrics"]
    compared = {run.info.run_name for run in logged if run.info.run_id in parent.data.tags[runs.NOTE]}
    assert compared == {f"trial {trial.number}" for trial in trials() if trial.state == TrialState.COMPLETE}
    (run,) = [run for run in logged if run.info.run_name == f"trial {best.number}"]
    assert run.data.metrics["combined/loss"] == best.value
    assert run.data.metrics["combined/macro_f1"] == best.user_attrs["metrics"]["combined/macro_f1"]
    assert run.data.params["train.units"] == str(best.user_attrs["settings"]["units"])


@pytest.mark.slow
def test_trials_above_the_median_are_stopped_early(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTraining(monkeypatch)
    search.main(["--trials", "12"])
    pruned = [trial for trial in trials() if trial.state == TrialState.PRUNED]
    assert pruned
    assert fake.epochs[: search.UNPRUNED] == [3] * search.UNPRUNED
    for trial in trials():
        losses = [
            other.intermediate_values[2] for other in trials()[: trial.number] if len(other.intermediate_values) > 2
        ]
        worse = trial.number >= search.UNPRUNED and trial.intermediate_values[2] > np.median(losses)
        assert (fake.epochs[trial.number], trial in pruned) == ((2, True) if worse else (3, False))
        assert ("metrics" in trial.user_attrs) != worse
    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("emotion-recognition-search").experiment_id
    logged = client.search_runs([experiment], "tags.`pipeline.trial` = 'pruned'")
    assert {run.info.run_name for run in logged} == {f"trial {trial.number}" for trial in pruned}
    assert all(run.data.metrics["validation/loss"] > 1 for run in logged)
    assert all("combined/loss" not in run.data.metrics for run in logged)


@pytest.mark.slow
def test_printed_lines_are_the_best_parameters(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", "off")
    FakeTraining(monkeypatch)
    search.main(["--trials", "8"])
    text = Path("reports/search/tweets.yaml").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    lines = [line.strip().partition(": ") for line in text.splitlines() if line.startswith("  ")]
    assert set(read_yaml(Path("reports/search/tweets.yaml"))["train"]) == set(search.RANGES)
    path = Path("params.yaml")
    path.write_text(set_params(path.read_text(encoding="utf-8"), {key: value for key, _, value in lines}))
    best = min((trial for trial in trials() if trial.state == TrialState.COMPLETE), key=lambda trial: trial.value)
    assert params.load(Train).model_dump() == best.user_attrs["settings"]
    assert not Path("mlflow.db").exists()


@pytest.mark.slow  # ablation uses the same function, and its test trains too
def test_real_trial_measures_as_ablation_does(project: Project) -> None:
    search.main(["--trials", "1"])
    (trial,) = trials()
    data, settings = fit.Data.load(), params.load(Train)
    folder = next(Path(".state/ablation").glob("*"))
    expected = crossfit.train_and_measure(data, settings, crossfit.ngram_outputs(data, folder)).metrics(
        data.labels["validation"]
    )
    assert trial.value == pytest.approx(expected["combined/loss"], abs=2e-6)
    assert trial.user_attrs["metrics"]["combined/macro_f1"] == pytest.approx(expected["combined/macro_f1"])
    assert sorted(trial.intermediate_values) == [1, 2]


def test_training_can_be_stopped_early() -> None:
    prepare_keras()
    make_repeatable(threads=2, seed=0)
    model = build(num_ids=5, num_classes=2, embedding_dim=4, units=4)
    ids, labels, called = np.ones((16, 2), dtype=np.int32), np.tile([0, 1], 8).astype(np.int32), []

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        called.append(epoch)
        raise TrialPruned

    with pytest.raises(TrialPruned):
        loop.train_epochs(
            model,
            loop.TrainRows(ids, labels, np.ones(16, dtype=np.float32)),
            (ids, labels),
            loop.LoopSettings(batch_size=8, epochs=5, learning_rate=0.01, adversarial=0.0, patience=5, seed=0),
            lengths=[2],
            on_epoch=on_epoch,
        )
    assert called == [1]


def test_missing_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(PipelineError, match=r"Optuna is not installed; run `make env`, or `uv pip install optuna==5"):
        search.main([])


def test_diverging_trial_is_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object) -> None:
        raise loop.DivergedError("no number")

    monkeypatch.setattr(crossfit, "train_and_measure", diverge)
    study = create_study()
    study.optimize(lambda trial: search.objective(trial, None, params.load(Train), None), n_trials=2)  # type: ignore[arg-type]
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "PRUNED"]


def test_objective_is_the_loss_of_the_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[int] = []

    def train(data: Any, settings: Train, ngrams: None, on_epoch: loop.OnEpoch) -> Any:
        for epoch in (1, 2, 3):
            epochs.append(epoch)
            on_epoch(epoch, {"validation_loss": float(epoch)})
        return SimpleNamespace(metrics=lambda labels: {"combined/loss": 0.25, "lstm/loss": 0.75})

    monkeypatch.setattr(crossfit, "train_and_measure", train)
    data, base = SimpleNamespace(labels={"validation": None}), params.load(Train)
    for pruner, expected in ((NopPruner(), [1, 2, 3]), (ThresholdPruner(upper=1.5), [1, 2])):
        study = create_study(pruner=pruner)
        study.optimize(lambda trial: search.objective(trial, data, base, None), n_trials=1)  # type: ignore[arg-type]
        assert epochs == expected
        epochs.clear()
        values = [0.25] if len(expected) == 3 else []
        assert [trial.value for trial in study.trials if trial.state == TrialState.COMPLETE] == values


def test_first_trial_has_the_parameters_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def objective(trial: Any, *_: object) -> float:
        search.suggest_parameters(trial)
        return 1.0

    monkeypatch.setattr(search, "objective", objective)
    monkeypatch.setattr(search.process, "run_in_process", lambda work, *arguments: work(*arguments))
    base = params.load(Train)
    start = {key: value for key, value in (base.model_dump() | {"batch_size": 32}).items() if key in search.RANGES}
    study = search.SearchStudy(tmp_path / "trials.db", "n", start)
    search.run_trials(study, None, base, ngrams=None, trials=4)  # type: ignore[arg-type]
    proposed = [trial.params for trial in search.open_study(study).trials]
    assert proposed[0] == start
    assert len({parameters["learning_rate"] for parameters in proposed}) == 4


def test_search_without_a_completed_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def diverge(*_: object) -> None:
        raise loop.DivergedError("no number")

    monkeypatch.setattr(crossfit, "train_and_measure", diverge)
    monkeypatch.setattr(search.process, "run_in_process", lambda work, *arguments: work(*arguments))
    base = params.load(Train)
    start = {key: value for key, value in (base.model_dump() | {"batch_size": 32}).items() if key in search.RANGES}
    place = search.SearchStudy(tmp_path / "trials.db", "n", start)
    study = search.run_trials(place, None, base, ngrams=None, trials=2)  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == ["1 of 2, trial 0: stopped early", "2 of 2, trial 1: stopped early"]
    with pytest.raises(PipelineError, match="none of 2 trials was completed"):
        search.report_search(study, None, title="t", state="s")  # type: ignore[arg-type]
