"""The benchmark: its figures agree with each other, and its contestants train the same network."""

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

from benchmarks import contestants, speed
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
    """One batch, so that the order of its rows changes nothing, of words that occur once.

    Of a word that occurs twice, Keras's Adam squares each occurrence's gradient, not their sum.
    """
    prepare_keras()
    make_repeatable(threads=2, seed=0)
    work = synthetic(batch_size=20, units=8, length=12, rows=20, shortest=3)
    ids = work.train[0]
    ids[ids > 0] = np.arange(2, 2 + work.tokens)
    return work


@pytest.mark.slow
def test_the_figures_of_a_run(tmp_path: Path) -> None:
    told = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
    names = ("keras", "ours_lengths")
    told += ["--contestants", *names, "--json", str(tmp_path / "figures.json")]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", "--data=synthetic", "--rounds=1", *told],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert tuple(report["contestants"]) == names
    lengths = [int(np.count_nonzero(row)) for row in synthetic(**SIZES).train[0]]
    short, long = report["work"]["lengths"]
    in_short = sum(length <= short for length in lengths) // 4 * 4
    padded = {"keras": 20 * 12, "ours_lengths": in_short * short + (20 - in_short) * long}
    assert report["work"]["tokens"] == sum(lengths) < padded["ours_lengths"] < padded["keras"]
    walls = {name: report["contestants"][name]["wall_seconds"][0] for name in names}
    rows = [line.split(" | ") for line in run.stdout.splitlines() if line.startswith("| ")][2:]
    for name, cells in zip(names, rows, strict=True):
        figures = report["contestants"][name]
        assert figures["padded_tokens"] == padded[name]
        assert figures["tokens"] == sum(lengths)
        assert figures["tokens_per_second"] == pytest.approx(sum(lengths) / walls[name])
        assert figures["padded_tokens_per_second"] == pytest.approx(padded[name] / walls[name])
        operations = 24 * 8 * (8 + 8) * padded[name]
        for part in ("step", "large"):
            share = operations / walls[name] / (report["ceiling"][f"{part}_gflops"] * 1e9)
            assert figures[f"share_of_{part}"] == pytest.approx(share)
        ratio = walls["keras"] / walls[name]
        assert figures["times_keras"].pop("rounds") == [pytest.approx(ratio)]
        assert figures["times_keras"] == pytest.approx(dict.fromkeys(("median", "low", "high"), ratio))
        assert "times_torch" not in figures
        assert cells[1:5] == [
            f"{sum(lengths) / walls[name]:,.0f}",
            f"{padded[name] / walls[name]:,.0f}",
            f"{walls[name]:.2f}",
            f"{figures['cpu_seconds'][0]:.2f}",
        ]
        assert cells[6] == f"{ratio:.2f} [{ratio:.2f}, {ratio:.2f}]"
        assert 0 < figures["loss"][0] < 2
        assert figures["compile_seconds"] > walls[name]


def test_ratios_are_taken_within_a_round() -> None:
    def epochs(*walls: float) -> list[dict[str, float]]:
        return [{"wall_seconds": w, "cpu_seconds": w, "loss": 1.0, "padded_tokens": 240} for w in (9.0, *walls)]

    measured = {"keras": epochs(4, 8, 6), "ours": epochs(1, 4, 2)}
    ceiling = {"step_gflops": [1.0, 2.0, 1.5], "large_gflops": [8.0, 4.0, 4.0]}
    report = speed.summarize(measured, ceiling, synthetic(**SIZES))
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
    """A contestant's log-probabilities with the given weights, and its loss and weights after one epoch."""
    contestant = contestants.CONTESTANTS[name]
    trainer: Any = contestant.trainer(work, seed=0, **contestant.options)
    model = trainer if name == "torch" else trainer.model
    if not model.get_weights():
        model.build((None, work.length))
    if name == "torch":  # Keras adds its epsilon before the moments' correction: as much as this after it, in one step
        trainer.optimizer.param_groups[0]["eps"] = contestants.EPSILON / np.sqrt(1 - 0.999)
    model.set_weights(weights)
    before = trainer.log_probabilities(work.train[0])
    loss, _ = trainer.epoch(1)
    return before, loss, model.get_weights()


@pytest.mark.parametrize("name", ["ours", *(["torch"] if find_spec("torch") else [])])
def test_the_contestants_take_the_same_step(name: str, one_step: Work) -> None:
    weights = initial_weights(one_step, seed=0)
    before, loss, reached = take_step("keras", one_step, weights)
    if name == "torch":  # it does not bear TensorFlow in its process
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            other_before, other_loss, other_reached = pool.submit(take_step, name, one_step, weights).result()
    else:
        other_before, other_loss, other_reached = take_step(name, one_step, weights)
    np.testing.assert_allclose(before, other_before, atol=1e-5)
    assert loss == pytest.approx(other_loss, abs=1e-5)
    for before, one, two in zip(weights, reached, other_reached, strict=True):
        moved = one != before
        assert moved.sum() >= min(one_step.tokens, one.size) * 0.9
        # Adam's first step is 0.001 up or down; less where the gradient is next to none, because of its epsilon.
        assert np.abs(one - before).max() == pytest.approx(0.001, rel=0.01)
        assert np.mean(np.abs(one - two)[moved | (two != before)] < 1e-5) > 0.99


def test_unmasked_texts_end_where_they_are_padded_to(one_step: Work) -> None:
    padded = KerasFit(one_step, seed=0, jit=False, mask=False).ids
    for before, after in zip(one_step.train[0], padded, strict=True):
        text = before[before > 0]
        np.testing.assert_array_equal(after, [0] * (12 - len(text)) + list(text))


def test_the_pipelines_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_accuracy_is_that_of_the_epoch_with_the_lowest_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {0: [0.9, 0.5, 0.7], 1: [0.4, 0.5, 0.6]}

    class Fake:
        def __init__(self, seed: int) -> None:
            self.seed, self.number = seed, 0

        def ask(self, what: str, number: int = 0) -> dict[str, float]:
            if what == "epoch":
                self.number = number
            figure = self.seed / 10 + self.number / 100
            return {"loss": losses[self.seed][max(self.number, 1) - 1], "accuracy": figure, "macro_f1": figure / 2}

    @contextmanager
    def fake(names: list[str], work: Work, *, threads: int, seed: int) -> Iterator[list[Fake]]:
        yield [Fake(seed)]

    monkeypatch.setattr(speed, "processes", fake)
    found = speed.accuracy(["ours"], synthetic(**SIZES), seeds=2, epochs=3, threads=1)["ours"]
    assert [seed["epoch"] for seed in found["seeds"]] == [2, 1]
    assert found["accuracy"] == pytest.approx({"mean": 0.065, "low": 0.02, "high": 0.11})
    assert found["macro_f1"]["high"] == pytest.approx(0.055)


def test_which_contestants(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(contestants, "find_spec", lambda name: None if name == "torch" else name)
    assert speed.chosen(None, ("keras", "torch", "torch_lengths", "jax")) == ["keras", "jax"]
    assert capsys.readouterr().err == "torch is not installed, and left out; see docs/speed.md\n"
    with pytest.raises(PipelineError, match="torch needs torch, which is not installed"):
        speed.chosen(["torch"], ())
    with pytest.raises(PipelineError, match="there is no kera; there are keras, keras_jit"):
        speed.chosen(["kera"], ())


def test_a_contestant_that_fails_says_why(tmp_path: Path) -> None:
    work = synthetic(batch_size=4, units=8, length=12, rows=4)
    with (
        pytest.raises(PipelineError, match=r"contestant nobody ended before its time:(?s:.)*KeyError: 'nobody'"),
        speed.processes(["nobody"], work, threads=1, seed=0),
    ):
        pass
