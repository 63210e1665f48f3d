"""Layers: the LSTM equals Keras's in values and gradients, dropout is random, pooling ignores padding."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROWS, LENGTH, FEATURES, UNITS = 5, 7, 3, 4
Values = list[np.ndarray]


@pytest.fixture(scope="module")
def layers(keras: ModuleType) -> ModuleType:
    from pipeline.training import layers

    return layers


def gradients(keras: ModuleType, layer: Any, x: np.ndarray, mask: np.ndarray | None, outer: np.ndarray) -> Values:
    """Return the gradients of sum(output * outer): by the input, then by each weight."""
    if keras.backend.backend() == "jax":
        import jax

        rest = [v.value for v in layer.non_trainable_variables]

        def scalar(weights: Any, x: Any) -> Any:
            return (layer.stateless_call(weights, rest, x, mask=mask)[0] * outer).sum()

        by_weight, by_input = jax.grad(scalar, argnums=(0, 1))([v.value for v in layer.trainable_variables], x)
        return [np.asarray(gradient) for gradient in (by_input, *by_weight)]
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(layer(x, mask=mask) * outer)
    return [gradient.numpy() for gradient in tape.gradient(value, [x, *layer.trainable_variables])]


def wrapped(keras: ModuleType, lstm: Any, direction: str) -> Any:
    return keras.layers.Bidirectional(lstm) if direction == "bidirectional" else lstm


def inputs() -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and the mask of right-padded texts of 7, 1, 4, 6 and 2 tokens."""
    vectors = np.random.default_rng(1).normal(size=(ROWS, LENGTH, FEATURES)).astype(np.float32)
    return vectors, np.arange(LENGTH) < np.array([[7], [1], [4], [6], [2]])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("direction", ["forward", "backward", "bidirectional"])
def test_lstm_equals_keras(
    keras: ModuleType, layers: ModuleType, direction: str, sequences: bool, masked: bool
) -> None:
    options: dict[str, Any] = {"return_sequences": sequences, "go_backwards": direction == "backward"}
    ours = wrapped(keras, layers.LSTM(UNITS, **options), direction)
    theirs = wrapped(keras, keras.layers.LSTM(UNITS, use_cudnn=False, **options), direction)
    x, real = inputs()
    mask = real if masked else None
    random = np.random.default_rng(2)
    for layer in (ours, theirs):
        layer.build(x.shape)
    weights = [random.normal(size=array.shape).astype(np.float32) for array in theirs.get_weights()]
    assert len(weights) == (6 if direction == "bidirectional" else 3)
    for layer in (ours, theirs):
        layer.set_weights(weights)
    expected = np.asarray(theirs(x, mask=mask))
    np.testing.assert_allclose(np.asarray(ours(x, mask=mask)), expected, atol=1e-6)
    outer = random.normal(size=expected.shape).astype(np.float32)
    actual = gradients(keras, ours, x, mask, outer)
    for our_gradient, their_gradient in zip(actual, gradients(keras, theirs, x, mask, outer), strict=True):
        assert np.abs(their_gradient).max() > 0.01
        np.testing.assert_allclose(our_gradient, their_gradient, atol=1e-4)
    assert not masked or not actual[0][~real].any()


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_weights_load_into_the_other_lstm(
    keras: ModuleType, layers: ModuleType, tmp_path: Path, direction: str
) -> None:
    def network(lstm: Any) -> Any:
        ids = keras.Input((None,), dtype="int32")
        vectors = keras.layers.Embedding(9, FEATURES, mask_zero=True, name="embedding")(ids)
        return keras.Model(ids, wrapped(keras, lstm(UNITS, name="lstm"), direction)(vectors))

    ids = np.array([[2, 3, 0, 0], [8, 7, 6, 5]], dtype=np.int32)
    ours, theirs = layers.LSTM, lambda units, **options: keras.layers.LSTM(units, use_cudnn=False, **options)
    for number, (saver, loader) in enumerate(((ours, theirs), (theirs, ours))):
        saved, loaded = network(saver), network(loader)
        assert not np.allclose(saved(ids), loaded(ids), atol=1e-3)
        saved.save_weights(tmp_path / f"{number}.weights.h5")
        loaded.load_weights(tmp_path / f"{number}.weights.h5")
        np.testing.assert_allclose(np.asarray(loaded(ids)), np.asarray(saved(ids)), atol=1e-6)


SHAPE = (64, 25, 32)
SPREAD = 5 / np.sqrt(np.prod(SHAPE))  # five standard deviations of the correlation of so many random numbers


def dropped(layers: ModuleType, *, rate: float, seed: int) -> Iterator[np.ndarray]:
    """Apply dropout to ones, step by step."""
    layer = layers.Dropout(rate, seed=seed)
    while True:
        yield np.asarray(layer(np.ones(SHAPE, dtype=np.float32), training=True))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return abs(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(layers: ModuleType, rate: float) -> None:
    kept = next(dropped(layers, rate=rate, seed=0))
    assert set(np.unique(kept)) == {0, np.float32(1 / (1 - rate))}
    assert (kept == 0).mean() == pytest.approx(rate, abs=0.01)
    assert kept.mean() == pytest.approx(1, abs=0.05)


def test_dropout_differs_by_step_and_seed(layers: ModuleType) -> None:
    first, again, other = (dropped(layers, rate=0.3, seed=seed) for seed in (1, 1, 2))
    steps = [next(first) for _ in range(12)]
    np.testing.assert_array_equal(steps, [next(again) for _ in range(12)])
    steps += [next(other) for _ in range(12)]
    for i, a in enumerate(steps):
        assert max((correlation(a, b) for b in steps[:i]), default=0) < SPREAD


def test_dropout_is_independent_of_rows_positions_and_columns(layers: ModuleType) -> None:
    kept = next(dropped(layers, rate=0.5, seed=1))
    flat = kept.ravel()
    assert max(correlation(flat[:-lag], flat[lag:]) for lag in range(1, SHAPE[1] * SHAPE[2])) < SPREAD
    columns = np.corrcoef(kept.reshape(-1, SHAPE[2]).T) - np.eye(SHAPE[2])
    assert np.abs(columns).max() < 5 / np.sqrt(SHAPE[0] * SHAPE[1])
    for axes in ((0, 1), (0, 2), (1, 2)):  # mean of each column, position and row
        count = np.prod([SHAPE[axis] for axis in axes])
        assert np.abs(kept.mean(axis=axes) - 1).max() < 5 / np.sqrt(count)


def test_dropout_changes_nothing_in_prediction(layers: ModuleType) -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    for layer, training in ((layers.Dropout(0.5), False), (layers.Dropout(0.0), True)):
        np.testing.assert_array_equal(np.asarray(layer(x, training=training)), x)


def test_dropout_scales_the_other_values(layers: ModuleType) -> None:
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    ones = next(dropped(layers, rate=0.5, seed=1))
    np.testing.assert_allclose(np.asarray(layers.Dropout(0.5, seed=1)(x, training=True)), x * ones, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("max", lambda tokens: tokens.max(axis=0)),
        ("mean", lambda tokens: tokens.mean(axis=0)),
        ("max_mean", lambda tokens: np.concatenate([tokens.max(axis=0), tokens.mean(axis=0)])),
    ],
)
def test_pooling_ignores_padding(layers: ModuleType, kind: str, expected: Callable[[np.ndarray], np.ndarray]) -> None:
    _, real = inputs()
    states = np.tanh(np.random.default_rng(0).normal(size=(ROWS, LENGTH, UNITS)) * 2 - 1).astype(np.float32)
    states[~real] = 0.999  # larger than that of any token
    states[1, 0] = -0.999  # lower than any masked value may become
    layer = layers.Pooling(kind)
    pooled = np.asarray(layer(states, mask=real))
    np.testing.assert_allclose(pooled, [expected(row[mask]) for row, mask in zip(states, real, strict=True)], atol=1e-6)
    assert pooled.shape == layer.compute_output_shape(states.shape)


def test_layers_can_be_serialised(keras: ModuleType, layers: ModuleType) -> None:
    for layer in (layers.Dropout(0.3, seed=7), layers.Pooling("max_mean"), layers.LSTM(UNITS, return_sequences=True)):
        restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert type(restored) is type(layer)
        assert restored.get_config() == layer.get_config()
