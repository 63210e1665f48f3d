"""Publish: the decision as a table."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import publish, summary
from pipeline.publish import decide


@pytest.mark.parametrize(
    ("challenger", "champion", "promote", "reason"),
    [
        ({"test": "a", "macro_f1": "0.5"}, None, True, "the first model"),
        ({"test": "a", "macro_f1": "0.51"}, {"test": "a", "macro_f1": "0.50"}, True, "0.5100 beats"),
        ({"test": "a", "macro_f1": "0.50"}, {"test": "a", "macro_f1": "0.50"}, False, "does not beat"),
        ({"test": "a", "macro_f1": "0.49"}, {"test": "a", "macro_f1": "0.50"}, False, "does not beat"),
        ({"test": "a", "macro_f1": "0.99"}, {"test": "b", "macro_f1": "0.50"}, False, "not comparable"),
        ({"test": "a", "macro_f1": "0.99"}, {}, False, "not comparable"),
        ({"test": "a", "macro_f1": "0.99"}, {"classes": "others"}, False, "its classes are not the champion's"),
    ],
)
def test_decide(challenger: dict[str, str], champion: dict[str, str] | None, promote: bool, reason: str) -> None:
    decision = decide(challenger, champion)
    assert decision.promote is promote
    assert reason in decision.reason


class Registry:
    """A store of aliases alone."""

    def __init__(self, champion: Any) -> None:
        self.aliases = {"champion": champion}

    def alias(self, name: str, alias: str) -> Any:
        return self.aliases.get(alias)

    def move_alias(self, alias: str, version: Any) -> None:
        self.aliases[alias] = version

    def drop_alias(self, alias: str, version: Any) -> None:
        if self.aliases.get(alias) is version:
            del self.aliases[alias]

    def annotate(self, version: Any, tags: dict[str, str]) -> None:
        version.tags.update(tags)


def version(number: int, **tags: str) -> Any:
    return SimpleNamespace(name="m", version=number, tags=tags)


def test_a_better_model_moves_the_aliases_and_says_why() -> None:
    old, new = version(1, test="a", macro_f1="0.5"), version(2)
    registry = Registry(old)
    assert publish._promote(registry, new, {"test": "a", "macro_f1": "0.6"}).promote
    assert registry.aliases == {"champion": new, "previous": old}
    assert "beats" in new.tags["promotion.reason"]
    assert new.tags["promotion.time"].startswith("20")


def test_a_worse_model_is_the_challenger_and_the_tag_says_why() -> None:
    old, new = version(1, test="a", macro_f1="0.5"), version(2)
    registry = Registry(old)
    assert not publish._promote(registry, new, {"test": "a", "macro_f1": "0.4"}).promote
    assert registry.aliases == {"champion": old, "challenger": new}
    assert "does not beat" in new.tags["promotion.reason"]


@pytest.mark.parametrize(("score", "promoted"), [(0.4, True), (0.9, False), (None, False)])
def test_a_champion_of_other_rows_is_scored_again(
    monkeypatch: pytest.MonkeyPatch, score: float | None, promoted: bool
) -> None:
    """Else one lucky figure on a small test set would stay the champion for ever."""
    monkeypatch.setattr(publish, "_macro_f1_on_test_rows", lambda champion: score)
    new = version(2)
    registry = Registry(version(1, test="tiny", macro_f1="0.99"))
    assert publish._promote(registry, new, {"test": "large", "macro_f1": "0.6"}).promote is promoted


def test_a_champion_measured_again_has_its_new_figures() -> None:
    champion = version(1, test="a", macro_f1="0.5")
    assert publish._promote(Registry(champion), champion, {"test": "b", "macro_f1": "0.6"}).promote
    assert champion.tags == {"test": "b", "macro_f1": "0.6"}


def found(difference: float, low: float, high: float) -> tuple[dict[str, Any], dict[str, Any]]:
    of = {"num_samples": 10, "accuracy": 0.7, "macro_f1": 0.6, "mcc": 0.5, "loss": 0.4, "ece": 0.1}
    large = {"difference": difference, "low": low, "high": high}
    none = {"difference": 0.0, "low": 0.0, "high": 0.0}
    figures = {
        "overall": of | {"macro_f1": 0.65},
        "baselines": {"majority": of | {"macro_f1": 0.2}, "tfidf": of, "nb_ngrams": of | {"macro_f1": 0.59}},
        "uncalibrated": {"loss": 0.5, "ece": 0.2},
        "temperature": 1.5,
        "parts": {"lstm": {"accuracy": 0.55, "macro_f1": 0.45, "loss": 0.9}},
        "per_class": {"a$": {"num_samples": 3, "recall": 0.5}, "a%": {"num_samples": 7, "recall": 0.6}},
        "slices": {"with emoji": {"num_samples": 2, "accuracy": 0.5}},
    }
    intervals = {
        "overall": {key: {"low": 0.1, "high": 0.9} for key in of if key != "num_samples"},
        "differences": {
            name: {key: large if key == "macro_f1" and name == "tfidf" else none for key in of if key != "num_samples"}
            for name in ("majority", "tfidf", "nb_ngrams")
        },
    }
    return figures, intervals


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (
            (0.012, 0.003, 0.021),
            "The model is ahead of the best baseline (TF-IDF + logistic regression) by 1.2 points of macro-F1 "
            "[0.3, 2.1].",
        ),
        (
            (-0.028, -0.038, -0.018),
            "The model is behind the best baseline (TF-IDF + logistic regression) by 2.8 points of macro-F1 "
            "[1.8, 3.8].",
        ),
        (
            (0.004, -0.003, 0.011),
            "No clear difference from the best baseline (TF-IDF + logistic regression): +0.4 points of macro-F1 "
            "[-0.3, 1.1].",
        ),
        (
            (0.004, 0.0, 0.011),
            "No clear difference from the best baseline (TF-IDF + logistic regression): +0.4 points of macro-F1 "
            "[0.0, 1.1].",
        ),
        (
            (-0.004, -0.011, 0.0),
            "No clear difference from the best baseline (TF-IDF + logistic regression): -0.4 points of macro-F1 "
            "[-1.1, 0.0].",
        ),
    ],
)
def test_the_verdict_on_the_best_baseline(difference: tuple[float, float, float], sentence: str) -> None:
    assert summary.verdict(*found(*difference)) == sentence


def test_the_note_has_a_row_for_each_model_and_each_difference() -> None:
    note = summary.note(*found(0.05, 0.01, 0.09), "m version 3, champion: the first model of this name.")
    lines = note.splitlines()
    assert lines[0].startswith("The model is ahead of the best baseline")
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {7}
    assert table[0] == "| 10 test rows | accuracy | macro-F1 | MCC | loss (nats) | ECE |"
    assert table[2].startswith("| the model | 0.7000 [0.1000, 0.9000] | 0.6500 [0.1000, 0.9000] |")
    assert table[3] == "| of it, the LSTM alone | 0.5500 | 0.4500 |  | 0.9000 |  |"
    assert "| the model minus it | 0.0000 [0.0000, 0.0000] | 0.0500 [0.0100, 0.0900] |" in note
    assert [line.split(" | ")[0] for line in table[4::2]] == [
        *("| most frequent class", "| TF-IDF + logistic regression", "| NB-weighted n-grams + logistic regression"),
    ]
    assert lines[-1] == "m version 3, champion: the first model of this name."


def test_the_line_names_the_best_baseline() -> None:
    line = summary.line(found(0.05, 0.01, 0.09)[0], "the first model of this name")
    assert line == "macro-F1 0.6500 (best baseline 0.6000) on 10 test rows; the first model of this name"


def test_what_mlflow_shows() -> None:
    typos = {"kind": "INV", "num_samples": 500, "pass_rate": 0.9, "mean_change": 0.05}
    shown = summary.shown(*found(0.05, 0.01, 0.09), {"tests": {"typos": typos}, "not_applicable": {"case": "why"}})
    assert shown["test/macro_f1"] == 0.65
    assert shown["test/temperature"] == 1.5
    assert shown["uncalibrated/ece"] == 0.2
    assert shown["part/lstm/macro_f1"] == 0.45
    assert shown["baseline/tfidf/loss"] == 0.4
    assert shown["difference/tfidf/macro_f1"] == 0.05
    assert (shown["difference/tfidf/macro_f1_low"], shown["difference/tfidf/macro_f1_high"]) == (0.01, 0.09)
    assert shown["per_class/a$/recall"] == 0.5
    assert shown["slices/with emoji/accuracy"] == 0.5
    assert {key: value for key, value in shown.items() if "behaviour" in key} == {"behaviour/typos": 0.9}
    assert not [key for key in shown if "num_samples" in key]
