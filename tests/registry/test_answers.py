"""Kept: columns come back to the bit, for what they were made of and the same packages alone."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.registry import answers, packaging

ROOT = Path(__file__).parents[2]

TEXTS = ["so so", "😀", "\ud800 half a pair"]

COLUMNS = {"a/b": np.array([0.1 + 0.2, 1e-300, 1.0]), "..": np.array([0.7, 1.0, 0.0])}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / packaging.RUNTIME_LOCK, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same(found: answers.Columns | None, columns: answers.Columns) -> bool:
    return found is not None and {k: v.tolist() for k, v in found.items()} == {
        k: v.tolist() for k, v in columns.items()
    }


def test_what_was_kept_comes_back_for_the_same_question_alone(place: Path) -> None:
    answers.keep(place, ["model", TEXTS], COLUMNS)
    assert same(answers.find(place, ["model", TEXTS]), COLUMNS)
    for other in (["other", TEXTS], *(["model", t] for t in (TEXTS[:2], [*TEXTS, ""], TEXTS[::-1], ["so", *TEXTS]))):
        assert answers.find(place, other) is None
    members = {"emoji": np.array([True, False])}
    answers.keep(place, ["slices"], members)
    found = answers.find(place, ["slices"])
    assert found is not None
    assert found["emoji"].dtype == bool
    with packaging.RUNTIME_LOCK.open("a") as lock:
        lock.write("\n")
    assert answers.find(place, ["model", TEXTS]) is None


def test_what_is_torn_is_not_known(place: Path) -> None:
    answers.keep(place, 1, COLUMNS)
    (path,) = (place / ".state/kept").iterdir()
    whole = path.read_bytes()
    for end in range(0, len(whole), 9):
        path.write_bytes(whole[:end])
        assert answers.find(place, 1) is None
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        found = answers.find(place, 1)
        assert found is None or same(found, COLUMNS), at


def test_the_oldest_go(place: Path) -> None:
    for number in range(answers.MOST + 3):
        answers.keep(place, number, COLUMNS)
    assert len(list((place / ".state/kept").iterdir())) == answers.MOST
    assert answers.find(place, answers.MOST + 2) is not None
