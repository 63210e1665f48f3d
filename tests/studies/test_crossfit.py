"""Cross-fitting."""

from pathlib import Path

import numpy as np
import pytest
from helpers.project import Project
from helpers.study import enter

from pipeline.base.errors import PipelineError
from pipeline.inference.network import log_softmax
from pipeline.studies import crossfit
from pipeline.text.processor import Tokenizer
from pipeline.training import fit
from pipeline.training.rebalancing import rebalance
from pipeline.training.selection import cross_fitted


def data_of(labels: np.ndarray, groups: list[str] | None = None) -> fit.Data:
    """Data with these labels in both splits, and nothing else; by default, the rows have no groups."""
    plan = rebalance(labels, ["a", "b"], strategy="none")
    by_split = dict.fromkeys(("train", "validation"), labels)
    groups = [""] * len(labels) if groups is None else groups
    return fit.Data(["a", "b"], {"text": Tokenizer((), 1)}, {}, by_split, plan, 0.5, groups)


def test_no_half_is_combined_by_its_own_rows() -> None:
    """One part is right on even rows only, the other on odd ones: weights of one half are wrong for the other."""
    labels = np.tile([0, 0, 1, 1], 50)
    even = np.arange(200) % 2 == 0
    parts = []
    for right in (even, ~even):
        confidence = np.where(right, 0.9, 0.1)[:, None]
        parts.append(np.log(np.where(labels[:, None] == [0, 1], confidence, 1 - confidence)))
    probabilities = cross_fitted(data_of(labels), parts)
    assert (probabilities.argmax(axis=1) != labels).all()
    # Groups of an even and an odd row are in one half: both parts are then as good in each half, and half are right.
    pairs = [str(row // 2) for row in range(200)]
    probabilities = cross_fitted(data_of(labels, pairs), parts)
    assert not (probabilities.argmax(axis=1) != labels).all()


def test_seconds_of_the_ngrams_count() -> None:
    labels = np.tile([0, 0, 1, 1], 10)
    outputs = crossfit.NgramOutputs([log_softmax(np.random.default_rng(0).normal(size=(40, 2)))], 7.0)
    result = crossfit.train_and_measure(data_of(labels), None, outputs)
    assert (result.seconds, result.lstm) == (7.0, None)


def test_data_of_other_parameters_are_refused(
    reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(reference, tmp_path, monkeypatch).set(dataset="rotten_tomatoes")
    with pytest.raises(PipelineError, match=r"section ingest of params\.yaml; run `dvc repro rebalance`"):
        crossfit.load_data()
