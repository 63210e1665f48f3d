"""Retraining as it runs for months, with real parts only: git, a DVC remote, an MLflow server, and kills."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd
import pytest
from helpers.faults import Server, until
from helpers.nightly import IDENTITY, SWAPPED, write_csv
from helpers.project import SMALL, Project, clean_environment, copy_project
from mlflow import MlflowClient

from pipeline.base.files import sha256
from pipeline.data.datasets import DATASETS

pytestmark = pytest.mark.slow

NOTHING, PROMOTED, REJECTED, BUSY, FAILED = 0, 10, 11, 12, 1

RETRAIN = ("python", "-m", "pipeline", "retrain")

MODEL = "tweets-lstm"


@dataclass
class World:
    """What outlives the machines: a git remote, a DVC remote, an MLflow server, and a folder of new files."""

    folder: Path
    server: Server
    runners: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {"STORAGE_URL": str(self.folder / "storage"), "MLFLOW_TRACKING_URI": self.server.address}

    def runner(self) -> Project:
        """A new machine: a fresh clone."""
        self.runners += 1
        clone = self.folder / f"runner{self.runners}"
        subprocess.run(["git", "clone", "-q", self.folder / "hub.git", clone], check=True)
        return Project(clone)

    def runner_with_data(self) -> Project:
        """A new machine that has pulled the data."""
        clone = self.runner()
        clone.run("dvc", "remote", "add", "--local", "-d", "storage", str(self.folder / "storage"))
        clone.run("dvc", "pull", "-q")
        return clone

    def started(self, runner: Project, log: IO[str]) -> "subprocess.Popen[str]":
        """A night in the background, in a process group of its own."""
        environment = clean_environment() | self.environment
        return subprocess.Popen(
            RETRAIN, cwd=runner.folder, env=environment, stdout=log, stderr=log, text=True, start_new_session=True
        )

    def killed(self, runner: Project, epoch: int) -> None:
        """Start a night, and kill it in an epoch."""
        path = runner.folder.parent / f"{runner.folder.name}.log"
        with path.open("w") as log:
            process = self.started(runner, log)
            until(lambda: f"epoch {epoch}" in path.read_text(), 600)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def night(self, *options: str, runner: Project | None = None) -> "subprocess.CompletedProcess[str]":
        return (runner or self.runner()).run(*RETRAIN, *options, check=False, **self.environment)

    def receive(self, name: str, rows: pd.DataFrame) -> None:
        """Put an incoming file into the folder."""
        write_csv(self.folder / "incoming" / name, rows[["text", "label"]])

    def git(self, *arguments: str) -> str:
        command = ["git", "--git-dir", str(self.folder / "hub.git"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def in_git(self, name: str) -> str:
        return self.git("show", f"main:{name}")

    def commits(self) -> list[str]:
        return self.git("log", "--format=%s", "main").splitlines()

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.server.address, self.server.address)

    def aliases(self) -> dict[str, str]:
        return dict(self.client.get_registered_model(MODEL).aliases)

    def tags(self) -> dict[str, str]:
        """Tags of the registered model."""
        return dict(self.client.get_registered_model(MODEL).tags)

    def registered(self, version: str) -> float:
        """When a version was registered, in seconds since 1970."""
        return float(self.client.get_model_version(MODEL, version).creation_timestamp) / 1000

    def assert_consistent(self) -> None:
        """A fresh clone gets the data, finds nothing to do, and predicts with the champion; each state has one run."""
        clone = self.runner_with_data()
        assert json.loads(clone.run("dvc", "status", "--json").stdout) == {}
        (clone.folder / "in.csv").write_text("text\nI love it\nI hate it\n")
        clone.run("python", "-m", "pipeline", "predict", "in.csv", "out.csv", **self.environment)
        assert len(pd.read_csv(clone.folder / "out.csv").dropna(subset=["predicted_label"])) == 2
        client = self.client
        runs = client.search_runs([client.get_experiment_by_name("emotion-recognition").experiment_id])
        states = [run.data.tags["pipeline.state"] for run in runs]
        assert len(set(states)) == len(states)
        versions = client.search_model_versions(f"name = '{MODEL}'")
        digests = [version.tags["pipeline.model_digest"] for version in versions]
        assert len(set(digests)) == len(digests)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return DATASETS["tweets"]()[["text", "label"]].drop_duplicates("text").sample(frac=1, random_state=0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    (folder / "incoming").mkdir()
    seed = copy_project(folder / "seed")
    small = {key: value for key, value in SMALL.items() if key != "max_rows"}
    seed.set(**small, dataset="file", path="data/tweets.csv", incoming=str(folder / "incoming"))
    rows[:2_500].to_csv(seed.folder / "data/tweets.csv", index=False, quoting=1)
    (seed.folder / "dvc.lock").unlink(missing_ok=True)
    seed.run("git", "init", "-q", "-b", "main")
    seed.run("dvc", "remote", "add", "--local", "-d", "storage", str(folder / "storage"))
    seed.run("dvc", "add", "-q", "data/tweets.csv")
    seed.run("dvc", "push", "-q")
    seed.run("git", "add", "-A")
    seed.run("git", *IDENTITY, "commit", "-q", "-m", "Our data")
    seed.run("git", "clone", "-q", "--bare", ".", str(folder / "hub.git"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(folder / "server", port).start()
    yield World(folder, server)
    server.kill()


def test_night_1_trains_and_promotes(world: World) -> None:
    done = world.night()
    assert done.returncode == PROMOTED, done.stdout + done.stderr
    assert "there is no champion yet" in world.in_git("data/retrain.md")
    assert world.aliases() == {"champion": "1", "anchor": "1"}
    assert world.commits()[0].startswith("Retrain: tweets-lstm: retrained and promoted")
    stored = [file.stat().st_ctime for file in (world.folder / "storage").rglob("*") if file.is_file()]
    assert max(stored) < world.registered("1")  # never a model whose data are missing
    world.assert_consistent()


def test_night_2_has_nothing_to_do(world: World) -> None:
    before, tags = world.commits(), world.tags()
    dry_run = world.night("--dry-run")
    assert "would train: no" in dry_run.stdout, dry_run.stderr
    assert world.tags() == tags  # a dry run is not recorded as a retraining
    began = time.monotonic()
    done = world.night()
    assert done.returncode == NOTHING, done.stdout + done.stderr
    assert time.monotonic() - began < 30
    assert world.tags() != tags
    assert world.commits() == before
    overdue = world.runner().run(*RETRAIN, "--overdue", "1", **world.environment)
    assert "nothing to do" in overdue.stdout
    late = world.runner().run(*RETRAIN, "--overdue", "0.000001", check=False, **world.environment)
    assert late.returncode == FAILED
    assert "the last retraining of tweets-lstm ended" in late.stderr


def test_night_3_brings_drift(world: World, rows: pd.DataFrame) -> None:
    films = DATASETS["rotten_tomatoes"]()[["text", "label"]].sample(n=1_500, random_state=0)
    world.receive("night3.csv", pd.concat([rows[2_500:4_000], films]))
    before = world.commits()
    dry_run = world.night("--dry-run")
    assert dry_run.returncode == NOTHING, dry_run.stderr
    assert "would train: 3,000 new rows" in dry_run.stdout
    assert world.commits() == before
    assert world.aliases() == {"champion": "1", "anchor": "1"}
    done = world.night()
    assert done.returncode == PROMOTED, done.stdout + done.stderr
    report = world.in_git("data/retrain.md")
    assert re.search(r"drift of .*unknown.words", report)
    assert "| night3.csv | added | 3,000 | 3,000 |" in report
    aliases = world.aliases()
    assert aliases.pop("anchor") in {"1", "2"}  # as far as the new model is clearly better
    assert aliases == {"champion": "2", "previous": "1"}
    world.assert_consistent()
    assert world.night().returncode == NOTHING


def test_night_4_brings_swapped_labels(world: World, rows: pd.DataFrame) -> None:
    world.receive("night4.csv", rows[4_000:5_000].assign(label=lambda table: table["label"].map(SWAPPED)))
    done = world.night("--alarm")
    assert done.returncode == FAILED
    assert "1 file(s) are in quarantine" in done.stderr
    assert world.aliases()["champion"] == "2"
    assert "min_agreement" in world.in_git("data/quarantine.csv")
    clone = world.runner_with_data()
    kept = list((clone.folder / "data/quarantine").glob("*/night4.csv"))
    assert [sha256(file) for file in kept] == [sha256(world.folder / "incoming/night4.csv")]
    assert world.night("--alarm").returncode == NOTHING  # reported once
    world.assert_consistent()


def test_night_5_is_killed_and_the_next_continues(world: World, rows: pd.DataFrame) -> None:
    world.receive("night5.csv", rows[5_000:6_000])
    runner = world.runner()
    runner.set(epochs="6", patience="6")
    runner.run("git", *IDENTITY, "commit", "-qam", "More epochs")
    runner.run("git", "push", "-q")
    world.killed(runner, epoch=3)
    assert world.aliases()["champion"] == "2"
    other = world.night()  # another machine could not know that the process is dead, and would leave
    noticed = other.returncode != BUSY  # all runners of this test are one machine, where it is noticed
    if noticed:
        assert other.returncode in {PROMOTED, REJECTED}, other.stdout + other.stderr
    done = world.night(runner=runner)
    if noticed:
        assert done.returncode == NOTHING, done.stdout + done.stderr
    world.assert_consistent()


def test_killed_night_continues_from_its_checkpoint(world: World, rows: pd.DataFrame) -> None:
    world.receive("night6.csv", rows[6_000:7_000])
    runner = world.runner()
    world.killed(runner, epoch=3)
    done = world.night(runner=runner)
    assert done.returncode in {PROMOTED, REJECTED}, done.stdout + done.stderr
    assert "epoch 6:" in done.stdout
    assert "epoch 2:" not in done.stdout  # an epoch is printed before it is saved: "resumed after epoch 2" may be there
    assert "| night6.csv | added | 1,000 | 1,000 |" in world.in_git("data/retrain.md")
    world.assert_consistent()


def test_of_two_nights_at_once_one_leaves(world: World, rows: pd.DataFrame) -> None:
    world.receive("night7.csv", rows[7_000:8_000])
    before = len(world.commits())
    environment = clean_environment() | world.environment
    both = [
        subprocess.Popen(RETRAIN, cwd=world.runner().folder, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=600)[0] for process in both]
    codes = {process.returncode for process in both}
    assert BUSY in codes, outputs
    assert {PROMOTED, REJECTED} & codes, outputs
    assert len(world.commits()) == before + 1
    world.assert_consistent()


def test_server_that_dies_in_training_loses_nothing(world: World, rows: pd.DataFrame) -> None:
    world.receive("night8.csv", rows[8_000:9_000])
    before = world.commits()
    runner = world.runner()
    path = runner.folder.parent / "night8.log"
    with path.open("w") as log:
        process = world.started(runner, log)
        until(lambda: "epoch 2" in path.read_text(), 600)
        world.server.kill()
        assert process.wait(300) == FAILED, path.read_text()
    assert world.commits() == before
    assert world.night().returncode == FAILED  # the server is still down
    world.server.start()
    done = world.night()  # another machine: the training's results come from the DVC remote
    assert done.returncode in {PROMOTED, REJECTED}, done.stdout + done.stderr
    assert "epoch 1" not in done.stdout
    world.assert_consistent()


def test_everything_comes_back_from_git_and_the_dvc_remote(world: World) -> None:
    """As described in docs/on-call.md."""
    clone = world.runner()
    promoted = "--grep=retrained and promoted"
    commit = clone.run("git", "log", "-1", "--format=%H", promoted).stdout.strip()
    clone.run("git", "checkout", "-q", commit)
    clone.run("dvc", "remote", "add", "--local", "-d", "storage", str(world.folder / "storage"))
    clone.run("dvc", "pull", "-q")
    clone.run("python", "-m", "pipeline", "publish")
    (clone.folder / "in.csv").write_text("text\nI love it\nI hate it\n")
    clone.run("python", "-m", "pipeline", "predict", "in.csv", "new.csv")
    clone.run("python", "-m", "pipeline", "predict", "in.csv", "old.csv", **world.environment)
    assert pd.read_csv(clone.folder / "new.csv").equals(pd.read_csv(clone.folder / "old.csv"))
