"""Train: what the data and the parameters decide, and what each part of the model is trained on."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers.token_rows import LENGTHS

from pipeline.base import params
from pipeline.inference.part import Inputs
from pipeline.text.processor import Tokenizer
from pipeline.training import fit as fitting
from pipeline.training.encoders.text import build
from pipeline.training.fit import Data, resolved, sizes, train_network, train_ngrams, train_rows
from pipeline.training.loop import LoopSettings
from pipeline.training.ngrams import fit_ngrams
from pipeline.training.rebalancing import rebalance
from pipeline.training.settings import Train
from pipeline.training.strategies import STRATEGIES


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (100, (32, 40, 40)),
        (500, (32, 40, 19)),
        (3_000, (32, 40, 3)),
        (12_000, (32, 21, 2)),
        (25_000, (32, 10, 2)),
        (40_000, (64, 13, 2)),
        (100_000, (128, 10, 2)),
        (10**6, (128, 3, 2)),
    ],
)
def test_sizes_by_number_of_rows(rows: int, expected: tuple[int, int, int]) -> None:
    assert sizes(rows) == expected


TEXTS = ["good", "bad film", "good film"] * 12


PLAN = rebalance(np.array([0, 1, 0] * 12), ["happy", "sad"], strategy="none")


def data(**plan: Any) -> Data:
    tokenizer = Tokenizer(("good", "bad", "film"), 6, lengths=LENGTHS)
    labels = np.array([0, 1, 0] * 12, dtype=np.int32)
    splits = ("train", "validation")
    return Data(
        classes=["happy", "sad"],
        processors={"text": tokenizer},
        inputs=dict.fromkeys(splits, Inputs({"text": TEXTS}, {"text": tokenizer.encode(TEXTS)}, {})),
        labels=dict.fromkeys(splits, labels),
        plan=PLAN._replace(**plan),
        correction=0.5,
        groups=[""] * 36,
    )


def test_parameters_override_sizes() -> None:
    tiny, settings = data(), params.load(Train)
    batch_size, epochs, patience = sizes(36)
    chosen = {"batch_size": batch_size, "epochs": epochs, "patience": patience, "pretraining_epochs": 10}
    assert resolved(tiny, settings) == chosen
    for changes in ({"batch_size": 8}, {"batch_size": 8, "epochs": 3}, {"patience": 1}, {"pretraining_epochs": 0}):
        assert resolved(tiny, settings.model_copy(update=changes)) == chosen | changes
    assert resolved(tiny, settings.model_copy(update={"pooling": "last"}))["pretraining_epochs"] == 0


@pytest.mark.parametrize(("tokens", "epochs"), [(30_000, 10), (500_000, 3), (1_000_000, 2), (4_000_000, 0)])
def test_pretraining_epochs_by_number_of_tokens(tokens: int, epochs: int) -> None:
    inputs = Inputs({}, {"text": np.ones((1, tokens), dtype=np.int32)}, {})
    assert resolved(replace(data(), inputs={"train": inputs}), params.load(Train))["pretraining_epochs"] == epochs


def test_network_is_built_by_the_parameters(keras: ModuleType) -> None:
    changes = {"units": 5, "embedding_dim": 6, "bidirectional": False, "pooling": "mean", "epochs": 1, "batch_size": 8}
    changes |= {"pretraining_epochs": 0}
    settings = params.load(Train).model_copy(update=changes)
    network, history = train_network(data(), settings)
    model, options = network.model, network.options
    assert options["num_ids"] == 5
    assert {key: options[key] for key in options if key not in {"num_ids", "num_classes"}} == {
        key: getattr(settings, key)
        for key in ("embedding_dim", "units", "bidirectional", "pooling", "embedding_dropout", "dropout")
    }
    assert model.get_layer("lstm").units == 5
    assert len(history) == 1
    assert build(**options).count_params() == model.count_params()


def test_ngrams_are_fitted_on_the_rows_of_the_lstm() -> None:
    """Rows selected twice count twice, rows not selected are left out."""
    selected = np.array([0, 0, 1, 3, 3, 4, 6, 6, 7])
    ngrams = train_ngrams(data(rows=selected, counts_as=np.array([3.0, 1.5])))
    assert ngrams is not None
    assert "good film" not in ngrams.grams  # only in rows 2, 5 and 8
    rows = [0, 1, 3, 4, 6, 7]
    weights = np.array([1.0, 0.5] * 3)
    texts, labels = [TEXTS[row] for row in rows], np.array([0, 1] * 3)
    expected = fit_ngrams(texts, labels, weights, num_classes=2, unit="word")
    assert ngrams.grams == expected.grams
    np.testing.assert_array_equal(ngrams.tfidf, expected.tfidf)
    np.testing.assert_array_equal(ngrams.nb, expected.nb)


def test_calibration_allows_for_other_class_priors_in_validation() -> None:
    """With 10 : 1 in training and 1 : 1 in validation, a model predicts too little of the second class."""
    trained, validated = np.repeat([0, 1], [1_000, 100]), np.tile([0, 1], 10_000)
    random = np.random.default_rng(0)
    evidence = random.normal(2 * validated - 1, 1.0)  # with equal priors, its log-odds are twice as large
    odds = 2 * evidence - np.log(10)
    log_probabilities = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)
    unshifted = data(shift=np.zeros(2))
    for labels, offset in ((trained, np.log(10)), (validated, 0.0)):
        with_priors = replace(unshifted, labels={"train": labels, "validation": validated})
        calibration = with_priors.calibrate([log_probabilities])
        assert calibration.offsets[1] - calibration.offsets[0] == pytest.approx(offset, abs=0.3)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_training_follows_the_plan(strategy: str) -> None:
    ids, labels = np.arange(36 * 6, dtype=np.int32).reshape(36, 6), np.array([0, 1, 0] * 12, dtype=np.int32)
    plan = rebalance(labels, ["happy", "sad"], strategy=strategy)
    rows = train_rows(ids, labels, plan)
    np.testing.assert_array_equal(rows.inputs, ids[plan.rows])
    np.testing.assert_array_equal(rows.labels, labels[plan.rows])
    np.testing.assert_array_equal(rows.weights, plan.weights)
    np.testing.assert_array_equal(rows.margins, plan.margins)
    assert rows.gamma == plan.gamma
    assert (rows.draw is None) == (strategy != "balanced_batches")


def test_parameters_and_plan_reach_the_loop(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrained: list[dict[str, Any]] = []
    fitted: list[tuple[Any, ...]] = []
    monkeypatch.setattr(fitting, "pretrain", lambda *_, **options: pretrained.append(options))
    monkeypatch.setattr(fitting, "train_epochs", lambda *arguments, **_: fitted.append(arguments) or [])
    changes = {"batch_size": 8, "epochs": 3, "patience": 4, "learning_rate": 0.004, "adversarial": 0.25, "seed": 7}
    settings = params.load(Train).model_copy(update={**changes, "pretraining_epochs": 5, "units": 4})
    first = train_network(data(weights=np.arange(36)), settings)[0].model
    assert {key: pretrained[0][key] for key in ("epochs", "seed")} == {"epochs": 5, "seed": 7}
    assert fitted[0][3] == LoopSettings(**changes)  # type: ignore[arg-type]
    np.testing.assert_array_equal(fitted[0][1].weights, np.arange(36))
    again, other = (train_network(data(), settings.model_copy(update={"seed": seed}))[0].model for seed in (7, 8))
    equal = [
        all(np.array_equal(*pair) for pair in zip(first.get_weights(), model.get_weights(), strict=True))
        for model in (again, other)
    ]
    assert equal == [True, False]


@pytest.mark.parametrize("correction", [0.0, 0.5, 1.0])
def test_prior_correction_restores_class_priors(correction: float) -> None:
    """With 10 : 1 rows, trained as if 1 : 1, the model predicts the odds of the evidence only."""
    labels = np.repeat([0, 1], [10_000, 1_000])
    evidence = np.random.default_rng(0).normal(2 * labels - 1, 1.0)  # its log-odds are twice as large
    log_probabilities = np.stack([-np.logaddexp(0, 2 * evidence), -np.logaddexp(0, -2 * evidence)], axis=1)
    shifted = replace(data(shift=np.log([20 / 11, 2 / 11])), correction=correction)
    calibration = replace(shifted, labels={"train": labels, "validation": labels}).calibrate([log_probabilities])
    assert calibration.offsets[0] - calibration.offsets[1] == pytest.approx(correction * np.log(10), abs=0.2)
