"""Revision: what a run comes from is said where it is known, and never of another state."""

import hashlib
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline import params, paths, revision
from pipeline.files import write_json


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lock(history: str) -> None:
    outs = f"[{{path: {paths.TRAIN_MODEL}, md5: abc.dir}}, {{path: {paths.TRAIN_HISTORY}, md5: {history}}}]"
    revision.DVC_LOCK.write_text(f"stages: {{train: {{outs: {outs}}}}}\n")


def test_dvcs_digest_is_told_where_its_lock_is_of_this_training() -> None:
    assert revision.dvc_tags() == {}
    paths.TRAIN_HISTORY.parent.mkdir(parents=True)
    paths.TRAIN_HISTORY.write_bytes(b"epoch\n1\n")
    lock(hashlib.md5(b"epoch\n1\n", usedforsecurity=False).hexdigest())
    assert revision.dvc_tags() == {"dvc.model": "abc.dir"}
    lock("0" * 32)  # the lock of what was trained before
    assert revision.dvc_tags() == {}


def test_a_run_is_called_after_experiment_strategy_preset_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    params.PARAMS_FILE.write_bytes((ROOT / params.PARAMS_FILE).read_bytes())
    write_json(paths.REBALANCE_SUMMARY, {"strategy": "focal"})
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    assert revision.run_name() == "focal · fast · tweets"
    monkeypatch.setenv("DVC_EXP_NAME", "trial")
    assert revision.run_name() == "trial · focal · fast · tweets"
