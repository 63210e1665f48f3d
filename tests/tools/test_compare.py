"""Comparing the models of two git revisions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.project import Project, set_params

from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import write_json, write_table
from pipeline.data.settings import Ingest
from pipeline.evaluation import metrics
from pipeline.tools import compare

METRICS = {
    "overall": {"num_samples": 4, "accuracy": 0.5, "macro_f1": 0.4, "loss": 0.9},
    "per_class": {
        "bad|worse": {"num_samples": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        "good": {"num_samples": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
    },
}

BEFORE = compare.RevisionOutputs(
    "main",
    METRICS,
    {"overall": {"accuracy": {"low": 0.3, "high": 0.7}}},
    pd.DataFrame({"id": list("abcd"), "actual": ["bad|worse"] * 2 + ["good"] * 2, "predicted": ["good"] * 4}),
    pd.DataFrame({"epoch": [1], "train_loss": [1.0], "validation_loss": [1.1]}),
)


def test_report_shows_signed_changes() -> None:
    overall = METRICS["overall"] | {"accuracy": 0.75, "loss": 0.8}
    better = METRICS["per_class"] | {"good": METRICS["per_class"]["good"] | {"recall": 0.75}}
    after = replace(
        BEFORE,
        title="HEAD",
        metrics={"overall": overall, "per_class": better},
        predictions=BEFORE.predictions.assign(predicted=["bad|worse", "good", "good", "good"]),
        history=pd.DataFrame({"epoch": [1, 2], "train_loss": [0.9, 0.8], "validation_loss": [1.0, 0.95]}),
    )
    text = compare.comparison_report(BEFORE, after, 1_000)
    assert "| --- | ---: | ---: | ---: | ---: |" in text
    assert "| accuracy | 0.5000 | 0.7500 | +0.2500 | [0.3000, 0.7000] |" in text
    assert "| loss, nats (lower is better) | 0.9000 | 0.8000 | -0.1000 |  |" in text
    assert "| good | 2 | 0.500 (+0.000) | 0.750 (+0.250) | 0.500 (+0.000) |" in text
    assert "| bad\\|worse | 1 (+1) | 1 (-1) |" in text
    assert "| 1 | 0.9000 | 1.0000 | 1.1000 |\n| 2 | 0.8000 | 0.9500 |  |" in text
    assert "not the same as before" not in text
    other = replace(after, predictions=after.predictions.iloc[::-1].reset_index(drop=True))
    assert "4 test rows, not the same as before (4)" in compare.comparison_report(BEFORE, other, 1_000)


def this_layout(path: Path) -> Path:
    return path


def flat_layout(path: Path) -> Path:
    """All outputs of a stage in its folder, as before the folders `rows`, `curves` and `reports`."""
    return Path(*path.parts[:2], path.name)


@pytest.mark.parametrize("layout", [this_layout, flat_layout])
def test_outputs_are_read_in_both_layouts(tmp_path: Path, layout: Callable[[Path], Path]) -> None:
    write_json(tmp_path / layout(paths.EVALUATE_METRICS), BEFORE.metrics)
    write_json(tmp_path / layout(paths.EVALUATE_INTERVALS), BEFORE.intervals)
    predictions = BEFORE.predictions.assign(actual=["1", "1", "2", "2"], predicted="2")
    write_table(tmp_path / layout(paths.EVALUATE_PREDICTIONS), predictions)
    write_table(tmp_path / layout(paths.TRAIN_HISTORY), BEFORE.history)
    write_table(tmp_path / layout(paths.CLEAN_TABLES["test"]), predictions[["id"]].assign(group=["x", "x", "y", ""]))
    outputs = compare.read_outputs(tmp_path, "main")
    assert (outputs.title, outputs.metrics, outputs.intervals) == ("main", BEFORE.metrics, BEFORE.intervals)
    pd.testing.assert_frame_equal(outputs.predictions, predictions, check_dtype=False)  # labels stay strings
    pd.testing.assert_frame_equal(outputs.history, BEFORE.history)
    assert outputs.groups == ["x", "x", "y", ""]


def test_missing_and_ambiguous_outputs_are_errors(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no file named intervals\.json in data/evaluate of a revision"):
        compare.find_output(tmp_path, paths.EVALUATE_INTERVALS)
    for folder in ("a", "b"):
        write_json(tmp_path / "data/evaluate" / folder / "intervals.json", {})
    with pytest.raises(PipelineError, match=r"2 files named intervals\.json"):
        compare.find_output(tmp_path, paths.EVALUATE_INTERVALS)
    write_json(tmp_path / paths.EVALUATE_INTERVALS, {})
    assert compare.find_output(tmp_path, paths.EVALUATE_INTERVALS) == tmp_path / paths.EVALUATE_INTERVALS


@pytest.mark.slow
def test_compare_leaves_the_checkout_unchanged(small: Project) -> None:

    def evaluated() -> dict[Path, bytes]:
        files = [path for path in (small.folder / "data/evaluate").rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in files}

    before = evaluated()
    done = small.run("python", "-m", "pipeline", "compare", "HEAD~1", "--max-rows", "900")
    assert "## Confusion matrix" in done.stdout
    assert "+0.0000" in done.stdout  # both commits train the same
    assert (small.folder / "reports/compare/comparison.html").is_file()
    assert evaluated() == before
    assert small.run("git", "worktree", "list").stdout.count("\n") == 1
    wrong = small.run("python", "-m", "pipeline", "compare", "no-such-branch", check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("compare: `git worktree` failed")


@pytest.mark.parametrize(("before", "after"), [("null", 900), ("5000", 900), ("300", 300)])
def test_limit_rows_keeps_a_lower_value_and_comments(tmp_path: Path, before: str, after: int) -> None:
    path = tmp_path / "params.yaml"
    text = params.PARAMS_FILE.read_text(encoding="utf-8")
    path.write_text(set_params(text, {"max_rows": before}), encoding="utf-8")
    compare.limit_rows(path, 900)
    assert params.load(Ingest, path).max_rows == after
    assert path.read_text(encoding="utf-8").count(" # ") == text.count(" # ")


def random_outputs(skill: float, rows: int, *, groups: int) -> compare.RevisionOutputs:
    """Outputs for rows in groups, in each of which all rows are alike."""
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(groups), rows // groups)
    labels = random.integers(2, size=groups)[group]
    logits = random.normal(size=groups)[group] + skill * (2 * labels - 1)
    good = 1 / (1 + np.exp(-logits))
    names = np.array(["bad", "good"])
    predictions = pd.DataFrame(
        {"id": np.arange(rows).astype(str), "actual": names[labels], "predicted": names[(good > 0.5).astype(int)]}
    ).assign(p_bad=1 - good, p_good=good)
    overall = metrics.overall(labels, predictions[["p_bad", "p_good"]].to_numpy())
    return replace(BEFORE, metrics={"overall": overall, "per_class": {}}, predictions=predictions)


def test_intervals_of_changes_are_paired_and_draw_groups() -> None:
    before, after = (random_outputs(skill, 400, groups=40) for skill in (0.5, 1.0))
    by_rows = compare.change_intervals(before, after)
    by_groups = compare.change_intervals(before, replace(after, groups=[str(row // 10) for row in range(400)]))
    change = after.metrics["overall"]["loss"] - before.metrics["overall"]["loss"]
    widths = [bounds["loss"]["high"] - bounds["loss"]["low"] for bounds in (by_rows, by_groups)]
    for bounds in (by_rows, by_groups):
        assert bounds["loss"]["low"] < change < bounds["loss"]["high"]
    assert 2.5 < widths[1] / widths[0] < 4  # the root of ten rows to a group
    assert widths[0] < 0.15  # unpaired, it is twice as wide
    low, high = by_rows["accuracy"].values()
    text = compare.comparison_report(before, after, 1_000)
    assert f"[{low:.4f}, {high:.4f}] | [0.3000, 0.7000] |" in text


def test_changes_on_other_rows_or_classes_have_no_interval() -> None:
    before, after = (random_outputs(skill, 40, groups=40) for skill in (0.5, 1.0))
    assert compare.change_intervals(before, after)
    for predictions in (after.predictions[::-1], after.predictions.rename(columns={"p_bad": "p_sad"})):
        assert not compare.change_intervals(before, replace(after, predictions=predictions.reset_index(drop=True)))
