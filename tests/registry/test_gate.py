"""The gate's decision, as a table of rules and models."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.registry.gate import CHANCE, CLEARLY, Challenger, Comparison, Decision, decide
from pipeline.registry.settings import Gate

RULES = Gate(
    min_accuracy=0.5,
    min_macro_f1=0.4,
    min_gain=0.1,
    min_class_recall=0.2,
    min_slice_accuracy=0.3,
    min_samples=50,
    max_ece=0.1,
    max_classwise_ece=0.1,
    max_latency=20.0,
    max_size=10.0,
    not_behind=True,
    change="not_worse",
    max_loss_rise=0.01,
    max_f1_drop=0.02,
    max_class_drop=0.05,
    max_slice_drop=0.05,
)

GOOD = Challenger(
    overall={"accuracy": 0.7, "macro_f1": 0.6, "ece": 0.02},
    per_class={"sad": {"num_samples": 60, "recall": 0.5}, "glad": {"num_samples": 100, "recall": 0.8}},
    slices={"with emoji": {"num_samples": 70, "accuracy": 0.6}},
    majority=0.3,
    latency=2.0,
    size=5.0,
)


def change(difference: float, low: float, high: float, rows: int = 100, p_drop: float = 0.001) -> dict[str, float]:
    return {"num_samples": rows, "difference": difference, "low": low, "high": high, "p_drop": p_drop}


def loss(difference: float, error: float = 0.002) -> dict[str, float]:
    return {
        "difference": difference,
        "error": error,
        "low": difference - 2 * error,
        "high": difference + 2 * error,
    }


EQUAL = Comparison(
    "champion",
    "3",
    loss(0.0),
    change(0.0, -0.01, 0.01),
    recalls={"sad": change(0, -0.1, 0.1, p_drop=0.5)},
    accuracies={"with emoji": change(0, -0.1, 0.1, p_drop=0.5)},
)

REFUSED = [
    ({"overall": GOOD.overall | {"accuracy": 0.49}}, {}, "accuracy 0.4900, wanted at least 0.5"),
    ({"overall": GOOD.overall | {"macro_f1": 0.39}, "majority": 0.1}, {}, "macro-F1 0.3900, wanted at least 0.4"),
    ({"majority": 0.51}, {}, "macro-F1 above that of the most frequent class 0.0900, wanted at least 0.1"),
    (
        {"per_class": GOOD.per_class | {"sad": {"num_samples": 50, "recall": 0.08}}},
        {},
        "recall of class sad 0.0800 [0.0315, 0.1884], wanted an interval that reaches 0.2",
    ),
    (
        {"slices": {"with emoji": {"num_samples": 50, "accuracy": 0.16}}},
        {},
        "accuracy of slice with emoji 0.1600 [0.0834, 0.2851], wanted an interval that reaches 0.3",
    ),
    (
        {"intervals": {"differences": {"tfidf": {"macro_f1": change(-0.03, -0.05, -0.001)}}}},
        {},
        "macro-F1 in points against the baseline tfidf -3.0 [-5.0, -0.1], wanted an interval that is not wholly behind",
    ),
    (
        {"intervals": {"differences": {"nb": {"loss": loss(-0.1)}, "tfidf": {"loss": loss(0.03)}}}},
        {},
        "log-loss against the baseline tfidf +0.0300 [+0.0260, +0.0340], wanted an interval that is not wholly behind",
    ),
    ({"overall": GOOD.overall | {"ece": 0.11}}, {}, "calibration error (ECE) 0.1100, wanted at most 0.1"),
    (
        {"overall": GOOD.overall | {"classwise_ece": 0.14}, "intervals": {"noise": 0.03}},
        {},
        "class-wise ECE 0.1400, of which chance may be 0.0300, wanted at most 0.1 above it",
    ),
    (
        {"intervals": {"slices": {"with emoji": {"accuracy": {"low": 0.1, "high": 0.29}}}}},  # of few groups
        {},
        "accuracy of slice with emoji 0.6000 [0.1000, 0.2900], wanted an interval that reaches 0.3",
    ),
    ({"latency": 20.1}, {}, "milliseconds for one text 20.1, wanted at most 20"),
    ({"size": 10.1}, {}, "megabytes of the model 10.1, wanted at most 10"),
    ({"failure": "fails: no weights", "latency": float("nan")}, {}, "in a separate process, fails: no weights"),
    (
        {"withdrawn": "was rolled back at noon: rude"},
        {},
        "this version was rolled back at noon: rude, wanted a promotion",
    ),
    ({}, {"loss": loss(0.0116)}, "rows +0.0116 [+0.0076, +0.0156], wanted a rise of at most 0.0115"),
    ({}, {"loss": loss(0.0176, error=0.01)}, "wanted a rise of at most 0.0175"),
    ({}, {"macro_f1": change(-0.03, -0.05, -0.001)}, "-3.0 [-5.0, -0.1], wanted no significant drop of more than 2"),
    (
        {},
        {"recalls": {"sad": change(-0.06, -0.1, -0.01), "glad": change(-0.07, -0.2, 0.1, p_drop=0.03)}},
        "recall of sad in points against the champion (version 3) on the same test rows -6.0 [-10.0, -1.0]",
    ),
    ({}, {"accuracies": {"with emoji": change(-0.06, -0.1, -0.01)}}, "accuracy on with emoji in points"),
    (
        {},
        {"failure": "its classes are others"},
        "(version 3) on the same test rows: its classes are others, wanted comparable models",
    ),
]

PASSED = [
    ({"overall": GOOD.overall | {"classwise_ece": 0.14}, "intervals": {"noise": 0.05}}, {}),
    ({"intervals": {"per_class": {"sad": {"recall": {"low": 0.1, "high": 0.9}}}}}, {}),
    ({}, {}),
    ({"overall": {"accuracy": 0.5, "macro_f1": 0.4, "ece": 0.1}, "latency": 20.0, "size": 10.0}, {}),
    ({"per_class": {"sad": {"num_samples": 49, "recall": 0.0}}}, {}),  # too few rows
    ({"per_class": {"sad": {"num_samples": 50, "recall": 0.1}}}, {}),  # by chance
    (
        {"per_class": {"sad": {"num_samples": 500, "recall": 0.01}}, "intervals": {"reached": {"sad": 0.02}}},
        {},
    ),  # nothing finds it
    ({"slices": {"with emoji": {"num_samples": 49, "accuracy": 0.0}}}, {}),
    ({"intervals": {"differences": {"tfidf": {"macro_f1": change(-0.03, -0.05, 0.0), "loss": loss(0.001)}}}}, {}),
    ({"intervals": {"differences": {"tfidf": {"macro_f1": {"difference": -0.5}}}}}, {}),  # no interval
    ({}, {"loss": loss(0.0115)}),
    ({}, {"loss": loss(0.0175, error=0.01)}),
    ({}, {"macro_f1": change(-0.02, -0.03, -0.01)}),
    ({}, {"macro_f1": change(-0.03, -0.06, 0.0)}),  # not significant
    ({}, {"recalls": {"sad": change(-0.06, -0.2, 0.01, p_drop=0.05)}}),  # the drop is not significant
    ({}, {"recalls": {"sad": change(-0.06, -0.2, 0, p_drop=0.03), "glad": change(0, 0, 0, p_drop=1)}}),  # of two tests
    ({}, {"recalls": {"sad": change(-0.05, -0.06, -0.01)}}),
    ({}, {"recalls": {"sad": change(-0.5, -0.6, -0.4, rows=49)}}),
]


@pytest.mark.parametrize(("challenger", "comparison", "reason"), REFUSED)
def test_gate_refuses(challenger: dict[str, Any], comparison: dict[str, Any], reason: str) -> None:
    decision = decide(replace(GOOD, **challenger), [replace(EQUAL, **comparison)], RULES)
    assert not decision.promote
    assert reason in decision.reason
    assert [check.passed for check in decision.checks].count(False) == 1
    assert json.dumps(decision.as_json())


@pytest.mark.parametrize(("challenger", "comparison"), PASSED)
def test_gate_promotes(challenger: dict[str, Any], comparison: dict[str, Any]) -> None:
    decision = decide(replace(GOOD, **challenger), [replace(EQUAL, **comparison)], RULES)
    assert decision.promote, decision.reason
    assert "against the champion (version 3)" in decision.reason


@pytest.mark.parametrize(("high", "promoted"), [(-0.001, True), (0.0, False), (0.001, False)])
def test_better_needs_interval_below_zero(high: float, promoted: bool) -> None:
    rules = RULES.model_copy(update={"change": "better"})
    decision = decide(GOOD, [replace(EQUAL, loss=loss(0.0) | {"high": high})], rules)
    assert decision.promote is promoted
    assert "the interval below 0" in decision.reason


def test_anchor_refuses_what_the_champion_allows() -> None:
    anchor = replace(EQUAL, role="anchor", version="1")
    assert decide(GOOD, [EQUAL, anchor], RULES).promote
    decision = decide(GOOD, [EQUAL, replace(anchor, loss=loss(0.0116))], RULES)
    assert not decision.promote
    assert decision.reason.startswith("log-loss against the anchor (version 1) on the same test rows +0.0116")
    # One that cannot be compared any more is no reason to refuse: the new model takes its place.
    decision = decide(GOOD, [EQUAL, Comparison("anchor", "1", failure="its files are gone")], RULES)
    assert (decision.promote, decision.is_anchor) == (True, True)


@pytest.mark.parametrize(("difference", "is_anchor"), [(-0.0061, True), (-0.006, False), (0.0, False)])
def test_anchor_is_replaced_by_what_clearly_beats_it(difference: float, is_anchor: bool) -> None:
    assert (CHANCE, CLEARLY) == (0.75, 3)
    assert decide(GOOD, [replace(EQUAL, loss=loss(difference))], RULES).is_anchor is is_anchor
    anchor = replace(EQUAL, role="anchor", loss=loss(difference))
    assert decide(GOOD, [EQUAL, anchor], RULES).is_anchor is is_anchor


def test_being_behind_a_baseline_can_be_allowed() -> None:
    model = replace(GOOD, intervals={"differences": {"tfidf": {"macro_f1": change(-0.03, -0.05, -0.01)}}})
    assert not decide(model, [], RULES).promote
    assert decide(model, [], RULES.model_copy(update={"not_behind": False})).promote


def test_first_model_must_reach_floors() -> None:
    assert decide(GOOD, [], RULES).reason == "the first model of this name, and it passed every check"
    assert not decide(replace(GOOD, majority=0.6), [], RULES).promote


def test_reason_names_every_failed_check() -> None:
    reason = decide(replace(GOOD, latency=50.0, size=50.0), [], RULES).reason
    assert reason == "milliseconds for one text 50.0, wanted at most 20; megabytes of the model 50.0, wanted at most 10"


def test_table_has_a_row_for_each_check() -> None:
    model = replace(GOOD, per_class={"a|b": {"num_samples": 50, "recall": 0.02}})
    decision = decide(model, [EQUAL], RULES)
    lines = decision.table().splitlines()
    assert decision.verdict().startswith("**Not the champion**: recall of class a\\|b 0.0200")
    assert len(lines) == 2 + len(decision.checks)
    assert {line.replace("\\|", "").count("|") for line in lines} == {6}
    assert (Decision(True, "as before").verdict(), Decision(True, "as before").table()) == (
        "**Champion**: as before.",
        "",
    )


def test_table_escapes_markup_and_cuts_long_classes() -> None:
    comparison = Comparison("champion", "3", failure="its classes are others (![x](https://evil.example/p.png))")
    assert r"(\!\[x\](https\://evil" in decide(GOOD, [comparison], RULES).table()
    long = replace(GOOD, per_class={"Jane Roe of Elm Street hates it " * 4: {"num_samples": 50, "recall": 0.02}})
    assert "Jane" not in decide(long, [EQUAL], RULES).table() + decide(long, [EQUAL], RULES).reason


def test_classes_and_slices_have_separate_limits() -> None:
    rules, drop = RULES.model_copy(update={"max_slice_drop": 0.1}), change(-0.08, -0.1, -0.01)
    assert decide(GOOD, [replace(EQUAL, accuracies={"with emoji": drop})], rules).promote
    assert not decide(GOOD, [replace(EQUAL, recalls={"sad": drop})], rules).promote


def test_largest_drop_decides() -> None:
    drops = {"sad": change(-0.02, -0.03, -0.01), "glad": change(-0.2, -0.3, -0.1)}
    decision = decide(GOOD, [replace(EQUAL, recalls=drops)], RULES)
    assert not decision.promote
    assert "recall of glad in points" in decision.reason
