"""Variants of an ablation."""

from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.inference.part import Inputs
from pipeline.studies.ablation_variants import variant_settings
from pipeline.text.processor import Tokenizer
from pipeline.training import fit
from pipeline.training.rebalancing import rebalance
from pipeline.training.settings import PRESETS, Train


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Train:
    """The parameters of `params.yaml`."""
    monkeypatch.chdir(ROOT)
    return params.load(Train)


def data_of(tokens: int) -> fit.Data:
    """Data whose training texts have so many tokens."""
    ids = np.ones((1_000, tokens // 1_000), dtype=np.int32)
    plan = rebalance(np.arange(1_000) % 2, "ab", strategy="none")
    return fit.Data(["a", "b"], {"text": Tokenizer((), 1)}, {"train": Inputs({}, {"text": ids}, {})}, {}, plan, 0.5, [])


def test_variants_change_the_parameters_in_force(base: Train) -> None:
    variants = variant_settings(base, data_of(500_000))
    assert list(variants)[:2] == ["textbook", "preset"]
    assert variants["preset"] == base
    assert variants["n-grams only"] is None
    assert "pooling max" not in variants  # the preset's own
    textbook: dict[str, Any] = PRESETS["textbook"]
    assert variants["textbook"] == base.model_copy(update=textbook)
    assert variants["half the units"] == base.model_copy(update={"units": base.units // 2})
    settings = [values for values in variants.values() if values]
    assert len({values.model_dump_json() for values in settings}) == len(settings)


def test_variant_out_of_range_is_refused(base: Train) -> None:
    with pytest.raises(PipelineError, match=r"variant 'half the units' from params.yaml \(train.units 2: "):
        variant_settings(base.model_copy(update={"units": 4}), data_of(500_000))


@pytest.mark.parametrize(
    ("tokens", "same"), [(100_000, "ten epochs of pretraining"), (5_000_000, "no pretraining"), (500_000, None)]
)
def test_variant_that_the_data_imply_is_left_out(base: Train, tokens: int, same: str | None) -> None:
    variants = variant_settings(base, data_of(tokens))
    expected = {"no pretraining", "ten epochs of pretraining"} - {same}
    assert {name for name in variants if "pretraining" in name} == expected


@pytest.mark.parametrize(
    ("changes", "excluded"),
    [({"pooling": "last"}, "ten epochs of pretraining"), ({"pretraining_epochs": 5}, "pooling last")],
)
def test_variant_that_the_parameters_exclude_is_left_out(base: Train, changes: dict[str, Any], excluded: str) -> None:
    data = data_of(500_000)
    assert excluded in variant_settings(base, data)
    variants = variant_settings(base.model_copy(update=changes), data)
    assert excluded not in variants
    assert "half the units" in variants
