"""Agreement of incoming labels with the champion: right labels pass, random and exchanged ones do not."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from benchmarks.agreement import CHAMPIONS, kinds, simulated
from pipeline.data.rules.rule import RuleResult
from pipeline.nightly.agreement import Bounds, Comparison, Judge, agreement, compare_agreement

Rows = tuple[np.ndarray, np.ndarray]


def letters(labels: str, predicted: str) -> Rows:
    """Return labels and predictions that are single letters."""
    return np.array(list(labels), dtype=object), np.array(list(predicted), dtype=object)


def judged(file: Rows, reference: Rows, min_agreement: float = 0.05) -> list[RuleResult]:
    rows = pd.DataFrame({"text": [f"text {number}" for number in range(len(file[0]))], "label": file[0]})
    return agreement(rows, Judge(lambda _: list(file[1]), *reference), min_agreement)


GOOD = letters("a" * 500 + "b" * 500, "a" * 400 + "b" * 100 + "b" * 400 + "a" * 100)  # 0.6
GOOD_OF_THREE = letters("a" * 100 + "b" * 100 + "c" * 100, "aaac" * 25 + "b" * 80 + "c" * 20 + "c" * 60 + "a" * 40)


def test_values_are_those_of_the_literature() -> None:
    """Of the file, kappa is that of scikit-learn; of the reference, that of rows drawn with the file's priors."""
    random = np.random.default_rng(0)
    labels = random.choice(["a", "b", "c"], 400, p=[0.6, 0.3, 0.1]).astype(object)
    predicted = np.where(random.random(400) < 0.6, labels, random.choice(["a", "b", "c"], 400))
    overall, of_a, *_ = compare_agreement((labels, predicted), GOOD_OF_THREE)
    assert overall.found.value == pytest.approx(cohen_kappa_score(labels, predicted))
    is_a = labels == "a"
    assert of_a.found.value == pytest.approx((predicted[is_a] == "a").mean() - (predicted[~is_a] == "a").mean())
    repeated = tuple(
        np.concatenate([np.repeat(column[GOOD_OF_THREE[0] == name], (labels == name).sum()) for name in "abc"])
        for column in GOOD_OF_THREE
    )
    assert overall.expected.value == pytest.approx(cohen_kappa_score(*repeated))


def test_intervals_hold_as_often_as_they_say() -> None:
    """The upper bound is below the true value in 1 of 100 files."""
    random = np.random.default_rng(0)
    setting = simulated(3, 3, random)
    truth = compare_agreement(setting.draw(50_000), setting.reference)
    below = np.zeros(len(truth))
    for _ in range(250):
        found = compare_agreement(setting.draw(300), setting.reference)
        below += [entry.found.high < true.found.value for entry, true in zip(found, truth, strict=True)]
    assert below[0] <= 7
    assert below[1:].sum() <= 7


def test_refusal_needs_clear_evidence_of_both() -> None:
    exact = Bounds(0.6, 0.6, 0.6)
    for found, refuted in {
        Bounds(0.2, 0.1, 0.31): False,  # may be half
        Bounds(0.2, 0.1, 0.29): False,  # surely above 0.05 of it
        Bounds(0.1, 0.02, 0.29): True,
    }.items():
        assert Comparison("", found, exact).refutes(0.05) is refuted
    assert Comparison("", Bounds(0.2, 0.1, 0.29), exact).refutes(0.5)
    unsure = Bounds(0.6, 0.2, 0.9)  # a champion measured on few rows
    assert not Comparison("", Bounds(0.1, 0.02, 0.29), unsure).refutes(0.05)


def test_exchanged_labels_are_refused() -> None:
    (result,) = judged(letters("b" * 60 + "a" * 60, "a" * 50 + "b" * 10 + "b" * 50 + "a" * 10), GOOD)
    assert not result.passed
    assert result.observed == pytest.approx(-2 / 3)
    assert result.sentence.startswith("min_agreement: the labels agree with the champion's predictions")
    assert "but found kappa -0.67 (expected 0.60), class 'a' -0.67 (expected 0.60)" in result.sentence
    assert result.sentence.endswith(
        "set retrain.min_agreement to -1 for this file, and remove its line from data/quarantine.csv"
    )
    (passed,) = judged(letters("a" * 60 + "b" * 60, "a" * 50 + "b" * 10 + "b" * 50 + "a" * 10), GOOD)
    assert (passed.passed, passed.found) == (True, "kappa 0.67 (expected 0.60)")
    assert judged(letters("b" * 60 + "a" * 60, "a" * 60 + "b" * 60), GOOD, min_agreement=-1) == []


def test_another_subject_passes_unless_it_must_reach_more() -> None:
    """The champion does a fifth as well as usual, on enough rows to be sure that it is not chance."""
    other = letters("a" * 1_000 + "b" * 1_000, "a" * 560 + "b" * 440 + "b" * 560 + "a" * 440)
    assert judged(other, GOOD)[0].passed
    assert not judged(other, GOOD, min_agreement=0.5)[0].passed


def test_what_proves_nothing_is_not_judged() -> None:
    assert judged(letters("b" * 14 + "a" * 15, "a" * 14 + "b" * 15), GOOD) == []  # too few rows
    assert judged(letters("a" * 100, "b" * 100), GOOD) == []  # one class
    assert judged(letters("n" * 50 + "a" * 50, "a" * 100), GOOD) == []  # a class that the reference lacks
    blind = letters("a" * 500 + "b" * 500, "a" * 1_000)
    assert judged(letters("b" * 50 + "a" * 50, "a" * 50 + "b" * 50), blind) == []
    assert agreement(pd.DataFrame({"text": [], "label": []}), Judge(lambda _: [], *GOOD), 0.05) == []


def test_class_priors_of_the_file_are_taken_into_account() -> None:
    """With 19 rows of a for each of b, kappa of right labels falls from 0.6 to 0.2."""
    rare = letters("a" * 1_900 + "b" * 100, "a" * 1_520 + "b" * 380 + "b" * 80 + "a" * 20)
    assert cohen_kappa_score(*rare) < 0.5 * cohen_kappa_score(*GOOD)
    assert judged(rare, GOOD, min_agreement=0.5)[0].passed


@pytest.mark.parametrize("champion", CHAMPIONS)
@pytest.mark.parametrize("size", [100, 1_000])
def test_right_labels_pass_and_shuffled_ones_do_not(champion: tuple[int, float], size: int) -> None:
    random = np.random.default_rng(1)
    setting = simulated(*champion, random)
    refused = dict.fromkeys(("right", "shuffled", "exchanged"), 0)
    for _ in range(10):
        files = dict(kinds(setting, size, random))
        for kind in refused:
            refused[kind] += any(entry.refutes(0.05) for entry in compare_agreement(files[kind], setting.reference))
    assert refused["right"] == 0
    if size >= 500:
        assert refused["shuffled"] == refused["exchanged"] == 10
