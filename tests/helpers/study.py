"""What the tests of ablate and search share: the small sample without its test rows, and a training of no time."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.project import Project
from pipeline.base import process
from pipeline.base.files import read_arrays
from pipeline.inference.network import log_softmax
from pipeline.studies import crossfit
from pipeline.training import fit, loop
from pipeline.training.settings import Train

# The network, on top of the small sample's: the least there is to compile.
TINY = {
    "bidirectional": "false",
    "adversarial": "0.0",
    "pooling": "last",
    "pretraining_epochs": "0",
    "units": "4",
}


def enter(reference: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Copy what ablate and search read, without the test rows, and go there; a store of its own."""
    kept = ["params.yaml", "dvc.yaml", "dvc.lock", "requirements.lock", "pipeline", "data"]
    for name in kept:
        source = reference.folder / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    for test in ("data/clean/test.parquet", "data/tokenize/test.npz"):
        (folder / test).unlink()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PIPELINE_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    project = Project(folder)
    project.set(**TINY)
    return project


def here(work: Any, *arguments: Any) -> Any:
    """Stands for `process.run_in_process`, and also pickles what goes there and comes back."""
    work, arguments = pickle.loads(pickle.dumps((work, arguments)))  # noqa: S301 - own
    return pickle.loads(pickle.dumps(work(*arguments)))  # noqa: S301 - own


class FakeTraining:
    """Stands for `train.train_lstm` and `parts`: more units know more, down to chance at 4; three epochs each.

    `trained` lists the seed and units of each call; `fail_at` names the call that a kill ends.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> None:
        self.trained: list[tuple[int, int]] = []
        self.epochs: list[int] = []  # of each training that was begun
        self.fail_at = fail_at
        self.in_process = False
        monkeypatch.setattr(fit, "train_lstm", self.train)
        monkeypatch.setattr(crossfit, "parts", self.parts)
        monkeypatch.setattr(process, "run_in_process", self.run_in_process)

    def run_in_process(self, work: Any, *arguments: Any) -> Any:
        """Stands for `process.run_in_process`: the same process, which alone knows this class."""
        self.in_process = True
        try:
            return here(work, *arguments)
        finally:
            self.in_process = False

    def train(self, data: fit.Data, settings: Train, on_epoch: loop.OnEpoch) -> tuple[Any, ...]:
        assert self.in_process  # two dozen networks in one process are too many for it
        if len(self.trained) == self.fail_at:
            self.fail_at = None
            raise KeyboardInterrupt
        self.trained.append((settings.seed, settings.units))
        self.epochs.append(0)
        history = []
        for epoch in (1, 2, 3):
            self.epochs[-1] = epoch
            history.append({"epoch": epoch, "train_loss": 1.0, "validation_loss": 2 - settings.units / 200})
            on_epoch(epoch, history[-1])
        return settings, {}, history

    def parts(self, settings: Train, tokenizer: Any, ngrams: None, cleaned: list[str]) -> list[np.ndarray]:
        labels = read_arrays(Path("data/tokenize/validation.npz"))["label"]
        assert len(labels) == len(cleaned)
        random = np.random.default_rng([settings.seed, settings.units])
        return [log_softmax(random.normal(size=(len(labels), 3)) + settings.units / 50 * np.eye(3)[labels])]
