"""The network, its training and the predictor on tiny data."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import calibration, prediction, train
from pipeline import model as network
from pipeline.stage import PipelineError
from pipeline.text import Tokenizer

WORDS = ("good", "bad", "film")
Trained = tuple[Any, list[dict[str, float]], list[int]]
SIZES = {"num_ids": 5, "num_classes": 2, "embedding_dim": 4, "units": 4}


def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts whose first word decides the label."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, count).astype(np.int32)
    ids = np.zeros((count, 6), dtype=np.int32)
    ids[:, 0] = 2 + labels
    ids[:, 1:4] = np.where(rng.random((count, 3)) < 0.5, 4, 1)
    return ids, labels


@pytest.fixture(scope="module", autouse=True)
def keras() -> None:
    network.prepare_keras()
    network.make_repeatable(threads=2, seed=0)


@pytest.fixture(scope="module")
def trained() -> Trained:
    model, told = network.build(**SIZES), []
    ids, labels = rows(300)
    history = train.fit(
        model,
        (ids, labels, np.ones(300, dtype=np.float32)),
        rows(70),
        batch_size=16,
        epochs=30,
        learning_rate=0.05,
        patience=2,
        seed=0,
        on_epoch=lambda epoch, figures: told.append(epoch),
    )
    return model, history, told


def test_the_textbook_network() -> None:
    model = network.build(num_ids=10_002, num_classes=3, embedding_dim=64, units=64)
    assert [type(layer).__name__ for layer in model.layers if layer.weights] == ["Embedding", "LSTM", "Dense"]
    assert model.count_params() == 10_002 * 64 + 4 * 64 * (64 + 64 + 1) + 65 * 3


def test_training_learns_and_tells_each_epoch(trained: Trained) -> None:
    _, history, told = trained
    assert min(figures["validation_loss"] for figures in history) < 0.1
    assert told == [figures["epoch"] for figures in history] == list(range(1, len(history) + 1))


def test_training_stops_early_and_keeps_the_best_epoch() -> None:
    model = network.build(**SIZES)
    ids, labels = rows(300)
    wrong = 1 - labels[:64]  # the better the training rows are learnt, the worse these get
    history = train.fit(
        model,
        (ids, labels, np.ones(300, dtype=np.float32)),
        (ids[:64], wrong),
        batch_size=16,
        epochs=30,
        learning_rate=0.05,
        patience=3,
        seed=0,
    )
    losses = [figures["validation_loss"] for figures in history]
    assert losses.index(min(losses)) == len(losses) - 1 - 3
    kept = -np.log(network.predict(model, ids[:64])[np.arange(64), wrong]).mean()
    assert kept == pytest.approx(min(losses), abs=1e-4)


def test_a_prediction_depends_on_its_text_alone(trained: Trained) -> None:
    model, _, _ = trained
    ids, _ = rows(150)
    together = network.predict(model, ids)
    alone = np.concatenate([network.predict(model, ids[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(together[:5], alone)
    assert together.shape == (150, 2)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(network.predict(model, train.trim(ids)), together, atol=1e-6)  # padding changes nothing
    assert network.predict(model, ids[:0]).shape == (0, 2)


def save(folder: Path, trained: Trained) -> Path:
    prediction.save(
        folder,
        trained[0],
        Tokenizer(WORDS, 6),
        classes=["happy", "sad"],
        network=SIZES,
        temperature=2.0,
        state="s",
    )
    return folder


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    return save(tmp_path / "model", trained)


def test_the_predictor_gives_labels_from_raw_text(folder: Path, trained: Trained) -> None:
    predictor = prediction.Predictor.load(folder)
    table = predictor.predict(["GOOD <br/> film", "bad film!"])
    assert list(table.columns) == ["predicted_label", "confidence", "p_happy", "p_sad"]
    assert list(table["predicted_label"]) == ["happy", "sad"]
    np.testing.assert_array_equal(table["confidence"], table[["p_happy", "p_sad"]].max(axis=1))
    raw = network.predict(trained[0], np.array([[2, 4, 0, 0, 0, 0]], dtype=np.int32))
    expected = calibration.apply(raw, 2.0)
    np.testing.assert_allclose(table.loc[0, ["p_happy", "p_sad"]].to_numpy(dtype=float), expected[0], atol=1e-6)
    assert predictor.predict([]).shape == (0, 4)


@pytest.mark.parametrize("text", [None, 3, float("nan")])
def test_the_served_model_refuses_what_is_no_text(folder: Path, text: object) -> None:
    served = prediction._load_pyfunc(str(folder))
    with pytest.raises(ValueError, match="row 2 of column text must be a string"):
        served.predict(pd.DataFrame({"text": pd.Series(["fine", text], dtype=object)}))


def test_equal_models_have_equal_bytes(folder: Path, trained: Trained, tmp_path: Path) -> None:
    save(tmp_path / "again", trained)
    for name in ("model.json", "model.weights.h5", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("name", ["model.weights.h5", "tokenizer.json"])
def test_an_altered_model_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "bad")
    file = tmp_path / "bad" / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(PipelineError, match="is missing or altered"):
        prediction.Predictor.load(tmp_path / "bad")


def test_another_format_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(PipelineError, match="has format 99, this code reads 2"):
        prediction.Predictor.load(folder)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (500, (32, 40)),
        (12_000, (32, 21)),
        (25_000, (32, 10)),
        (40_000, (64, 13)),
        (100_000, (128, 10)),
        (10**6, (128, 3)),
    ],
)
def test_the_data_choose_batch_and_epochs(rows: int, expected: tuple[int, int]) -> None:
    assert train.sizes(rows) == expected
