"""Helpers of the studies' tests: the small sample without its test rows, and trainings that take no time."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.project import Project
from pipeline.base import process
from pipeline.base.files import read_arrays
from pipeline.evaluation import metrics
from pipeline.inference.network import log_softmax
from pipeline.studies import ablation, ablation_variants
from pipeline.studies.imbalance_results import StrategyResult
from pipeline.training import fit, loop
from pipeline.training.settings import Train

# Parameters of the network, on top of the small sample's: the fastest to compile.
TINY = {
    "bidirectional": "false",
    "adversarial": "0.0",
    "pooling": "last",
    "pretraining_epochs": "0",
    "units": "4",
}
CLASSES = ("angry", "glad", "sad")
LABELS = np.repeat([0, 1, 2], [600, 300, 100])


def enter(reference: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Copy what studies read, without the test rows, into `folder` and change to it; it gets a store of its own."""
    inputs = ["params.yaml", "dvc.yaml", "dvc.lock", "requirements.lock", "pipeline", "data"]
    for name in inputs:
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
    """Replace `process.run_in_process` in this process; arguments and result are pickled as they would be."""
    work, arguments = pickle.loads(pickle.dumps((work, arguments)))  # noqa: S301 - own
    return pickle.loads(pickle.dumps(work(*arguments)))  # noqa: S301 - own


class FakeTraining:
    """Replace `fit.train_network` and `part_log_probabilities`: more units predict better, 4 by chance; three epochs.

    `trained` lists the seed and units of each call; the call numbered `fail_at` is interrupted.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> None:
        self.trained: list[tuple[int, int]] = []
        self.epochs: list[int] = []  # of each training that was started
        self.fail_at = fail_at
        self.in_process = False
        monkeypatch.setattr(fit, "train_network", self.train)
        monkeypatch.setattr(fit, "part_log_probabilities", self.parts)
        monkeypatch.setattr(process, "run_in_process", self.run_in_process)

    def run_in_process(self, work: Any, *arguments: Any) -> Any:
        """Replace `process.run_in_process`: another process would not know this class."""
        self.in_process = True
        try:
            return here(work, *arguments)
        finally:
            self.in_process = False

    def train(self, data: fit.Data, settings: Train, on_epoch: loop.OnEpoch) -> tuple[Any, ...]:
        assert self.in_process  # two dozen networks in one process take too much memory
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
        return settings, history

    def parts(self, data: fit.Data, settings: Train, ngrams: None, split: str) -> list[np.ndarray]:
        labels = read_arrays(Path("data/tokenize/validation.npz"))["label"]
        assert len(labels) == len(data.labels[split])
        random = np.random.default_rng([settings.seed, settings.units])
        return [log_softmax(random.normal(size=(len(labels), 3)) + settings.units / 50 * np.eye(3)[labels])]


def few_variants(monkeypatch: pytest.MonkeyPatch, units: int = 100) -> None:
    """Replace the variants of an ablation by four, one of them with so many units."""
    names = ("preset", "n-grams only", "LSTM only")
    variants = {name: ablation_variants.VARIANTS[name] for name in names} | {"many units": {"units": units}}
    for module in (ablation, ablation_variants):
        monkeypatch.setattr(module, "VARIANTS", variants)


def strategy_result(recall: float, *, seconds: float | None = 10.0, noise: int = 0) -> StrategyResult:
    """Predict all rows right but a share of the smallest class, `sad`: the missed ones are predicted as angry."""
    predicted = LABELS.copy()
    predicted[np.flatnonzero(LABELS == 2)[round(100 * recall) :]] = 0
    probabilities = np.full((1_000, 3), 0.1)
    probabilities[np.arange(1_000), predicted] = 0.8
    overall = metrics.overall(LABELS, probabilities)
    return StrategyResult(
        classes=CLASSES,
        rows=(6_000, 3_000, 1_000),
        labels=LABELS,
        probabilities=probabilities,
        clusters=np.arange(1_000),
        metrics={
            "overall": overall,
            "uncalibrated": {"accuracy": overall["accuracy"] - 0.05, "loss": overall["loss"] + 0.1, "ece": 0.2},
            "per_class": metrics.per_class(LABELS, probabilities, CLASSES),
        },
        history=[{"epoch": 1, "train_loss": 1.0, "validation_loss": 1.0 + noise}],
        seconds=seconds,
    )
