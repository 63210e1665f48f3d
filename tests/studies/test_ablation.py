"""Ablate: figures of validation rows alone, nothing trained twice, and a table that says what was measured."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.project import Project
from helpers.study import FakeTraining, enter, here
from mlflow import MlflowClient
from sklearn.metrics import accuracy_score, f1_score, log_loss

from pipeline.base import params, process
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json
from pipeline.inference import calibration
from pipeline.inference.network import log_softmax
from pipeline.studies import ablation, crossfit, runs
from pipeline.text.processor import Tokenizer
from pipeline.training import fit
from pipeline.training.rebalancing import rebalance
from pipeline.training.settings import PRESETS, Train

FEW = {name: ablation.VARIANTS[name] for name in ("preset", "n-grams only", "LSTM only")} | {
    "many units": {"units": 100}
}


@pytest.fixture
def project(quick_stores: None, reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(ablation, "VARIANTS", FEW)
    return enter(reference, tmp_path, monkeypatch)


def measured(labels: np.ndarray, found: list[np.ndarray]) -> dict[str, float]:
    """By scikit-learn, with each half of the rows combined by what the other half fits."""
    odd = np.arange(len(labels)) % 2 == 1
    probabilities, plan = np.zeros((len(labels), 3)), np.load("data/rebalance/train.npz")
    for own, other in ((odd, ~odd), (~odd, odd)):
        fitted = calibration.fit(labels[other], [part[other] for part in found], plan["shift"], 0.6, np.zeros(3))
        probabilities[own] = calibration.combine([part[own] for part in found], fitted)
    called = probabilities.argmax(axis=1)
    return {
        "accuracy": accuracy_score(labels, called),
        "macro_f1": f1_score(labels, called, average="macro"),
        "loss": log_loss(labels, probabilities),
    }


@pytest.mark.slow  # nine seconds
def test_the_figures_are_those_of_the_network_cross_fitted(
    project: Project, keras: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One training for real, and once more by hand."""
    monkeypatch.setattr(process, "run_in_process", here)  # another process would import TensorFlow once more
    ablation.main(["--seeds", "3", "--only", "preset", "n-grams only"])
    table = pd.read_csv("reports/ablation/tweets.csv").set_index("variant")

    data = fit.Data.load()
    texts, labels = data.texts["validation"], data.labels["validation"]
    grams = fit.train_ngrams(data).log_probabilities(texts)
    model, _, history = fit.train_lstm(data, params.load(Train).model_copy(update={"seed": 3}))
    lstm = crossfit.parts(model, data.tokenizer, None, texts)
    expected = {
        ("preset", "combined"): measured(labels, [*lstm, *grams]),
        ("preset", "lstm"): measured(labels, lstm),
        ("n-grams only", "combined"): measured(labels, [*grams]),
    }
    for (variant, name), figures in expected.items():
        for key, value in figures.items():
            assert table.loc[variant, f"{name}/{key}"] == pytest.approx(value, abs=2e-6), (variant, name, key)
    assert table.loc["n-grams only"].filter(like="lstm/").isna().all()
    assert table["seeds"].to_list() == [1, 1]
    (kept,) = Path(".state/ablation").glob("*/preset-seed-3.json")
    assert read_json(kept)["history"] == history


def test_the_lstm_only_is_that_of_the_same_network_beside_n_grams(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", "off")
    fake = FakeTraining(monkeypatch)
    ablation.main(["--seeds", "0", "--only", "preset", "LSTM only"])
    beside = pd.read_csv("reports/ablation/tweets.csv").set_index("variant")
    assert fake.trained == [(0, 4)]
    for path in Path(".state/ablation").glob("*/preset-*"):
        path.unlink()
    for path in Path(".state/ablation").glob("*/LSTM-only-*"):
        path.unlink()
    ablation.main(["--seeds", "0", "--only", "LSTM only"])
    alone = pd.read_csv("reports/ablation/tweets.csv").set_index("variant")
    assert fake.trained == [(0, 4), (0, 4)]
    measured = [f"{name}/{key}" for name in ("combined", "lstm") for key in ("accuracy", "macro_f1", "loss")]
    assert alone.loc["LSTM only", measured].equals(beside.loc["LSTM only", measured])
    assert alone.loc["LSTM only", measured[:3]].to_list() == alone.loc["LSTM only", measured[3:]].to_list()
    assert beside.loc["LSTM only", "seconds"] < beside.loc["preset", "seconds"]


def test_nothing_is_trained_twice_after_a_kill_or_by_a_second_call(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted: list[int] = []
    fit_ngrams = fit.train_ngrams
    monkeypatch.setattr(fit, "train_ngrams", lambda data: fitted.append(1) or fit_ngrams(data))
    fake = FakeTraining(monkeypatch, fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        ablation.main(["--seeds", "0", "1"])
    assert not Path("reports/ablation").exists()
    assert fake.trained == [(0, 4), (1, 4)]  # the LSTM only is the preset's own
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
    found = client.search_runs([client.get_experiment_by_name("emotion-recognition-ablation").experiment_id])
    assert len(found) == 1 + 10
    (parent,) = [run for run in found if runs.PARENT not in run.data.tags]
    table = pd.read_csv("reports/ablation/tweets.csv").set_index("variant")
    assert parent.data.metrics == table.loc["preset", ablation.FIGURES].to_dict()
    compared = {run.info.run_name for run in found if run.info.run_id in parent.data.tags[runs.NOTE]}
    assert compared == {"n-grams only", *(f"{name} · seed 0" for name in ("preset", "LSTM only", "many units"))}
    (run,) = [run for run in found if run.info.run_name == "many units · seed 1"]
    shown = {key: run.data.params[key] for key in ("variant", "seed", "dataset", "train.seed", "train.units")}
    assert shown == {"variant": "many units", "seed": "1", "dataset": "tweets", "train.seed": "1", "train.units": "100"}
    assert {run.data.params["train.batch_size"], run.data.params["train.epochs"]} == {"64", "2"}
    (kept,) = Path(".state/ablation").glob("*/many-units-seed-1.json")
    assert read_json(kept)["figures"].items() <= run.data.metrics.items()


@pytest.mark.slow
def test_a_variant_whose_parameters_changed_is_trained_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTraining(monkeypatch)
    ablation.main(["--seeds", "0"])
    monkeypatch.setattr(ablation, "VARIANTS", FEW | {"many units": {"units": 60}})
    ablation.main(["--seeds", "0"])
    assert fake.trained == [(0, 4), (0, 100), (0, 60)]


@pytest.mark.slow
def test_the_table_is_of_all_variants_that_are_finished(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", "off")
    fake = FakeTraining(monkeypatch)

    def shown() -> list[str]:
        return pd.read_csv("reports/ablation/tweets.csv")["variant"].to_list()

    with pytest.raises(PipelineError, match="no variant is finished"):
        ablation.main(["--only", "preset", "--skip", "preset"])
    ablation.main(["--seeds", "0", "--only", "many units"])
    assert shown() == ["many units"]
    assert pd.read_csv("reports/ablation/tweets.csv")["difference"].isna().all()  # nothing to compare it with yet
    ablation.main(["--seeds", "0", "1", "--skip", "LSTM only", "n-grams only"])
    assert shown() == ["preset", "many units"]
    assert fake.trained == [(0, 100), (0, 4), (1, 4), (1, 100)]
    ablation.main(["--seeds", "0", "--only", "n-grams only"])
    assert shown() == ["preset", "n-grams only", "many units"]
    assert not Path("mlflow.db").exists()
    lines = Path("reports/ablation/tweets.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert re.search(r"^\| many units \| 1 \| 0\.\d{4} \| .* \| \+0\.\d{4} \[[+-]0\.\d{4}, \+0\.\d{4}\] \|$", rows[-1])


def result(labels: np.ndarray, wrong: list[int]) -> crossfit.Result:
    """Right but for the rows `wrong`."""
    called = labels.copy()
    called[wrong] = 1 - called[wrong]
    return crossfit.Result(np.where(called[:, None] == [0, 1], 0.8, 0.2), None, 10.0, [])


def test_means_spreads_and_paired_differences_over_the_seeds() -> None:
    labels = np.tile([0, 1], 100)
    results = {
        "preset": [result(labels, [*range(40)]), result(labels, [*range(20)])],
        "same": [result(labels, [*range(20)]), result(labels, [*range(40)])],
        "better": [result(labels, [*range(20)]), result(labels, [])],
    }
    table = ablation.summarize(results, labels, resamples=200, seed=0).set_index("variant")
    assert table.loc["preset", "combined/accuracy"] == pytest.approx(0.85)
    assert table.loc["preset", "combined/accuracy_sd"] == pytest.approx(np.std([0.8, 0.9], ddof=1), abs=1e-6)
    assert table.loc["preset", ["difference", "low", "high"]].isna().all()
    # The same rows are wrong: whatever rows are drawn, the difference is none. Two samples would give an interval.
    assert table.loc["same", ["difference", "low", "high"]].to_list() == [0, 0, 0]
    assert table.loc["better", "difference"] == pytest.approx(0.1)
    low, high = table.loc["better", ["low", "high"]]
    # 40 of 200 rows got better by half: the standard deviation of their share, times 1.96.
    assert (high - low) / 2 == pytest.approx(1.96 * 0.5 * np.sqrt(0.2 * 0.8 / 200), rel=0.25)


def test_no_half_is_combined_by_its_own_rows() -> None:
    """Two parts, one right on even rows alone, the other on odd ones: each half's best share is worst for the other."""
    labels = np.tile([0, 0, 1, 1], 50)
    even = np.arange(200) % 2 == 0
    parts = []
    for right in (even, ~even):
        sure = np.where(right, 0.9, 0.1)
        parts.append(np.log(np.where(labels[:, None] == [0, 1], sure[:, None], 1 - sure[:, None])))
    plan = rebalance(labels, ["a", "b"], strategy="none")
    data = fit.Data(["a", "b"], Tokenizer((), 1), {}, {}, dict.fromkeys(("train", "validation"), labels), plan, 0.5)
    found = crossfit.cross_fitted(data, parts)
    assert (found.argmax(axis=1) != labels).all()


def of_tokens(tokens: int) -> fit.Data:
    """Data whose training texts have so many."""
    ids, plan = (
        np.ones((1_000, tokens // 1_000), dtype=np.int32),
        rebalance(np.arange(1_000) % 2, "ab", strategy="none"),
    )
    return fit.Data(["a", "b"], Tokenizer((), 1), {}, {"train": ids}, {}, plan, 0.5)


def test_variants_are_the_parameters_in_force_with_their_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    base, data = params.load(Train), of_tokens(500_000)
    found = ablation.variants(base, data)
    assert list(found)[:2] == ["textbook", "preset"]
    assert found["preset"] == base
    assert found["n-grams only"] is None
    assert "pooling max" not in found  # it is the preset's own
    textbook: dict[str, Any] = PRESETS["textbook"]
    assert found["textbook"] == base.model_copy(update=textbook)
    assert found["half the units"] == base.model_copy(update={"units": base.units // 2})
    settings = [each for each in found.values() if each]
    assert len({each.model_dump_json() for each in settings}) == len(settings)
    with pytest.raises(PipelineError, match=r"'half the units' cannot be made of params.yaml \(train.units 2: "):
        ablation.variants(base.model_copy(update={"units": 4}), data)


@pytest.mark.parametrize(
    ("tokens", "same"), [(100_000, "ten epochs of pretraining"), (5_000_000, "no pretraining"), (500_000, None)]
)
def test_a_variant_that_the_data_choose_themselves_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tokens: int, same: str | None
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    found = ablation.variants(params.load(Train), of_tokens(tokens))
    expected = {"no pretraining", "ten epochs of pretraining"} - {same}
    assert {name for name in found if "pretraining" in name} == expected


@pytest.mark.parametrize(
    ("changes", "excluded"),
    [({"pooling": "last"}, "ten epochs of pretraining"), ({"pretraining_epochs": 5}, "pooling last")],
)
def test_a_variant_that_the_parameters_exclude_is_left_out(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], excluded: str
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    base, data = params.load(Train), of_tokens(500_000)
    assert excluded in ablation.variants(base, data)
    found = ablation.variants(base.model_copy(update=changes), data)
    assert excluded not in found
    assert "half the units" in found


def test_data_of_other_parameters_are_refused(project: Project) -> None:
    project.set(dataset="rotten_tomatoes")
    with pytest.raises(
        PipelineError, match=r"is not what params\.yaml says now under ingest; run `dvc repro rebalance`"
    ):
        ablation.main([])


def test_the_seconds_of_the_n_grams_count_where_the_model_has_them() -> None:
    labels = np.tile([0, 0, 1, 1], 10)
    said = log_softmax(np.random.default_rng(0).normal(size=(40, 2)))
    plan = rebalance(labels, ["a", "b"], strategy="none")
    data = fit.Data(["a", "b"], Tokenizer((), 1), {}, {}, dict.fromkeys(("train", "validation"), labels), plan, 0.5)
    found = crossfit.compute(data, None, crossfit.Ngrams([said], 7.0))
    assert (found.seconds, found.lstm) == (7.0, None)
