"""Imbalance: the study goes on after a kill, computes nothing twice, and says what each strategy gains and costs."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.project import Project
from helpers.study import enter
from mlflow import MlflowClient

from pipeline import rebalance
from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_arrays, read_json, read_yaml, sha256
from pipeline.evaluation import metrics
from pipeline.studies import imbalance, imbalance_report, runs
from pipeline.studies.imbalance import Training
from pipeline.studies.imbalance_report import Result
from pipeline.training import rebalancing

CLASSES = ("angry", "glad", "sad")

LABELS = np.repeat([0, 1, 2], [600, 300, 100])


def result(recall: float, *, seconds: float | None = 10.0, noise: int = 0) -> Result:
    """All rows called right, but of the smallest class, `sad`, only so many; the rest of it is called angry."""
    called = LABELS.copy()
    missed = np.flatnonzero(LABELS == 2)[round(100 * recall) :]
    called[missed] = 0
    probabilities = np.full((1_000, 3), 0.1)
    probabilities[np.arange(1_000), called] = 0.8
    overall = metrics.overall(LABELS, probabilities)
    return Result(
        classes=CLASSES,
        rows=(6_000, 3_000, 1_000),
        labels=LABELS,
        probabilities=probabilities,
        metrics={
            "overall": overall,
            "uncalibrated": {"accuracy": overall["accuracy"] - 0.05, "loss": overall["loss"] + 0.1, "ece": 0.2},
            "per_class": metrics.per_class(LABELS, probabilities, CLASSES),
        },
        history=[{"epoch": 1, "train_loss": 1.0, "validation_loss": 1.0 + noise}],
        seconds=seconds,
    )


class FakeExperiments:
    """Stands for DVC: `class_weight` finds more of the smallest class; the call numbered `fail_at` ends in a kill."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> None:
        self.ran: list[str] = []
        self.there: dict[str, Training] = {}
        self.fail_at = fail_at
        monkeypatch.setattr(imbalance, "experiment", self.experiment)
        monkeypatch.setattr(imbalance, "experiments", lambda: set(self.there))
        monkeypatch.setattr(imbalance, "collect", self.collect)

    def experiment(self, changes: dict[str, Any], name: str, folder: Path, *, copied: list[str]) -> float:
        training = Training(changes["ingest.skew"], changes["rebalance.strategy"], changes["train.seed"])
        assert changes["rebalance.seed"] == training.seed
        assert copied == []
        if len(self.ran) == self.fail_at:
            self.fail_at = None
            raise KeyboardInterrupt
        self.ran.append(training.name)
        self.there[name] = training
        return 10.0

    def collect(self, name: str, seconds: float | None) -> Result:
        training = self.there[name]
        return result(0.8 if training.strategy == "class_weight" else 0.4, seconds=seconds, noise=training.seed)


@pytest.fixture
def project(quick_stores: None, reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter(reference, tmp_path, monkeypatch)


def test_a_study_goes_on_after_a_kill_and_computes_nothing_twice(
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
    said = capsys.readouterr().out
    assert "**+40.0 [" in said
    assert "4 of 4 runs are new in MLflow's experiment emotion-recognition-imbalance" in said
    imbalance.main(call)
    assert len(fake.ran) == 4
    assert "0 of 4 runs are new" in capsys.readouterr().out

    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("emotion-recognition-imbalance").experiment_id])
    (parent,) = [run for run in found if runs.PARENT not in run.data.tags]
    assert parent.data.tags["mlflow.note.content"].startswith("[Compare the runs](#/compare-runs?runs=")
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {
        "tweets-1500.md",
        "tweets-1500.csv",
        "tweets-1500-strategies.png",
    }
    assert parent.data.metrics["class-weight/minority_recall"] == 0.8
    (run,) = [each for each in found if each.info.run_name == "class-weight-seed-1"]
    assert next(iter(run.data.metrics)) == "minority_recall"  # which MLflow's comparison draws
    assert run.data.params["strategy"] == "class_weight"
    assert run.data.metrics["per_class/sad/recall"] == run.data.metrics["minority_recall"] == 0.8
    assert run.data.metrics["overall/macro_f1"] == result(0.8).metrics["overall"]["macro_f1"]
    # A training that changes makes another study; the first stays.
    imbalance.main([*call, "-S", "train.units=16"])
    assert len(fake.ran) == 8
    imbalance.main(["--strategies", "none", "--seeds", "0", "--skew", "none", "10", "--jobs", "2"])
    assert fake.ran[8:] == ["1-to-10-none-seed-0"]


def test_what_dvc_finished_before_the_kill_is_not_trained_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeExperiments(monkeypatch)
    call = ["--strategies", "none", "--seeds", "0"]
    imbalance.main(call)
    (kept,) = Path(".state/imbalance").glob("*/none-seed-0/result.json")
    kept.unlink()
    imbalance.main(call)
    assert fake.ran == ["none-seed-0"]
    assert read_json(kept)["seconds"] is None  # which nobody knows


def test_what_a_dvc_that_outlived_its_study_makes_meanwhile_is_taken(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeExperiments(monkeypatch)

    def conflict(*arguments: Any, **options: Any) -> float:
        fake.experiment(*arguments, **options)
        raise PipelineError("conflicts with existing experiment")

    monkeypatch.setattr(imbalance, "experiment", conflict)
    imbalance.main(["--strategies", "none", "--seeds", "0"])
    (kept,) = Path(".state/imbalance").glob("*/none-seed-0/result.json")
    assert read_json(kept)["seconds"] is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-S", "train.unit=3"], "train.unit is no parameter of params.yaml"),
        (["-S", "train.units=x"], "train.units must be a valid integer, got 'x'"),
        (["--skew", "0.5"], "ingest.skew must be greater than or equal to 1, got 0.5"),
    ],
)
def test_mistakes_stop_before_any_training(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    fake = FakeExperiments(monkeypatch)
    with pytest.raises(PipelineError, match=re.escape(sentence)):
        imbalance.main(arguments)
    assert not fake.ran


@pytest.mark.parametrize("arguments", [["-S", "rebalance.strategy=none"], ["--strategies", "smote"], ["--jobs", "0"]])
def test_what_the_command_line_refuses(project: Project, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        imbalance.main(arguments)
    assert ended.value.code == 2


def test_an_experiment_that_fails_is_one_sentence_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "dvc"
    command.write_text("#!/bin/sh\necho \"Running stage 'train':\"\necho no room left\nexit 3\n")
    command.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))  # beside which it is looked for
    with pytest.raises(
        PipelineError, match=r"the experiment x failed: no room left; all it said stands in .*/log\.txt"
    ):
        imbalance.experiment({}, "x", tmp_path / "kept")
    assert "no room left" in (tmp_path / "kept/log.txt").read_text()


def test_without_a_commit_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(PipelineError, match="need a git repository with a commit"):
        imbalance.experiments()


def test_a_strategy_gets_no_target_or_strength_that_is_not_its_own(project: Project) -> None:
    project.set(strategy="focal", strength="3")
    document = params.read(params.PARAMS_FILE)
    assert "rebalance.strength" not in Training(None, "focal", 0).changes(document)
    for strategy in imbalance.STRATEGIES:
        params.check(imbalance.changed(document, Training(None, strategy, 0).changes(document)))
    project.set(strategy="class_weight", strength="null", target="0.5")
    document = params.read(params.PARAMS_FILE)
    for strategy in imbalance.STRATEGIES:
        params.check(imbalance.changed(document, Training(None, strategy, 0).changes(document)))
    assert "rebalance.target" not in Training(None, "random_over", 0).changes(document)


def test_files_that_git_does_not_know_are_copied(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    document = params.read(params.PARAMS_FILE)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for name in ("known.csv", "评论.csv", "unknown.csv", "kept.csv", "kept.csv.dvc"):
        Path(name).write_text("text,label\n")
    project.run("git", "init", "-q")
    project.run("git", "add", "known.csv", "评论.csv", "data/none")
    project.run(*git, "commit", "-q", "-m", "one")
    assert imbalance.experiments() == set()
    project.run("git", "clone", "-q", "--depth", "1", project.folder.as_uri(), "shallow")
    with monkeypatch.context() as there:
        there.chdir("shallow")
        with pytest.raises(PipelineError, match="run `git fetch --unshallow` first"):
            imbalance.experiments()
    found = {}
    for name in ("known.csv", "评论.csv", "unknown.csv", "kept.csv", str(Path("unknown.csv").resolve())):
        found[name] = imbalance.untracked(imbalance.changed(document, {"ingest.path": name}))
    assert {name: copied for name, copied in found.items() if copied} == {"unknown.csv": ["unknown.csv"]}


def test_the_study_is_of_what_it_does_not_set_itself(project: Project) -> None:
    document = params.read(params.PARAMS_FILE)
    key = imbalance.identity(document)
    own = imbalance.changed(document, {**Training(10, "focal", 7).changes(document), "publish.experiment": "other"})
    assert imbalance.identity(own) == key
    assert imbalance.identity(imbalance.changed(document, {"train.units": 5})) != key
    for name in ("data/batches.csv", "data/forgotten.txt", "pipeline/training/layers.py"):
        file, before = Path(name), Path(name).read_text()
        file.write_text(before + "\n")
        assert imbalance.identity(document) != key
        file.write_text(before)
    Path("data/clean/summary.json").write_text("{}")  # what the stages make of them
    assert imbalance.identity(document) == key


def test_the_table_by_hand() -> None:
    found = {
        (None, "none"): [result(0.4), result(0.6)],
        (None, "class_weight"): [result(0.8), result(0.8)],
        (10.0, "none"): [result(0.0), result(0.0)],
        (10.0, "focal"): [result(0.1), result(0.1)],
    }
    table = imbalance_report.summarize(found, resamples=200, seed=0).set_index(["skew", "strategy"])
    plain = table.loc[(np.nan, "none")]
    assert (plain["minority_recall"], plain["seeds"]) == (0.5, 2)
    assert plain["minority_recall_sd"] == pytest.approx(np.sqrt(0.02), abs=1e-6)
    weighted = table.loc[(np.nan, "class_weight")]
    assert weighted["minority_recall_difference"] == pytest.approx(0.3)
    assert weighted["accuracy_difference"] == pytest.approx(0.03)
    assert 0 < weighted["minority_recall_low"] < 0.3 < weighted["minority_recall_high"] < 0.7
    assert weighted["loss_high"] < 0
    # The skew costs 100 rows: 50 come back by calibration, with focal 60, of which 10 already before it.
    recovered = table[["recovered_before", "recovered"]]
    assert recovered.loc[(10.0, "none")].to_list() == pytest.approx([0, 0.5])
    assert recovered.loc[(10.0, "focal")].to_list() == pytest.approx([0.1, 0.6])
    text = imbalance_report.markdown(table.reset_index(), found, "mail")
    assert "## Skewed 1 : 10: training rows angry 6,000, glad 3,000, sad 1,000" in text
    assert "| focal | **+1.0 [" in text
    assert "| focal | 0.860 (10%) | 0.910 (60%) |" in text


def test_intervals_grow_with_the_number_of_strategies() -> None:
    some = {(None, "none"): [result(0.4)], (None, "focal"): [result(0.6)]}
    more = some | {(None, name): [result(0.6)] for name in ("class_weight", "random_over", "random_under")}
    few, many = (
        imbalance_report.summarize(found, resamples=1_000, seed=0).set_index("strategy").loc["focal"]
        for found in (some, more)
    )
    assert many["minority_recall_low"] < few["minority_recall_low"]
    assert many["minority_recall_high"] > few["minority_recall_high"]


def test_results_of_other_rows_are_refused() -> None:
    other = result(0.5)
    found = {(None, "none"): [other], (None, "focal"): [Result(**vars(other) | {"labels": 1 - np.minimum(LABELS, 1)})]}
    with pytest.raises(PipelineError, match="are of other test rows"):
        imbalance_report.summarize(found, resamples=10, seed=0)


def test_no_strategy_touches_what_validates_and_tests(project: Project) -> None:
    """Every file but rebalance's own stays as it was, and its rows are rows of the training split."""
    kept = {path: sha256(path) for path in Path("data").rglob("*") if path.is_file() and "rebalance" not in path.parts}
    labels = read_arrays(paths.TOKENIZE_ARRAYS["train"])["label"]
    for strategy in imbalance.STRATEGIES:
        project.set(strategy=strategy)
        rebalance.main()
        plan = read_arrays(paths.REBALANCE_TRAIN)
        assert set(plan["rows"]) <= set(range(len(labels)))
        assert read_json(paths.REBALANCE_SUMMARY)["strategy"] == strategy
        assert {path: sha256(path) for path in kept} == kept


@pytest.mark.slow
def test_two_strategies_as_dvc_experiments(small: Project, tmp_path: Path) -> None:
    """The figures are those of `dvc repro` with that strategy; the workspace stays as it was."""
    before = {path: sha256(small.folder / path) for path in ("params.yaml", "dvc.lock", "data/evaluate/metrics.json")}
    call = ["python", "-m", "pipeline", "imbalance", "--strategies", "none", "class_weight", "--seeds", "0", "--skew"]
    small.run(*call, "none", "5", "-S", "train.threads=2")
    assert {path: sha256(small.folder / path) for path in before} == before
    table = pd.read_csv(small.folder / "reports/imbalance/tweets-1500.csv").set_index(["skew", "strategy"])
    own = read_json(small.folder / "data/evaluate/metrics.json")["overall"]
    weighted = table.loc[(np.nan, "class_weight")]
    assert weighted["macro_f1"] == own["macro_f1"]
    assert weighted["seconds"] > 0 or np.isnan(weighted["seconds"])
    # Before calibration: it takes back what the test rows' shares tell.
    assert table.loc[(5.0, "none"), "uncalibrated_loss"] > table.loc[(np.nan, "none"), "uncalibrated_loss"] + 0.01
    names = small.run("dvc", "exp", "list", "--name-only").stdout.split()
    assert len([name for name in names if name.startswith("imbalance-")]) == 4
    assert "0 of 4 runs are new" in small.run(*call, "none", "5", "-S", "train.threads=2").stdout


def test_the_strategies_are_those_of_the_parameters() -> None:
    assert set(imbalance.STRATEGIES) >= {"none", *rebalancing.AIMED, *rebalancing.STRENGTHS}
    assert read_yaml(Path(__file__).parents[2] / "params.yaml")["rebalance"]["strategy"] in {
        "auto",
        *imbalance.STRATEGIES,
    }


def test_the_smallest_class_is_that_of_the_training_rows() -> None:
    assert (result(0.5).minority, replace(result(0.5), rows=(1_000, 3_000, 6_000)).minority) == (2, 0)


def test_intervals_are_those_of_a_seed_and_of_one_skew() -> None:
    some = {(None, "none"): [result(0.4)], (None, "focal"): [result(0.6)]}
    more = some | {(10.0, name): [result(0.5)] for name in ("none", "focal", "class_weight", "random_over")}
    bounds = [f"{name}_{end}" for name in imbalance_report.COMPARED for end in ("low", "high")]

    def found(of: imbalance_report.Found, seed: int) -> list[float]:
        table = imbalance_report.summarize(of, resamples=200, seed=seed)
        return table[table["skew"].isna()].set_index("strategy").loc["focal", bounds].to_list()

    assert found(some, 1) == found(more, 1) != found(some, 2)


def test_a_sure_loss_is_bold_as_a_sure_gain_is() -> None:
    found = {(None, "none"): [result(0.6)], (None, "focal"): [result(0.2)]}
    text = imbalance_report.markdown(imbalance_report.summarize(found, resamples=200, seed=0), found, "mail")
    assert re.search(r"\| focal \| \*\*-4\.0 \[-[\d.]+, -[\d.]+\]\*\* \|", text)
