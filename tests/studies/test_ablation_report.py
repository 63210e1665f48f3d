"""The table of an ablation."""

import re

import numpy as np
import pytest

from pipeline.studies.ablation_report import ablation_markdown, ablation_table
from pipeline.studies.crossfit import CrossfitResult

LABELS = np.tile([0, 1], 100)
ROWS = np.arange(200)


def result(wrong: range) -> CrossfitResult:
    """Predict all rows right but these."""
    predicted = LABELS.copy()
    predicted[wrong] = 1 - predicted[wrong]
    return CrossfitResult(np.where(predicted[:, None] == [0, 1], 0.8, 0.2), None, 10.0, [])


RESULTS = {
    "preset": [result(range(40)), result(range(20))],
    "same": [result(range(20)), result(range(40))],
    "better": [result(range(20)), result(range(0))],
}


def test_means_spreads_and_paired_differences() -> None:
    table = ablation_table(RESULTS, LABELS, ROWS, resamples=200, seed=0).set_index("variant")
    assert table.loc["preset", "combined/accuracy"] == pytest.approx(0.85)
    assert table.loc["preset", "combined/accuracy_sd"] == pytest.approx(np.std([0.8, 0.9], ddof=1), abs=1e-6)
    assert table.loc["preset", ["difference", "low", "high"]].isna().all()
    # The same rows are wrong: only pseudo rows differ. Two independent samples would give an interval of 7 points.
    same = table.loc["same", ["difference", "low", "high"]]
    assert same["difference"] == 0
    assert -0.015 < same["low"] < 0 < same["high"] < 0.015
    assert table.loc["better", "difference"] == pytest.approx(0.1)
    low, high = table.loc["better", ["low", "high"]]
    # 40 of 200 rows improved by half: the standard deviation of their share, times 1.96.
    assert (high - low) / 2 == pytest.approx(1.96 * 0.5 * np.sqrt(0.2 * 0.8 / 200), rel=0.25)


def test_intervals_draw_groups() -> None:
    by_row, by_group = (
        ablation_table(RESULTS, LABELS, of_rows, resamples=200, seed=0).set_index("variant").loc["better"]
        for of_rows in (ROWS, ROWS // 20)
    )
    assert by_group["high"] - by_group["low"] > 2.5 * (by_row["high"] - by_row["low"])


def test_markdown_has_a_row_for_each_variant() -> None:
    table = ablation_table(RESULTS, LABELS, ROWS, resamples=200, seed=0)
    rows = [line for line in ablation_markdown(table, "tweets").splitlines() if line.startswith("|")]
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| preset", "| same", "| better"]
    assert len({row.count("|") for row in rows}) == 1
    assert re.search(r" \| 10\.0 ± 0\.0 \| \+0\.1\d{3} \[\+0\.\d{4}, \+0\.\d{4}\] \|$", rows[-1])
