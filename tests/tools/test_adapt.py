"""Fine-tuning the champion to one user's texts, and registering the result."""

import argparse
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from helpers.models import save_text_model
from helpers.project import ROOT, set_params
from mlflow import MlflowClient

from pipeline.base.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.inference import calibration
from pipeline.inference.calibration import Calibration, combine
from pipeline.inference.manifest import read_manifest
from pipeline.inference.network import log_softmax
from pipeline.inference.predictor import Predictor
from pipeline.inference.priors import measure_priors
from pipeline.registry import tracking
from pipeline.registry.models import open_model
from pipeline.text.processor import Tokenizer
from pipeline.tools import adapt, personal
from pipeline.tools.adapt import read_personal_rows
from pipeline.tools.personal import PersonalComparison, calibrate_and_compare, compare_personal, recalibrate
from pipeline.training import loop
from pipeline.training.backend import make_repeatable
from pipeline.training.encoders.text import build
from pipeline.training.forward import log_probabilities
from pipeline.training.ngrams import fit_ngrams

CLASSES = ["angry", "glad"]

NETWORK = {"num_ids": 64, "num_classes": 2, "embedding_dim": 8, "units": 8, "bidirectional": False, "pooling": "max"}

FILLERS = [f"w{number}" for number in range(50)]


def texts(rows: int, seed: int, *, sarcastic: bool = False) -> pd.DataFrame:
    """Texts of one word that predicts the label in nine of ten rows, and five fillers; sarcasm inverts the word."""
    random = np.random.default_rng(seed)
    glad = random.random(rows) < 0.5
    great = glad ^ (random.random(rows) < 0.1) ^ sarcastic
    fillers = [" ".join(random.choice(FILLERS, 5)) for _ in range(rows)]
    words = np.where(great, "great", "awful")
    cells = [f"{word} {filler}" for word, filler in zip(words, fillers, strict=True)]
    return pd.DataFrame({"text": cells, "label": np.array(CLASSES)[glad.astype(int)]})


def splits(labels: "pd.Series[str]") -> dict[str, np.ndarray]:
    """Half of the rows train, a quarter is for validation and a quarter for the test."""
    names = np.resize(["train", "validation", "test", "train"], len(labels))
    return {split: names == split for split in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def base(keras: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of a champion."""
    table = texts(600, 0)
    tokenizer = Tokenizer.fit(table["text"], vocabulary_size=62, length=8)
    make_repeatable(threads=2, seed=0)  # earlier tests have drawn weights
    model = build(**{**NETWORK, "num_ids": tokenizer.num_ids})
    ids, labels = tokenizer.encode(table["text"].to_list()), (table["label"] == "glad").to_numpy(np.int32)
    train, validation = slice(0, 400), slice(400, None)
    loop.train_epochs(
        model,
        loop.TrainRows(ids[train], labels[train], np.ones(400, dtype=np.float32)),
        (ids[validation], labels[validation]),
        loop.LoopSettings(batch_size=32, epochs=8, learning_rate=0.01, adversarial=0.0, patience=3, seed=0),
        lengths=(8,),
    )
    cleaned = table["text"].to_list()
    ngrams = fit_ngrams(cleaned[train], labels[train], np.ones(400), num_classes=2, unit="word")
    parts = [log_probabilities(model, ids, (8,)), *ngrams.log_probabilities(cleaned)]
    no_shift = np.zeros(2)
    fitted = calibration.fit(labels[validation], [part[validation] for part in parts], no_shift, 0.0, no_shift)
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


def write(folder: Path, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "own.csv", index=False)
    return folder / "own.csv"


def read(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return read_personal_rows(write(folder, table), ["text"], "label", CLASSES)


@pytest.mark.slow  # half a minute
def test_adapt_registers_only_a_better_model(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PIPELINE_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    for name in ("params.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(personal, "LEARNING_RATE", 0.01)  # the network is tiny

    register = adapt.register_personal

    def register_twice(*arguments: object) -> str:
        verdict = register(*arguments)  # type: ignore[arg-type]
        assert register(*arguments) == verdict  # type: ignore[arg-type]
        return verdict

    monkeypatch.setattr(adapt, "register_personal", register_twice)

    def run(user: str, table: pd.DataFrame) -> str:
        adapt.main([str(write(tmp_path, table)), "--user", user, "--model", str(base)])
        return capsys.readouterr().out.splitlines()[-1]

    eve, bob = texts(200, 1, sarcastic=True), texts(200, 2)
    assert "; registered as tweets-lstm-eve version 1, champion" in run("eve", eve)
    output = run("bob", bob)
    assert output.startswith("bob: no significant gain over")
    assert output.endswith("; not registered")

    client = MlflowClient(tracking.store_address())
    assert [model.name for model in client.search_registered_models()] == ["tweets-lstm-eve"]
    runs = client.search_runs([client.get_experiment_by_name("emotion-recognition-personal").experiment_id])
    logged = {entry.data.params["user"]: entry.data.metrics for entry in runs}
    assert len(runs) == len(logged) == 2
    assert logged["eve"]["gain/loss/low"] > 0.2
    assert logged["eve"]["test/personal/macro_f1"] > 0.7 > 0.4 > logged["eve"]["test/champion/macro_f1"]
    assert logged["bob"]["gain/loss/low"] <= 0
    with open_model("champion", "tweets-lstm-eve") as model:
        predictions = Predictor.load(model.folder).predict(["great w1 w2", "awful w3"])
    assert predictions["predicted_label"].tolist() == ["angry", "glad"]
    stored = b"".join(path.read_bytes() for path in (tmp_path / "mlruns").rglob("*") if path.is_file())
    assert eve["text"][0].encode() not in stored + (tmp_path / "mlflow.db").read_bytes()


def test_split_has_every_class_and_is_stable(tmp_path: Path) -> None:
    table = texts(80, 3).drop_duplicates("text")
    table.loc[table.index[5:], "label"] = "angry"
    table.loc[table.index[:5], "label"] = "glad"
    rows = read(table, tmp_path)
    assert rows.groupby("label")["split"].nunique().tolist() == [3, 3]
    grown = read(pd.concat([table, texts(400, 4)]).drop_duplicates("text"), tmp_path).set_index("text")["split"]
    fractions = grown.value_counts(normalize=True)
    assert abs(fractions["test"] - 0.3) < 0.06
    assert abs(fractions["validation"] - 0.2) < 0.06
    angry = rows[rows["label"] == "angry"].set_index("text")["split"]
    assert (grown[angry.index] == angry).all()


def test_no_split_separates_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = set_params(
        (ROOT / "params.yaml").read_text(encoding="utf-8"),
        {"dataset": "file", "path": "a.csv", "group_column": "thread"},
    )
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    table = texts(300, 7).drop_duplicates("text")
    threads = [f"t{row // 5}" for row in range(len(table))]
    rows = read(table.assign(thread=threads), tmp_path)
    assert rows["group"].nunique() == len(set(threads))
    assert (rows.groupby("group")["split"].nunique() == 1).all()
    assert rows.groupby("label")["split"].nunique().tolist() == [3, 3]
    for own in (table, table.assign(thread="all mine")):  # without the column, or of one group
        assert (read(own, tmp_path)["group"] == "").all()
    with pytest.raises(PipelineError, match="the groups in column 'thread' are too few to have every class in all thr"):
        read(table.assign(thread=np.arange(len(table)) % 2), tmp_path)


def test_columns_and_names_of_labels_are_those_of_training(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {"dataset": "file", "path": "a.csv", "label_column": "stars", "label_map": "{1: angry, 5: glad, 3: null}"}
    changes["missing_labels"] = "[void]"
    text = set_params((ROOT / "params.yaml").read_text(encoding="utf-8"), changes)
    Path("params.yaml").write_text(text, encoding="utf-8")
    manifest = read_manifest(base) | {"columns": {"text": ["title", "body"]}}
    options = argparse.Namespace(text_column=None, label_column=None, no_header=False)
    assert adapt.chosen_columns(options, manifest) == (["title", "body"], "stars")  # type: ignore[arg-type]
    own = texts(100, 5).assign(stars=lambda t: t["label"].map({"angry": "1", "glad": "5.0"}), title="so")
    own.loc[:4, "stars"] = "3"
    own.loc[5:9, "stars"] = "void"
    own.rename(columns={"text": "body"}).to_csv("own.csv", index=False)
    rows = read_personal_rows(Path("own.csv"), ["title", "body"], "stars", CLASSES)
    assert rows["text"].str.startswith("so ").all()
    assert rows["label"].value_counts().sum() == 90 == len(rows)
    options = argparse.Namespace(text_column=["2"], label_column=None, no_header=True)
    with pytest.raises(PipelineError, match="must be all names, or with --no-header all numbers, got 2, 'stars'"):
        adapt.chosen_columns(options, manifest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.head(40), r"own\.csv has 40 usable rows .*; a personal model needs 50 to 5,000"),
        (lambda t: pd.concat([t.head(45)] * 3), "has 45 usable rows"),
        (lambda t: t.assign(label="glad"), "all rows have the label 'glad'; add rows of another class"),
        (
            lambda t: t.assign(label=["angry"] * 3 + ["glad"] * 97),
            r"'angry' has 3 usable row\(s\); add rows until it has 5",
        ),
        (
            lambda t: t.assign(label=["angry"] * 4 + ["glad"] * 96),
            r"'angry' has 4 usable row\(s\); add rows until it has 5",
        ),
        (lambda t: texts(5_100, 5), r"has 5,\d+ usable rows .*; a personal model needs 50 to 5,000"),
        (lambda t: t.assign(label="sad"), "has the class 'sad', which the model does not know; its classes are angry"),
        (lambda t: t.assign(label=t["text"] * 9), r"has the class '\(a name of \d+ characters\)'"),
        (lambda t: t.rename(columns={"label": "feeling"}), "has no column 'label'"),
    ],
)
def test_unsuitable_files_are_refused(tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        read(change(texts(100, 5)), tmp_path)  # type: ignore[operator]


def test_invalid_user_names_are_refused_first() -> None:
    for name in ("a b", "../eve", "", "x" * 61):
        with pytest.raises(PipelineError, match="--user must consist of ASCII letters"):
            adapt.main(["no.csv", "--user", name])


def test_recalibration_weighs_rows_against_the_prior() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4_000, 3)) * 2
    noise = log_softmax(random.normal(size=(4_000, 3)))
    true = log_softmax(logits * 0.5 + [1.0, 0.0, -1.0])
    labels = (true + random.gumbel(size=true.shape)).argmax(axis=1)
    parts, before = [log_softmax(logits), noise], Calibration((0.5, 0.5), 1.0, (0.0, 0.0, 0.0))
    few, many = (recalibrate(labels[:n], [part[:n] for part in parts], before) for n in (4, 4_000))
    np.testing.assert_allclose(np.array(many.weights) / many.temperature, [0.5, 0.0], atol=0.05)
    np.testing.assert_allclose(many.offsets, [1, 0, -1], atol=0.15)
    assert np.abs(few.offsets).max() < 0.8
    assert recalibrate(labels[:0], [part[:0] for part in parts], before) == before


def test_better_needs_significant_log_loss_and_no_lower_macro_f1() -> None:
    def better(loss: tuple[float, float], f1: tuple[float, float]) -> bool:
        gains = {
            key: {"gain": gain, "low": low, "high": 1} for key, (gain, low) in {"loss": loss, "macro_f1": f1}.items()
        }
        return PersonalComparison({}, gains).better

    assert better((0.1, 0.05), (0.0, -0.1))
    assert not better((0.1, -0.05), (0.2, 0.1))
    assert not better((0.1, 0.05), (-0.01, -0.1))
    assert not better((0.0, 0.0), (0.0, 0.0))


def test_comparison_is_paired() -> None:
    labels = np.arange(200) % 2
    champion = np.where((labels ^ (np.arange(200) % 5 == 0))[:, None] == [0, 1], 0.8, 0.2)
    comparison = compare_personal(labels, champion, np.where(labels[:, None] == [0, 1], 0.9, 0.1), np.arange(200))
    assert comparison.better
    losses = [comparison.overall[model]["loss"] for model in ("champion", "personal")]
    assert comparison.gains["loss"]["gain"] == pytest.approx(losses[0] - losses[1], abs=2e-6)
    assert comparison.gains["macro_f1"]["gain"] == pytest.approx(0.2, abs=1e-3)
    assert not compare_personal(labels, champion, champion, np.arange(200)).better
    # Four threads of equal rows tell less than 200 rows.
    rare = np.where((np.arange(200) < 100)[:, None], np.where(labels[:, None] == [0, 1], 0.9, 0.1), champion)
    by_row, by_thread = (
        compare_personal(labels, champion, rare, of_rows).better for of_rows in (np.arange(200), np.arange(200) // 50)
    )
    assert by_row
    assert not by_thread
    assert "on 200 held-out rows: log-loss 0.5004 -> 0.1054 (gain +0.3950 [" in comparison.sentence()


@pytest.mark.slow  # five seconds
def test_training_that_does_not_help_restores_the_weights(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "LEARNING_RATE", 0.01)
    table = texts(160, 6)
    tokenizer = Tokenizer.fit(table["text"], vocabulary_size=62, length=8)
    make_repeatable(threads=2, seed=0)
    model = build(**{**NETWORK, "num_ids": tokenizer.num_ids})
    ids, labels = tokenizer.encode(table["text"].to_list()), (table["label"] == "glad").to_numpy(np.int32)
    masks = splits(table["label"])
    before = model.get_weights()

    wrong = np.where(masks["train"], 1 - labels, labels)
    assert personal.continue_training(model, ids, wrong, masks, (8,))
    for weights, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, old)

    history = personal.continue_training(model, ids, labels, masks, (8,))
    rows = masks["validation"]
    loss = metrics.overall(labels[rows], np.exp(log_probabilities(model, ids[rows], (8,))))["loss"]
    assert loss == min(epoch["validation_loss"] for epoch in history) < 0.6


def test_personal_model_can_estimate_class_priors(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "continue_training", lambda *_: [])  # calibration only
    rows = read(texts(150, 8), tmp_path)
    personal.fine_tune(base, rows, tmp_path / "model")
    model = Predictor.load(tmp_path / "model")
    assert model.class_priors is not None
    assert model.class_priors["rows"] == (rows["split"] == "validation").sum()
    glad = ["great " + " ".join(FILLERS[number : number + 5]) for number in range(40)] * 10
    usual, adapted = (model.predict(glad, shares)["p_glad"].mean() for shares in ("", "estimate"))
    assert adapted > usual


def test_held_out_rows_decide_nothing() -> None:
    """The champion predicts noise, the personal model the labels; test rows only change the comparison."""
    labels = np.random.default_rng(1).integers(2, size=200)
    masks = splits(pd.Series(labels))
    test, prior = masks["test"], Calibration((1.0,), 1.0, (0.0, 0.0))
    noise = np.random.default_rng(2).normal(size=200)
    before, after = (log_softmax(np.stack([-logits, logits], axis=1)) for logits in (noise, noise + 4 * labels - 2))

    fitted, shares, priors, comparison = calibrate_and_compare(labels, masks, [before], [after], prior, np.arange(200))
    rows = masks["validation"]
    assert fitted == recalibrate(labels[rows], [after[rows]], prior)
    personal_model = combine([after], fitted)
    assert shares == pytest.approx(personal_model[~test].mean(axis=0), abs=1e-6)
    assert priors == measure_priors(labels[rows], personal_model[rows])
    assert comparison.overall["champion"] == metrics.overall(labels[test], np.exp(before)[test])
    assert comparison.overall["personal"] == metrics.overall(labels[test], personal_model[test])

    swapped, inverted = np.where(test, 1 - labels, labels), np.where(test[:, None], after[:, ::-1], after)
    again = calibrate_and_compare(swapped, masks, [before], [inverted], prior, np.arange(200))
    assert again[:3] == (fitted, shares, priors)
