"""Samples that drift is measured on: what they hold, and how rows are prepared."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from pipeline.base import paths
from pipeline.base.files import write_table
from pipeline.data import datasets, tables
from pipeline.evaluation import drift
from pipeline.inference.calibration import Calibration, combine
from pipeline.inference.predictor import Predictor
from pipeline.text.processor import Tokenizer


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with the clean tables of a state."""
    monkeypatch.chdir(tmp_path)
    for split, path in paths.CLEAN_TABLES.items():
        rows = pd.DataFrame({"id": ["1", "2"], "text": [f"{split} one", f"{split} two"], "label": ["sad", "glad"]})
        write_table(path, rows)


def test_contents_of_a_sample() -> None:
    tokenizer = Tokenizer(("good", "bad", "!"), length=2)
    table = pd.DataFrame({"text": ["good good strange !", "bad", ""], "label": ["glad", None, "sad"]})
    sample = drift.draw_sample(table, None, tokenizer)
    assert sample.labels.tolist() == ["glad", "", "sad"]
    assert sample.labelled.tolist() == [True, False, True]
    assert sample.lengths.tolist() == [4, 1, 0]  # not truncated to the tokenizer's length
    assert sample.unknown.tolist() == [0.25, 0, 1]
    assert sample.terms.toarray().tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert sample.probabilities.shape == (3, 0)


def test_probabilities_are_those_of_the_combined_model() -> None:
    parts = [np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]])]
    calibration = Calibration((0.5, 0.5), 2.0, (0.1, -0.1))
    model = SimpleNamespace(classes=("a", "b"), calibration=calibration, log_probabilities=lambda texts: parts)
    sample = drift.draw_sample(pd.DataFrame({"text": ["good"]}), cast(Predictor, model), Tokenizer(("good",), length=2))
    np.testing.assert_allclose(sample.probabilities, combine(parts, calibration))


def test_large_sample_is_drawn_by_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MAX_SAMPLE_ROWS", 50)
    table = tables.complete(datasets.tweets().head(200), source="tweets")
    tokenizer = Tokenizer(("a",), length=2)
    shuffled = table.sample(frac=1, random_state=0)
    first, second = (drift.draw_sample(rows, None, tokenizer) for rows in (table, shuffled))
    assert len(first) == 50
    assert sorted(first.lengths) == sorted(second.lengths)


@pytest.mark.usefixtures("state")
def test_reference_is_validation_and_test() -> None:
    sample = drift.reference(None, Tokenizer(("validation", "test", "train"), length=4))
    assert sample.terms.sum(axis=0).tolist() == [[2, 2, 0]]


@pytest.mark.usefixtures("state")
def test_incoming_rows_are_cleaned_and_selected() -> None:
    texts = ["New  ONE", "new one", "<br>", "both", "both", "Train  TWO", "test two", None, "unlabelled"]
    labels = ["sad", "sad", "sad", "sad", "glad", "sad", "glad", "glad", None]
    table, dropped = drift.prepare(pd.DataFrame({"text": texts, "label": labels}))
    assert table[["text", "label"]].to_numpy().tolist() == [["new one", "sad"], ["unlabelled", ""]]
    assert dropped == {"empty": 2, "conflicting": 2, "duplicate": 1, "known": 2}
