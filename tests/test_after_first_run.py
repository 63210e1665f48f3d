"""After the first run: the registered model and predicting with it, other stores, other ways to start."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.project import SMALL, Project, clean_environment
from mlflow import MlflowClient

from pipeline.base import paths
from pipeline.base.files import read_arrays, read_json, read_table, read_yaml
from pipeline.evaluation import comparison, metrics
from pipeline.evaluation.calibrator import Calibrator
from pipeline.evaluation.text import baselines, slices
from pipeline.inference import calibration
from pipeline.inference.predictor import Predictor
from pipeline.inference.priors import reweigh

OUTSIDE = """
import json
import sys
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/tweets-lstm/1")
assert [c.name for c in model.metadata.signature.inputs] == ["text"]
assert len(model.input_example) == 2
requirements = open(mlflow.pyfunc.get_model_dependencies("models:/tweets-lstm/1")).read().split()
assert any(line.startswith("onnxruntime==") for line in requirements), requirements
table = model.predict(pd.DataFrame({"text": ["I love it!", "worst flight ever"]}))
assert [c.name for c in model.metadata.signature.outputs] == list(table.columns)
probabilities = ["p_negative", "p_neutral", "p_positive"]
assert list(table.columns) == ["predicted_label", "confidence", *probabilities, "known_words"], table
assert abs(table.filter(like="p_").sum(axis=1) - 1).max() < 1e-5
shares = json.dumps({"positive": 1, "negative": 0, "neutral": 0})
other = model.predict(pd.DataFrame({"text": ["worst flight ever"]}), params={"class_shares": shares})
assert other["p_positive"][0] == 1, other
assert not {"pipeline", "tensorflow", "keras", "sklearn", "onnx"} & set(sys.modules)
for bad in ([None], [3]):
    try:
        model.predict(pd.DataFrame({"text": pd.Series(bad, dtype=object)}))
    except Exception as error:
        print(type(error).__name__)
    else:
        raise SystemExit("took a value that is no text")
"""


def test_registered_model_works_outside_the_project(reference: Project, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUTSIDE, f"sqlite:///{reference.folder}/mlflow.db"],
        cwd=tmp_path,
        env=clean_environment() | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = list((reference.folder / "mlruns").rglob("*"))
    assert not [file for file in files if file.suffix in {".pkl", ".pickle", ".joblib"}]


def test_predict_adds_columns_and_keeps_the_input(reference: Project, tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    content = 'id,review,note\n007,"I love it, really",=1+1\n008,"two\nlines",None\n009,,\n'
    source.write_text(content, encoding="utf-8-sig")
    reference.run("python", "-m", "pipeline", "predict", str(source), str(target), "--text-column", "review")
    table = pd.read_csv(target, dtype=str, keep_default_na=False)
    added = ["predicted_label", "confidence", "p_negative", "p_neutral", "p_positive", "known_words"]
    assert list(table.columns) == ["id", "review", "note", *added, "error"]
    assert table["error"].tolist() == ["", "", "the text is empty"]
    kept = [["007", "I love it, really", "=1+1"], ["008", "two\nlines", "None"], ["009", "", ""]]
    assert table[["id", "review", "note"]].to_numpy().tolist() == kept
    probabilities = table.filter(like="p_").head(2).astype(float)
    assert (probabilities.idxmax(axis=1).str.removeprefix("p_") == table["predicted_label"].head(2)).all()
    assert table.filter(like="p_").iloc[2].tolist() == ["", "", ""]

    done = reference.run("python", "-m", "pipeline", "predict", str(source), str(tmp_path / "no.csv"), check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("has no column 'text'; it has 'id', 'review', 'note'; set --text-column\n")
    assert not (tmp_path / "no.csv").exists()


def test_predict_returns_the_probabilities_of_evaluate(reference: Project, tmp_path: Path) -> None:
    """From the raw texts and by the registered model: no skew between the two."""
    raw = pd.read_parquet(reference.folder / "data/ingest/table.parquet").drop_duplicates("id").set_index("id")["text"]
    measured = pd.read_csv(reference.folder / "data/evaluate/rows/predictions.csv")
    raw.loc[measured["id"]].to_csv(tmp_path / "in.csv", index=False, quoting=csv.QUOTE_ALL)
    reference.run("python", "-m", "pipeline", "predict", str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    result = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert result["predicted_label"].tolist() == measured["predicted"].tolist()
    np.testing.assert_allclose(result.filter(like="p_"), measured.filter(like="p_"), atol=2e-6)


def test_estimated_class_shares_improve_probabilities(reference: Project) -> None:
    """Of the tweets that trained nothing, all positive ones and few others: 60 % instead of 18 %."""
    table = pd.concat(
        pd.read_parquet(reference.folder / f"data/clean/{name}.parquet") for name in ("validation", "test")
    )
    kept = [
        rows.sample(n=min(len(rows), most), random_state=0)
        for most, (_, rows) in zip((30, 30, 999), table.groupby("label"), strict=True)
    ]
    shifted = pd.concat(kept).reset_index(drop=True)
    predictor = Predictor.load(reference.folder / "data/train/model")
    losses, shares = [], []
    for class_shares in ("", "estimate"):
        predicted = predictor.predict(shifted["text"], class_shares)
        own = [predicted.loc[row, f"p_{label}"] for row, label in enumerate(shifted["label"])]
        losses.append(-np.log(own).mean())
        shares.append(predicted["p_positive"].mean())
    true = (shifted["label"] == "positive").mean()
    assert true > 0.5
    assert abs(shares[1] - true) < abs(shares[0] - true)
    assert losses[1] < losses[0] - 0.02


def test_evaluate_parameters_and_baselines(reference: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """All figures once more, by the functions that evaluate calls."""
    monkeypatch.chdir(reference.folder)
    data = Path("data")
    train, validation, test = (pd.read_parquet(data / f"clean/{split}.parquet") for split in paths.SPLITS)
    classes, tokens = read_json(data / "clean/classes.json"), read_arrays(data / "tokenize/test.npz")
    both = pd.concat([validation, test])
    simpler = baselines.probabilities(train, both, classes, max_rows=int(SMALL["baseline_rows"]))
    predictor, calibrator = Predictor.load(data / "train/model"), Calibrator.load(len(classes))
    parts = [predictor.log_probabilities(rows["text"].to_list()) for rows in (validation, test)]
    others, alone = comparison.compared_with(predictor, *parts, simpler, calibrator)
    measured = read_table(data / "evaluate/rows/predictions.csv").filter(like="p_").to_numpy()
    resamples = int(SMALL["bootstrap"])
    figures, intervals = comparison.compare_with_baselines(
        tokens["label"], measured, others, classes, resamples=resamples, seed=0, alone=alone
    )
    result = read_json(data / "evaluate/metrics.json")
    assert result["baselines"] == figures["baselines"]
    assert result["alone"] == figures["alone"]
    assert read_json(data / "evaluate/reports/intervals.json")["per_class"] == intervals["per_class"]
    lengths = (tokens["ids"] > 0).sum(axis=1)
    assert {name for name in result["slices"] if "tokens" in name} == set(slices.length_slices(lengths, None))


@pytest.mark.slow  # what the first run does, once more elsewhere
def test_another_store_gets_the_state_once(reference: Project, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/other.db"
    first = reference.run("python", "-m", "pipeline", "publish", MLFLOW_TRACKING_URI=address)
    again = reference.run("python", "-m", "pipeline", "publish", MLFLOW_TRACKING_URI=address)
    assert "version 1, champion" in first.stdout
    assert "already published" in again.stdout
    store = MlflowClient(address)
    (run,) = store.search_runs(["1"])
    assert len(store.get_metric_history(run.info.run_id, "validation/loss")) == 2
    assert len(store.get_metric_history(run.info.run_id, "test/accuracy")) == 1


@pytest.mark.slow  # eight seconds
def test_mlflow_run_starts_the_pipeline(reference: Project) -> None:
    reference.run("mlflow", "run", ".", "--env-manager", "local")
    entry_points = read_yaml(reference.folder / "MLproject")["entry_points"]
    stages = set(read_yaml(reference.folder / "dvc.yaml")["stages"])
    commands = {"main", "publish", "promote", "rollback", "ablation", "search", "imbalance", "card"}
    commands |= {"predict", "serve", "explain", "adapt", "drift", "retrain", "compare"}
    assert stages | commands == set(entry_points)
    store = MlflowClient(f"sqlite:///{reference.folder}/mlflow.db")
    (state_run,) = store.search_runs(["1"])
    (started,) = store.search_runs(["0"], "tags.`pipeline.run` != ''")
    assert started.data.tags["pipeline.run"] == state_run.info.run_id


@pytest.mark.slow  # half a minute
def test_mlflow_run_explains_a_file_without_logging_it(reference: Project, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("what a canary of a flight; thank you")
    parameters = ["-P", f"input={tmp_path}/text.txt", "-P", f"html={tmp_path}/it is.html"]
    reference.run("mlflow", "run", ".", "--env-manager", "local", "-e", "explain", *parameters)
    assert "canary" in (tmp_path / "it is.html").read_text()
    assert b"canary" not in (reference.folder / "mlflow.db").read_bytes()


@pytest.mark.parametrize("stage", ["validate", "clean", "tokenize", "rebalance", "train", "evaluate"])
def test_missing_stage_input_is_one_sentence(reference: Project, tmp_path: Path, stage: str) -> None:
    shutil.copytree(reference.folder / "pipeline", tmp_path / "pipeline")
    shutil.copy(reference.folder / "params.yaml", tmp_path)
    done = Project(tmp_path).run("python", "-m", f"pipeline.{stage}", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{stage}: data/")
    assert "is missing; run `dvc repro` to create it" in done.stderr
    assert "Traceback" not in done.stderr


def test_metrics_are_those_of_the_predictions(reference: Project) -> None:
    """Before and after calibration, of each part alone, of slices; and the shares that it expects, of validation."""
    data = reference.folder / "data"
    test, validation = (pd.read_parquet(data / f"clean/{split}.parquet") for split in ("test", "validation"))
    predictor, result = Predictor.load(data / "train/model"), read_json(data / "evaluate/metrics.json")
    labels = test["label"].map({name: number for number, name in enumerate(predictor.classes)}).to_numpy()
    parts = predictor.log_probabilities(test["text"].to_list())
    combined = calibration.combine(parts, predictor.calibration)
    before = metrics.overall(labels, calibration.combine(parts, predictor.calibration.uncalibrated))
    for key in ("accuracy", "loss", "ece"):
        assert result["uncalibrated"][key] == pytest.approx(before[key], abs=2e-6)
        assert result["overall"][key] == pytest.approx(metrics.overall(labels, combined)[key], abs=2e-6)
    assert result["overall"]["loss"] != pytest.approx(before["loss"], abs=1e-4)
    assert result["temperature"] == predictor.calibration.temperature
    assert result["weights"] == dict(
        zip(("lstm", "tfidf", "nb", "tfidf_words"), predictor.calibration.weights, strict=True)
    )
    of_validation = predictor.log_probabilities(validation["text"].to_list())
    true = validation["label"].map({name: number for number, name in enumerate(predictor.classes)}).to_numpy()
    plan = read_arrays(data / "rebalance/train.npz")
    for name, rows in (("lstm", slice(0, 1)), ("without_lstm", slice(1, None))):
        fitted = calibration.fit(true, of_validation[rows], plan["shift"], float(plan["correction"]), np.zeros(3))
        expected = metrics.overall(labels, calibration.combine(parts[rows], fitted))
        assert result["alone"][name]["loss"] == pytest.approx(expected["loss"], abs=2e-6)
    lengths = (read_arrays(data / "tokenize/test.npz")["ids"] > 0).sum(axis=1)
    members = slices.masks(test, lengths, None)
    assert result["slices"] == metrics.slices(labels, combined, members)
    kept = pd.read_parquet(data / "evaluate/rows/slices.parquet")
    assert all((kept[name].to_numpy() == rows).all() for name, rows in members.items())
    predictions = read_table(data / "evaluate/rows/predictions.csv")
    assert predictions["actual"].to_list() == test["label"].to_list()
    assert predictions["predicted"].to_list() == [predictor.classes[number] for number in combined.argmax(axis=1)]
    np.testing.assert_allclose(predictions.filter(like="p_"), combined, atol=2e-6)
    curve = read_table(data / "evaluate/curves/reliability.csv")
    errors = {}
    for name, of in curve.groupby("probabilities"):
        errors[name] = (of["num_samples"] * (of["accuracy"] - of["confidence"]).abs()).sum() / len(test)
    assert errors["calibrated"] == pytest.approx(result["overall"]["ece"], abs=1e-5)
    assert errors["uncalibrated"] == pytest.approx(result["uncalibrated"]["ece"], abs=1e-5)
    expected = predictor.probabilities(validation["text"].to_list()).mean(axis=0)
    np.testing.assert_allclose(predictor.class_shares, expected, atol=2e-5)
    known = predictor.class_priors
    assert known
    shares = [(validation["label"] == name).mean() for name in predictor.classes]
    np.testing.assert_allclose(known["natural"], shares, atol=1e-6)
    priors = (np.array(known[key]) for key in ("implied", "natural"))
    honest = reweigh(predictor.probabilities(validation["text"].to_list()), *priors)
    np.testing.assert_allclose(honest.mean(axis=0), known["natural"], atol=2e-5)
