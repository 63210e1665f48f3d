"""Imbalance: a study continues after a kill, computes nothing twice, and reports what is finished."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.project import Project
from helpers.study import enter, strategy_result
from mlflow import MlflowClient

from pipeline import rebalance
from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_arrays, read_json, sha256
from pipeline.studies import dvc_experiments, imbalance, runs
from pipeline.studies.imbalance import StrategyTraining
from pipeline.studies.imbalance_results import StrategyResult


class FakeExperiments:
    """Replace DVC: `class_weight` has a higher recall; the call numbered `fail_at` is interrupted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> None:
        self.ran: list[str] = []
        self.finished: dict[str, StrategyTraining] = {}
        self.fail_at = fail_at
        monkeypatch.setattr(dvc_experiments, "run_experiment", self.run)
        monkeypatch.setattr(dvc_experiments, "experiment_names", lambda: set(self.finished))
        monkeypatch.setattr(dvc_experiments, "read_experiment", self.read)

    def run(self, changes: dict[str, Any], name: str, folder: Path, *, copied: list[str]) -> float:
        training = StrategyTraining(changes["ingest.skew"], changes["rebalance.strategy"], changes["train.seed"])
        assert changes["rebalance.seed"] == training.seed
        assert copied == []
        if len(self.ran) == self.fail_at:
            self.fail_at = None
            raise KeyboardInterrupt
        self.ran.append(training.name)
        self.finished[name] = training
        return 10.0

    def read(self, name: str, seconds: float | None) -> StrategyResult:
        training = self.finished[name]
        return strategy_result(
            0.8 if training.strategy == "class_weight" else 0.4, seconds=seconds, noise=training.seed
        )


@pytest.fixture
def project(quick_stores: None, reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter(reference, tmp_path, monkeypatch)


@pytest.mark.slow  # three seconds
def test_study_continues_after_a_kill(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeExperiments(monkeypatch, fail_at=3)
    call = ["--strategies", "none", "class_weight", "--seeds", "0", "1", "--jobs", "1"]
    with pytest.raises(KeyboardInterrupt):
        imbalance.main(call)
    assert fake.ran == ["none-seed-0", "none-seed-1", "class-weight-seed-0"]
    assert not Path("reports/imbalance").exists()
    imbalance.main(call)
    assert fake.ran[3:] == ["class-weight-seed-1"]
    output = capsys.readouterr().out
    assert "**+40.0 [" in output
    assert "4 of 4 runs are new in MLflow's experiment emotion-recognition-imbalance" in output
    imbalance.main(call)
    assert len(fake.ran) == 4
    assert "0 of 4 runs are new" in capsys.readouterr().out

    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    logged = client.search_runs([client.get_experiment_by_name("emotion-recognition-imbalance").experiment_id])
    (parent,) = [run for run in logged if runs.PARENT not in run.data.tags]
    assert parent.data.tags["mlflow.note.content"].startswith("[Compare the runs](#/compare-runs?runs=")
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {
        "tweets-1500.md",
        "tweets-1500.csv",
        "tweets-1500-strategies.png",
    }
    assert parent.data.metrics["class-weight/minority_recall"] == 0.8
    (run,) = [run for run in logged if run.info.run_name == "class-weight-seed-1"]
    assert next(iter(run.data.metrics)) == "minority_recall"  # MLflow's comparison draws the first
    assert run.data.params["strategy"] == "class_weight"
    assert run.data.metrics["per_class/sad/recall"] == run.data.metrics["minority_recall"] == 0.8
    assert run.data.metrics["overall/macro_f1"] == strategy_result(0.8).metrics["overall"]["macro_f1"]
    # Other parameters make another study; the first stays.
    imbalance.main([*call, "-S", "train.units=16"])
    assert len(fake.ran) == 8
    imbalance.main(["--strategies", "none", "--seeds", "0", "--skew", "none", "10", "--jobs", "2"])
    assert fake.ran[8:] == ["1-to-10-none-seed-0"]


def test_finished_experiment_is_not_run_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeExperiments(monkeypatch)
    call = ["--strategies", "none", "--seeds", "0"]
    imbalance.main(call)
    (cached,) = Path(".state/imbalance").glob("*/none-seed-0/result.json")
    cached.unlink()
    imbalance.main(call)
    assert fake.ran == ["none-seed-0"]
    assert read_json(cached)["seconds"] is None  # unknown


def test_experiment_of_a_dvc_that_outlived_its_study(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeExperiments(monkeypatch)

    def conflict(*arguments: Any, **options: Any) -> float:
        fake.run(*arguments, **options)
        raise PipelineError("conflicts with existing experiment")

    monkeypatch.setattr(dvc_experiments, "run_experiment", conflict)
    imbalance.main(["--strategies", "none", "--seeds", "0"])
    (cached,) = Path(".state/imbalance").glob("*/none-seed-0/result.json")
    assert read_json(cached)["seconds"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-S", "train.unit=3"], "params.yaml: unknown parameter train.unit"),
        (["-S", "train.units=x"], "train.units must be a valid integer, got 'x'"),
        (["--skew", "0.5"], "ingest.skew must be greater than or equal to 1, got 0.5"),
    ],
)
def test_invalid_parameters_stop_before_training(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    fake = FakeExperiments(monkeypatch)
    with pytest.raises(PipelineError, match=re.escape(message)):
        imbalance.main(arguments)
    assert not fake.ran


@pytest.mark.parametrize("arguments", [["-S", "rebalance.strategy=none"], ["--strategies", "smote"], ["--jobs", "0"]])
def test_invalid_options_are_refused(project: Project, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        imbalance.main(arguments)
    assert ended.value.code == 2


def test_strategy_gets_only_its_own_target_and_strength(project: Project) -> None:
    project.set(strategy="focal", strength="3")
    document = params.read_document(params.PARAMS_FILE)
    assert "rebalance.strength" not in StrategyTraining(None, "focal", 0).changes(document)
    for strategy in imbalance.STRATEGY_NAMES:
        params.check(imbalance.with_changes(document, StrategyTraining(None, strategy, 0).changes(document)))
    project.set(strategy="class_weight", strength="null", target="0.5")
    document = params.read_document(params.PARAMS_FILE)
    for strategy in imbalance.STRATEGY_NAMES:
        params.check(imbalance.with_changes(document, StrategyTraining(None, strategy, 0).changes(document)))
    assert "rebalance.target" not in StrategyTraining(None, "random_over", 0).changes(document)


def test_study_key_depends_on_what_the_study_does_not_set(project: Project) -> None:
    document = params.read_document(params.PARAMS_FILE)
    key = imbalance.study_key(document)
    own = imbalance.with_changes(
        document, {**StrategyTraining(10, "focal", 7).changes(document), "publish.experiment": "other"}
    )
    assert imbalance.study_key(own) == key
    assert imbalance.study_key(imbalance.with_changes(document, {"train.units": 5})) != key
    for name in ("data/batches.csv", "data/forgotten.txt", "pipeline/training/layers.py"):
        file, before = Path(name), Path(name).read_text()
        file.write_text(before + "\n")
        assert imbalance.study_key(document) != key
        file.write_text(before)
    Path("data/clean/summary.json").write_text("{}")  # an output of a stage
    assert imbalance.study_key(document) == key


def test_no_strategy_changes_validation_and_test_rows(project: Project) -> None:
    """No other stage's file changes, and the rows chosen are rows of the training split."""
    before = {
        path: sha256(path) for path in Path("data").rglob("*") if path.is_file() and "rebalance" not in path.parts
    }
    labels = read_arrays(paths.TOKENIZE_ARRAYS["train"])["label"]
    for strategy in imbalance.STRATEGY_NAMES:
        project.set(strategy=strategy)
        rebalance.main()
        plan = read_arrays(paths.REBALANCE_TRAIN)
        assert set(plan["rows"]) <= set(range(len(labels)))
        assert read_json(paths.REBALANCE_SUMMARY)["strategy"] == strategy
        assert {path: sha256(path) for path in before} == before


@pytest.mark.slow
def test_two_strategies_as_dvc_experiments(small: Project, tmp_path: Path) -> None:
    """The metrics are those of `dvc repro` with that strategy; the workspace stays as it was."""
    before = {path: sha256(small.folder / path) for path in ("params.yaml", "dvc.lock", "data/evaluate/metrics.json")}
    call = ["python", "-m", "pipeline", "imbalance", "--strategies", "none", "class_weight", "--seeds", "0", "--skew"]
    small.run(*call, "none", "5", "-S", "train.threads=2")
    assert {path: sha256(small.folder / path) for path in before} == before
    table = pd.read_csv(small.folder / "reports/imbalance/tweets-1500.csv").set_index(["skew", "strategy"])
    own = read_json(small.folder / "data/evaluate/metrics.json")["overall"]
    weighted = table.loc[(np.nan, "class_weight")]
    assert weighted["macro_f1"] == own["macro_f1"]
    assert weighted["seconds"] > 0 or np.isnan(weighted["seconds"])
    # Before calibration, which corrects for the skew.
    assert table.loc[(5.0, "none"), "uncalibrated_loss"] > table.loc[(np.nan, "none"), "uncalibrated_loss"] + 0.01
    names = small.run("dvc", "exp", "list", "--name-only").stdout.split()
    assert len([name for name in names if name.startswith("imbalance-")]) == 4
    assert "0 of 4 runs are new" in small.run(*call, "none", "5", "-S", "train.threads=2").stdout
