"""The training loop: learning, early stopping, the loss, the order of the rows."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers.token_rows import LENGTHS, SIZES, token_rows

from pipeline.base.errors import PipelineError
from pipeline.training import forward, loop
from pipeline.training.encoders.text import build

SETTINGS = {"batch_size": 16, "epochs": 30, "learning_rate": 0.05, "adversarial": 0.0, "patience": 2, "seed": 0}


def fit(
    model: Any,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    weights: np.ndarray | None = None,
    lengths: tuple[int, ...] = (6,),
    on_epoch: loop.OnEpoch = lambda epoch, metrics: None,
    **changes: Any,
) -> list[loop.EpochMetrics]:
    """Train on 300 rows."""
    ids, labels = token_rows(300)
    train = loop.TrainRows(ids, labels, np.ones(300, dtype=np.float32) if weights is None else weights)
    settings = loop.LoopSettings(**SETTINGS | changes)
    return loop.train_epochs(model, train, validation, settings, lengths=lengths, on_epoch=on_epoch)


def test_training_learns_and_reports_each_epoch(keras: ModuleType) -> None:
    reported: list[tuple[int, loop.EpochMetrics]] = []
    history = fit(
        build(**SIZES),
        token_rows(70, seed=1),
        lengths=LENGTHS[1:],
        on_epoch=lambda *epoch: reported.append(epoch),
    )
    assert min(metrics["validation_loss"] for metrics in history) < 0.1
    assert min(metrics["train_loss"] for metrics in history) < 0.1
    assert reported == list(enumerate(history, start=1))
    assert [metrics["epoch"] for metrics in history] == list(range(1, len(history) + 1))


def test_training_stops_early_and_keeps_the_best_epoch(keras: ModuleType) -> None:
    model = build(**SIZES)
    ids, labels = token_rows(64)
    wrong = 1 - labels  # the better the training rows are learned, the worse these get
    history = fit(model, (ids, wrong), patience=3)
    losses = [metrics["validation_loss"] for metrics in history]
    assert losses.index(min(losses)) == len(losses) - 1 - 3
    loss = -forward.log_probabilities(model, ids, (6,))[np.arange(64), wrong].mean()
    assert loss == pytest.approx(min(losses), abs=1e-6)


def test_rows_count_by_weight(keras: ModuleType) -> None:
    """With rows of the second class at weight 0, the model always predicts the first."""
    ids, labels = token_rows(300)
    model = build(**SIZES)
    fit(model, (ids, 0 * labels), weights=(labels == 0).astype(np.float32), epochs=3)
    assert (forward.log_probabilities(model, ids, (6,)).argmax(axis=1) == 0).all()
    logits = np.log(np.array([[0.5, 0.5], [0.2, 0.8]], dtype=np.float32))
    loss = loop.weighted_loss(np.array([0, 1]), logits, np.array([3.0, 1.0], dtype=np.float32))
    assert float(loss) == pytest.approx(-(3 * np.log(0.5) + np.log(0.8)) / 2)


def test_loss_with_margins_and_gamma_by_hand(keras: ModuleType) -> None:
    logits, labels = np.log(np.array([[0.5, 0.5], [0.2, 0.8]], dtype=np.float32)), np.array([0, 1])
    ones = np.ones(2, dtype=np.float32)
    loss = loop.weighted_loss(labels, logits, ones, gamma=2.0)
    assert float(loss) == pytest.approx(-(0.5**2 * np.log(0.5) + 0.2**2 * np.log(0.8)) / 2)
    # Margins of 3 : 1 turn odds of 0.5 : 0.5 into 1.5 : 0.5, and of 0.2 : 0.8 into 0.6 : 0.8.
    loss = loop.weighted_loss(labels, logits, ones, margins=np.log([3, 1]).astype(np.float32))
    assert float(loss) == pytest.approx(-(np.log(0.75) + np.log(0.8 / 1.4)) / 2)


def test_gradient_is_finite_for_a_certain_prediction(keras: ModuleType) -> None:
    import tensorflow as tf

    logits = tf.Variable([[40.0, 0.0], [0.0, 0.1]])
    with tf.GradientTape() as tape:
        loss = loop.weighted_loss(np.array([0, 1]), logits, np.ones(2, dtype=np.float32), gamma=0.5)
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_diverging_training_raises(keras: ModuleType) -> None:
    with pytest.raises(PipelineError, match=r"epoch 1: .* NaN; lower train\.learning_rate \(now 0\.05\)"):
        fit(build(**SIZES), token_rows(64), weights=np.full(300, np.inf, dtype=np.float32))


def test_draw_rows_repeats_rows_of_small_classes() -> None:
    labels = np.array([0] * 50 + [1] * 4 + [2])
    first, other = (loop.draw_rows(labels, np.array([10, 10, 10]), np.random.default_rng(seed)) for seed in (0, 1))
    assert np.bincount(labels[first]).tolist() == [10, 10, 10]
    assert set(first) != set(other)
    assert len(set(first[labels[first] == 0])) == 10
    assert sorted(np.bincount(first, minlength=55)[50:54]) == [2, 2, 3, 3]


def test_epochs_that_draw_rows_have_the_same_mix_in_every_batch() -> None:
    ids, labels = np.ones((220, 6), dtype=np.int32), np.repeat([0, 1], [200, 20]).astype(np.int32)
    train = loop.TrainRows(ids, labels, np.ones(220, dtype=np.float32), draw=np.array([80, 80]))
    selected = loop.epoch_batches(train, (6,), 16, np.random.default_rng(0))
    assert [np.bincount(labels[rows]).tolist() for _, rows in selected] == [[8, 8]] * 10


@pytest.mark.slow  # test_dvc_yaml trains twice and compares the bytes, too
def test_equal_seeds_give_equal_weights(keras: ModuleType) -> None:
    def weights(seed: int) -> np.ndarray:
        keras.utils.set_random_seed(seed)
        model = build(**SIZES, pooling="max", embedding_dropout=0.3, dropout=0.3)
        fit(model, token_rows(20), epochs=1, adversarial=1.0, seed=seed)
        return np.concatenate([array.ravel() for array in model.get_weights()])

    first = weights(0)
    np.testing.assert_array_equal(weights(0), first)
    assert not np.allclose(weights(1), first, atol=1e-3)


@pytest.mark.parametrize("draw", [None, np.array([80, 80])])
def test_every_epoch_and_every_seed_has_another_order(
    keras: ModuleType, monkeypatch: pytest.MonkeyPatch, draw: np.ndarray | None
) -> None:
    steps: list[tuple[bytes, list[int]]] = []

    def step(ids: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
        steps.append((weights.tobytes(), np.bincount(labels, minlength=2).tolist()))
        return 0.0

    monkeypatch.setattr(loop, "training_step", lambda *_, **__: (step, lambda: None))
    ids, labels = token_rows(300)
    train = loop.TrainRows(ids, labels, np.arange(300, dtype=np.float32), draw=draw)  # weights identify rows
    orders = []
    for seed in (0, 0, 1):
        steps.clear()
        settings = loop.LoopSettings(**SETTINGS | {"epochs": 2, "seed": seed})
        loop.train_epochs(build(**SIZES), train, token_rows(20), settings, lengths=(6,))
        half = len(steps) // 2
        orders += [b"".join(weights for weights, _ in part) for part in (steps[:half], steps[half:])]
        assert draw is None or [counts for _, counts in steps] == [[8, 8]] * 20
    assert orders[:2] == orders[2:4]
    assert len(set(orders)) == 4
