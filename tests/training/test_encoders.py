"""Networks and the predictor on tiny data."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.models import save_text_model

from pipeline.base.errors import PipelineError
from pipeline.inference import predictor
from pipeline.inference.calibration import Calibration, combine
from pipeline.inference.network import log_softmax
from pipeline.inference.ngrams import Ngrams
from pipeline.inference.predictor import Predictor, ServedModel
from pipeline.inference.priors import ClassPriors, estimate_class_priors, reweigh
from pipeline.text.processor import Tokenizer
from pipeline.training import forward, loop
from pipeline.training.encoders.text import build
from pipeline.training.ngrams import fit_ngrams

TOKENIZER = Tokenizer(("good", "bad", "film"), 6, lengths=(3, 6))

SIZES = {"num_ids": 5, "num_classes": 2, "embedding_dim": 4, "units": 4, "bidirectional": True, "pooling": "max"}

PRIORS = ClassPriors(natural=[0.5, 0.5], implied=[0.6, 0.4], rows=1_000, estimable=True)
CLASSES, CALIBRATION = ("happy", "sad"), Calibration((0.4, 0.2, 0.3, 0.1), 2.0, (0.25, -0.25))

FILES = ("model.json", "model.onnx", "model.weights.h5", "tokenizer.json", "ngrams.json", "ngrams.npz")


@dataclass(frozen=True)
class Trained:
    network: Any
    ngrams: Ngrams


def texts(count: int) -> tuple[list[str], np.ndarray]:
    """Texts of one to five words, the first of which decides the label."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, count).astype(np.int32)
    ends = [" ".join(random.choice(["film", "the"], random.integers(0, 5))) for _ in range(count)]
    return [f"{('good', 'bad')[label]} {end}".strip() for label, end in zip(labels, ends, strict=True)], labels


@pytest.fixture(scope="module")
def trained(keras: ModuleType) -> Trained:
    keras.utils.set_random_seed(0)  # independent of earlier tests
    model = build(**SIZES)
    cells, labels = texts(300)
    ids = TOKENIZER.encode(cells)
    loop.train_epochs(
        model,
        loop.TrainRows(ids, labels, np.ones(300, dtype=np.float32)),
        (ids[:70], labels[:70]),
        loop.LoopSettings(batch_size=16, epochs=4, learning_rate=0.05, adversarial=0.0, patience=2, seed=0),
        lengths=(6,),
    )
    return Trained(model, fit_ngrams(cells, labels, np.ones(300), num_classes=2, unit="word"))


def test_textbook_network(keras: ModuleType) -> None:
    model = build(num_ids=10_002, num_classes=3, embedding_dim=64, units=64)
    assert [layer.name for layer in model.layers if layer.weights] == ["embedding", "lstm", "logits"]
    assert model.count_params() == 10_002 * 64 + 4 * 64 * (64 + 64 + 1) + 65 * 3
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "max", "mean", "max_mean"])
def test_pooling_and_direction_set_the_width(keras: ModuleType, pooling: str, bidirectional: bool) -> None:
    model = build(**SIZES | {"bidirectional": bidirectional, "pooling": pooling, "num_classes": 3})
    width = 4 * (1 + bidirectional) * (1 + (pooling == "max_mean"))
    assert model.get_layer("logits").kernel.shape == (width, 3)
    assert model.count_params() == 5 * 4 + (1 + bidirectional) * 4 * 4 * (4 + 4 + 1) + (width + 1) * 3


def test_dropout_rates(keras: ModuleType) -> None:
    model = build(**SIZES, embedding_dropout=0.2, dropout=0.4)
    layers = [model.get_layer(name) for name in ("embedding_dropout", "dropout")]
    assert [layer.rate for layer in layers] == [0.2, 0.4]
    assert layers[0].seed != layers[1].seed
    ids = np.array([[2, 3, 4]] * 20, dtype=np.int32)
    in_training, outside = (np.asarray(model(ids, training=training)) for training in (True, False))
    assert len(np.unique(in_training, axis=0)) > 10
    assert np.ptp(outside, axis=0).max() < 1e-6


@pytest.mark.parametrize("pooling", ["last", "max_mean"])
def test_padding_changes_no_result(keras: ModuleType, pooling: str) -> None:
    model = build(**SIZES | {"pooling": pooling})
    ids = TOKENIZER.encode(texts(100)[0])
    one_length = forward.log_probabilities(model, ids, (6,))
    np.testing.assert_allclose(forward.log_probabilities(model, ids, (3, 6)), one_length, atol=1e-5)
    wider = np.pad(ids, ((0, 0), (0, 5)))
    np.testing.assert_allclose(forward.log_probabilities(model, wider, (11,)), one_length, atol=1e-5)
    np.testing.assert_allclose(one_length, log_softmax(np.asarray(model(ids), dtype=float)), atol=1e-5)


def test_prediction_depends_on_its_text_only(trained: Trained) -> None:
    ids = TOKENIZER.encode(texts(150)[0])
    together = forward.log_probabilities(trained.network, ids, TOKENIZER.lengths)
    assert together.shape == (150, 2)
    np.testing.assert_allclose(np.exp(together).sum(axis=1), 1)
    order = np.random.default_rng(1).permutation(150)
    shuffled = forward.log_probabilities(trained.network, ids[order], TOKENIZER.lengths)
    np.testing.assert_array_equal(shuffled, together[order])
    for row in range(5):
        alone = forward.log_probabilities(trained.network, ids[row : row + 1], TOKENIZER.lengths)
        np.testing.assert_array_equal(alone, together[row : row + 1])
    assert forward.log_probabilities(trained.network, ids[:0], TOKENIZER.lengths).shape == (0, 2)


def test_log_softmax_is_exact_and_does_not_overflow() -> None:
    logits = np.array([[[np.log(3), 0.0], [1e4, 0.0]], [[-1e4, -1e4], [5.0, 5.0]]])
    expected = np.array([[[np.log(0.75), np.log(0.25)], [0, -1e4]], [[np.log(0.5)] * 2] * 2])
    np.testing.assert_allclose(log_softmax(logits), expected)


def save(folder: Path, trained: Trained, *, ngrams: bool = True) -> Path:
    save_text_model(
        folder,
        trained.network,
        TOKENIZER,
        trained.ngrams if ngrams else None,
        classes=CLASSES,
        network=SIZES,
        calibration=CALIBRATION if ngrams else CALIBRATION._replace(weights=(1.0,)),
        class_shares=(0.55, 0.45),
        class_priors=PRIORS,
        state="s",
    )
    return folder


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    return save(tmp_path / "model", trained)


def test_predictor_labels_raw_texts(folder: Path, trained: Trained) -> None:
    predictor = Predictor.load(folder)
    table = predictor.predict(["GOOD <br/> film", "bad film!"])
    assert list(table.columns) == ["predicted_label", "confidence", "p_happy", "p_sad", "known_words"]
    assert list(table["known_words"]) == [2, 2]
    assert list(table["predicted_label"]) == ["happy", "sad"]
    np.testing.assert_array_equal(table["confidence"], table[["p_happy", "p_sad"]].max(axis=1))
    ids = np.array([[2, 4, 0, 0, 0, 0], [3, 4, 1, 0, 0, 0]], dtype=np.int32)
    lstm = forward.log_probabilities(trained.network, ids, (6,))
    expected = combine([lstm, *trained.ngrams.log_probabilities(["good film", "bad film!"])], CALIBRATION)
    np.testing.assert_allclose(table[["p_happy", "p_sad"]].to_numpy(dtype=float), expected, atol=1e-6)
    assert predictor.predict([]).shape == (0, 5)


def test_prediction_with_other_class_priors(folder: Path) -> None:
    predictor = Predictor.load(folder)
    cells = texts(200)[0]
    plain = predictor.probabilities(cells)
    odds = predictor.probabilities(cells, '{"sad": 0.9, "happy": 0.1}')
    np.testing.assert_allclose(odds[:, 1] / odds[:, 0], plain[:, 1] / plain[:, 0] * (0.9 / 0.4) / (0.1 / 0.6))
    np.testing.assert_allclose(predictor.probabilities(cells, '{"happy": 0.6, "sad": 0.4}'), plain)
    happy = [text for text in cells if text.startswith("good")]
    assert predictor.probabilities(happy, "estimate")[:, 0].mean() > predictor.probabilities(happy)[:, 0].mean()
    served = ServedModel(predictor).predict(pd.DataFrame({"text": happy}), {"class_shares": "estimate"})
    np.testing.assert_array_equal(served["p_happy"], predictor.probabilities(happy, "estimate")[:, 0])
    assert predictor.predict([], "estimate").shape == (0, 5)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ("half", "class_shares must be estimate, or a JSON object with a share of 0 or more for each of happy, sad"),
        ('{"happy": 1}', "for each of happy, sad, got '{\"happy\": 1}'"),
        ('{"happy": 1, "sad": 0, "odd": 0}', "for each of happy, sad"),
        ('{"happy": -1, "sad": 2}', "for each of happy, sad"),
        ('{"happy": true, "sad": 0}', "for each of happy, sad"),
        ("[0.5, 0.5]", "for each of happy, sad"),
        ('{"happy": 0.5, "sad": 0.2}', "class_shares must sum to 1, got 0.7"),
    ],
)
def test_invalid_class_shares_raise(shares: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        predictor.parse_class_priors(shares, CLASSES)


def test_parts_are_in_order(folder: Path) -> None:
    model = Predictor.load(folder)
    assert [part.name for part in model.parts] == ["lstm", "tfidf", "nb", "tfidf_words"]
    parts = model.log_probabilities(texts(20)[0])
    assert [(part.shape, part.dtype) for part in parts] == [((20, 2), np.float64)] * 4
    assert not np.allclose(parts[1], parts[2])


def test_model_without_ngrams(trained: Trained, tmp_path: Path) -> None:
    folder = save(tmp_path / "model", trained, ngrams=False)
    assert {file.name for file in folder.iterdir()} == set(FILES) - {"ngrams.json", "ngrams.npz"}
    predictor = Predictor.load(folder)
    assert [part.name for part in predictor.parts] == ["lstm"]
    ids = TOKENIZER.encode(["bad film"])
    lstm = forward.log_probabilities(trained.network, ids, TOKENIZER.lengths)
    expected = np.exp(lstm / 2 + CALIBRATION.offsets)
    np.testing.assert_allclose(predictor.probabilities(["Bad film"]), expected / expected.sum(), atol=1e-6)


@pytest.mark.parametrize("text", [None, 3, float("nan")])
def test_served_model_rejects_cells_that_are_not_text(folder: Path, text: object) -> None:
    served = predictor._load_pyfunc(str(folder))
    with pytest.raises(ValueError, match="row 2 of column text must be a string"):
        served.predict(pd.DataFrame({"text": pd.Series(["fine", text], dtype=object)}))


def test_equal_models_have_equal_bytes(folder: Path, trained: Trained, tmp_path: Path) -> None:
    save(tmp_path / "again", trained)
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("name", FILES[1:])
def test_altered_model_is_rejected(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(folder, tmp_path / "bad")
    file = tmp_path / "bad" / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(PipelineError, match="is missing or altered"):
        predictor.Predictor.load(tmp_path / "bad")


def test_model_without_digests_is_rejected(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "bad")
    manifest = json.loads((tmp_path / "bad/model.json").read_text(encoding="utf-8"))
    (tmp_path / "bad/model.json").write_text(json.dumps(manifest | {"sha256": {}}), encoding="utf-8")
    with pytest.raises(PipelineError, match=r"has no digest of model\.onnx and tokenizer\.json"):
        predictor.Predictor.load(tmp_path / "bad")


def test_other_format_is_rejected(folder: Path) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({key: value for key, value in manifest.items() if key != "format"}))
    with pytest.raises(PipelineError, match="has format None, this code reads 6"):
        predictor.Predictor.load(folder)
    (folder / "model.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(PipelineError, match="has format 99, this code reads 6"):
        predictor.Predictor.load(folder)


def test_class_shares_are_normalised() -> None:
    shares = predictor.parse_class_priors('{"sad": 0.402, "happy": 0.6}', CLASSES)
    assert shares.tolist() == pytest.approx([0.6 / 1.002, 0.402 / 1.002])


def test_class_shares_can_be_estimated(folder: Path) -> None:
    predictor = Predictor.load(folder)
    cells = [text for text in texts(200)[0] if text.startswith("good")]
    plain = predictor.probabilities(cells)
    expected = reweigh(plain, np.array([0.6, 0.4]), estimate_class_priors(plain, PRIORS).priors)
    np.testing.assert_allclose(predictor.probabilities(cells, "estimate"), expected)
    assert not np.allclose(expected, plain, atol=0.01)
    np.testing.assert_array_equal(predictor.probabilities(cells[:3], "estimate"), plain[:3])  # too few to tell


def test_older_models_know_only_the_mean_of_their_probabilities(folder: Path) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != "class_priors"}))
    older = Predictor.load(folder)
    plain = older.probabilities(["good film"])
    np.testing.assert_allclose(older.probabilities(["good film"], '{"happy": 0.55, "sad": 0.45}'), plain)
    with pytest.raises(ValueError, match="cannot estimate them; train it again"):
        older.probabilities(["good film"], "estimate")
