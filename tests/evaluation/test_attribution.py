"""Gradients: the network in NumPy is Keras's, and so are its gradients; what the tokens add is the whole difference."""

import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pipeline.evaluation import attribution
from pipeline.evaluation.attribution import Network
from pipeline.training.encoders.text import build

IDS = np.array([3, 4, 1, 9, 30, 7], dtype=np.int32)


def made(keras: ModuleType, folder: Path, **network: object) -> tuple[object, Network]:
    """A network of Keras with large random weights, and the same read from its file."""
    sizes = {"num_ids": 50, "embedding_dim": 6, "units": 5, **network}
    model = build(**sizes)
    random = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(0.7 * random.normal(size=weight.shape))
    model.save_weights(folder / "model.weights.h5")
    return model, Network.read(folder / "model.weights.h5", sizes)


@pytest.mark.parametrize("pooling", ["last", "max", "mean", "max_mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_logits_and_integrated_gradients_are_those_of_keras(
    keras: ModuleType, tmp_path: Path, bidirectional: bool, pooling: str
) -> None:
    model, network = made(keras, tmp_path, num_classes=3, bidirectional=bidirectional, pooling=pooling)
    logits = keras.ops.convert_to_numpy(model(IDS[None]))[0]
    np.testing.assert_allclose(network.logits(IDS), logits, atol=1e-5)

    found = network.attribute(IDS, np.zeros(3))
    ends = logits - logits.mean() - found.baseline
    np.testing.assert_allclose(found.tokens.sum(axis=0), ends, atol=1e-6)
    assert found.left.max() <= max(0.01 * np.abs(ends).max(), 0.001)
    # The gradient once more, by differences: along the path, of each token's vector alone.
    points, step = (np.arange(200) + 0.5) / 200, 1e-2
    expected = np.zeros((len(IDS), 3))
    longer = np.vstack([network.embedding, network.embedding[IDS]]).astype(np.float32)
    for point, place in itertools.product(points[::5], range(len(IDS))):
        for sign in (1, -1):
            way = network.embedding[IDS] - network.embedding[1]
            longer[50:] = network.embedding[1] + point * way
            longer[50 + place] += sign * step * way[place]
            moved = Network(longer, *(getattr(network, each) for each in FIELDS))
            expected[place] += sign * attribution.centred(moved.logits(np.arange(50, 50 + len(IDS)))) / (2 * step * 40)
    np.testing.assert_allclose(found.tokens, expected, atol=0.03)
    assert np.abs(expected).max() > 0.1


FIELDS = ("kernel", "recurrent", "bias", "dense", "dense_bias", "pooling")


def test_steps_are_doubled_until_the_sum_is_near_enough(
    keras: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, network = made(keras, tmp_path, num_classes=2, bidirectional=True, pooling="max")
    few, many = (network.attribute(IDS, np.zeros(2), tolerance) for tolerance in (0.5, 0.01))
    assert few.steps == attribution.FIRST < many.steps
    assert many.left.max() < few.left.max()
    monkeypatch.setattr(attribution, "MEMORY", 1)  # one point of the path at a time
    np.testing.assert_allclose(network.attribute(IDS, np.zeros(2), 0.01).tokens, many.tokens, atol=1e-5)
    monkeypatch.setattr(attribution, "MOST", attribution.FIRST)
    assert network.attribute(IDS, np.zeros(2), 0.01).steps == attribution.FIRST


def test_what_others_add_loosens_the_tolerance(keras: ModuleType, tmp_path: Path) -> None:
    _, network = made(keras, tmp_path, num_classes=2, bidirectional=True, pooling="max")
    assert network.attribute(IDS, np.array([9.0, -9.0])).steps < network.attribute(IDS, np.zeros(2)).steps
