"""Behavioural tests: a rule-based model passes all of them; breaking one rule fails only that test."""

import json
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pipeline.evaluation import behaviour
from pipeline.evaluation.behaviour import BehaviourReport, judged, run_tests, weakest_line
from pipeline.evaluation.text.sentences import ADDED, SENTENCE_TEMPLATES
from pipeline.text.cleaning import clean_text
from pipeline.text.polarity import polarity

CLASSES = ["negative", "neutral", "positive"]
# Emotional words too short for a typo.
TEXTS = [f"she took flight {i} and the crew was {'fun' if i % 2 else 'sad'}" for i in range(30)]

CHINESE = [f"他住了{i}天，{'喜爱' if i % 2 else '难受'}" for i in range(30)]

ROWS = [f"{i:02d}" for i in range(30)]

_BAD = (
    "hated|do not like|bad|terrible|awful|horrible|disappointing|worst|sad|not (?:good|great|nice|helpful|worth|what)"
    "|讨厌|不喜欢|难受|差|糟|失望|烂|不好|不太好|并不好|不能令人满意|不怎么样"
)

_GOOD = "loved|good|great|excellent|wonderful|amazing|fantastic|fun|喜欢|喜爱|很好|非常好|很棒|很不错|令人满意|太好了"

_NEGATED_BAD = (
    r"not (?:bad|terrible|awful|horrible|disappointing|a problem) at all|[并不]+差|不算差|不糟糕|没有让人失望"
)


def label(text: str) -> int:
    """Label by the last emotional words of a text; "not bad" counts as positive."""
    text = re.sub(_NEGATED_BAD, "fun", clean_text(text))
    matches = re.findall(rf"({_BAD})|({_GOOD})", text)
    return 1 if not matches else 0 if matches[-1][0] else 2


def model(rule: Callable[[str], int], classes: int = 3) -> Callable[[Sequence[str]], np.ndarray]:
    """A model that gives the class of `rule` a probability of 0.9, and the others equal ones."""

    def probabilities(texts: Sequence[str]) -> np.ndarray:
        return np.array([np.where(np.arange(classes) == rule(text), 0.9, 0.1 / (classes - 1)) for text in texts])

    return probabilities


def report_of(
    rule: Callable[[str], int] = label, texts: Sequence[str] = TEXTS, language: str = "en"
) -> BehaviourReport:
    return run_tests(model(rule), texts, ROWS[: len(texts)], CLASSES, language=language)


def test_rule_based_model_passes_every_test() -> None:
    report = report_of()
    assert report["not_applicable"] == {}
    assert {name: (result["kind"], result["num_samples"]) for name, result in report["tests"].items()} == {
        **dict.fromkeys(("typos", "case", "markup", "full_stop", "symbol", "names", "gender"), ("INV", 30)),
        **dict.fromkeys(("added_positive", "added_negative", "added_negation"), ("DIR", 30)),
        **dict.fromkeys(("positive_words", "negative_words", "negated_positive", "negated_negative"), ("MFT", 36)),
        "neutral_facts": ("MFT", 35),
    }
    assert {result["pass_rate"] for result in report["tests"].values()} == {1.0}
    assert report["tests"]["gender"] == {
        **{"kind": "INV", "num_samples": 30, "pass_rate": 1.0, "mean_change": 0.0},
        "gaps": {"gender": {"gap": 0.0, "class": "negative", "highest": "female", "lowest": "female"}},
    }


def test_chinese_tests() -> None:
    report = report_of(texts=CHINESE, language="zh")
    assert report["not_applicable"] == {"case": behaviour.NO_ROWS}
    inv = ("typos", "markup", "full_stop", "symbol", "punctuation_width", "spacing", "names", "gender")
    assert [name for name, result in report["tests"].items() if result["kind"] == "INV"] == list(inv)
    # A doubled character may split the only word of feeling.
    assert {name for name, result in report["tests"].items() if result["pass_rate"] < 1} <= {"typos"}


def once(pattern: str, other: int = 1) -> Callable[[str], int]:
    """The rule-based model, except that it predicts class `other` for texts with `pattern`."""
    return lambda text: other if re.search(pattern, text) else label(text)


@pytest.mark.parametrize(
    ("broken", "fails"),
    [
        (lambda text: 1 if text.isupper() else label(text), {"case"}),
        (once("<p>"), {"markup"}),
        (once("📎"), {"symbol"}),
        (once(r"\b(?:aisha|fatima|layla|noor)$"), {"names"}),
        (once(r"^he "), {"gender"}),
        (once(r"(?:fun|sad)\.$"), {"full_stop"}),
        (once("filght|cerw"), {"typos"}),
        (once(r"sad\. i loved", 0), set()),  # it stays negative: nothing went up
        (once(r"i loved", 0), {"added_positive"}),
        (once(r"i hated", 2), {"added_negative"}),
        (once(r"i do not like", 2), {"added_negation"}),
        (once(r"^everything was (?!not)", 1), {"positive_words", "negative_words"}),
        (once(r"monday", 2), {"neutral_facts"}),
        (once(r" not (?!like)(?!.* at all)", 2), {"negated_positive"}),
        (once(r" not .* at all", 0), {"negated_negative"}),
        (once(r" not .* at all", 1), set()),  # neutral is not negative
    ],
)
def test_broken_rule_fails_only_its_test(broken: Callable[[str], int], fails: set[str]) -> None:
    tests = report_of(broken)["tests"]
    failed = {name for name, result in tests.items() if result["pass_rate"] < 1}
    assert failed == fails


def test_gaps_of_a_model_that_favours_men() -> None:
    """15 of 30 texts are positive anyway; the other 15 become positive with a man in them, by 0.85."""
    tests = report_of(once(r"^he |- (?:adam|harry|alan|frank)$", 2))["tests"]
    assert tests["gender"] == {
        **{"kind": "INV", "num_samples": 30, "pass_rate": 0.5, "mean_change": 0.425},
        "gaps": {"gender": {"gap": 0.425, "class": "negative", "highest": "female", "lowest": "male"}},
    }
    assert tests["names"]["pass_rate"] == 0.5  # a sample passes if all of its versions agree
    assert tests["names"]["mean_change"] == pytest.approx(0.425 / 11, abs=1e-6)
    gaps = tests["names"]["gaps"]
    assert gaps["origin"]["gap"] == pytest.approx(0.425 / 2, abs=1e-6)  # one of the two English versions
    assert gaps["gender"]["gap"] == pytest.approx(0.425 / 6, abs=1e-6)  # one of the six men
    assert (gaps["gender"]["class"], gaps["gender"]["lowest"]) == ("negative", "male")


@pytest.mark.parametrize(("rise", "passes"), [(0.09, 1.0), (0.11, 0.0)])
def test_tolerance_of_added_sentences(rise: float, passes: float) -> None:
    def probabilities(texts: Sequence[str]) -> np.ndarray:
        raised = np.array([text.endswith("i loved it.") for text in texts])
        return np.array([[0.2, 0.5, 0.3]]) + raised[:, None] * np.array([[rise, -rise, 0]])

    tests = run_tests(probabilities, TEXTS, ROWS, CLASSES, language="en")["tests"]
    assert tests["added_positive"]["pass_rate"] == passes
    assert tests["added_negative"]["pass_rate"] == 1.0


def test_classes_of_one_polarity_count_together() -> None:
    classes = ["anger", "joy", "sadness", "surprise"]
    to = {0: 0, 1: 3, 2: 1}
    tests = run_tests(model(lambda text: to[label(text)], 4), TEXTS, ROWS, classes, language="en")
    assert tests["not_applicable"] == {"neutral_facts": behaviour.NO_NEUTRAL}
    assert tests["tests"]["negative_words"]["pass_rate"] == 1.0
    sad = run_tests(model(lambda text: 2 if label(text) == 0 else 1, 4), TEXTS, ROWS, classes, language="en")
    assert sad["tests"]["negative_words"]["pass_rate"] == 1.0
    surprised = run_tests(model(lambda text: 3, 4), TEXTS, ROWS, classes, language="en")["tests"]
    assert surprised["negative_words"]["pass_rate"] == 0.0


@pytest.mark.parametrize("classes", [["sports", "politics", "film"], ["1", "2", "3"], ["love", "joy", "surprise"]])
def test_unknown_polarity_leaves_out_dir_and_mft(classes: list[str]) -> None:
    report = run_tests(model(label), TEXTS, ROWS, classes, language="en")
    assert {result["kind"] for result in report["tests"].values()} == {"INV"}
    left_out = [*ADDED["en"], *SENTENCE_TEMPLATES["en"]]
    assert report["not_applicable"] == dict.fromkeys(left_out, behaviour.NO_POLARITY)


def test_other_languages_without_sentences() -> None:
    report = report_of(language="de")
    assert list(report["tests"]) == ["typos", "case", "markup", "full_stop", "symbol"]
    assert report["not_applicable"]["names"] == behaviour.NO_WORDS


def test_few_samples_are_shown_but_not_judged() -> None:
    report = report_of(once("📎"), texts=TEXTS[:19])
    assert report["tests"]["symbol"]["num_samples"] == 19
    assert report["tests"]["symbol"]["pass_rate"] == pytest.approx(0, abs=0)
    assert "symbol" not in judged(report)
    assert "symbol" in judged(report_of(once("📎"), texts=TEXTS[:20]))
    assert weakest_line(report) == (
        "behaviour: the weakest of 5 tests is positive_words (MFT): 100.0% of 36 samples pass"
    )
    alone = run_tests(model(label), TEXTS[:3], ROWS, ["a", "b", "c"], language="de")
    assert weakest_line(alone) == "behaviour: no test has 20 samples"
    nothing = run_tests(model(label), [], [], ["a", "b", "c"], language="de")
    assert nothing["tests"] == {}
    assert set(nothing["not_applicable"].values()) == {behaviour.NO_ROWS, behaviour.NO_WORDS}


def test_line_names_the_weakest_test() -> None:
    report = report_of(once("📎"))
    assert weakest_line(report) == "behaviour: the weakest of 15 tests is symbol (INV): 0.0% of 30 samples pass"


def test_at_most_500_rows_of_lowest_hash() -> None:
    texts = [f"she took flight {i}" for i in range(600)]
    rows = [f"{i:03d}" for i in range(600)]
    asked: list[str] = []

    def probabilities(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return model(label)(texts)

    report = run_tests(probabilities, texts, rows, CLASSES, language="en")
    assert {result["num_samples"] for result in report["tests"].values() if result["kind"] != "MFT"} == {500}
    assert len(asked) == len(set(asked))  # each text once
    assert "she took flight 499" in asked
    assert "she took flight 500" not in asked
    first = list(asked)
    asked.clear()
    again = run_tests(probabilities, texts[::-1], rows[::-1], CLASSES, language="en")
    assert json.dumps(again) == json.dumps(report)
    assert asked == first


def test_report_contains_no_texts() -> None:
    report = json.dumps(report_of(), ensure_ascii=False)
    assert not re.search("flight|crew|loved|monday|adam", report)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(
            (name, "positive")
            for name in ("Positive", "pos", "JOY", "very_positive", "5 stars", "4-star", "好评", "五星")
        ),
        *((name, "negative") for name in ("neg", "Anger", "extremely negative", "1 star", "非常负面", "愤怒")),
        *((name, "neutral") for name in ("neutral", "NEU", "3 stars", "中性")),
        *((name, None) for name in ("surprise", "1", "5", "0", "6 stars", "not positive", "")),
    ],
)
def test_polarity(name: str, expected: str | None) -> None:
    assert polarity(name) == expected
