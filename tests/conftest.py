"""Shared by the tests: a copy of the project, and a run of it on a small sample of real tweets."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from filelock import FileLock

from pipeline import tracking
from pipeline.backend import make_repeatable, prepare_keras

# This process compiles much and computes little. The pipeline's own processes compile as users' do.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
ROOT = Path(__file__).resolve().parent.parent

# A real sample and a tiny network: seconds instead of minutes.
SMALL = {
    "max_rows": "1500",
    "min_rows": "100",
    "vocabulary_size": "1000",
    "length": "16",  # one padded length, for each costs a compilation in every process
    "embedding_dim": "8",
    "units": "8",
    "batch_size": "64",
    "epochs": "2",
    "pretraining_epochs": "0",
    "bidirectional": "false",
    "adversarial": "0.0",
    "learning_rate": "0.01",
    "bootstrap": "120",
    "baseline_rows": "1000",
}


def set_params(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text, found = re.subn(rf"(?m)^(  {key}: )(?:\[.*?\]|\S+)", rf"\g<1>{value}", text)
        assert found == 1, key
    return text


@dataclass(frozen=True)
class Project:
    """A copy of the project in a folder of its own, with a store of its own."""

    folder: Path

    def run(self, *command: str, check: bool = True, **environment: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command, cwd=self.folder, env=clean_environment() | environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def set(self, **values: str) -> None:
        path = self.folder / "params.yaml"
        path.write_text(set_params(path.read_text(encoding="utf-8"), values), encoding="utf-8")


def clean_environment() -> dict[str, str]:
    """This process's environment with the tests' Python first on the path, and none of a caller's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "PIPELINE_", "GIT_", "XLA_"))}
    return kept | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def copy_project(folder: Path, files: Sequence[str] | None = None) -> Project:
    """Copy `files` of the project, or all that git tracks or would track."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in files or listed:
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    return Project(folder)


# One process makes the first run, while the other does what does not need it; the shortest come last.
FIRST = ["pipeline", "train", "crash_safety", "pretraining", "model", "dvc_yaml", "after_first_run", "ablate"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest first: two processes then end at about the same time."""
    order = {f"test_{name}": number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session")
def keras() -> ModuleType:
    """Keras as the pipeline sets it up."""
    prepare_keras()
    make_repeatable(threads=2, seed=0)
    import keras

    return keras


@pytest.fixture(autouse=True)
def no_store_left_behind() -> Iterator[None]:
    """Who opens a store tells the whole process of it, and its environment: the next test shall not know."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: os.environ.get(name) for name in names}
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with nothing in it, which takes it a second or two to make."""
    path = tmp_path_factory.mktemp("database") / tracking.DATABASE
    tracking._create_database(path)
    return path


@pytest.fixture
def quick_stores(empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New stores of this process are copies of that."""

    def create(path: Path) -> None:
        if not path.exists():
            shutil.copy(empty_database, path)

    monkeypatch.setattr(tracking, "_create_database", create)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A git checkout of the project, set to a small real sample, after `dvc repro` and a commit; tests change it."""
    return Project(first_run(tmp_path_factory) / "live")


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of `small` as it was at first; tests only read it."""
    return Project(first_run(tmp_path_factory) / "copy")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a window; its logs hold what it loads and what it complains about."""
    if not shutil.which("chromium"):
        pytest.skip("no chromium is installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=900,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the two above, once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "first_run"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            make_first_run(shared / "live")
            shutil.copytree(shared / "live", shared / "copy", symlinks=True)
    return shared


def make_first_run(folder: Path) -> None:
    folder.mkdir(parents=True)
    project = copy_project(folder)
    project.set(**SMALL)
    (project.folder / "dvc.lock").unlink(missing_ok=True)
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    project.run("git", "init", "-q", "-b", "main")
    for step in ("before", "after"):
        project.run("git", "add", "-A")
        project.run("git", *identity, "commit", "-q", "-m", f"{step} the first run")
        if step == "before":
            project.run("dvc", "repro")
