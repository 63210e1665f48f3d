"""Cached columns are returned exactly, for the same dependencies and the same packages only."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT

from pipeline.registry import answers, packaging

TEXTS = ["so so", "😀", "\ud800 half a pair"]

COLUMNS = {"a/b": np.array([0.1 + 0.2, 1e-300, 1.0]), "..": np.array([0.7, 1.0, 0.0])}


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / packaging.RUNTIME_LOCK, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def equal(one: answers.StoredColumns | None, other: answers.StoredColumns) -> bool:
    return one is not None and {k: v.tolist() for k, v in one.items()} == {k: v.tolist() for k, v in other.items()}


def test_columns_are_found_for_the_same_question(checkout: Path) -> None:
    answers.keep(checkout, ["model", TEXTS], COLUMNS)
    assert equal(answers.find(checkout, ["model", TEXTS]), COLUMNS)
    for other in (["other", TEXTS], *(["model", t] for t in (TEXTS[:2], [*TEXTS, ""], TEXTS[::-1], ["so", *TEXTS]))):
        assert answers.find(checkout, other) is None
    answers.keep(checkout, ["slices"], {"emoji": np.array([True, False])})
    masks = answers.find(checkout, ["slices"])
    assert masks is not None
    assert masks["emoji"].dtype == bool
    with packaging.RUNTIME_LOCK.open("a") as lock:
        lock.write("\n")
    assert answers.find(checkout, ["model", TEXTS]) is None


def test_damaged_file_is_ignored(checkout: Path) -> None:
    answers.keep(checkout, 1, COLUMNS)
    (path,) = (checkout / ".state/kept").iterdir()
    whole = path.read_bytes()
    for end in range(0, len(whole), 9):
        path.write_bytes(whole[:end])
        assert answers.find(checkout, 1) is None
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        columns = answers.find(checkout, 1)
        assert columns is None or equal(columns, COLUMNS), position


def test_oldest_files_are_deleted(checkout: Path) -> None:
    for number in range(answers.MAX_FILES + 3):
        answers.keep(checkout, number, COLUMNS)
    assert len(list((checkout / ".state/kept").iterdir())) == answers.MAX_FILES
    assert answers.find(checkout, answers.MAX_FILES + 2) is not None
