"""Pretraining: the loss equals its formula, the LSTM learns the order of tokens, training resumes."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline.inference.network import log_softmax
from pipeline.training import pretraining
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.encoders.text import build
from pipeline.training.pretraining import SAMPLED, language_model, pretrain, token_counts

IDS, DIM, UNITS = 200, 4, 3

LENGTHS = [8]


def network(keras: ModuleType, **changes: Any) -> Any:
    keras.utils.set_random_seed(0)
    options = {
        "num_ids": IDS,
        "num_classes": 2,
        "embedding_dim": 16,
        "units": 16,
        "bidirectional": True,
        "pooling": "max",
    }
    return build(**options | changes)


def circular_texts(rows: int = 2_048, length: int = LENGTHS[-1]) -> np.ndarray:
    """Texts whose tokens follow one another in a circle: each determines the next one and the one before."""
    start = np.random.default_rng(0).integers(0, IDS - 2, (rows, 1))
    return ((start + np.arange(length)) % (IDS - 2) + 2).astype(np.int32)


def test_loss_by_hand(keras: ModuleType) -> None:
    from pipeline.training.layers import SampledSoftmax

    random = np.random.default_rng(0)
    ids = np.array([[4, 5, 1, 6], [7, 8, 0, 0], [9, 0, 0, 0]], dtype=np.int32)
    sampled = np.array([[3, 5, 11]], dtype=np.int32)
    ahead, behind = random.normal(size=(2, *ids.shape, UNITS)).astype(np.float32)
    log_expected, bias = random.normal(size=(2, IDS))
    embedding = keras.layers.Embedding(IDS, DIM)
    embedding.build()
    layer = SampledSoftmax(embedding, log_expected, bias)
    losses = np.asarray(layer(ids, sampled, ahead, behind))

    table, correction = np.asarray(embedding.embeddings), bias - log_expected
    sides = [[np.asarray(v) for v in projection.weights] for projection in layer.projections]
    expected = np.zeros(len(ids))
    predicted = 0
    for row, text in enumerate(ids):
        end = (text > 0).sum()
        for position in range(end):
            # Forward, from the state of the token before; backward, from that of the token after.
            for other, states, (kernel, side_bias) in (
                (position - 1, ahead[row], sides[0]),
                (position + 1, behind[row][::-1], sides[1]),
            ):
                if not 0 <= other < end or text[position] < 2:
                    continue
                scores = table @ (states[other] @ kernel + side_bias) + correction
                expected[row] -= log_softmax(scores[[text[position], *sampled[0]]])[0]
                predicted += 1
    assert predicted == 6
    np.testing.assert_allclose(losses, expected * len(ids) / predicted, rtol=1e-4)


@pytest.mark.slow
def test_pretraining_learns_in_both_directions(keras: ModuleType) -> None:
    model = network(keras)
    before = {v.path: np.asarray(v.value) for v in model.variables}
    history = pretrain(model, circular_texts(), LENGTHS, epochs=10, seed=0)
    assert history[-1] < 4 < 5.5 < history[0]  # nats; log(257) at random
    changed = {v.path for v in model.variables if not np.array_equal(before[v.path], v.value)}
    assert changed >= {"embedding/embeddings"} | {p for p in before if p.startswith("bidirectional")}
    assert not any(path.startswith("logits") for path in changed)


@pytest.mark.slow  # half a minute
def test_seed_decides(keras: ModuleType) -> None:
    first, again, other = (
        pretrain(network(keras, bidirectional=False), circular_texts(64), LENGTHS, epochs=2, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.slow  # five seconds
def test_texts_of_one_token_have_no_loss(keras: ModuleType) -> None:
    model, ids = network(keras, bidirectional=False), np.zeros((64, LENGTHS[-1]), dtype=np.int32)
    ids[:, 0] = np.arange(64) % (IDS - 2) + 2
    assert pretrain(model, ids, LENGTHS, epochs=2, seed=0) == [0.0, 0.0]
    assert all(np.isfinite(v.value).all() for v in model.variables)


def test_sample_has_no_padding_and_no_unknown_token(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = []

    def step(inputs: Any, labels: np.ndarray, weights: np.ndarray) -> float:
        samples.append(inputs[1])
        return 0.0

    monkeypatch.setattr(pretraining, "training_step", lambda *_, **__: (step, lambda: None))
    ids = circular_texts(64)
    ids[:, -2:] = [1, 0]
    pretrain(network(keras), ids, LENGTHS, epochs=1, seed=0)
    assert {sample.shape for sample in samples} == {(1, SAMPLED)}
    assert min(sample.min() for sample in samples) == 2


def test_sampling_follows_frequency_to_the_power_of_three_quarters(keras: ModuleType) -> None:
    """The loss knows how often each token is expected in a sample (Mikolov et al. 2013), and its frequency."""
    from pipeline.training.layers import SampledSoftmax

    ids = np.array([[2] * 8, [2] * 8, [3, 1, 1, 0, 0, 0, 0, 0]], dtype=np.int32)
    lm = language_model(network(keras), token_counts(ids, IDS))
    (loss,) = (layer for layer in lm.layers if isinstance(layer, SampledSoftmax))
    expected, bias = np.exp(loss.log_expected), np.asarray(loss.bias)
    assert expected[2] / expected[3] == pytest.approx(8)  # 16 to the power of 3/4
    assert expected.sum() == pytest.approx(SAMPLED)
    assert expected[[0, 1, 4]] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(bias[2:5], np.log([17, 2, 1]), rtol=1e-6)


class StoppingCheckpoint(Checkpoint):
    """Stops training right after an epoch was saved."""

    def save(self, *arguments: Any, **named: Any) -> None:
        super().save(*arguments, **named)
        raise KeyboardInterrupt


def test_resumed_pretraining_has_the_same_rows_and_samples(
    keras: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[tuple[bytes, bytes]] = []

    def step(inputs: Any, labels: np.ndarray, weights: np.ndarray) -> float:
        batches.append((inputs[0].tobytes(), inputs[1].tobytes()))
        return 0.0

    monkeypatch.setattr(pretraining, "training_step", lambda *_, **__: (step, lambda: None))
    options: dict[str, Any] = {"lengths": LENGTHS, "epochs": 3, "seed": 0}
    pretrain(network(keras), circular_texts(64), **options)
    undisturbed = list(batches)
    assert len(set(undisturbed)) == len({rows for rows, _ in undisturbed}) == 3  # each epoch has another order
    batches.clear()
    with pytest.raises(KeyboardInterrupt):
        pretrain(network(keras), circular_texts(64), **options, checkpoint=StoppingCheckpoint.of("s", "b", tmp_path))
    pretrain(network(keras), circular_texts(64), **options, checkpoint=Checkpoint.of("s", "b", tmp_path))
    assert batches == undisturbed
