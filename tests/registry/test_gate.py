"""Gate: the decision as a table, and the paired comparison that it rests on."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation import metrics
from pipeline.registry import gate
from pipeline.registry.gate import Candidate, Champion, Decision, decide
from pipeline.registry.settings import Gate

RULES = Gate(
    min_accuracy=0.5,
    min_macro_f1=0.4,
    min_gain=0.1,
    min_class_recall=0.2,
    min_slice_accuracy=0.3,
    min_samples=50,
    max_ece=0.1,
    max_latency=20.0,
    max_size=10.0,
    change="not_worse",
    margin=0.02,
    max_class_drop=0.05,
    max_slice_drop=0.05,
)

GOOD = Candidate(
    overall={"accuracy": 0.7, "macro_f1": 0.6, "ece": 0.02},
    per_class={"sad": {"num_samples": 60, "recall": 0.5}, "glad": {"num_samples": 100, "recall": 0.8}},
    slices={"with emoji": {"num_samples": 70, "accuracy": 0.6}},
    majority=0.3,
    latency=2.0,
    size=5.0,
)


def part(difference: float, low: float, high: float, rows: int = 100) -> dict[str, float]:
    return {"num_samples": rows, "difference": difference, "low": low, "high": high}


EQUAL = Champion(
    "3", part(0.0, -0.01, 0.01), recalls={"sad": part(0, -0.1, 0.1)}, accuracies={"with emoji": part(0, -0.1, 0.1)}
)

REFUSED = [
    ({"overall": GOOD.overall | {"accuracy": 0.49}}, {}, "accuracy 0.4900, wanted at least 0.5"),
    ({"overall": GOOD.overall | {"macro_f1": 0.39}, "majority": 0.1}, {}, "macro-F1 0.3900, wanted at least 0.4"),
    ({"majority": 0.51}, {}, "macro-F1 above that of the most frequent class 0.0900, wanted at least 0.1"),
    (
        {"per_class": GOOD.per_class | {"sad": {"num_samples": 50, "recall": 0.19}}},
        {},
        "lowest recall of a class (sad) 0.1900, wanted at least 0.2",
    ),
    (
        {"slices": {"with emoji": {"num_samples": 50, "accuracy": 0.29}}},
        {},
        "lowest accuracy of a slice (with emoji) 0.2900, wanted at least 0.3",
    ),
    ({"overall": GOOD.overall | {"ece": 0.11}}, {}, "calibration error (ECE) 0.1100, wanted at most 0.1"),
    ({"latency": 20.1}, {}, "milliseconds for one text 20.1, wanted at most 20"),
    ({"size": 10.1}, {}, "megabytes of the model 10.1, wanted at most 10"),
    ({"failure": "fails: no weights", "latency": float("nan")}, {}, "in a process of its own, fails: no weights"),
    (
        {"withdrawn": "was rolled back at noon: rude"},
        {},
        "this version was rolled back at noon: rude, wanted a promotion",
    ),
    ({}, {"macro_f1": part(-0.01, -0.021, 0.0)}, "-1.0 [-2.1, +0.0], wanted the interval at least -2"),
    (
        {},
        {"recalls": {"sad": part(-0.06, -0.1, -0.01), "glad": part(-0.07, -0.2, 0.1)}},
        "recall of sad in points against the champion (version 3) on the same test rows -6.0 [-10.0, -1.0]",
    ),
    ({}, {"accuracies": {"with emoji": part(-0.06, -0.1, -0.01)}}, "accuracy on with emoji in points"),
    (
        {},
        {"failure": "its classes are others"},
        "(version 3) on the same test rows: its classes are others, wanted one",
    ),
]

PASSED = [
    ({}, {}),
    ({"overall": {"accuracy": 0.5, "macro_f1": 0.4, "ece": 0.1}, "latency": 20.0, "size": 10.0}, {}),
    ({"per_class": {"sad": {"num_samples": 49, "recall": 0.0}}}, {}),  # too few rows to judge
    ({"slices": {"with emoji": {"num_samples": 49, "accuracy": 0.0}}}, {}),
    ({}, {"macro_f1": part(-0.01, -0.02, 0.0)}),
    ({}, {"recalls": {"sad": part(-0.06, -0.2, 0.01)}}),  # chance explains the fall
    ({}, {"recalls": {"sad": part(-0.06, -0.2, 0.0)}}),
    ({}, {"recalls": {"sad": part(-0.05, -0.06, -0.01)}}),
    ({}, {"recalls": {"sad": part(-0.5, -0.6, -0.4, rows=49)}}),
    ({}, {"recalls": {"sad": {"num_samples": 100, "difference": -0.5}}}),  # no interval
]


@pytest.mark.parametrize(("challenger", "champion", "reason"), REFUSED)
def test_one_broken_rule_refuses_and_is_named(
    challenger: dict[str, Any], champion: dict[str, Any], reason: str
) -> None:
    decision = decide(replace(GOOD, **challenger), replace(EQUAL, **champion), RULES)
    assert not decision.promote
    assert reason in decision.reason
    assert [check.passed for check in decision.checks].count(False) == 1
    assert json.dumps(decision.as_json())


@pytest.mark.parametrize(("challenger", "champion"), PASSED)
def test_a_model_within_the_rules_passes(challenger: dict[str, Any], champion: dict[str, Any]) -> None:
    decision = decide(replace(GOOD, **challenger), replace(EQUAL, **champion), RULES)
    assert decision.promote, decision.reason
    assert "against the champion (version 3)" in decision.reason


@pytest.mark.parametrize(("low", "promoted"), [(-0.001, False), (0.0, False), (0.001, True)])
def test_better_means_that_the_interval_lies_above_zero(low: float, promoted: bool) -> None:
    rules = RULES.model_copy(update={"change": "better"})
    decision = decide(GOOD, replace(EQUAL, macro_f1=part(0.01, low, 0.02)), rules)
    assert decision.promote is promoted
    assert "the interval above 0" in decision.reason


def test_the_first_model_must_reach_the_floors_too() -> None:
    assert decide(GOOD, None, RULES).reason == "the first model of this name, and it passed every check"
    assert not decide(replace(GOOD, majority=0.6), None, RULES).promote


def test_every_broken_rule_is_in_the_reason() -> None:
    reason = decide(replace(GOOD, latency=50.0, size=50.0), None, RULES).reason
    assert reason == "milliseconds for one text 50.0, wanted at most 20; megabytes of the model 50.0, wanted at most 10"


def test_the_table_shows_each_check_once_and_class_names_break_no_cell() -> None:
    model = replace(GOOD, per_class={"a|b": {"num_samples": 50, "recall": 0.1}})
    decision = decide(model, EQUAL, RULES)
    lines = decision.table().splitlines()
    assert decision.verdict().startswith("**Not the champion**: lowest recall of a class (a\\|b) 0.1000")
    assert len(lines) == 2 + len(decision.checks)
    assert {line.replace("\\|", "").count("|") for line in lines} == {6}
    assert (Decision(True, "as before").verdict(), Decision(True, "as before").table()) == (
        "**Champion**: as before.",
        "",
    )


def test_what_a_champion_says_and_a_text_that_is_a_class_are_no_markup() -> None:
    said = Champion("3", failure="its classes are others (![x](https://evil.example/p.png))")
    assert r"(\!\[x\](https\://evil" in decide(GOOD, said, RULES).table()
    long = replace(GOOD, per_class={"Jane Roe of Elm Street hates it " * 4: {"num_samples": 50, "recall": 0.1}})
    assert "Jane" not in decide(long, EQUAL, RULES).table() + decide(long, EQUAL, RULES).reason


def test_two_models_on_the_same_rows() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1] * 20)
    sure = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    flipped = sure.copy()
    flipped[::8] = flipped[::8, ::-1]  # the first of the four zeros is missed
    slices = {"first": np.arange(160) % 8 == 0, "nobody": np.zeros(160, dtype=bool)}
    beside = gate.compare(labels, flipped, sure, ["a", "b"], slices, version="7", resamples=200, seed=0)
    assert beside.version == "7"
    expected = metrics.overall(labels, flipped)["macro_f1"] - 1
    assert beside.macro_f1["difference"] == pytest.approx(expected, abs=1e-6)
    assert beside.macro_f1["low"] < expected < beside.macro_f1["high"] < 0
    assert beside.recalls["a"]["difference"] == -0.25
    assert beside.recalls["a"]["low"] < -0.25 < beside.recalls["a"]["high"] < 0
    assert beside.recalls["b"] == {"num_samples": 80, "difference": 0.0, "low": 0.0, "high": 0.0}
    assert beside.accuracies == {"first": {"num_samples": 20, "difference": -1.0, "low": -1.0, "high": -1.0}}
    same = gate.compare(labels, sure, sure, ["a", "b"], {}, version="7", resamples=100, seed=0)
    assert same.macro_f1 == {"difference": 0.0, "low": 0.0, "high": 0.0}


def test_classes_and_slices_have_limits_of_their_own() -> None:
    rules, fallen = RULES.model_copy(update={"max_slice_drop": 0.1}), part(-0.08, -0.1, -0.01)
    assert decide(GOOD, replace(EQUAL, accuracies={"with emoji": fallen}), rules).promote
    assert not decide(GOOD, replace(EQUAL, recalls={"sad": fallen}), rules).promote


def test_seed_and_resamples_decide_the_intervals() -> None:
    random = np.random.default_rng(0)
    labels, (new, old) = random.integers(2, size=300), random.dirichlet([1, 1], size=(2, 300))

    def found(resamples: int, seed: int) -> Champion:
        return gate.compare(labels, new, old, ["a", "b"], {}, version="7", resamples=resamples, seed=seed)

    assert found(100, 1) == found(100, 1)
    assert len({found(*given).macro_f1["low"] for given in ((100, 1), (100, 2), (400, 1))}) == 3


def test_the_class_that_fell_most_decides() -> None:
    fallen = {"sad": part(-0.02, -0.03, -0.01), "glad": part(-0.2, -0.3, -0.1)}
    decision = decide(GOOD, replace(EQUAL, recalls=fallen), RULES)
    assert not decision.promote
    assert "recall of glad in points" in decision.reason
