"""Rebalance: each strategy on a tiny literal array, targets, many classes, classes of one row, the stage."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.project import ROOT

from pipeline import rebalance as rebalance_stage
from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_arrays, read_json, read_yaml, write_arrays, write_json
from pipeline.training.rebalancing import Rebalance, auto_strategy, rebalance
from pipeline.training.strategies import STRATEGIES, Plan

LABELS = np.array([0] * 6 + [1] * 3 + [2])

CLASSES = ["a", "b", "c"]

WITH_TARGET = [name for name, strategy in STRATEGIES.items() if strategy.has_target]


def by_class(plan: Plan, labels: np.ndarray = LABELS) -> tuple[list[int], list[float]]:
    """Rows that are used, and their mean weight."""
    used = labels[plan.rows]
    rows = np.bincount(used)
    return rows.tolist(), (np.bincount(used, plan.weights) / rows).tolist()


@pytest.mark.parametrize(
    ("strategy", "rows", "weights"),
    [
        ("none", [6, 3, 1], [1, 1, 1]),
        ("random_over", [6, 6, 6], [1, 1, 1]),
        ("random_under", [1, 1, 1], [1, 1, 1]),
        ("class_weight", [6, 3, 1], [10 / 18, 10 / 9, 10 / 3]),
        ("focal", [6, 3, 1], [1, 1, 1]),
        ("balanced_batches", [6, 3, 1], [1, 1, 1]),
        ("logit_adjustment", [6, 3, 1], [1, 1, 1]),
    ],
)
def test_rows_and_weights(strategy: str, rows: list[int], weights: list[float]) -> None:
    plan = rebalance(LABELS, CLASSES, strategy=strategy)
    used, mean_weights = by_class(plan)
    assert used == rows
    np.testing.assert_allclose(mean_weights, weights, rtol=1e-6)
    assert (plan.rows.dtype, plan.weights.dtype) == (np.int64, np.float32)
    assert plan.rows.tolist() == sorted(plan.rows)
    if strategy != "random_under":
        assert set(plan.rows) == set(range(len(LABELS)))  # over-sampling repeats rows, and leaves none out
    assert plan.draw.tolist() == ([3, 3, 3] if strategy == "balanced_batches" else [0, 0, 0])
    assert plan.gamma == (2 if strategy == "focal" else 0)
    assert plan.margins.any() == (strategy == "logit_adjustment")


def test_effective_numbers_by_hand() -> None:
    """With beta 0.5, six rows are 1 + 1/2 + 1/4 + ... = 1.96875 effective rows; the weight is the inverse."""
    weights = by_class(rebalance(LABELS, CLASSES, strategy="effective_number", strength=0.5))[1]
    inverse = 1 / np.array([1.96875, 1.75, 1.0])
    np.testing.assert_allclose(weights, inverse * 10 / (inverse @ [6, 3, 1]), rtol=1e-6)


def test_logit_adjustment_favours_larger_classes_in_the_loss() -> None:
    for tau in (1.0, 0.5):
        margins = rebalance(LABELS, CLASSES, strategy="logit_adjustment", strength=tau).margins
        np.testing.assert_allclose(margins - margins[2], tau * np.log([6, 3, 1]), rtol=1e-6)


@pytest.mark.parametrize("strategy", WITH_TARGET)
@pytest.mark.parametrize(
    ("target", "over", "under"),
    [
        (None, [6, 6, 6], [1, 1, 1]),
        (1.0, [6, 6, 6], [1, 1, 1]),
        (0.5, [6, 3, 3], [2, 2, 1]),
        (0.1, [6, 3, 1], [6, 3, 1]),
    ],
)
def test_target_ratio_is_reached(strategy: str, target: float | None, over: list[int], under: list[int]) -> None:
    plan = rebalance(LABELS, CLASSES, strategy=strategy, target=target)
    goal = np.array(under if strategy == "random_under" else over)
    np.testing.assert_allclose(plan.counts_as, goal / goal.sum() * len(LABELS))
    np.testing.assert_allclose(plan.shift, np.log(np.array([6, 3, 1]) / plan.counts_as))
    if strategy in {"random_over", "random_under"}:
        assert by_class(plan)[0] == goal.tolist()


@pytest.mark.parametrize(
    ("strategy", "target", "rows"),
    [
        ("random_over", {"c": 4, "b": 3}, [6, 3, 4]),
        ("random_under", {"a": 2}, [2, 3, 1]),
        ("class_weight", {"a": 2, "c": 5}, [2, 3, 5]),
        ("balanced_batches", {"a": 2, "c": 5}, [2, 3, 5]),
        ("logit_adjustment", {"a": 2, "c": 5}, [2, 3, 5]),
    ],
)
def test_target_by_class_name(strategy: str, target: Mapping[str, int], rows: list[int]) -> None:
    plan = rebalance(LABELS, CLASSES, strategy=strategy, target=target)
    np.testing.assert_allclose(plan.counts_as, np.array(rows) * len(LABELS) / sum(rows))
    if strategy.startswith("random"):
        assert by_class(plan)[0] == rows


@pytest.mark.parametrize(
    ("strategy", "target", "message"),
    [
        ("class_weight", {"d": 4}, "rebalance.target: unknown class 'd'; classes: a, b, c"),
        ("random_over", {"a": 5}, "rebalance.target.a is 5, fewer than its 6 training rows: random_over cannot"),
        ("random_under", {"c": 2}, "rebalance.target.c is 2, more than its 1 training rows: random_under cannot"),
    ],
)
def test_unreachable_target_raises(strategy: str, target: Mapping[str, int], message: str) -> None:
    with pytest.raises(PipelineError, match=re.escape(message)):
        rebalance(LABELS, CLASSES, strategy=strategy, target=target)


@pytest.mark.parametrize("strategy", ["random_over", "random_under"])
def test_seed_decides_which_rows_are_sampled(strategy: str) -> None:
    labels = np.array([0] * 200 + [1] * 40)
    first, again, other = (rebalance(labels, ["a", "b"], strategy=strategy, seed=seed).rows for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fifty_classes_with_one_row_in_most(strategy: str) -> None:
    labels = np.repeat(np.arange(50), [1000, 40, *[1] * 48])
    plan = rebalance(labels, [f"class {number}" for number in range(50)], strategy=strategy)
    assert set(labels[plan.rows]) == set(range(50))
    for values in (plan.weights, plan.margins, plan.counts_as, plan.shift):
        assert np.isfinite(values).all()
    assert plan.counts_as.sum() == pytest.approx(len(labels))
    if strategy in WITH_TARGET:
        np.testing.assert_allclose(plan.counts_as, len(labels) / 50)


@pytest.mark.parametrize("strategy", ["none", "focal"])
def test_unweighted_classes_need_no_shift(strategy: str) -> None:
    assert rebalance(LABELS, CLASSES, strategy=strategy).shift.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("counts", "strategy"),
    [([100, 100], "none"), ([150, 120, 100], "none"), ([151, 120, 100], "class_weight"), ([9_000, 1], "class_weight")],
)
def test_auto_leaves_nearly_equal_classes_unchanged(counts: list[int], strategy: str) -> None:
    assert auto_strategy(np.array(counts)) == strategy


def test_unknown_strategy_raises() -> None:
    with pytest.raises(ValueError, match=r"unknown strategy 'smote'; expected one of none, random_over"):
        rebalance(LABELS, CLASSES, strategy="smote")


def test_parameter_allows_the_strategies_of_the_table() -> None:
    others = {"target": None, "strength": None, "prior_correction": 0.6, "seed": 0}
    for name in ("auto", *STRATEGIES):
        assert Rebalance(strategy=name, **others).strategy == name
    for value in ("weight", 1, None, ["none"]):
        with pytest.raises(ValueError, match=r"must be 'auto', 'none', .* or 'logit_adjustment', got") as error:
            Rebalance(strategy=value, **others)
        assert all(repr(name) in str(error.value) for name in STRATEGIES)


def test_every_strategy_is_documented() -> None:
    page = (ROOT / "docs/imbalance.md").read_text(encoding="utf-8")
    comments = (ROOT / "params.yaml").read_text(encoding="utf-8").partition("\nrebalance:\n")[2].splitlines()
    strategy, target, strength = comments[:3]
    for name, facts in STRATEGIES.items():
        assert f"\n| `{name}` | " in page
        assert name in strategy
        assert facts.has_target != (name in target)  # that comment lists those without one
        assert (facts.default_strength is not None) == (name in strength)


Stage = Callable[..., tuple[dict[str, np.ndarray], Any]]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Run the stage with parameters on training rows of 60 a, 30 b and 10 true; return what it wrote."""
    document = read_yaml(params.PARAMS_FILE)
    monkeypatch.chdir(tmp_path)

    def run(rows: tuple[int, ...] = (60, 30, 10), **changes: Any) -> tuple[dict[str, np.ndarray], Any]:
        # JSON is YAML.
        params.PARAMS_FILE.write_text(json.dumps(document | {"rebalance": document["rebalance"] | changes}))
        labels = np.repeat(np.arange(len(rows)), rows)
        write_json(paths.CLEAN_CLASSES, ["a", "b", "true"])
        write_arrays(paths.TOKENIZE_ARRAYS["train"], {"label": labels})
        rebalance_stage.main()
        return read_arrays(paths.REBALANCE_TRAIN), read_json(paths.REBALANCE_SUMMARY)

    return run


def test_stage_uses_its_parameters(stage: Stage) -> None:
    assert stage()[1]["strategy"] == "class_weight"
    assert stage(rows=(40, 30, 30))[1]["strategy"] == "none"
    assert float(stage(strategy="focal", strength=3.5)[0]["gamma"]) == 3.5
    assert float(stage(prior_correction=0.25)[0]["correction"]) == 0.25
    sampled, summary = stage(strategy="random_under", target={"a": 20, "true": 5})
    assert summary["classes"]["a"] == {"rows": 60, "rows_used": 20, "counts_as": pytest.approx(100 * 20 / 55, abs=0.1)}
    assert summary["classes"]["true"]["rows_used"] == 5
    other = stage(strategy="random_under", target={"a": 20, "true": 5}, seed=1)[0]
    assert sampled["rows"].tolist() != other["rows"].tolist()


def test_strength_of_focal_is_gamma() -> None:
    assert rebalance(LABELS, CLASSES, strategy="focal", strength=0.5).gamma == 0.5


def test_every_class_is_drawn_at_least_once() -> None:
    plan = rebalance(LABELS, CLASSES, strategy="balanced_batches", target={"a": 1_000, "c": 1})
    assert plan.draw.tolist() == [10, 1, 1]


def test_stage_prints_rows_and_weights(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage(strategy="class_weight")
    assert capsys.readouterr().out.splitlines()[:2] == ["strategy: class_weight", "a: 60 rows, weight 0.56"]
    stage(strategy="random_under")
    assert "b: 30 rows, 10 used, weight 1.00" in capsys.readouterr().out
