"""Ablation: trains on validation rows only and nothing twice, and reports what is finished."""

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from helpers.project import Project
from helpers.study import FakeTraining, enter, few_variants, here
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score, f1_score, log_loss

from pipeline.base import params, process
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json
from pipeline.inference import calibration
from pipeline.studies import ablation, runs
from pipeline.studies.ablation_report import ABLATION_METRICS
from pipeline.training import fit
from pipeline.training.settings import Train


@pytest.fixture
def project(quick_stores: None, reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    few_variants(monkeypatch)
    return enter(reference, tmp_path, monkeypatch)


def measured(labels: np.ndarray, parts: list[np.ndarray]) -> dict[str, float]:
    """Metrics by scikit-learn, each half of the rows combined with the calibration of the other half."""
    odd = np.arange(len(labels)) % 2 == 1
    probabilities, plan = np.zeros((len(labels), 3)), np.load("data/rebalance/train.npz")
    for own, other in ((odd, ~odd), (~odd, odd)):
        fitted = calibration.fit(labels[other], [part[other] for part in parts], plan["shift"], 0.6, np.zeros(3))
        probabilities[own] = calibration.combine([part[own] for part in parts], fitted)
    predicted = probabilities.argmax(axis=1)
    return {
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro"),
        "loss": log_loss(labels, probabilities),
    }


@pytest.mark.slow  # nine seconds
def test_metrics_are_those_of_the_cross_fitted_network(
    project: Project, keras: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare one real training with the same done by hand."""
    monkeypatch.setattr(process, "run_in_process", here)  # another process would import TensorFlow again
    ablation.main(["--seeds", "3", "--only", "preset", "n-grams only"])
    table = pd.read_csv("reports/ablation/tweets.csv").set_index("variant")

    data = fit.Data.load()
    labels = data.labels["validation"]
    ngrams = fit.train_ngrams(data).log_probabilities(data.inputs["validation"].cells["text"])
    network, history = fit.train_network(data, params.load(Train).model_copy(update={"seed": 3}))
    lstm = fit.part_log_probabilities(data, network, None, "validation")
    expected = {
        ("preset", "combined"): measured(labels, [*lstm, *ngrams]),
        ("preset", "lstm"): measured(labels, lstm),
        ("n-grams only", "combined"): measured(labels, [*ngrams]),
    }
    for (variant, name), metrics in expected.items():
        for key, value in metrics.items():
            assert table.loc[variant, f"{name}/{key}"] == pytest.approx(value, abs=2e-6), (variant, name, key)
    assert table.loc["n-grams only"].filter(like="lstm/").isna().all()
    assert table["seeds"].to_list() == [1, 1]
    (cached,) = Path(".state/ablation").glob("*/preset-seed-3.json")
    assert read_json(cached)["history"] == history


def test_lstm_only_equals_the_lstm_trained_with_ngrams(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", "off")
    fake = FakeTraining(monkeypatch)
    ablation.main(["--seeds", "0", "--only", "preset", "LSTM only"])
    shared = pd.read_csv("reports/ablation/tweets.csv").set_index("variant")
    assert fake.trained == [(0, 4)]
    for path in Path(".state/ablation").glob("*/preset-*"):
        path.unlink()
    for path in Path(".state/ablation").glob("*/LSTM-only-*"):
        path.unlink()
    ablation.main(["--seeds", "0", "--only", "LSTM only"])
    separate = pd.read_csv("reports/ablation/tweets.csv").set_index("variant")
    assert fake.trained == [(0, 4), (0, 4)]
    columns = [f"{name}/{key}" for name in ("combined", "lstm") for key in ("accuracy", "macro_f1", "loss")]
    assert separate.loc["LSTM only", columns].equals(shared.loc["LSTM only", columns])
    assert separate.loc["LSTM only", columns[:3]].to_list() == separate.loc["LSTM only", columns[3:]].to_list()
    assert shared.loc["LSTM only", "seconds"] < shared.loc["preset", "seconds"]


def test_nothing_is_trained_twice(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted: list[int] = []
    train_ngrams = fit.train_ngrams
    monkeypatch.setattr(fit, "train_ngrams", lambda data: fitted.append(1) or train_ngrams(data))
    fake = FakeTraining(monkeypatch, fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        ablation.main(["--seeds", "0", "1"])
    assert not Path("reports/ablation").exists()
    assert fake.trained == [(0, 4), (1, 4)]  # that of "LSTM only" is the preset's own
    ablation.main(["--seeds", "0", "1"])
    assert fake.trained == [(0, 4), (1, 4), (0, 100), (1, 100)]
    report = Path("reports/ablation/tweets.md").read_bytes()
    assert "7 of 7 runs are new in MLflow's experiment emotion-recognition-ablation" in capsys.readouterr().out
    ablation.main(["--seeds", "0", "1"])
    assert (len(fake.trained), len(fitted)) == (4, 1)
    assert Path("reports/ablation/tweets.md").read_bytes() == report
    assert "0 of 7 runs are new" in capsys.readouterr().out
    ablation.main(["--seeds", "0", "1", "2"])
    assert fake.trained[4:] == [(2, 4), (2, 100)]

    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    logged = client.search_runs([client.get_experiment_by_name("emotion-recognition-ablation").experiment_id])
    assert len(logged) == 1 + 10
    (parent,) = [run for run in logged if runs.PARENT not in run.data.tags]
    table = pd.read_csv("reports/ablation/tweets.csv").set_index("variant")
    assert parent.data.metrics == table.loc["preset", list(ABLATION_METRICS)].to_dict()
    compared = {run.info.run_name for run in logged if run.info.run_id in parent.data.tags[runs.NOTE]}
    assert compared == {"n-grams only", *(f"{name} · seed 0" for name in ("preset", "LSTM only", "many units"))}
    (run,) = [run for run in logged if run.info.run_name == "many units · seed 1"]
    expected = {"variant": "many units", "seed": "1", "dataset": "tweets", "train.seed": "1", "train.units": "100"}
    assert expected.items() <= run.data.params.items()
    assert {run.data.params["train.batch_size"], run.data.params["train.epochs"]} == {"64", "2"}
    (cached,) = Path(".state/ablation").glob("*/many-units-seed-1.json")
    assert read_json(cached)["metrics"].items() <= run.data.metrics.items()


@pytest.mark.slow
def test_changed_variant_is_trained_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTraining(monkeypatch)
    ablation.main(["--seeds", "0"])
    few_variants(monkeypatch, units=60)
    ablation.main(["--seeds", "0"])
    assert fake.trained == [(0, 4), (0, 100), (0, 60)]


@pytest.mark.slow
def test_table_has_all_finished_variants(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", "off")
    fake = FakeTraining(monkeypatch)

    def variants() -> list[str]:
        return pd.read_csv("reports/ablation/tweets.csv")["variant"].to_list()

    with pytest.raises(PipelineError, match="no variant is finished"):
        ablation.main(["--only", "preset", "--skip", "preset"])
    ablation.main(["--seeds", "0", "--only", "many units"])
    assert variants() == ["many units"]
    assert pd.read_csv("reports/ablation/tweets.csv")["difference"].isna().all()  # no preset to compare it with yet
    ablation.main(["--seeds", "0", "1", "--skip", "LSTM only", "n-grams only"])
    assert variants() == ["preset", "many units"]
    assert fake.trained == [(0, 100), (0, 4), (1, 4), (1, 100)]
    ablation.main(["--seeds", "0", "--only", "n-grams only"])
    assert variants() == ["preset", "n-grams only", "many units"]
    assert not Path("mlflow.db").exists()
    lines = Path("reports/ablation/tweets.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert re.search(r"^\| many units \| 1 \| 0\.\d{4} \| .* \| \+0\.\d{4} \[[+-]0\.\d{4}, \+0\.\d{4}\] \|$", rows[-1])
