"""A new store in a temporary folder."""

import shutil
from pathlib import Path

import pytest
from helpers.project import ROOT

from pipeline.base import params, paths
from pipeline.base.files import write_json
from pipeline.registry import tracking
from pipeline.registry.store import Store


@pytest.fixture
def store(quick_stores: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    shutil.copy(ROOT / params.PARAMS_FILE, tmp_path)
    monkeypatch.chdir(tmp_path)
    write_json(paths.REBALANCE_SUMMARY, {"strategy": "class_weight"})  # part of the run's name
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tracking.connect()
