"""The state's identity depends on all that training depends on, and on nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.state import state_id

STAGE = """
stages:
  train:
    deps: [data/train.npz, pipeline/train.py, requirements.lock]
    params: [train, ingest.skew]
  evaluate:
    deps: [data/other.npz]
    params: [evaluate]
"""

PARAMS = "train: {units: 4}\ningest: {skew: 2, path: a.csv}\nevaluate: {seed: 0}\n"


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return the identity after one file is changed."""
    monkeypatch.chdir(tmp_path)
    files = {"dvc.yaml": STAGE, "params.yaml": PARAMS}
    files |= dict.fromkeys(("data/train.npz", "data/other.npz", "pipeline/train.py", "requirements.lock"), "x")

    def changed(name: str = "", old: str = "x", new: str = "y") -> str:
        for path, text in files.items():
            Path(path).parent.mkdir(exist_ok=True)
            Path(path).write_text(text.replace(old, new) if path == name else text)
        return state_id()

    return changed


def test_data_code_lock_and_parameters_change_the_state(change: Callable[..., str]) -> None:
    before = change()
    assert len(before) == 64
    others = {change(name) for name in ("data/train.npz", "pipeline/train.py", "requirements.lock")}
    others |= {change("params.yaml", "units: 4", "units: 5"), change("params.yaml", "skew: 2", "skew: 3")}
    assert len(others - {before}) == 5
    assert change() == before


def test_other_inputs_do_not_change_the_state(change: Callable[..., str]) -> None:
    same = {
        change("data/other.npz"),
        change("params.yaml", "a.csv", "b.csv"),
        change("params.yaml", "seed: 0", "seed: 1"),
    }
    assert same == {change()}
