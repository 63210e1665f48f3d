"""Shared by the tests: a copy of the project, and a run of it on a small sample of real tweets."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from filelock import FileLock
from helpers.project import SMALL, Project, copy_project

from pipeline.registry import tracking
from pipeline.training.backend import make_repeatable, prepare_keras

# This process compiles much and computes little. The pipeline's own processes compile as users' do.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# One process makes the first run, while the other does what does not need it; the shortest come last.
FIRST = [
    "pipeline",
    "train",
    "crash_safety",
    "pretraining",
    "model",
    "dvc_yaml",
    "after_first_run",
    "ablation",
]


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
    tracking.create_database(path)
    return path


@pytest.fixture
def quick_stores(empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New stores of this process are copies of that."""

    def create(path: Path) -> None:
        if not path.exists():
            shutil.copy(empty_database, path)

    monkeypatch.setattr(tracking, "create_database", create)


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
