"""Pretraining: the loss is the documented one, whatever the texts are like, and it teaches the order of tokens."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline.inference.network import log_softmax
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.encoders.text import build
from pipeline.training.pretraining import SAMPLED, pretrain

IDS, DIM, UNITS = 200, 4, 3

LENGTHS = [8]


def network(keras: ModuleType, **changes: Any) -> Any:
    keras.utils.set_random_seed(0)
    given = {
        "num_ids": IDS,
        "num_classes": 2,
        "embedding_dim": 16,
        "units": 16,
        "bidirectional": True,
        "pooling": "max",
    }
    return build(**given | changes)


def circling(rows: int = 2_048, length: int = LENGTHS[-1]) -> np.ndarray:
    """Texts whose tokens follow one another in a circle: each tells the next, and the one before."""
    start = np.random.default_rng(0).integers(0, IDS - 2, (rows, 1))
    return ((start + np.arange(length)) % (IDS - 2) + 2).astype(np.int32)


def test_the_loss_is_that_of_telling_each_neighbour_from_the_sample(keras: ModuleType) -> None:
    from pipeline.training.layers import SampledSoftmax

    random = np.random.default_rng(0)
    ids = np.array([[4, 5, 1, 6], [7, 8, 0, 0], [9, 0, 0, 0]], dtype=np.int32)
    sampled = np.array([[3, 5, 11]], dtype=np.int32)
    ahead, behind = random.normal(size=(2, *ids.shape, UNITS)).astype(np.float32)
    log_expected, bias = random.normal(size=(2, IDS))
    embedding = keras.layers.Embedding(IDS, DIM)
    embedding.build()
    layer = SampledSoftmax(embedding, log_expected, bias)
    told = np.asarray(layer(ids, sampled, ahead, behind))

    table, correction = np.asarray(embedding.embeddings), bias - log_expected
    sides = [[np.asarray(v) for v in each.weights] for each in layer.projections]
    expected = np.zeros(len(ids))
    guessed = 0
    for row, text in enumerate(ids):
        end = (text > 0).sum()
        for place in range(end):
            # From the start, the state of the token before; from the end, that of the one behind, read before it.
            for other, states, (kernel, of_side) in (
                (place - 1, ahead[row], sides[0]),
                (place + 1, behind[row][::-1], sides[1]),
            ):
                if not 0 <= other < end or text[place] < 2:
                    continue
                scores = table @ (states[other] @ kernel + of_side) + correction
                expected[row] -= log_softmax(scores[[text[place], *sampled[0]]])[0]
                guessed += 1
    assert guessed == 6
    np.testing.assert_allclose(told, expected * len(ids) / guessed, rtol=1e-4)


@pytest.mark.slow
def test_it_learns_what_follows_what_in_both_directions_and_nothing_else_moves(keras: ModuleType) -> None:
    model = network(keras)
    before = {v.path: np.asarray(v.value) for v in model.variables}
    history = pretrain(model, circling(), LENGTHS, epochs=10, seed=0)
    assert history[-1] < 4 < 5.5 < history[0]  # nats; knowing nothing, log(257)
    moved = {v.path for v in model.variables if not np.array_equal(before[v.path], v.value)}
    assert moved >= {"embedding/embeddings"} | {p for p in before if p.startswith("bidirectional")}
    assert not any(path.startswith("logits") for path in moved)


@pytest.mark.slow  # half a minute
def test_the_seed_decides(keras: ModuleType) -> None:
    first, again, other = (
        pretrain(network(keras, bidirectional=False), circling(64), LENGTHS, epochs=2, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_texts_of_one_token_teach_nothing_and_break_nothing(keras: ModuleType) -> None:
    model, ids = network(keras, bidirectional=False), np.zeros((64, LENGTHS[-1]), dtype=np.int32)
    ids[:, 0] = np.arange(64) % (IDS - 2) + 2
    assert pretrain(model, ids, LENGTHS, epochs=2, seed=0) == [0.0, 0.0]
    assert all(np.isfinite(v.value).all() for v in model.variables)


def test_the_sample_holds_no_padding_and_no_unknown_token(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.training import pretraining

    seen = []

    def step(*_: Any, **__: Any) -> Any:
        return lambda inputs, *others: seen.append(inputs[1]) or 0.0, lambda: None

    monkeypatch.setattr(pretraining, "training_step", step)
    ids = circling(64)
    ids[:, -2:] = [1, 0]
    pretrain(network(keras), ids, LENGTHS, epochs=1, seed=0)
    assert {each.shape for each in seen} == {(1, SAMPLED)}
    assert min(each.min() for each in seen) == 2


class ToldError(Exception):
    """What a test wanted to know is known."""


def test_tokens_are_drawn_by_their_frequency_to_the_power_of_three_quarters(
    keras: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mikolov et al. 2013; how often each is expected among the sampled ones is told to the loss, and its frequency."""
    from pipeline.training import layers

    def softmax(embedding: Any, log_expected: np.ndarray, bias: np.ndarray) -> None:
        expected = np.exp(log_expected)
        assert expected[2] / expected[3] == pytest.approx(8)  # 16 to three quarters
        assert expected.sum() == pytest.approx(SAMPLED)
        assert expected[[0, 1, 4]] == pytest.approx(0, abs=1e-6)
        assert bias[2:5].tolist() == np.log([17, 2, 1]).tolist()
        raise ToldError

    monkeypatch.setattr(layers, "SampledSoftmax", softmax)
    ids = np.array([[2] * 8, [2] * 8, [3, 1, 1, 0, 0, 0, 0, 0]], dtype=np.int32)
    with pytest.raises(ToldError):
        pretrain(network(keras), ids, LENGTHS, epochs=1, seed=0)


class Stopped(Checkpoint):
    """A kill comes right after an epoch was kept."""

    def save(self, *arguments: Any, **named: Any) -> None:
        super().save(*arguments, **named)
        raise KeyboardInterrupt


def test_a_resumed_pretraining_takes_the_rows_and_samples_that_it_would_have(
    keras: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.training import pretraining

    seen: list[tuple[bytes, bytes]] = []

    def step(*_: Any, **__: Any) -> Any:
        return lambda inputs, *others: seen.append((inputs[0].tobytes(), inputs[1].tobytes())) or 0.0, lambda: None

    monkeypatch.setattr(pretraining, "training_step", step)
    options: dict[str, Any] = {"lengths": LENGTHS, "epochs": 3, "seed": 0}
    pretrain(network(keras), circling(64), **options)
    undisturbed = list(seen)
    assert len(set(undisturbed)) == len({rows for rows, _ in undisturbed}) == 3  # each epoch has an order of its own
    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        pretrain(network(keras), circling(64), **options, checkpoint=Stopped.of("s", "b", tmp_path))
    pretrain(network(keras), circling(64), **options, checkpoint=Checkpoint.of("s", "b", tmp_path))
    assert seen == undisturbed
