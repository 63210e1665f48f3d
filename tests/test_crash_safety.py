"""Crash safety: a killed training goes on to the same bytes, and after any kill `dvc repro` makes what is missing."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers.faults import assert_states, copied, local, started, until
from helpers.project import Project

from pipeline.base import params
from pipeline.base.files import sha256
from pipeline.inference.part import Inputs
from pipeline.text.processor import Tokenizer
from pipeline.training import checkpoint, fit, loop
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.rebalancing import rebalance
from pipeline.training.settings import PRESETS, Train

CLASSES = ["happy", "sad"]

TEXTS = [f"{word} {other} film" for word in ("good", "bad", "fine", "poor") for other in "abcdefgh"] * 3

LABELS = np.array([0, 1, 0, 1], dtype=np.int32).repeat(8)[np.arange(96) % 32]

TINY = {"units": 3, "embedding_dim": 3, "batch_size": 32, "epochs": 4, "threads": 2, "learning_rate": 0.05}

PATHS = {
    "textbook": {"preset": "textbook"},
    "fast": {"preset": "fast", "pretraining_epochs": 2, "dropout": 0.2},
    "balanced_batches": {"preset": "textbook", "embedding_dropout": 0.3},
}


def data(strategy: str = "none") -> fit.Data:
    tokenizer = Tokenizer.fit(TEXTS, vocabulary_size=None, length=4)
    splits = ("train", "validation")
    return fit.Data(
        classes=CLASSES,
        processors={"text": tokenizer},
        inputs=dict.fromkeys(splits, Inputs({"text": TEXTS}, {"text": tokenizer.encode(TEXTS)}, {})),
        labels={"train": LABELS, "validation": 1 - LABELS},  # so that an early epoch is the best
        plan=rebalance(LABELS, CLASSES, strategy=strategy),
        correction=0.5,
        groups=[""] * len(LABELS),
    )


def settings(preset: str, **changes: Any) -> Train:
    own = params.load(Train).model_copy(update=PRESETS[preset])
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


def train(*arguments: Any, **options: Any) -> tuple[Any, list[dict[str, float]]]:
    network, history = fit.train_network(*arguments, **options)
    return network.model, history


@pytest.mark.parametrize(
    "path",
    [
        # The textbook's, with more that is random: ten seconds.
        pytest.param("balanced_batches", marks=pytest.mark.slow),
        pytest.param("textbook", marks=pytest.mark.slow),
        pytest.param("fast", marks=pytest.mark.slow),
    ],
)
def test_resumed_training_gives_the_same_weights(
    keras: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    given = data(path if path == "balanced_batches" else "none")
    chosen = settings(**PATHS[path])
    copied = Copied.of("state", "backend", tmp_path)
    model, history = train(given, chosen, checkpoint=copied)
    undisturbed = weights(model)
    if path != "fast":  # to keep one changes nothing
        model, again = train(given, chosen)
        assert (weights(model), again) == (undisturbed, history)
    copies = sorted(tmp_path.glob(".state/checkpoints/copy-*"))
    first = chosen.pretraining_epochs or 0
    assert len(copies) == first + len(history) == first + 4
    assert min(history, key=lambda figures: figures["validation_loss"])["epoch"] < 4
    assert copied.path is not None
    for number in [*range(first), first + 1]:  # after each epoch of pretraining, and the second of training
        shutil.copy(copies[number], copied.path)
        reported: list[loop.EpochMetrics] = []
        capsys.readouterr()
        model, resumed = train(given, chosen, lambda _, figures, reported=reported: reported.append(figures), copied)
        output = capsys.readouterr().out
        assert (weights(model), resumed, reported) == (undisturbed, history, history)
        if number < first:
            assert output.startswith(f"resumed after epoch {number + 1} of pretraining\n")
            assert output.count("\npretraining ") == first - 1 - number
            assert "\nepoch 1:" in output
        else:
            assert output.startswith("resumed after epoch 2\nepoch 3: ")


@pytest.mark.slow  # four seconds
def test_resumed_training_stops_early_at_the_same_epoch(
    keras: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, chosen = data(), settings("textbook", epochs=9, patience=2, learning_rate=0.5)
    kept = Checkpoint.of("state", "backend", tmp_path)

    def stop(epoch: int, figures: loop.EpochMetrics) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit.train_network(given, chosen, stop, kept)
    model, history = train(given, chosen, checkpoint=kept)
    assert "resumed after epoch 1\nepoch 2: " in capsys.readouterr().out
    best = min(history, key=lambda figures: figures["validation_loss"])["epoch"]
    assert len(history) == best + 2 < 9
    done = weights(model)
    model, again = train(given, chosen, checkpoint=kept)  # killed before its outputs were written
    assert capsys.readouterr().out == f"resumed after epoch {len(history)}\n"
    assert (weights(model), again) == (done, history)
    kept.remove()
    assert not list((tmp_path / ".state/checkpoints").iterdir())


class Variable:
    """Stands for one of Keras's."""

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)

    def assign(self, value: np.ndarray) -> None:
        self.value = value


def saved(tmp_path: Path, key: str = "state") -> Checkpoint:
    loaded = Checkpoint.of(key, "backend", tmp_path)
    carried = [Variable(np.arange(6, dtype=np.float32).reshape(2, 3)), Variable(np.uint32([7, 8])), Variable(9)]
    loaded.save("training", carried, {"loss": 0.1 + 0.2, "none": float("inf"), "big": 2**127}, [np.float32([1, 2])])
    return loaded


def test_checkpoint_restores_the_exact_state(tmp_path: Path) -> None:
    kept = saved(tmp_path)
    assert kept.load("pretraining") is None
    loaded = kept.load("training")
    assert loaded is not None
    blank = [Variable(0), Variable(0), Variable(0)]
    loaded.restore(blank)
    assert [each.value.dtype.name for each in blank] == ["float32", "uint32", "int64"]
    assert [each.value.tolist() for each in blank] == [[[0, 1, 2], [3, 4, 5]], [7, 8], 9]
    assert loaded.metadata == {"loss": 0.1 + 0.2, "none": float("inf"), "big": 2**127}
    assert [each.tolist() for each in loaded.best] == [[1.0, 2.0]]


def test_damaged_checkpoint_is_reported_and_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = saved(tmp_path)
    assert kept.path is not None
    whole = kept.path.read_bytes()
    loaded = kept.load("training")
    assert loaded is not None
    random = np.random.default_rng(0)
    torn = [whole[:end] for end in range(0, len(whole), 7)]
    torn += [whole[:at] + bytes([whole[at] ^ 1 << random.integers(8)]) + whole[at + 1 :] for at in range(len(whole))]
    reported = 0
    for content in [*torn, b"no archive", b""]:
        kept.path.write_bytes(content)
        again = kept.load("training")
        output = capsys.readouterr().out
        if again is None:
            reported += 1
            sentence = "is damaged or belongs to another training; training starts from the beginning"
            assert output == f"{kept.path} {sentence}\n"
            assert kept.load("training") is None
            assert capsys.readouterr().out == ""
        else:  # a bit that says nothing, such as one of a date
            for kind in ("values", "best"):
                for ours, theirs in zip(getattr(loaded, kind), getattr(again, kind), strict=True):
                    np.testing.assert_array_equal(ours, theirs)
            assert again.metadata == loaded.metadata
    assert reported > len(torn) / 2

    kept.save("training", [Variable(np.zeros((300, 100)))], {})
    kept.path.write_bytes(kept.path.read_bytes().replace(b"(300, 100)", b"(100, 100)"))
    assert kept.load("training") is None  # NumPy alone reads fewer numbers, and finds nothing wrong


def test_checkpoint_of_another_training_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = saved(tmp_path)
    for other in (
        Checkpoint.of("other", "backend", tmp_path),
        Checkpoint.of("state", "other", tmp_path),
    ):
        assert other.path is not None
        assert kept.path is not None
        assert other.load("training") is None
        assert capsys.readouterr().out == ""
        other.path.parent.mkdir()
        shutil.copy(kept.path, other.path)
        assert other.load("training") is None
        assert "belongs to another training" in capsys.readouterr().out
    assert kept.load("training") is not None


def test_only_abandoned_checkpoints_are_removed(tmp_path: Path) -> None:
    old, recent, own = (saved(tmp_path, key) for key in ("old", "recent", "own"))
    limit = checkpoint.MAX_AGE
    for kept, seconds in ((old, limit + 60), (recent, limit - 60), (own, 2 * limit)):
        assert kept.path is not None
        os.utime(kept.path.parent, (time.time() - seconds,) * 2)
    again = Checkpoint.of("own", "backend", tmp_path)
    assert again == own
    assert [each.load("training") is None for each in (old, recent, own)] == [True, False, False]
    saved(tmp_path, "recent")  # another epoch: it is young again
    assert recent.path is not None
    assert recent.path.parent.stat().st_mtime > time.time() - 60


STAGES = ("ingest", "validate", "clean", "tokenize", "rebalance", "train", "evaluate")

KILLS = {"train": 6, "evaluate": 4}  # two in each other stage: 20 in all

EPOCHS = 8


def running(process: "subprocess.Popen[str]", stage: str) -> bool:
    """Whether a stage is at work below a process that leads its session."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(place.name)) == process.pid and f"pipeline.{stage}\0" in (place / "cmdline").read_text():
                return True
        except OSError:  # gone by now
            continue
    return False


def killed(project: Project, stage: str, seconds: float, *, after_its_end: bool = False) -> tuple[bool, str]:
    """Kill DVC and all below it so long after a stage began, or ended: whether it was running, and its output."""
    for command in (("dvc", "repro", stage), ("dvc", "repro", "--force", "--single-item", stage)):
        project.run("python", "-m", "pipeline", "recover")
        process = started(project, *command, PYTHONUNBUFFERED="1")
        while not running(process, stage) and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is None:
            break
        reported = process.communicate()[0]  # it was done already
        assert process.returncode == 0, reported
    if after_its_end:
        while running(process, stage):
            time.sleep(0.005)
    time.sleep(seconds)
    hit = running(process, stage)
    os.killpg(process.pid, signal.SIGKILL)
    return hit, process.communicate()[0]


def seconds_by_stage(project: Project) -> dict[str, float]:
    """Run the whole pipeline; what each stage took."""
    process = started(project, "dvc", "repro", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    began: dict[str, float] = {}
    for line in process.stdout:
        if match := re.match(r"Running stage '(\w+)'", line):
            began[match[1]] = time.monotonic()
    assert process.wait() == 0
    ends = [*list(began.values())[1:], time.monotonic()]
    return {name: end - start for (name, start), end in zip(began.items(), ends, strict=True)}


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def temporary(project: Project) -> Iterator[Path]:
    for name in ("data", "reports", ".state", "mlruns", ".dvc/cache"):
        for path in (project.folder / name).rglob("*"):
            if re.match(r"\.partial-|tmp|.*\.tmp$", path.name):
                yield path


def emptied(project: Project) -> Project:
    """Without anything that a run makes."""
    for name in ("dvc.lock", "data", "reports", ".state", "mlruns", ".dvc/cache", ".dvc/tmp"):
        path = project.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in project.folder.glob("mlflow.db*"):
        path.unlink()
    project.run("git", "checkout", "-q", "--", "data")
    for path in (project.folder / "data").rglob("*.json"):
        path.unlink()
    return project


@pytest.mark.slow  # ten minutes
def test_repeated_kills_change_no_output(reference: Project, tmp_path: Path) -> None:
    undisturbed = emptied(copied(reference, tmp_path / "undisturbed"))
    undisturbed.set(epochs=str(EPOCHS), patience=str(EPOCHS), pretraining_epochs="3", adversarial="1.0")
    shutil.copytree(undisturbed.folder, tmp_path / "disturbed", symlinks=True)
    disturbed = Project(tmp_path / "disturbed")
    seconds = seconds_by_stage(undisturbed)
    assert tuple(seconds) == STAGES

    chance, output = random.Random(0), []  # noqa: S311
    for stage in STAGES:
        hits, number = 0, KILLS.get(stage, 2)
        while hits < number:  # one in each part of its time
            share = (hits + chance.random()) / number
            hit, reported = killed(disturbed, stage, share * seconds[stage])
            hits += hit
            if not hit:  # it had ended, and DVC was at work: a resumed training takes less than was measured
                seconds[stage] *= 0.8
            output.append(reported)
        if stage in ("clean", "tokenize", "train", "evaluate"):  # into DVC's hashing, its cache and dvc.lock
            output.append(killed(disturbed, stage, 0.4 * chance.random(), after_its_end=True)[1])
    assert len(output) >= 24
    if not any("resumed after epoch" in each for each in output):
        print("\n".join(output))
        raise AssertionError("no training was resumed")

    disturbed.run("python", "-m", "pipeline", "recover")
    disturbed.run("dvc", "repro")
    assert tree(disturbed.folder / "data") == tree(undisturbed.folder / "data")
    assert (disturbed.folder / "dvc.lock").read_bytes() == (undisturbed.folder / "dvc.lock").read_bytes()
    assert list(tree(disturbed.folder / "reports")) == list(tree(undisturbed.folder / "reports"))
    assert list(temporary(disturbed)) == []
    assert not list((disturbed.folder / ".state/checkpoints").iterdir())
    disturbed.run("python", "-m", "pipeline", "publish")
    assert_states(local(disturbed), 1)
    assert "Data and pipelines are up to date" in disturbed.run("dvc", "repro").stdout


@pytest.mark.slow  # three minutes
def test_experiment_resumes_at_its_last_epoch(reference: Project, tmp_path: Path) -> None:
    """DVC deletes an experiment's folder, or makes another: the checkpoint lies in the main checkout."""
    project = copied(reference, tmp_path / "project")
    project.set(epochs="30", patience="30")
    options = ("exp", "run", "--temp", "-S", "train.seed=1")
    process = started(project, "dvc", *options)
    until(lambda: bool(list(project.folder.glob(".state/checkpoints/*/checkpoint.npz"))), 240)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = project.run("dvc", *options)
    (epoch,) = re.findall(r"(?m)^resumed after epoch (\d+)$", done.stdout)
    assert f"epoch {int(epoch) + 1}: " in done.stdout
    assert f"epoch {epoch}: " not in done.stdout
    assert not list(project.folder.glob(".state/checkpoints/*"))
