"""Crash safety: a training that was killed goes on to the same bytes, and a stage that was killed is done again whole."""

import json
import os
import shutil
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline import checkpoint as checkpoints
from pipeline import params, train
from pipeline.checkpoint import Checkpoint
from pipeline.rebalance import rebalance
from pipeline.text import Tokenizer

CLASSES = ["happy", "sad"]
TEXTS = [f"{word} {other} film" for word in ("good", "bad", "fine", "poor") for other in "abcdefgh"] * 3
LABELS = np.array([0, 1, 0, 1], dtype=np.int32).repeat(8)[np.arange(96) % 32]
TINY = {"units": 3, "embedding_dim": 3, "batch_size": 32, "epochs": 4, "threads": 2, "learning_rate": 0.05}
PATHS = {
    "textbook": {"preset": "textbook"},
    "fast": {"preset": "fast", "pretraining_epochs": 2, "dropout": 0.2},
    "balanced_batches": {"preset": "textbook", "embedding_dropout": 0.3},
}


def data(strategy: str = "none") -> train.Data:
    tokenizer = Tokenizer.fit(TEXTS, vocabulary_size=None, length=4)
    splits = ("train", "validation")
    return train.Data(
        classes=CLASSES,
        tokenizer=tokenizer,
        texts=dict.fromkeys(splits, TEXTS),
        ids=dict.fromkeys(splits, tokenizer.encode(TEXTS)),
        labels={"train": LABELS, "validation": 1 - LABELS},  # so that an early epoch is the best
        plan=rebalance(LABELS, CLASSES, strategy=strategy),
        correction=0.5,
    )


def settings(preset: str, **changes: Any) -> params.Train:
    own = params.load(params.Train).model_copy(update=params.PRESETS[preset]["train"])
    return own.model_copy(update={"patience": 9} | TINY | changes)


class Copied(Checkpoint):
    """Also keeps a copy of every file that it writes, as if a kill had left it."""

    def save(self, *arguments: Any, **named: Any) -> None:
        super().save(*arguments, **named)
        assert self.path is not None
        number = len(list(self.path.parent.parent.glob("copy-*")))
        shutil.copy(self.path, self.path.parent.parent / f"copy-{number}")


def weights(model: Any) -> list[bytes]:
    return [np.asarray(each.value).tobytes() for each in model.variables]


@pytest.mark.parametrize("path", PATHS)
def test_a_resumed_training_is_the_undisturbed_one(
    keras: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    given = data(path if path == "balanced_batches" else "none")
    chosen = settings(**PATHS[path])
    model, _, history = train.train_lstm(given, chosen)
    undisturbed = weights(model)
    copied = Copied.of("state", "backend", tmp_path)
    model, _, again = train.train_lstm(given, chosen, checkpoint=copied)
    assert (weights(model), again) == (undisturbed, history)  # to keep one changes nothing
    copies = sorted(tmp_path.glob(".state/checkpoints/copy-*"))
    first = chosen.pretraining_epochs or 0
    assert len(copies) == first + len(history) == first + 4
    assert min(history, key=lambda figures: figures["validation_loss"])["epoch"] < 4
    assert copied.path is not None
    for number in {first - 1, first + 1} - {-1}:  # between pretraining and training, and after its second epoch
        shutil.copy(copies[number], copied.path)
        told: list[train.Figures] = []
        capsys.readouterr()
        model, _, resumed = train.train_lstm(given, chosen, lambda epoch, figures: told.append(figures), copied)
        said = capsys.readouterr().out
        assert (weights(model), resumed, told) == (undisturbed, history, history)
        if number < first:
            assert "resumed after epoch 2 of pretraining\n" in said
            assert "pretraining 2" not in said
            assert "epoch 1:" in said
        else:
            assert said.startswith("resumed after epoch 2\nepoch 3: ")
