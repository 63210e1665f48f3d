"""Export: the ONNX network equals the Keras network, for every pooling and direction and in any batch."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT, clean_environment

from pipeline.base.errors import PipelineError
from pipeline.inference.network import MAX_BATCH_SIZE, OnnxNetwork
from pipeline.text.processor import Tokenizer
from pipeline.training import export
from pipeline.training.encoders.text import build
from pipeline.training.forward import log_probabilities

LENGTHS = (6, 12)

SIZES = {"num_ids": 40, "num_classes": 3, "embedding_dim": 5, "units": 7}


def network_with(**changes: Any) -> Any:
    """A network with larger weights than initially, so that its predictions differ between texts."""
    model = build(**SIZES | changes)
    for weights in model.weights:
        weights.assign(2 * np.asarray(weights) + 0.1 * np.random.default_rng(0).normal(size=weights.shape))
    return model


def rows(count: int) -> np.ndarray:
    """Rows of 1 to 12 tokens; the first has one, the second all."""
    random = np.random.default_rng(1)
    ids = random.integers(1, SIZES["num_ids"], (count, LENGTHS[-1]), dtype=np.int32)
    tokens = random.integers(1, LENGTHS[-1] + 1, count)
    tokens[:2] = 1, LENGTHS[-1]
    ids[np.arange(LENGTHS[-1]) >= tokens[:, None]] = 0
    return ids


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("pooling", "num_classes"), [("last", 2), ("max", 3), ("mean", 4), ("max_mean", 5)])
def test_onnx_network_equals_keras_network(
    keras: ModuleType, pooling: str, num_classes: int, bidirectional: bool
) -> None:
    model = network_with(pooling=pooling, num_classes=num_classes, bidirectional=bidirectional)
    content = export.to_onnx(model)
    assert export.to_onnx(model) == content
    network, ids = OnnxNetwork(content), rows(200)
    logs = network.log_probabilities(ids)
    assert (logs.shape, logs.dtype) == ((200, num_classes), np.float64)
    assert np.ptp(logs, axis=0).min() > 0.1
    np.testing.assert_allclose(logs, log_probabilities(model, ids, LENGTHS[-1:]), atol=1e-5)
    order = np.random.default_rng(2).permutation(200)[: MAX_BATCH_SIZE + 13]
    np.testing.assert_allclose(network.log_probabilities(ids[order]), logs[order], atol=1e-6)
    for row in range(12):
        np.testing.assert_allclose(network.log_probabilities(ids[row : row + 1])[0], logs[row], atol=1e-6)
    wider = np.pad(ids, ((0, 0), (0, 9)))
    np.testing.assert_allclose(network.logits(wider), network.logits(ids), atol=1e-6)
    assert network.log_probabilities(ids[:0]).shape == (0, num_classes)


def test_empty_text_is_one_unknown_token(keras: ModuleType) -> None:
    model, tokenizer = network_with(pooling="mean"), Tokenizer(("good",), 4)
    ids = tokenizer.encode(["", "?"])
    logs = OnnxNetwork(export.to_onnx(model)).log_probabilities(ids)
    np.testing.assert_allclose(logs, log_probabilities(model, ids, (4,)), atol=1e-5)
    np.testing.assert_array_equal(logs[0], logs[1])


@pytest.mark.parametrize("part", ["embedding", "bidirectional", "logits"])
def test_check_finds_a_different_network(keras: ModuleType, part: str) -> None:
    model = network_with(bidirectional=True, pooling="max")
    network = OnnxNetwork(export.to_onnx(model))
    weights = model.get_layer(part).weights[-1]
    weights.assign(np.asarray(weights) + np.linspace(0, 0.01, weights.shape[-1]))
    with pytest.raises(PipelineError, match=r"differs from the Keras network by .* on rows of 1 to 6 steps"):
        export.check_onnx(model, network, LENGTHS[:1])


def test_check_is_relative_for_unlikely_classes(keras: ModuleType) -> None:
    model = network_with()
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel, bias + np.array([0, 40, 0], dtype=bias.dtype)])
    network = OnnxNetwork(export.to_onnx(model))
    correct = network.log_probabilities
    for within, factor in ((True, 1 + 5e-6), (False, 1 + 2e-5)):  # log-probabilities of -40 differ by 0.0002 and 0.0008
        network.log_probabilities = lambda ids, factor=factor: correct(ids) * factor  # type: ignore[method-assign]
        if within:
            export.check_onnx(model, network, LENGTHS)
        else:
            with pytest.raises(PipelineError, match="differs"):
                export.check_onnx(model, network, LENGTHS)


def test_check_covers_every_length_class(keras: ModuleType) -> None:
    model = network_with()
    network = OnnxNetwork(export.to_onnx(model))
    correct = network.log_probabilities

    def wrong(ids: np.ndarray) -> np.ndarray:
        return correct(ids) + 1e-4 * ((ids > 0).sum(axis=1) > 6)[:, None]

    network.log_probabilities = wrong  # type: ignore[method-assign]
    with pytest.raises(PipelineError, match=r"by 1\.0e-04 on rows of 7 to 12 steps"):
        export.check_onnx(model, network, LENGTHS)


def test_onnx_network_needs_no_tensorflow(keras: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(export.to_onnx(network_with()))
    code = (
        "import sys; from pathlib import Path; import numpy as np; from pipeline.inference.network import OnnxNetwork;"
        f"print(OnnxNetwork(Path({str(tmp_path / 'model.onnx')!r})).log_probabilities(np.ones((2, 3), 'int32')).shape,"
        "{'sklearn', 'scipy', 'pandas', 'tensorflow', 'keras', 'onnx'} & set(sys.modules))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert process.stdout == "(2, 3) set()\n"
