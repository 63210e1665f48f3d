"""The whole pipeline on a small sample of real tweets, in the order in which a user does things."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from helpers.project import Project, set_params
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import publish
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_arrays

NAME = "tweets-lstm"

SPLITS = ("train", "validation", "test")


def client(project: Project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.folder}/mlflow.db")


def state_runs(project: Project) -> list[Run]:
    store = client(project)
    experiment = store.get_experiment_by_name("emotion-recognition")
    assert experiment is not None
    return list(store.search_runs([experiment.experiment_id]))


def repro(project: Project) -> str:
    """What `make repro` runs after the environment exists."""
    output = project.run("dvc", "repro").stdout
    return output + project.run("python", "-m", "pipeline", "publish").stdout


def test_figures_match_the_plots(small: Project) -> None:
    figures = json.loads((small.folder / "data/evaluate/metrics.json").read_text())
    intervals = json.loads((small.folder / "data/evaluate/reports/intervals.json").read_text())
    assert list(figures) == [
        *("overall", "baselines", "per_class", "alone", "uncalibrated", "temperature", "weights"),
        *("conflicts", "near_copies", "slices"),
    ]
    assert list(figures["weights"]) == ["lstm", "tfidf", "nb", "tfidf_words"]
    assert list(figures["alone"]) == list(intervals["alone"]) == ["lstm", "without_lstm"]
    # The tiny LSTM may have a weight of 0 in the model; alone, it is another one than the n-grams.
    assert len({of["loss"] for of in figures["alone"].values()}) == 2
    assert list(intervals) == ["overall", "per_class", "differences", "alone", "reached", "noise", "slices"]
    assert list(figures["baselines"]) == list(intervals["differences"]) == ["majority", "tfidf", "nb_ngrams"]
    groups = [figures["overall"], *figures["baselines"].values()]
    assert all(set(group) <= set(figures["overall"]) for group in groups)
    groups += [*figures["per_class"].values(), *figures["slices"].values()]
    assert all(group["num_samples"] > 0 for group in groups)
    assert sum(of["num_samples"] for of in figures["per_class"].values()) == figures["overall"]["num_samples"]
    assert figures["overall"]["accuracy"] > 0.4  # a real, if tiny, model
    for key, interval in intervals["overall"].items():
        if key not in {"ece", "classwise_ece"}:  # which resampling makes larger, because chance adds to every gap
            assert interval["low"] < figures["overall"][key] < interval["high"], key
    assert figures["overall"]["loss"] <= figures["uncalibrated"]["loss"] + 0.01
    pictures = (
        "learning_curve",
        "confusion_matrix",
        "roc",
        "precision_recall",
        "reliability",
        "class_counts",
        "behaviour",
        "words",
    )
    for name in pictures:
        assert (small.folder / f"reports/evaluate/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_behaviour_tests_fit_cleaning_and_classes(small: Project) -> None:
    report = json.loads((small.folder / "data/evaluate/reports/behaviour.json").read_text())
    assert report["not_applicable"] == {}
    assert {of["kind"] for of in report["tests"].values()} == {"INV", "DIR", "MFT"}
    for name in ("case", "markup"):  # serving cleans as training did
        assert (report["tests"][name]["pass_rate"], report["tests"][name]["mean_change"]) == (1.0, 0.0)
    assert set(report["tests"]["names"]["gaps"]) == {"origin", "gender"}
    (run,) = state_runs(small)
    shown = {name.removeprefix("behaviour/"): value for name, value in run.data.metrics.items() if "behaviour/" in name}
    assert shown == {name: of["pass_rate"] for name, of in report["tests"].items()}


def test_manifest_describes_the_model(small: Project) -> None:
    manifest = json.loads((small.folder / "data/train/model/model.json").read_text())
    assert len(manifest["shares"]) == 4
    assert manifest["columns"] == {"text": ["text"]}
    assert sum(manifest["shares"]) == pytest.approx(1, abs=2e-4)
    files = ["model.onnx", "model.weights.h5", "ngrams.json", "ngrams.npz", "tokenizer.json"]
    assert sorted(manifest["sha256"]) == files
    settings = json.loads((small.folder / "data/train/settings.json").read_text())
    assert settings == {"batch_size": 64, "epochs": 2, "patience": 9, "pretraining_epochs": 0}


@pytest.mark.slow  # six seconds
def test_card_names_the_published_version(small: Project) -> None:
    small.run("python", "-m", "pipeline", "card")
    text = (small.folder / "reports/card/model-card.md").read_text(encoding="utf-8")
    assert re.search(r"^\| Version \| \d+ \|$", text, re.M)
    assert "**Promoted to champion**" in text
    small.run("python", "-m", "pipeline", "card", PIPELINE_TRACKING="off")
    assert "not registered yet" in (small.folder / "reports/card/model-card.md").read_text(encoding="utf-8")


def test_mistakes_name_rows_without_their_texts(small: Project) -> None:
    mistakes = pd.read_csv(small.folder / "data/evaluate/rows/mistakes.csv")
    assert 10 < len(mistakes) <= 100
    assert "text" not in mistakes
    test = pd.read_parquet(small.folder / "data/clean/test.parquet").set_index("id")
    assert (test.loc[mistakes["id"], "label"].to_numpy() == mistakes["actual"].to_numpy()).all()
    assert (mistakes["actual"] != mistakes["predicted"]).all()
    assert mistakes["p_actual"].is_monotonic_increasing


def test_splits_share_no_text_and_only_train_is_rebalanced(small: Project) -> None:
    splits = {name: pd.read_parquet(small.folder / f"data/clean/{name}.parquet") for name in SPLITS}
    rows = pd.concat(splits.values())
    assert not rows["text"].duplicated().any()
    chosen = read_arrays(small.folder / "data/rebalance/train.npz")["rows"]
    assert set(chosen) == set(range(len(splits["train"])))
    natural = rows["label"].value_counts(normalize=True)
    for name in ("validation", "test"):
        shares = splits[name]["label"].value_counts(normalize=True)
        pd.testing.assert_series_equal(shares, natural, atol=0.05, rtol=0, check_names=False, check_like=True)


def test_model_files_are_beside_the_store(small: Project) -> None:
    """Not in the experiment Default, nor in a temporary folder that made the store."""
    store = client(small)
    (model,) = store.search_logged_models(["1"])
    assert Path(model.artifact_location.removeprefix("file://")).is_relative_to(small.folder / "mlruns")
    assert not store.search_logged_models(["0"])


def test_one_complete_run(small: Project) -> None:
    runs = state_runs(small)
    assert len(runs) == 1
    run = runs[0]
    assert run.info.status == "FINISHED"
    assert run.data.params["train.units"] == "8"
    assert run.data.params["rebalance.strategy"] == "class_weight"
    figures = json.loads((small.folder / "data/evaluate/metrics.json").read_text())
    assert run.data.metrics["test/macro_f1"] == figures["overall"]["macro_f1"]
    assert run.data.metrics["baseline/tfidf/loss"] == figures["baselines"]["tfidf"]["loss"]
    intervals = json.loads((small.folder / "data/evaluate/reports/intervals.json").read_text())
    difference = intervals["differences"]["nb_ngrams"]["macro_f1"]
    assert run.data.metrics["difference/nb_ngrams/macro_f1_low"] == difference["low"]
    assert "best baseline" in run.data.tags["mlflow.note.content"]
    assert run.data.metrics["per_class/positive/recall"] == figures["per_class"]["positive"]["recall"]
    store = client(small)
    assert {len(store.get_metric_history(run.info.run_id, key)) for key in run.data.metrics if "train/" in key} == {2}
    assert {len(store.get_metric_history(run.info.run_id, key)) for key in run.data.metrics if "test/" in key} == {1}
    assert {i.dataset.name for i in run.inputs.dataset_inputs} == {f"tweets · {name}" for name in SPLITS}
    assert {f.path for f in store.list_artifacts(run.info.run_id, "plots")} >= {"plots/confusion_matrix.png"}
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert run.data.tags["dvc.model"].endswith(".dir")
    version = store.get_model_version_by_alias(NAME, "champion")
    assert str(version.version) == "1"
    assert version.tags["promotion.reason"] == "the first model of this name, and it passed every check"
    assert version.tags["macro_f1"] == str(figures["overall"]["macro_f1"])
    assert version.description.startswith(f"macro-F1 {figures['overall']['macro_f1']:.4f} (best baseline ")


def test_decision_is_in_tags_and_reports(small: Project, tmp_path: Path) -> None:
    decision = json.loads((small.folder / "reports/publish/decision.json").read_text())
    assert decision["promote"] is True
    assert all(check["passed"] for check in decision["checks"])
    rules = {check["rule"] for check in decision["checks"]}
    assert rules >= {"", "min_accuracy", "min_gain", "min_class_recall", "max_ece", "max_latency", "max_size"}
    (run,) = state_runs(small)
    assert {f.path for f in client(small).list_artifacts(run.info.run_id, "decision")} == {
        "decision/decision.json",
        "decision/decision.md",
    }
    assert "**Champion**: the first model of this name" in run.data.tags["mlflow.note.content"]


def test_dvc_shows_metrics_and_plots(small: Project) -> None:
    shown = json.loads(small.run("dvc", "metrics", "show", "--json").stdout)
    assert shown[""]["data"]["data/evaluate/metrics.json"]["data"]["overall"]["num_samples"] > 100
    small.run("dvc", "plots", "show")
    page = (small.folder / "dvc_plots/index.html").read_text()
    titles = ["Learning curve", "Confusion matrix (test)", "Rows by class"]
    titles += ["ROC (test)", "Precision and recall (test)", "Reliability (test)"]
    assert all(title in page for title in titles)
    assert page.count('"as": "curve"') == 3
    dag = small.run("dvc", "dag", "--dot").stdout
    assert '"tokenize" -> "rebalance"' in dag


def test_repro_twice_is_one_run(small: Project) -> None:
    output = repro(small)
    assert "Data and pipelines are up to date." in output
    assert "already published" in output
    assert len(state_runs(small)) == 1


@pytest.mark.slow  # a minute, and a second repro
def test_changed_and_restored_parameters_are_two_runs(small: Project) -> None:
    small.run("dvc", "exp", "run", "--temp", "-n", "trial", "-S", "train.seed=1")
    assert len(state_runs(small)) == 2
    (trial,) = [run for run in state_runs(small) if run.data.params["train.seed"] == "1"]
    assert trial.data.tags["dvc.experiment"] == "trial"
    assert trial.info.status == "FINISHED"
    assert Path(trial.info.artifact_uri.removeprefix("file://")).is_relative_to(small.folder / "mlruns")

    path = small.folder / "params.yaml"
    before = path.read_text(encoding="utf-8")
    head, train = before.split("\ntrain:\n")
    train, tail = train.split("\nevaluate:\n")
    changed = set_params(train, {"seed": "1"})
    path.write_text(f"{head}\ntrain:\n{changed}\nevaluate:\n{tail}", encoding="utf-8")
    changed = repro(small)  # the experiment's outputs come from the cache, and its run is found
    diff = json.loads(small.run("dvc", "metrics", "diff", "--json").stdout)
    assert "parts.lstm.loss" in diff["data/evaluate/metrics.json"]
    path.write_text(before, encoding="utf-8")
    back = repro(small)
    assert "epoch 1" not in changed + back
    assert "already published" in back
    assert small.run("git", "status", "--porcelain").stdout == ""
    assert len(state_runs(small)) == 2


def test_publish_refuses_files_of_another_state(small: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "outputs in data/ are out of date; run `dvc repro` (add --force if a file changed while it was running)"
    monkeypatch.chdir(small.folder)
    for key, other, back in [("epochs", "1", "2"), ("strategy", "none", "auto"), ("max_rows", "999", "1500")]:
        small.set(**{key: other})
        with pytest.raises(PipelineError) as raised:
            publish.publish()
        small.set(**{key: back})
        assert str(raised.value) == sentence, key
    path = small.folder / "data/evaluate/metrics.json"
    before = path.read_text()
    path.write_text(before.replace("0.", "0.9"))
    done = small.run("python", "-m", "pipeline", "publish", check=False)
    path.write_text(before)
    assert (done.returncode, done.stderr) == (1, f"publish: {sentence}\n")


@pytest.mark.slow  # four seconds
def test_invalid_parameter_stops_before_any_work(small: Project) -> None:
    small.set(patience="0")
    done = small.run("dvc", "repro", check=False)
    small.set(patience="null")
    assert done.returncode != 0
    assert "train: params.yaml: train.patience must be greater than or equal to 1, got 0" in done.stderr + done.stdout
    assert "already published" in repro(small)
