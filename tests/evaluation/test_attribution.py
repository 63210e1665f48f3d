"""The network in NumPy: its logits and integrated gradients are those of Keras."""

import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pipeline.evaluation import attribution as module
from pipeline.evaluation.attribution import NumpyNetwork, centred
from pipeline.training.encoders.text import build

IDS = np.array([3, 4, 1, 9, 30, 7], dtype=np.int32)
FIELDS = ("kernel", "recurrent", "bias", "dense", "dense_bias", "pooling")


def random_network(keras: ModuleType, folder: Path, **network: object) -> tuple[object, NumpyNetwork]:
    """A Keras network with large random weights, and the same network read from its weights file."""
    sizes = {"num_ids": 50, "embedding_dim": 6, "units": 5, **network}
    model = build(**sizes)
    random = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(0.7 * random.normal(size=weight.shape))
    model.save_weights(folder / "model.weights.h5")
    return model, NumpyNetwork.read(folder / "model.weights.h5", sizes)


@pytest.mark.parametrize("pooling", ["last", "max", "mean", "max_mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_logits_and_gradients_equal_those_of_keras(
    keras: ModuleType, tmp_path: Path, bidirectional: bool, pooling: str
) -> None:
    model, network = random_network(keras, tmp_path, num_classes=3, bidirectional=bidirectional, pooling=pooling)
    logits = keras.ops.convert_to_numpy(model(IDS[None]))[0]
    np.testing.assert_allclose(network.logits(IDS), logits, atol=1e-5)

    attribution = network.attribute(IDS, np.zeros(3))
    difference = logits - logits.mean() - attribution.baseline
    np.testing.assert_allclose(attribution.tokens.sum(axis=0), difference, atol=1e-6)
    assert attribution.residual.max() <= max(0.01 * np.abs(difference).max(), 0.001)
    # The same gradients by finite differences: on the path, of one token's embedding at a time.
    points, step = (np.arange(200) + 0.5) / 200, 1e-2
    expected = np.zeros((len(IDS), 3))
    longer = np.vstack([network.embedding, network.embedding[IDS]]).astype(np.float32)
    for point, place in itertools.product(points[::5], range(len(IDS))):
        for sign in (1, -1):
            path = network.embedding[IDS] - network.embedding[1]
            longer[50:] = network.embedding[1] + point * path
            longer[50 + place] += sign * step * path[place]
            moved = NumpyNetwork(longer, *(getattr(network, name) for name in FIELDS))
            expected[place] += sign * centred(moved.logits(np.arange(50, 50 + len(IDS)))) / (2 * step * 40)
    np.testing.assert_allclose(attribution.tokens, expected, atol=0.03)
    assert np.abs(expected).max() > 0.1


def test_steps_are_halved_until_accurate(keras: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, network = random_network(keras, tmp_path, num_classes=2, bidirectional=True, pooling="max")
    few, many = (network.attribute(IDS, np.zeros(2), tolerance) for tolerance in (0.5, 0.01))
    assert few.steps == module.MIN_STEPS < many.steps
    assert many.residual.max() < few.residual.max()
    monkeypatch.setattr(module, "MAX_NUMBERS", 1)  # one point of the path at a time
    np.testing.assert_allclose(network.attribute(IDS, np.zeros(2), 0.01).tokens, many.tokens, atol=1e-5)
    monkeypatch.setattr(module, "MAX_STEPS", module.MIN_STEPS)
    assert network.attribute(IDS, np.zeros(2), 0.01).steps == module.MIN_STEPS


def test_tolerance_counts_other_parts(keras: ModuleType, tmp_path: Path) -> None:
    _, network = random_network(keras, tmp_path, num_classes=2, bidirectional=True, pooling="max")
    assert network.attribute(IDS, np.array([9.0, -9.0])).steps < network.attribute(IDS, np.zeros(2)).steps
