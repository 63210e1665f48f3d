"""The facts for the model card are those of the stages' files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.base import paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json, write_arrays, write_json, write_table
from pipeline.reports.facts import read_facts


def test_facts_come_from_the_files(state: Path) -> None:
    ids = np.array([[2, 3], [2, 0], [4, 0], [5, 0]], dtype=np.int32)
    write_arrays(paths.TOKENIZE_ARRAYS["test"], {"ids": ids})
    losses = {"epoch": [1, 2, 3], "train_loss": [0.9, 0.5, 0.1], "validation_loss": [0.9, 0.5, 0.7]}
    write_table(paths.TRAIN_HISTORY, pd.DataFrame(losses))
    names = {"id": list("abc"), "actual": ["01", "01", "x"], "predicted": ["x", "x", "x"]}
    write_table(paths.EVALUATE_PREDICTIONS, pd.DataFrame(names))
    write_json(paths.TRAIN_SETTINGS, {"batch_size": 77, "epochs": 9})
    facts = read_facts()
    assert (facts.epochs, facts.best_epoch, facts.tokenizer["full"]) == (3, 2, 0.25)
    assert facts.confusion == {("01", "x"): 2, ("x", "x"): 1}
    assert (facts.training["batch_size"], facts.training["epochs"]) == (77, 9)


def test_metrics_of_another_model_are_refused(state: Path) -> None:
    measured = read_json(paths.EVALUATE_MEASURED)
    write_json(paths.EVALUATE_MEASURED, measured | {"model": {"model.weights.h5": "0" * 64}})
    with pytest.raises(PipelineError, match="belongs to another model"):
        read_facts()
