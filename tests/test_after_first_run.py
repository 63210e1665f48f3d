"""After the first run: the registered model and predicting with it, other stores, other ways to start."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project, clean_environment
from mlflow import MlflowClient

from pipeline.files import read_yaml

OUTSIDE = """
import sys
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/tweets-lstm/1")
assert [c.name for c in model.metadata.signature.inputs] == ["text"]
assert len(model.input_example) == 2
requirements = open(mlflow.pyfunc.get_model_dependencies("models:/tweets-lstm/1")).read().split()
assert any(line.startswith("keras==") for line in requirements), requirements
table = model.predict(pd.DataFrame({"text": ["I love it!", "worst flight ever"]}))
assert [c.name for c in model.metadata.signature.outputs] == list(table.columns)
assert list(table.columns) == ["predicted_label", "confidence", "p_negative", "p_neutral", "p_positive"], table
assert abs(table.filter(like="p_").sum(axis=1) - 1).max() < 1e-5
assert "pipeline" not in sys.modules
for bad in ([None], [3]):
    try:
        model.predict(pd.DataFrame({"text": pd.Series(bad, dtype=object)}))
    except Exception as error:
        print(type(error).__name__)
    else:
        raise SystemExit("took a value that is no text")
"""


def test_the_registered_model_works_outside_the_project_without_pickle(reference: Project, tmp_path: Path) -> None:
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
    reference.run("python", "-m", "pipeline.predict", str(source), str(target), "--text-column", "review")
    table = pd.read_csv(target, dtype=str, keep_default_na=False)
    added = ["predicted_label", "confidence", "p_negative", "p_neutral", "p_positive"]
    assert list(table.columns) == ["id", "review", "note", *added]
    kept = [["007", "I love it, really", "=1+1"], ["008", "two\nlines", "None"], ["009", "", ""]]
    assert table[["id", "review", "note"]].to_numpy().tolist() == kept
    probabilities = table.filter(like="p_").astype(float)
    assert (probabilities.idxmax(axis=1).str.removeprefix("p_") == table["predicted_label"]).all()

    done = reference.run("python", "-m", "pipeline.predict", str(source), str(tmp_path / "no.csv"), check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("has no column 'text' but id, review, note; set --text-column\n")
    assert not (tmp_path / "no.csv").exists()


def test_another_store_gets_the_whole_state_once(reference: Project, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/other.db"
    first = reference.run("python", "-m", "pipeline.publish", MLFLOW_TRACKING_URI=address)
    again = reference.run("python", "-m", "pipeline.publish", MLFLOW_TRACKING_URI=address)
    assert "version 1, champion" in first.stdout
    assert "already published" in again.stdout
    store = MlflowClient(address)
    (run,) = store.search_runs(["1"])
    assert len(store.get_metric_history(run.info.run_id, "validation/loss")) == 2
    assert len(store.get_metric_history(run.info.run_id, "test/accuracy")) == 1


def test_mlflow_run_starts_the_pipeline(reference: Project) -> None:
    reference.run("mlflow", "run", ".", "--env-manager", "local")
    entry_points = read_yaml(reference.folder / "MLproject")["entry_points"]
    assert {"main", *read_yaml(reference.folder / "dvc.yaml")["stages"], "publish", "predict"} == set(entry_points)
    store = MlflowClient(f"sqlite:///{reference.folder}/mlflow.db")
    (state_run,) = store.search_runs(["1"])
    (started,) = store.search_runs(["0"], "tags.`pipeline.run` != ''")
    assert started.data.tags["pipeline.run"] == state_run.info.run_id


@pytest.mark.parametrize("stage", ["validate", "clean", "tokenize", "rebalance", "train", "evaluate"])
def test_a_stage_without_its_input_is_one_sentence(reference: Project, tmp_path: Path, stage: str) -> None:
    environment = {"PYTHONPATH": str(reference.folder)}
    (tmp_path / "params.yaml").write_bytes((reference.folder / "params.yaml").read_bytes())
    done = Project(tmp_path).run("python", "-m", f"pipeline.{stage}", check=False, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{stage}: data/")
    assert "is missing; run `dvc repro`, which makes it" in done.stderr
    assert "Traceback" not in done.stderr
