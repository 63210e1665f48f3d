"""Revision: what a run comes from is said where it is known, and never of another state."""

from pathlib import Path

import pytest
from helpers.project import ROOT

from pipeline.base import params, paths, versioning
from pipeline.base.files import write_json
from pipeline.registry import runs


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lock(digest: str) -> None:
    versioning.DVC_LOCK.write_text(f"stages: {{train: {{outs: [{{path: data/train, md5: {digest}}}]}}}}\n")


def test_dvcs_digest_is_told_where_its_lock_is_of_this_training() -> None:
    assert versioning.dvc_tags() == {}
    paths.TRAIN_HISTORY.parent.mkdir(parents=True)
    paths.TRAIN_HISTORY.write_bytes(b"epoch\n1\n")
    digest = versioning.folder_md5(Path("data/train"))
    lock(digest)
    assert versioning.dvc_tags() == {"dvc.model": digest}
    lock("0" * 32 + ".dir")  # the lock of what was trained before
    assert versioning.dvc_tags() == {}


def test_a_run_is_called_after_experiment_strategy_preset_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    params.PARAMS_FILE.write_bytes((ROOT / params.PARAMS_FILE).read_bytes())
    write_json(paths.REBALANCE_SUMMARY, {"strategy": "focal"})
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    assert runs.run_name() == "focal · fast · tweets"
    monkeypatch.setenv("DVC_EXP_NAME", "trial")
    assert runs.run_name() == "trial · focal · fast · tweets"
