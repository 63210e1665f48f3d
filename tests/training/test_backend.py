"""Backend: a training step equals the documented formula, and JAX gives the results of TensorFlow."""

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT, clean_environment
from helpers.two_steps import CLASSES, DIM, IDS, LENGTH, LSTM, batch, two_steps

from pipeline.base.errors import PipelineError
from pipeline.inference.network import log_softmax
from pipeline.training import backend, forward
from pipeline.training.encoders.text import build
from pipeline.training.loop import weighted_loss

Weights = list[np.ndarray]


def test_unknown_backend_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(PipelineError, match="KERAS_BACKEND must be tensorflow or jax, got 'torch'"):
        backend.prepare_keras()


def test_default_backend_is_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for chosen, expected in (("jax", "jax"), ("tensorflow", "tensorflow"), (None, "tensorflow")):
        monkeypatch.setenv("KERAS_BACKEND", chosen or "")
        if chosen is None:
            monkeypatch.delenv("KERAS_BACKEND")
        backend.prepare_keras()
        assert os.environ["KERAS_BACKEND"] == expected


def average(keras: ModuleType) -> Any:
    """A linear layer on the mean of the vectors of the tokens: its gradients can be written by hand."""
    ids = keras.Input((None,), dtype="int32")
    vectors = keras.layers.Embedding(IDS, DIM, name="embedding")(ids)
    return keras.Model(ids, keras.layers.Dense(CLASSES)(keras.layers.GlobalAveragePooling1D()(vectors)))


def gradients(weights: Weights, rows: int) -> tuple[float, Weights]:
    """Loss of that network on a batch, and its gradients."""
    table, kernel, bias = weights
    ids, labels, row_weights = batch(rows)
    means = table[ids].mean(axis=1)
    logs = log_softmax(means @ kernel + bias)
    d_logits = (np.exp(logs) - np.eye(CLASSES)[labels]) * row_weights[:, None] / len(ids)
    d_table = np.zeros_like(table)
    for row, d_mean in zip(ids, d_logits @ kernel.T, strict=True):
        for token in row:
            d_table[token] += d_mean / LENGTH
    loss = -(logs[np.arange(len(ids)), labels] * row_weights).mean()
    return loss, [d_table, means.T @ d_logits, d_logits.sum(axis=0)]


@pytest.mark.parametrize("adversarial", [0.0, 0.7])
@pytest.mark.parametrize("rows", [8, 37])  # for one thread; 18 and 19 for two threads
def test_step_equals_the_formula(keras: ModuleType, adversarial: float, rows: int) -> None:
    """Gradient descent at rate 0.5, by hand: the plain gradients plus those at the attacked embedding."""
    model = average(keras)
    random = np.random.default_rng(1)
    weights = [random.normal(size=array.shape) for array in model.get_weights()]
    model.set_weights(weights)
    step, finish = backend.training_step(model, keras.optimizers.SGD(0.5), loss=weighted_loss, adversarial=adversarial)
    for _ in range(3):
        loss, descent = gradients(weights, rows)
        assert float(step(*batch(rows))) == pytest.approx(loss, abs=1e-5)
        if adversarial:
            attack = adversarial * descent[0] / np.linalg.norm(descent[0])
            attacked_loss, attacked = gradients([weights[0] + attack, *weights[1:]], rows)
            assert attacked_loss > loss + 0.01
            descent = [a + b for a, b in zip(descent, attacked, strict=True)]
        weights = [w - 0.5 * g for w, g in zip(weights, descent, strict=True)]
    finish()
    for after, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(after, expected, atol=1e-5)


def test_dropout_differs_by_thread_and_step(keras: ModuleType) -> None:
    """The first half of the rows has token 1, the second token 2: each vector learns through its own dropout only."""
    from pipeline.training.layers import Dropout

    ids = keras.Input((None,), dtype="int32")
    table = keras.layers.Embedding(IDS, 64, embeddings_initializer="zeros", name="embedding")(ids)
    model = keras.Model(ids, Dropout(0.5)(table))
    step, finish = backend.training_step(
        model, keras.optimizers.SGD(1.0), loss=lambda labels, out, weights: -keras.ops.mean(out), adversarial=0.0
    )
    halves, learned = np.repeat(np.array([[1], [2]], dtype=np.int32), 16, axis=0), []
    for _ in range(2):
        before = model.get_weights()[0][1:3]
        step(halves, np.zeros(32, dtype=np.int32), np.ones(32, dtype=np.float32))
        finish()
        learned += list(model.get_weights()[0][1:3] - before)
    for one, other in itertools.combinations(learned, 2):
        assert np.abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_steps_lower_the_loss(keras: ModuleType) -> None:
    model = build(
        num_ids=IDS, num_classes=CLASSES, embedding_dim=8, units=8, pooling="max", embedding_dropout=0.1, dropout=0.1
    )
    step, finish = backend.training_step(model, keras.optimizers.Adam(0.05), loss=weighted_loss, adversarial=0.1)
    losses = [float(step(*batch(32))) for _ in range(60)]
    assert np.mean(losses[-5:]) < losses[0] / 2
    finish()
    ids, labels, weights = batch(32)
    logs = forward.log_probabilities(model, ids, (LENGTH,))
    assert -(logs[np.arange(32), labels] * weights).mean() < losses[0] / 2


def test_compiled_prediction_uses_current_weights(keras: ModuleType) -> None:
    model = average(keras)
    forward, ids = backend.compiled(model), batch()[0]
    before = forward(ids)
    np.testing.assert_allclose(before, np.asarray(model(ids)), atol=1e-6)
    model.set_weights([2 * array for array in model.get_weights()])  # the biases are 0
    np.testing.assert_allclose(forward(ids), 4 * before, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("resource") is None, reason="this system does not count page faults")
def test_steps_on_long_texts_allocate_no_memory(keras: ModuleType) -> None:
    """A step touches no pages that the system has to clear first."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX has no allocator that caches freed memory")
    from resource import RUSAGE_SELF, getrusage

    rows, length = 256, 200
    model = build(num_ids=IDS, num_classes=CLASSES, embedding_dim=4, units=64, pooling="max")
    step, _ = backend.training_step(model, keras.optimizers.Adam(), loss=weighted_loss, adversarial=0.0)
    ids, labels = np.ones((rows, length), dtype=np.int32), np.zeros(rows, dtype=np.int32)
    faults = []
    for _ in range(6):
        before = getrusage(RUSAGE_SELF).ru_minflt
        float(step(ids, labels, np.ones(rows, dtype=np.float32)))
        faults.append(getrusage(RUSAGE_SELF).ru_minflt - before)
    assert min(faults[3:]) < 100, faults  # 67,000 with malloc


TWO_STEPS = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from helpers.two_steps import two_steps
from pipeline.training.backend import make_repeatable, prepare_keras
prepare_keras()
make_repeatable(threads=2, seed=0)
import keras
print(keras.backend.backend())
two_steps(keras, Path(sys.argv[1]))
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_other_backend_trains_the_same_network(keras: ModuleType, tmp_path: Path) -> None:
    other = {"tensorflow": "jax", "jax": "tensorflow"}[keras.backend.backend()]
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    process = subprocess.run(
        [sys.executable, "-c", TWO_STEPS, str(there)],
        cwd=ROOT,
        env=clean_environment() | {"KERAS_BACKEND": other},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stdout == f"{other}\n", process.stderr
    model, loaded = two_steps(keras, here), build(**LSTM)
    loaded.load_weights(there / "model.weights.h5")
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
    logs = np.load(there / "log_probabilities.npy")
    np.testing.assert_allclose(logs, np.load(here / "log_probabilities.npy"), atol=1e-3)
    ids = batch()[0]
    ids[::2, 2:] = 0
    np.testing.assert_allclose(forward.log_probabilities(loaded, ids, (2, LENGTH)), logs, atol=1e-5)
