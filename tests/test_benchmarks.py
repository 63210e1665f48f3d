"""Benchmark of speed: its metrics agree with each other, and its contestants train the same network."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT, clean_environment

from benchmarks import contestants, speed, workers
from benchmarks.contestants import KerasFit, initial_weights
from benchmarks.work import Work, synthetic, tokenized
from pipeline.base import paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import write_arrays, write_json
from pipeline.text.processor import Tokenizer
from pipeline.training.backend import make_repeatable, prepare_keras

SIZES = {"batch_size": 4, "units": 8, "length": 12, "rows": 21, "shortest": 3}


@pytest.fixture
def one_step() -> Work:
    """One batch, so that the order of its rows does not matter, of words that occur once.

    For a word that occurs twice, Keras's Adam squares each occurrence's gradient, not their sum.
    """
    prepare_keras()
    make_repeatable(threads=2, seed=0)
    work = synthetic(batch_size=20, units=8, length=12, rows=20, shortest=3)
    ids = work.train[0]
    ids[ids > 0] = np.arange(2, 2 + work.tokens)
    return work


@pytest.mark.slow
def test_metrics_of_a_run(tmp_path: Path) -> None:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
    names = ("keras", "ours_lengths")
    options += ["--contestants", *names, "--json", str(tmp_path / "metrics.json")]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", "--data=synthetic", "--rounds=1", *options],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert tuple(report["contestants"]) == names
    lengths = [int(np.count_nonzero(row)) for row in synthetic(**SIZES).train[0]]
    short, long = report["work"]["lengths"]
    in_short = sum(length <= short for length in lengths) // 4 * 4
    padded = {"keras": 20 * 12, "ours_lengths": in_short * short + (20 - in_short) * long}
    assert report["work"]["tokens"] == sum(lengths) < padded["ours_lengths"] < padded["keras"]
    walls = {name: report["contestants"][name]["wall_seconds"][0] for name in names}
    rows = [line.split(" | ") for line in run.stdout.splitlines() if line.startswith("| ")][2:]
    for name, cells in zip(names, rows, strict=True):
        metrics = report["contestants"][name]
        assert metrics["padded_tokens"] == padded[name]
        assert metrics["tokens"] == sum(lengths)
        assert metrics["tokens_per_second"] == pytest.approx(sum(lengths) / walls[name])
        assert metrics["padded_tokens_per_second"] == pytest.approx(padded[name] / walls[name])
        operations = 24 * 8 * (8 + 8) * padded[name]
        for part in ("step", "large"):
            share = operations / walls[name] / (report["ceiling"][f"{part}_gflops"] * 1e9)
            assert metrics[f"share_of_{part}"] == pytest.approx(share)
        ratio = walls["keras"] / walls[name]
        assert metrics["times_keras"].pop("rounds") == [pytest.approx(ratio)]
        assert metrics["times_keras"] == pytest.approx(dict.fromkeys(("median", "low", "high"), ratio))
        assert "times_torch" not in metrics
        assert cells[1:5] == [
            f"{sum(lengths) / walls[name]:,.0f}",
            f"{padded[name] / walls[name]:,.0f}",
            f"{walls[name]:.2f}",
            f"{metrics['cpu_seconds'][0]:.2f}",
        ]
        assert cells[6] == f"{ratio:.2f} [{ratio:.2f}, {ratio:.2f}]"
        assert 0 < metrics["loss"][0] < 2
        assert metrics["compile_seconds"] > walls[name]


def test_ratios_are_within_a_round() -> None:
    def epochs(*walls: float) -> list[dict[str, float]]:
        return [{"wall_seconds": w, "cpu_seconds": w, "loss": 1.0, "padded_tokens": 240} for w in (9.0, *walls)]

    measured = {"keras": epochs(4, 8, 6), "ours": epochs(1, 4, 2)}
    ceiling = {"step_gflops": [1.0, 2.0, 1.5], "large_gflops": [8.0, 4.0, 4.0]}
    report = speed.summarize_speed(measured, ceiling, synthetic(**SIZES))
    assert report["contestants"]["ours"]["times_keras"] == {
        "rounds": [4.0, 2.0, 3.0],
        "median": 3.0,
        "low": 2.0,
        "high": 4.0,
    }
    assert report["contestants"]["keras"]["times_keras"]["rounds"] == [1.0, 1.0, 1.0]
    assert report["contestants"]["ours"]["compile_seconds"] == 9
    assert report["ceiling"] == {"step_gflops": 2.0, "large_gflops": 8.0}


def take_step(name: str, work: Work, weights: list[np.ndarray]) -> tuple[np.ndarray, float, list[np.ndarray]]:
    """Return a contestant's log-probabilities with the given weights, and its loss and weights after one epoch."""
    contestant = contestants.CONTESTANTS[name]
    trainer: Any = contestant.trainer(work, seed=0, **contestant.options)
    model = trainer if name == "torch" else trainer.model
    if not model.get_weights():
        model.build((None, work.length))
    if (
        name == "torch"
    ):  # Keras adds epsilon before correcting the moments: in the first step, the same as this after it
        trainer.optimizer.param_groups[0]["eps"] = contestants.EPSILON / np.sqrt(1 - 0.999)
    model.set_weights(weights)
    before = trainer.log_probabilities(work.train[0])
    loss, _ = trainer.epoch(1)
    return before, loss, model.get_weights()


@pytest.mark.slow  # four seconds
@pytest.mark.parametrize("name", ["ours", *(["torch"] if find_spec("torch") else [])])
def test_contestants_take_the_same_step(name: str, one_step: Work) -> None:
    weights = initial_weights(one_step, seed=0)
    before, loss, reached = take_step("keras", one_step, weights)
    if name == "torch":  # PyTorch and TensorFlow do not work in one process
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            other_before, other_loss, other_reached = pool.submit(take_step, name, one_step, weights).result()
    else:
        other_before, other_loss, other_reached = take_step(name, one_step, weights)
    np.testing.assert_allclose(before, other_before, atol=1e-5)
    assert loss == pytest.approx(other_loss, abs=1e-5)
    for initial, own, other in zip(weights, reached, other_reached, strict=True):
        moved = own != initial
        assert moved.sum() >= min(one_step.tokens, own.size) * 0.9
        # Adam's first step is 0.001 up or down; less where the gradient is close to 0, because of epsilon.
        assert np.abs(own - initial).max() == pytest.approx(0.001, rel=0.01)
        assert np.mean(np.abs(own - other)[moved | (other != initial)] < 1e-5) > 0.99


def test_unmasked_texts_are_padded_at_the_start(one_step: Work) -> None:
    padded = KerasFit(one_step, seed=0, jit=False, mask=False).ids
    for before, after in zip(one_step.train[0], padded, strict=True):
        text = before[before > 0]
        np.testing.assert_array_equal(after, [0] * (12 - len(text)) + list(text))


def test_tokenized_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    texts = ["good film", "bad", "bad film indeed", "good", "film"]
    tokenizer = Tokenizer.fit(texts, vocabulary_size=10, length=4)
    tokenizer.save(paths.TOKENIZE_TOKENIZER)
    write_json(paths.CLEAN_CLASSES, ["bad", "good"])
    for split in ("train", "validation"):
        ids = tokenizer.encode(texts)
        write_arrays(paths.TOKENIZE_ARRAYS[split], {"ids": ids, "label": np.array([1, 0, 0, 1, 1], dtype=np.int32)})
    work = tokenized(batch_size=2, units=8, length=6, rows=None)
    assert (work.name, work.num_ids, work.num_classes) == ("tweets", 6, 2)
    assert work.tokens in {sum(len(t.split()) for t in texts if t is not left_out) for left_out in texts}
    assert work.train[0].shape == (4, 6)
    assert not work.train[0][:, 4:].any()
    assert work.validation is not None
    assert work.validation[0].shape == (5, 6)
    assert len(tokenized(batch_size=2, units=8, length=None, rows=3).train[0]) == 2
    by_class = np.repeat(np.arange(3, dtype=np.int32), 100)
    many = tokenizer.encode([texts[label] for label in by_class])
    write_arrays(paths.TOKENIZE_ARRAYS["train"], {"ids": many, "label": by_class})  # sorted, as the pipeline has them
    ids, labels = tokenized(batch_size=2, units=8, length=None, rows=60).train
    assert min(np.bincount(labels, minlength=3)) >= 10
    np.testing.assert_array_equal(ids, tokenizer.encode([texts[label] for label in labels]))
    with pytest.raises(PipelineError, match="--length must be at least 4, the length of the rows, got 3"):
        tokenized(batch_size=2, units=8, length=3, rows=None)
    with pytest.raises(PipelineError, match="300 rows do not fill a batch of 301"):
        tokenized(batch_size=301, units=8, length=None, rows=None)


def test_accuracy_is_of_the_epoch_with_the_lowest_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {0: [0.9, 0.5, 0.7], 1: [0.4, 0.5, 0.6]}

    class FakeWorker:
        def __init__(self, seed: int) -> None:
            self.seed, self.number = seed, 0

        def ask(self, request: str, number: int = 0) -> dict[str, float]:
            if request == "epoch":
                self.number = number
            accuracy = self.seed / 10 + self.number / 100
            return {"loss": losses[self.seed][max(self.number, 1) - 1], "accuracy": accuracy, "macro_f1": accuracy / 2}

    @contextmanager
    def fake_workers(names: list[str], work: Work, *, threads: int, seed: int) -> Iterator[list[FakeWorker]]:
        yield [FakeWorker(seed)]

    monkeypatch.setattr(speed, "running_workers", fake_workers)
    measured = speed.measure_accuracy(["ours"], synthetic(**SIZES), seeds=2, epochs=3, threads=1)["ours"]
    assert [seed["epoch"] for seed in measured["seeds"]] == [2, 1]
    assert measured["accuracy"] == pytest.approx({"mean": 0.065, "low": 0.02, "high": 0.11})
    assert measured["macro_f1"]["high"] == pytest.approx(0.055)


def test_selection_of_contestants(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(contestants, "find_spec", lambda name: None if name == "torch" else name)
    assert speed.select_contestants(None, ("keras", "torch", "torch_lengths", "jax")) == ["keras", "jax"]
    assert capsys.readouterr().err == "torch is not installed: its contestants are left out; see docs/speed.md\n"
    with pytest.raises(PipelineError, match="torch needs torch, which is not installed"):
        speed.select_contestants(["torch"], ())
    with pytest.raises(PipelineError, match="unknown contestant kera; choose from keras, keras_jit"):
        speed.select_contestants(["kera"], ())


def test_failed_contestant_shows_its_error(tmp_path: Path) -> None:
    work = synthetic(batch_size=4, units=8, length=12, rows=4)
    with (
        pytest.raises(PipelineError, match=r"contestant nobody failed:(?s:.)*KeyError: 'nobody'"),
        workers.running_workers(["nobody"], work, threads=1, seed=0),
    ):
        pass
