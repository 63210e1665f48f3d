"""Train: which rows make a step, how training ends, and what the data choose."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.inference.part import Inputs
from pipeline.text.processor import Tokenizer
from pipeline.training import batches, forward, loop
from pipeline.training import fit as fitting
from pipeline.training.encoders.text import build
from pipeline.training.fit import Data, resolved, sizes, train_network, train_ngrams
from pipeline.training.ngrams import fit_ngrams
from pipeline.training.rebalancing import rebalance
from pipeline.training.settings import Train

SIZES = {"num_ids": 5, "num_classes": 2, "embedding_dim": 4, "units": 4}

LENGTHS = (2, 4, 6)


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Texts of one to six tokens whose first decides the label."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count).astype(np.int32)
    ids = random.choice([1, 4], (count, 6)).astype(np.int32)
    ids[:, 0] = 2 + labels
    ids[np.arange(6) >= random.integers(1, 7, (count, 1))] = 0
    return ids, labels


def fit(model: Any, validation: tuple[np.ndarray, np.ndarray], **changes: Any) -> list[loop.Figures]:
    ids, labels = rows(300)
    weights = changes.pop("weights", np.ones(300, dtype=np.float32))
    options = {
        "lengths": (6,),
        "batch_size": 16,
        "epochs": 30,
        "learning_rate": 0.05,
        "adversarial": 0.0,
        "patience": 2,
        "seed": 0,
    }
    return loop.fit(model, (ids, labels, weights), validation, **options | changes)


def test_training_learns_and_tells_each_epoch(keras: ModuleType) -> None:
    told: list[tuple[int, loop.Figures]] = []
    history = fit(build(**SIZES), rows(70, seed=1), lengths=LENGTHS[1:], on_epoch=lambda *figures: told.append(figures))
    assert min(figures["validation_loss"] for figures in history) < 0.1
    assert min(figures["train_loss"] for figures in history) < 0.1
    assert told == list(enumerate(history, start=1))
    assert [figures["epoch"] for figures in history] == list(range(1, len(history) + 1))


def test_training_stops_early_and_keeps_the_best_epoch(keras: ModuleType) -> None:
    model = build(**SIZES)
    ids, labels = rows(64)
    wrong = 1 - labels  # the better the training rows are learnt, the worse these get
    history = fit(model, (ids, wrong), patience=3)
    losses = [figures["validation_loss"] for figures in history]
    assert losses.index(min(losses)) == len(losses) - 1 - 3
    kept = -forward.log_probabilities(model, ids, (6,))[np.arange(64), wrong].mean()
    assert kept == pytest.approx(min(losses), abs=1e-6)


def test_a_row_counts_by_its_weight(keras: ModuleType) -> None:
    """Rows of the second class at weight 0 leave a model that knows the first alone."""
    ids, labels = rows(300)
    model = build(**SIZES)
    fit(model, (ids, 0 * labels), weights=(labels == 0).astype(np.float32), epochs=3)
    assert (forward.log_probabilities(model, ids, (6,)).argmax(axis=1) == 0).all()
    logits = np.log(np.array([[0.5, 0.5], [0.2, 0.8]], dtype=np.float32))
    loss = loop.weighted_loss(np.array([0, 1]), logits, np.array([3.0, 1.0], dtype=np.float32))
    assert float(loss) == pytest.approx(-(3 * np.log(0.5) + np.log(0.8)) / 2)


def test_margins_and_focus_in_the_loss_by_hand(keras: ModuleType) -> None:
    logits, labels = np.log(np.array([[0.5, 0.5], [0.2, 0.8]], dtype=np.float32)), np.array([0, 1])
    ones = np.ones(2, dtype=np.float32)
    loss = loop.weighted_loss(labels, logits, ones, gamma=2.0)
    assert float(loss) == pytest.approx(-(0.5**2 * np.log(0.5) + 0.2**2 * np.log(0.8)) / 2)
    # The first class has a head start of three to one: 0.5 : 0.5 becomes 1.5 : 0.5, and 0.2 : 0.8 becomes 0.6 : 0.8.
    loss = loop.weighted_loss(labels, logits, ones, margins=np.log([3, 1]).astype(np.float32))
    assert float(loss) == pytest.approx(-(np.log(0.75) + np.log(0.8 / 1.4)) / 2)


def test_the_loss_has_a_slope_where_a_row_is_right_for_certain(keras: ModuleType) -> None:
    import tensorflow as tf

    logits = tf.Variable([[40.0, 0.0], [0.0, 0.1]])
    with tf.GradientTape() as tape:
        loss = loop.weighted_loss(np.array([0, 1]), logits, np.ones(2, dtype=np.float32), gamma=0.5)
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_a_training_that_diverges_is_one_sentence(keras: ModuleType) -> None:
    model = build(**SIZES)
    ids, labels = rows(64)
    sentence = r"diverged in epoch 1: .* lower train\.learning_rate, now 0\.05"
    with pytest.raises(PipelineError, match=sentence):
        fit(model, (ids, labels), weights=np.full(300, np.inf, dtype=np.float32))


def test_an_epoch_draws_each_class_as_often_as_it_should() -> None:
    labels = np.array([0] * 50 + [1] * 4 + [2])
    first, other = (loop.draw_rows(labels, np.array([10, 10, 10]), np.random.default_rng(seed)) for seed in (0, 1))
    assert np.bincount(labels[first]).tolist() == [10, 10, 10]
    assert set(first) != set(other)
    assert len(set(first[labels[first] == 0])) == 10
    assert sorted(np.bincount(first, minlength=55)[50:54]) == [2, 2, 3, 3]


def test_every_batch_has_its_part_of_each_class() -> None:
    ids, labels = np.ones((120, 6), dtype=np.int32), np.repeat([0, 1, 2], [60, 40, 20])
    taken = batches.batches(ids, (6,), 12, np.random.default_rng(0), classes=labels)
    for _, numbers in taken:
        found = np.bincount(labels[numbers], minlength=3)
        assert np.abs(found - [6, 4, 2]).max() <= 1
    assert len({int(number) for _, numbers in taken for number in numbers}) == 120


def test_what_the_plan_says_is_what_training_does(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(fitting, "fit", lambda *arguments, **options: told.update(options, rows=arguments[1]) or [])
    settings = params.load(Train).model_copy(update={"pretraining_epochs": 0, "units": 4, "embedding_dim": 4})
    for strategy in ("none", "random_over", "class_weight", "focal", "balanced_batches", "logit_adjustment"):
        plan = rebalance(np.array([0, 1, 0] * 12), ["happy", "sad"], strategy=strategy)
        train_network(data(**plan._asdict()), settings)
        ids, labels, weights = told["rows"]
        assert len(ids) == len(labels) == len(plan.rows)
        np.testing.assert_array_equal(weights, plan.weights)
        np.testing.assert_array_equal(told["margins"], plan.margins)
        assert told["gamma"] == plan.gamma
        assert (told["draw"] is None) == (strategy != "balanced_batches")


@pytest.mark.slow  # test_dvc_yaml trains twice and compares the bytes, too
def test_equal_seeds_give_equal_weights(keras: ModuleType) -> None:
    def weights(seed: int) -> np.ndarray:
        keras.utils.set_random_seed(seed)
        model = build(**SIZES, pooling="max", embedding_dropout=0.3, dropout=0.3)
        fit(model, rows(20), epochs=1, adversarial=1.0, seed=seed)
        return np.concatenate([each.ravel() for each in model.get_weights()])

    first = weights(0)
    np.testing.assert_array_equal(weights(0), first)
    assert not np.allclose(weights(1), first, atol=1e-3)


@pytest.mark.parametrize("batch_size", [7, 32, 1_000])
def test_batches_take_each_row_once_and_fit_its_length(batch_size: int) -> None:
    ids, _ = rows(301)
    used = (ids > 0).sum(axis=1)
    taken = batches.batches(ids, LENGTHS, batch_size, np.random.default_rng(0))
    expected = min(batch_size, 301)
    assert {len(numbers) for _, numbers in taken} == {expected}
    together = np.concatenate([numbers for _, numbers in taken])
    assert len(np.unique(together)) == len(together) > 301 - expected
    for length, numbers in taken:
        assert length in LENGTHS
        assert used[numbers].max() <= length
    if batch_size == 7:  # of each length, all but the few that join the next are of that length
        short = [used[numbers] for length, numbers in taken if length == 6]
        assert sum((of <= 4).sum() for of in short) < 7
        lengths = [length for length, _ in taken]
        assert lengths != sorted(lengths)


def drawn(ids: np.ndarray, batch_size: int, seed: int) -> list[tuple[int, list[int]]]:
    taken = batches.batches(ids, LENGTHS, batch_size, np.random.default_rng(seed))
    return [(length, numbers.tolist()) for length, numbers in taken]


def test_rows_that_fill_no_batch_of_theirs_join_longer_ones() -> None:
    ids = np.tril(np.ones((6, 6), dtype=np.int32))  # texts of one to six tokens
    found = {size: sorted((length, sorted(numbers)) for length, numbers in drawn(ids, size, 0)) for size in (2, 4, 6)}
    assert found[2] == [(2, [0, 1]), (4, [2, 3]), (6, [4, 5])]
    assert found[4] == [(4, [0, 1, 2, 3])]
    assert found[6] == [(6, [0, 1, 2, 3, 4, 5])]


def test_every_epoch_draws_other_batches_and_leaves_out_other_rows() -> None:
    ids, _ = rows(300)

    def left_out(seed: int) -> set[int]:
        return set(range(300)) - {number for _, numbers in drawn(ids, 32, seed) for number in numbers}

    assert drawn(ids, 32, 1) == drawn(ids, 32, 1) != drawn(ids, 32, 2)
    assert len(left_out(1)) == len(left_out(2)) == 300 % 32
    assert left_out(1) != left_out(2)


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
def test_the_data_choose_batch_epochs_and_patience(rows: int, expected: tuple[int, int, int]) -> None:
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
    )


def test_a_parameter_wins_over_what_the_data_choose() -> None:
    given = data()
    settings = params.load(Train)
    batch_size, epochs, patience = sizes(36)
    chosen = {"batch_size": batch_size, "epochs": epochs, "patience": patience, "pretraining_epochs": 10}
    assert resolved(given, settings) == chosen
    for changes in ({"batch_size": 8}, {"batch_size": 8, "epochs": 3}, {"patience": 1}, {"pretraining_epochs": 0}):
        assert resolved(given, settings.model_copy(update=changes)) == chosen | changes
    assert resolved(given, settings.model_copy(update={"pooling": "last"}))["pretraining_epochs"] == 0


@pytest.mark.parametrize(("tokens", "epochs"), [(30_000, 10), (500_000, 3), (1_000_000, 2), (4_000_000, 0)])
def test_pretraining_sees_so_many_tokens(tokens: int, epochs: int) -> None:
    given = data()
    ids = np.ones((1, tokens), dtype=np.int32)
    settings = params.load(Train)
    assert (
        resolved(replace(given, inputs={"train": Inputs({}, {"text": ids}, {})}), settings)["pretraining_epochs"]
        == epochs
    )


def test_the_parameters_make_the_network(keras: ModuleType) -> None:
    given = data()
    changes = {"units": 5, "embedding_dim": 6, "bidirectional": False, "pooling": "mean", "epochs": 1, "batch_size": 8}
    changes |= {"pretraining_epochs": 0}
    settings = params.load(Train).model_copy(update=changes)
    network, history = train_network(given, settings)
    model, told = network.model, network.options
    assert told["num_ids"] == 5
    assert {key: told[key] for key in told if key not in {"num_ids", "num_classes"}} == {
        key: getattr(settings, key)
        for key in ("embedding_dim", "units", "bidirectional", "pooling", "embedding_dropout", "dropout")
    }
    assert model.get_layer("lstm").units == 5
    assert len(history) == 1
    assert build(**told).count_params() == model.count_params()


def test_the_ngrams_see_the_rows_that_the_lstm_sees(keras: ModuleType) -> None:
    """Rows drawn twice count double, rows not drawn are left out."""
    drawn = np.array([0, 0, 1, 3, 3, 4, 6, 6, 7])
    found = train_ngrams(data(rows=drawn, counts_as=np.array([3.0, 1.5])))
    assert not [gram for gram in found.grams if gram == "good film"]  # of rows 2, 5, 8 alone
    kept = [0, 1, 3, 4, 6, 7]
    weights = np.array([1.0, 0.5] * 3)
    texts, labels = [TEXTS[row] for row in kept], np.array([0, 1] * 3)
    expected = fit_ngrams(texts, labels, weights, num_classes=2, unit="word")
    assert found.grams == expected.grams
    np.testing.assert_array_equal(found.tfidf, expected.tfidf)
    np.testing.assert_array_equal(found.nb, expected.nb)


def test_calibration_knows_that_the_validation_rows_have_other_shares() -> None:
    """Of 10 : 1 in training and 1 : 1 in validation; a model that learnt one of them says too little of the other."""
    trained, validated = np.repeat([0, 1], [1_000, 100]), np.tile([0, 1], 10_000)
    random = np.random.default_rng(0)
    evidence = random.normal(2 * validated - 1, 1.0)  # whose log-odds are twice it, where both are as frequent
    odds = 2 * evidence - np.log(10)
    said = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)
    own = data(shift=np.zeros(2))
    for labels, offset in ((trained, np.log(10)), (validated, 0.0)):
        found = replace(own, labels={"train": labels, "validation": validated}).calibrate([said])
        assert found.offsets[1] - found.offsets[0] == pytest.approx(offset, abs=0.3)


def test_every_epoch_and_every_seed_has_an_order_of_its_own(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[str] = []
    cut = loop.batches

    def recorded(*arguments: Any, **named: Any) -> Any:
        taken = cut(*arguments, **named)
        orders.append(str([numbers.tolist() for _, numbers in taken]))
        return taken

    monkeypatch.setattr(loop, "batches", recorded)
    monkeypatch.setattr(loop, "training_step", lambda *_, **__: (lambda *_: 0.0, lambda: None))
    for seed in (0, 0, 1):
        fit(build(**SIZES), rows(20), epochs=2, seed=seed)
    assert orders[:2] == orders[2:4]
    assert len(set(orders)) == 4


def test_every_step_of_rows_that_are_drawn_has_its_part_of_each_class(
    keras: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    step = lambda ids, labels, weights: seen.append(labels) or 0.0  # noqa: E731
    monkeypatch.setattr(loop, "training_step", lambda *_, **__: (step, lambda: None))
    ids, labels = np.ones((220, 6), dtype=np.int32), np.repeat([0, 1], [200, 20]).astype(np.int32)
    options = {"batch_size": 16, "epochs": 1, "learning_rate": 0.05, "adversarial": 0.0, "patience": 2, "seed": 0}
    of_rows = (ids, labels, np.ones(220, dtype=np.float32))
    loop.fit(build(**SIZES), of_rows, (ids, labels), lengths=(6,), draw=np.array([80, 80]), **options)  # type: ignore[arg-type]
    assert [np.bincount(of).tolist() for of in seen] == [[8, 8]] * 10


def test_the_parameters_reach_training(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(fitting, "fit", lambda *_, **options: told.append(options) or [])
    monkeypatch.setattr(fitting, "pretrain", lambda *_, **options: told.append(options))
    changes: dict[str, Any] = {"batch_size": 8, "epochs": 3, "patience": 4, "learning_rate": 0.004, "adversarial": 0.25}
    own = params.load(Train).model_copy(update={**changes, "pretraining_epochs": 5, "units": 4, "seed": 7})
    first = train_network(data(), own)[0].model
    assert {key: told[0][key] for key in ("epochs", "seed")} == {"epochs": 5, "seed": 7}
    assert {key: told[1][key] for key in (*changes, "seed")} == {**changes, "seed": 7}
    again, other = (train_network(data(), own.model_copy(update={"seed": seed}))[0].model for seed in (7, 8))
    equal = [
        all(np.array_equal(*pair) for pair in zip(first.get_weights(), each.get_weights(), strict=True))
        for each in (again, other)
    ]
    assert equal == [True, False]


@pytest.mark.parametrize("correction", [0.0, 0.5, 1.0])
def test_calibration_takes_the_classes_back_as_far_as_it_is_told(correction: float) -> None:
    """Of 10 : 1, trained as if 1 : 1: what such a model says are the odds of the evidence alone."""
    labels = np.repeat([0, 1], [10_000, 1_000])
    evidence = np.random.default_rng(0).normal(2 * labels - 1, 1.0)  # whose log-odds are twice it
    said = np.stack([-np.logaddexp(0, 2 * evidence), -np.logaddexp(0, -2 * evidence)], axis=1)
    own = replace(data(shift=np.log([20 / 11, 2 / 11])), correction=correction)
    found = replace(own, labels={"train": labels, "validation": labels}).calibrate([said])
    assert found.offsets[0] - found.offsets[1] == pytest.approx(correction * np.log(10), abs=0.2)


def test_an_epoch_leaves_out_none_but_the_longest() -> None:
    """Rows that fill no batch come first among the longer ones: the short ones are not left out again and again."""
    ids, _ = rows(300)
    used = (ids > 0).sum(axis=1)
    for seed in range(5):
        taken = {number for _, numbers in drawn(ids, 32, seed) for number in numbers}
        assert used[list(set(range(300)) - taken)].min() > LENGTHS[-2]
