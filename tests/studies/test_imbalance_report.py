"""The tables of a study of imbalance."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.study import LABELS, strategy_result

from pipeline.base.errors import PipelineError
from pipeline.studies.imbalance_report import imbalance_markdown, strategy_table
from pipeline.studies.imbalance_results import COMPARED, StrategyResults


def test_table() -> None:
    results = {
        (None, "none"): [strategy_result(0.4), strategy_result(0.6)],
        (None, "class_weight"): [strategy_result(0.8), strategy_result(0.8)],
        (10.0, "none"): [strategy_result(0.0), strategy_result(0.0)],
        (10.0, "focal"): [strategy_result(0.1), strategy_result(0.1)],
    }
    table = strategy_table(results, resamples=200, seed=0).set_index(["skew", "strategy"])
    plain = table.loc[(np.nan, "none")]
    assert (plain["minority_recall"], plain["seeds"]) == (0.5, 2)
    assert plain["minority_recall_sd"] == pytest.approx(np.sqrt(0.02), abs=1e-6)
    weighted = table.loc[(np.nan, "class_weight")]
    assert weighted["minority_recall_difference"] == pytest.approx(0.3)
    assert weighted["accuracy_difference"] == pytest.approx(0.03)
    assert 0 < weighted["minority_recall_low"] < 0.3 < weighted["minority_recall_high"] < 0.7
    assert weighted["loss_high"] < 0
    # The skew costs 100 rows: calibration recovers 50, with focal 60, of which 10 before calibration.
    recovered = table[["recovered_before", "recovered"]]
    assert recovered.loc[(10.0, "none")].to_list() == pytest.approx([0, 0.5])
    assert recovered.loc[(10.0, "focal")].to_list() == pytest.approx([0.1, 0.6])
    text = imbalance_markdown(table.reset_index(), results, "mail")
    assert "## Skewed 1 : 10: training rows angry 6,000, glad 3,000, sad 1,000" in text
    assert "| focal | **+1.0 [" in text
    assert "| focal | 0.860 (10%) | 0.910 (60%) |" in text


def test_intervals_widen_with_more_strategies() -> None:
    some = {(None, "none"): [strategy_result(0.4)], (None, "focal"): [strategy_result(0.6)]}
    more = some | {(None, name): [strategy_result(0.6)] for name in ("class_weight", "random_over", "random_under")}
    few, many = (
        strategy_table(results, resamples=1_000, seed=0).set_index("strategy").loc["focal"] for results in (some, more)
    )
    assert many["minority_recall_low"] < few["minority_recall_low"]
    assert many["minority_recall_high"] > few["minority_recall_high"]


def test_intervals_draw_groups() -> None:
    results = {(None, "none"): [strategy_result(0.4)], (None, "focal"): [strategy_result(0.6)]}
    grouped = {key: [replace(own[0], clusters=np.arange(1_000) // 20)] for key, own in results.items()}
    widths = []
    for given in (results, grouped):
        row = strategy_table(given, resamples=200, seed=0).set_index("strategy").loc["focal"]
        widths.append(row["loss_high"] - row["loss_low"])
    assert widths[1] > 2.5 * widths[0]


def test_results_of_other_test_rows_are_refused() -> None:
    other = strategy_result(0.5)
    results = {(None, "none"): [other], (None, "focal"): [replace(other, labels=1 - np.minimum(LABELS, 1))]}
    with pytest.raises(PipelineError, match="on other test rows"):
        strategy_table(results, resamples=10, seed=0)


def test_smallest_class_is_that_of_the_training_rows() -> None:
    assert (strategy_result(0.5).minority, replace(strategy_result(0.5), rows=(1_000, 3_000, 6_000)).minority) == (2, 0)


def test_intervals_depend_on_seed_but_not_on_other_skews() -> None:
    some = {(None, "none"): [strategy_result(0.4)], (None, "focal"): [strategy_result(0.6)]}
    more = some | {(10.0, name): [strategy_result(0.5)] for name in ("none", "focal", "class_weight", "random_over")}
    bounds = [f"{name}_{end}" for name in COMPARED for end in ("low", "high")]

    def limits(results: StrategyResults, seed: int) -> list[float]:
        table = strategy_table(results, resamples=200, seed=seed)
        return table[table["skew"].isna()].set_index("strategy").loc["focal", bounds].to_list()

    assert limits(some, 1) == limits(more, 1) != limits(some, 2)


def test_significant_loss_is_bold() -> None:
    results = {(None, "none"): [strategy_result(0.6)], (None, "focal"): [strategy_result(0.2)]}
    text = imbalance_markdown(strategy_table(results, resamples=200, seed=0), results, "mail")
    assert re.search(r"\| focal \| \*\*-4\.0 \[-[\d.]+, -[\d.]+\]\*\* \|", text)
