"""Adapt: a user who means other things gets a better model, one like all others is told so; bad files are refused."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.models import save_text_model
from helpers.project import ROOT
from mlflow import MlflowClient

from pipeline.base.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.inference import calibration
from pipeline.inference.calibration import Calibration
from pipeline.inference.network import log_softmax
from pipeline.inference.predictor import Predictor
from pipeline.registry import tracking
from pipeline.text.processor import Tokenizer
from pipeline.tools import adapt, personal
from pipeline.tools.adapt import read_rows
from pipeline.tools.personal import Comparison, compare, recalibrate
from pipeline.training import loop
from pipeline.training.backend import make_repeatable
from pipeline.training.encoders.text import build
from pipeline.training.forward import log_probabilities
from pipeline.training.ngrams import fit_ngrams

CLASSES = ["angry", "glad"]

NETWORK = {"num_ids": 64, "num_classes": 2, "embedding_dim": 8, "units": 8, "bidirectional": False, "pooling": "max"}

FILLERS = [f"w{number}" for number in range(50)]


def texts(rows: int, seed: int, *, sarcastic: bool = False) -> pd.DataFrame:
    """Texts of five fillers and one word that tells the label in nine of ten; a sarcastic user means the other one."""
    random = np.random.default_rng(seed)
    glad = random.random(rows) < 0.5
    shown = glad ^ (random.random(rows) < 0.1) ^ sarcastic
    ends = [" ".join(random.choice(FILLERS, 5)) for _ in range(rows)]
    told = [f"{('awful', 'great')[int(each)]} {end}" for each, end in zip(shown, ends, strict=True)]
    return pd.DataFrame({"text": told, "label": np.array(CLASSES)[glad.astype(int)]})


@pytest.fixture(scope="module")
def base(keras: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of a champion."""
    table = texts(600, 0)
    tokenizer = Tokenizer.fit(table["text"], vocabulary_size=62, length=8)
    make_repeatable(threads=2, seed=0)  # the tests before drew weights too
    model = build(**{**NETWORK, "num_ids": tokenizer.num_ids})
    ids, labels = tokenizer.encode(table["text"].to_list()), (table["label"] == "glad").to_numpy(np.int32)
    own, other = slice(0, 400), slice(400, None)
    loop.fit(
        model,
        (ids[own], labels[own], np.ones(400, dtype=np.float32)),
        (ids[other], labels[other]),
        lengths=(8,),
        batch_size=32,
        epochs=8,
        learning_rate=0.01,
        adversarial=0.0,
        patience=3,
        seed=0,
    )
    cleaned = table["text"].to_list()
    ngrams = fit_ngrams(cleaned[own], labels[own], np.ones(400), num_classes=2, unit="word")
    said = [log_probabilities(model, ids, (8,)), *ngrams.log_probabilities(cleaned)]
    fitted = calibration.fit(labels[other], [part[other] for part in said], np.zeros(2), 0.0, np.zeros(2))
    folder = tmp_path_factory.mktemp("base") / "model"
    save_text_model(
        folder,
        model,
        tokenizer,
        ngrams,
        classes=CLASSES,
        network={**NETWORK, "num_ids": tokenizer.num_ids},
        calibration=fitted,
        class_shares=(0.5, 0.5),
        state="0" * 64,
    )
    return folder


def written(folder: Path, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "own.csv", index=False)
    return folder / "own.csv"


def rows_of(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return read_rows(written(folder, table), "text", "label", CLASSES)


@pytest.mark.slow  # half a minute
def test_a_sarcastic_user_gets_a_registered_model_and_another_one_the_truth(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PIPELINE_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    for name in ("params.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(personal, "LEARNING_RATE", 0.01)  # the network is tiny

    publish = adapt.publish

    def publish_twice(*arguments: object) -> str:
        said = publish(*arguments)  # type: ignore[arg-type]
        assert publish(*arguments) == said  # type: ignore[arg-type]
        return said

    monkeypatch.setattr(adapt, "publish", publish_twice)

    def call(user: str, table: pd.DataFrame) -> str:
        adapt.main([str(written(tmp_path, table)), "--user", user, "--model", str(base)])
        return capsys.readouterr().out.splitlines()[-1]

    eve, bob = texts(200, 1, sarcastic=True), texts(200, 2)
    assert "; registered as tweets-lstm-eve version 1, champion" in call("eve", eve)
    said = call("bob", bob)
    assert said.startswith("bob: no clear gain over")
    assert said.endswith("; not registered")

    client = MlflowClient(tracking.store_address())
    assert [model.name for model in client.search_registered_models()] == ["tweets-lstm-eve"]
    runs = client.search_runs([client.get_experiment_by_name("emotion-recognition-personal").experiment_id])
    figures = {run.data.params["user"]: run.data.metrics for run in runs}
    assert len(runs) == len(figures) == 2
    assert figures["eve"]["gain/loss/low"] > 0.2
    assert figures["eve"]["test/personal/macro_f1"] > 0.7 > 0.4 > figures["eve"]["test/champion/macro_f1"]
    assert figures["bob"]["gain/loss/low"] <= 0
    own = Predictor.load(tracking.fetch_model("tweets-lstm-eve", "champion", tmp_path / "eve"))
    told = own.predict(["great w1 w2", "awful w3"])
    assert told["predicted_label"].tolist() == ["angry", "glad"]
    stored = b"".join(path.read_bytes() for path in (tmp_path / "mlruns").rglob("*") if path.is_file())
    assert eve["text"][0].encode() not in stored + (tmp_path / "mlflow.db").read_bytes()


def test_the_split_holds_out_rows_of_each_class_for_good(tmp_path: Path) -> None:
    table = texts(80, 3).drop_duplicates("text")
    table.loc[table.index[5:], "label"] = "angry"
    table.loc[table.index[:5], "label"] = "glad"
    found = rows_of(table, tmp_path)
    assert found.groupby("label")["split"].nunique().tolist() == [3, 3]
    grown = rows_of(pd.concat([table, texts(400, 4)]).drop_duplicates("text"), tmp_path).set_index("text")["split"]
    shares = grown.value_counts(normalize=True)
    assert abs(shares["test"] - 0.3) < 0.06
    assert abs(shares["validation"] - 0.2) < 0.06
    angry = found[found["label"] == "angry"].set_index("text")["split"]
    assert (grown[angry.index] == angry).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.head(40), r"own\.csv has 40 usable rows .*; a personal model takes 50 to 5,000"),
        (lambda t: pd.concat([t.head(45)] * 3), "has 45 usable rows"),
        (lambda t: t.assign(label="glad"), "all rows have the label 'glad'; there must be two"),
        (lambda t: t.assign(label=["angry"] * 3 + ["glad"] * 97), r"class 'angry' has 3 usable row\(s\); give it 5"),
        (lambda t: t.assign(label=["angry"] * 4 + ["glad"] * 96), r"class 'angry' has 4 usable row\(s\); give it 5"),
        (lambda t: texts(5_100, 5), r"has 5,\d+ usable rows .*; a personal model takes 50 to 5,000"),
        (lambda t: t.assign(label="sad"), "has the class 'sad', which the model does not know; its classes are angry"),
        (lambda t: t.assign(label=t["text"] * 9), r"has the class '\(a name of \d+ characters\)'"),
        (lambda t: t.rename(columns={"label": "feeling"}), "has no column 'label'"),
    ],
)
def test_a_file_that_cannot_help_is_refused_in_a_sentence(tmp_path: Path, change: object, sentence: str) -> None:
    with pytest.raises(PipelineError, match=sentence):
        rows_of(change(texts(100, 5)), tmp_path)  # type: ignore[operator]


def test_a_user_name_is_checked_before_any_work() -> None:
    for name in ("a b", "../eve", "", "x" * 61):
        with pytest.raises(PipelineError, match="--user must be of letters"):
            adapt.main(["no.csv", "--user", name])


def test_few_rows_move_the_calibration_little_and_many_decide_it() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4_000, 3)) * 2
    noise = log_softmax(random.normal(size=(4_000, 3)))
    true = log_softmax(logits * 0.5 + [1.0, 0.0, -1.0])
    labels = (true + random.gumbel(size=true.shape)).argmax(axis=1)
    parts, before = [log_softmax(logits), noise], Calibration((0.5, 0.5), 1.0, (0.0, 0.0, 0.0))
    few, many = (recalibrate(labels[:n], [part[:n] for part in parts], before) for n in (4, 4_000))
    np.testing.assert_allclose(np.array(many.shares) / many.temperature, [0.5, 0.0], atol=0.05)
    np.testing.assert_allclose(many.offsets, [1, 0, -1], atol=0.15)
    assert np.abs(few.offsets).max() < 0.8
    assert recalibrate(labels[:0], [part[:0] for part in parts], before) == before


def test_better_needs_a_sure_gain_in_log_loss_and_no_loss_of_macro_f1() -> None:
    def better(loss: tuple[float, float], f1: tuple[float, float]) -> bool:
        gains = {
            key: {"gain": gain, "low": low, "high": 1} for key, (gain, low) in {"loss": loss, "macro_f1": f1}.items()
        }
        return Comparison({}, gains).better

    assert better((0.1, 0.05), (0.0, -0.1))
    assert not better((0.1, -0.05), (0.2, 0.1))
    assert not better((0.1, 0.05), (-0.01, -0.1))
    assert not better((0.0, 0.0), (0.0, 0.0))


def test_the_comparison_is_paired() -> None:
    labels = np.arange(200) % 2
    champion = np.where((labels ^ (np.arange(200) % 5 == 0))[:, None] == [0, 1], 0.8, 0.2)
    found = compare(labels, champion, np.where(labels[:, None] == [0, 1], 0.9, 0.1))
    assert found.better
    assert found.gains["loss"]["gain"] == pytest.approx(
        found.figures["champion"]["loss"] - found.figures["personal"]["loss"], abs=2e-6
    )
    assert found.gains["macro_f1"]["gain"] == pytest.approx(0.2, abs=1e-3)
    assert not compare(labels, champion, champion).better
    assert "on 200 held-out rows: log-loss 0.5004 -> 0.1054 (gain +0.3950 [" in found.sentence()


class Said:
    """Stands for a network: its weights are the log-probabilities that it gives."""

    def __init__(self, said: np.ndarray) -> None:
        self.said = said

    def get_weights(self) -> np.ndarray:
        return self.said

    def set_weights(self, said: np.ndarray) -> None:
        self.said = said

    def load_weights(self, path: Path) -> None:
        pass


BEFORE = Calibration((1.0,), 1.0, (0.0, 0.0))


@dataclass
class Adapted:
    """What `adapt` did of a user's rows, the champion's answers, and those of the network after training."""

    comparison: Comparison
    model: Said
    saved: dict[str, Any]
    trained: tuple[int, int]  # rows that the network learnt from, and rows that chose the epoch


@pytest.fixture
def adapted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Adapted]:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(table: pd.DataFrame, old: np.ndarray, new: np.ndarray, *, loss: float) -> Adapted:
        model, saved, trained = Said(old), {}, []

        def fit(model: Said, train: Any, validation: Any, **_: Any) -> list[dict[str, float]]:
            trained.append((len(train[0]), len(validation[0])))
            model.said = new
            return [{"validation_loss": loss}]

        manifest = {"classes": CLASSES, "network": {}, "sha256": {}, "state": "s", **BEFORE._asdict()}
        monkeypatch.setattr(personal, "read_manifest", lambda folder: manifest)
        monkeypatch.setattr(personal.Tokenizer, "load", lambda path: Tokenizer(("great", "awful"), 8))
        monkeypatch.setattr(personal, "make_repeatable", lambda **_: None)
        monkeypatch.setattr(personal, "build", lambda **_: model)
        monkeypatch.setattr(personal, "log_probabilities", lambda model, ids, lengths: model.said)
        monkeypatch.setattr(personal.loop, "fit", fit)
        monkeypatch.setattr(personal, "save", lambda *_, **options: saved.update(options))
        comparison, _ = personal.adapt(tmp_path, table, tmp_path / "new")
        return Adapted(comparison, model, saved, trained[0])

    return run


def own_rows() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows with their splits, and answers: the champion knows little, and what it becomes knows the labels."""
    table = texts(200, 6).assign(split=np.resize(["train", "validation", "test", "train"], 200))
    glad = (table["label"] == "glad").to_numpy()
    noise = np.random.default_rng(1).normal(size=200)
    odds = [np.stack([-each, each], axis=1) for each in (noise, noise + np.where(glad, 2, -2))]
    return table, log_softmax(odds[0]), log_softmax(odds[1])


def test_an_epoch_that_is_no_better_than_none_is_not_kept(adapted: Callable[..., Adapted]) -> None:
    table, old, new = own_rows()
    assert adapted(table, old, new, loss=0.1).model.said is new
    assert adapted(table, old, new, loss=9.0).model.said is old


def test_the_rows_held_out_measure_and_decide_nothing(adapted: Callable[..., Adapted]) -> None:
    table, old, new = own_rows()
    found = adapted(table, old, new, loss=0.1)
    test = (table["split"] == "test").to_numpy()
    labels = (table["label"] == "glad").to_numpy(int)[test]
    assert found.trained == (100, 50)
    assert found.comparison.figures["champion"] == metrics.overall(labels, np.exp(old)[test])
    fitted = found.saved["calibration"]
    assert found.comparison.figures["personal"] == metrics.overall(labels, calibration.combine([new], fitted)[test])
    shares = calibration.combine([new], fitted)[~test].mean(axis=0)
    assert found.saved["class_shares"] == pytest.approx(shares, abs=1e-6)
    swapped = table.assign(label=np.where(test, table["label"].map({"glad": "angry", "angry": "glad"}), table["label"]))
    other = adapted(swapped, old, np.where(test[:, None], new[:, ::-1], new), loss=0.1)
    assert (other.saved["calibration"], other.saved["class_shares"]) == (fitted, found.saved["class_shares"])
