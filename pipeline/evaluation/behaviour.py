"""Behavioural tests: whether a model does what people expect of it, independently of its test metrics.

Tests as in CheckList (Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList"):
invariance (INV), directional expectation (DIR) and minimum functionality (MFT).
"""

from collections.abc import Callable, Sequence
from itertools import islice, product
from typing import NotRequired, TypedDict

import numpy as np

from ..text.polarity import polarity
from .text.perturbations import Version, of_language
from .text.sentences import ADDED, FULL_STOP, SENTENCE_TEMPLATES

MAX_TEST_ROWS = 500  # test rows in each test, those of lowest hash
MIN_SAMPLES = 20  # tests with fewer samples are shown, but not judged
MAX_RISE = 0.1  # allowed rise of the opposite classes' probability by an added sentence, as in CheckList

NO_WORDS = "no words for this language here"
NO_POLARITY = "no classes known as positive and negative"
NO_NEUTRAL = "no class known as neutral"
NO_ROWS = "no test row has what it changes"

TestCase = list[Version]  # a text and its variants; a single text in MFT

# The largest difference between two groups' mean probabilities of a class.
Gap = TypedDict("Gap", {"gap": float, "class": str, "highest": str, "lowest": str})


class BehaviourResult(TypedDict):
    """The result of one test.

    `kind` is INV, DIR or MFT, `pass_rate` the fraction of samples that pass. INV also has `mean_change`, the mean
    absolute change of the first label's probability, and tests that name people have `gaps`, by grouping.
    """

    kind: str
    num_samples: int
    pass_rate: float
    mean_change: NotRequired[float]
    gaps: NotRequired[dict[str, Gap]]


class BehaviourReport(TypedDict):
    """Content of `behaviour.json`, without texts: results by test, and why the other tests do not apply."""

    tests: dict[str, BehaviourResult]
    not_applicable: dict[str, str]


def run_tests(
    probabilities: Callable[[Sequence[str]], np.ndarray],
    texts: Sequence[str],
    rows: Sequence[str],
    classes: Sequence[str],
    *,
    language: str,
) -> BehaviourReport:
    """Run every test that applies to a model with this language and these classes.

    Parameters
    ----------
    probabilities : callable
        Maps raw texts to class probabilities of shape (n_texts, n_classes), such as `Predictor.probabilities`; called
        once.
    texts : sequence of str
        Test texts. They may be clean: the perturbations add what cleaning removes.
    rows : sequence of str
        Hashes of the texts, which decide which 500 are used and what is changed in them.
    classes : sequence of str
        Class names.
    language : str
        Language of the texts, two letters.
    """
    order = sorted(range(len(texts)), key=lambda i: rows[i])
    polarities = [polarity(name) for name in classes]
    samples, not_applicable = _samples([(texts[i], rows[i]) for i in order], polarities, language)
    versions = (version for tests in samples.values() for sample in tests for version in sample)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(version.text for version in versions))}
    predicted = probabilities(list(numbers)) if numbers else np.zeros((0, len(classes)))
    results = {}
    for name, of_test in samples.items():
        scores = [predicted[[numbers[version.text] for version in sample]] for sample in of_test]
        results[name] = _result(name, of_test, scores, polarities, classes, language)
    return {"tests": results, "not_applicable": not_applicable}


def judged(report: BehaviourReport) -> dict[str, BehaviourResult]:
    """Return the results with at least `MIN_SAMPLES` samples."""
    return {name: result for name, result in report["tests"].items() if result["num_samples"] >= MIN_SAMPLES}


def weakest_line(report: BehaviourReport) -> str:
    """Return the weakest test's result as one line.

    >>> weakest_line({"tests": {"case": {"kind": "INV", "num_samples": 20, "pass_rate": 0.9}}, "not_applicable": {}})
    'behaviour: the weakest of 1 tests is case (INV): 90.0% of 20 samples pass'
    """
    tests = judged(report)
    if not tests:
        return f"behaviour: no test has {MIN_SAMPLES} samples"
    name = min(tests, key=lambda name: tests[name]["pass_rate"])
    result = tests[name]
    return (
        f"behaviour: the weakest of {len(tests)} tests is {name} ({result['kind']}): "
        f"{result['pass_rate']:.1%} of {result['num_samples']} samples pass"
    )


def _samples(
    texts: Sequence[tuple[str, str]], polarities: Sequence[str | None], language: str
) -> tuple[dict[str, list[TestCase]], dict[str, str]]:
    """Return the samples of each test, from texts and their hashes, and why the other tests have none."""
    samples: dict[str, list[TestCase]] = {}
    reasons = {}
    for name, perturb in of_language(language).items():
        samples[name] = list(islice((sample for text, row in texts if (sample := perturb(text, row))), MAX_TEST_ROWS))
        if not samples[name]:
            reasons[name] = NO_ROWS
    if language not in ADDED:
        reasons |= dict.fromkeys(("names", "gender", *ADDED["en"], *SENTENCE_TEMPLATES["en"]), NO_WORDS)
    elif not {"positive", "negative"} <= set(polarities):
        reasons |= dict.fromkeys((*ADDED[language], *SENTENCE_TEMPLATES[language]), NO_POLARITY)
    else:
        for name, added in ADDED[language].items():
            samples[name] = [
                [Version(text), Version(_with_sentence(text, added.sentence, language))]
                for text, _ in texts[:MAX_TEST_ROWS]
            ]
        for name, template in SENTENCE_TEMPLATES[language].items():
            samples[name] = [[Version(template.form.format(*words))] for words in product(*template.parts)]
        if "neutral" not in polarities:
            reasons["neutral_facts"] = NO_NEUTRAL
    return {name: of_test for name, of_test in samples.items() if of_test and name not in reasons}, reasons


def _with_sentence(text: str, sentence: str, language: str) -> str:
    stop = FULL_STOP[language]
    return text + (stop if text[-1:].isalnum() else stop[1:]) + sentence


def _result(
    name: str,
    samples: Sequence[TestCase],
    scores: Sequence[np.ndarray],
    polarities: Sequence[str | None],
    classes: Sequence[str],
    language: str,
) -> BehaviourResult:
    """Return a test's result from the probabilities of each sample's versions, shape (n_versions, n_classes)."""
    kind = (
        "DIR" if name in ADDED.get(language, {}) else "MFT" if name in SENTENCE_TEMPLATES.get(language, {}) else "INV"
    )
    if kind == "DIR":
        passed = _not_against(scores, ADDED[language][name].polarity, polarities)
    elif kind == "MFT":
        passed = _as_expected(scores, SENTENCE_TEMPLATES[language][name].expected, polarities)
    else:
        passed = [len(set(rows.argmax(axis=1))) == 1 for rows in scores]
    result: BehaviourResult = {
        "kind": kind,
        "num_samples": len(samples),
        "pass_rate": round(float(np.mean(passed)), 6),
    }
    if kind == "INV":
        changes = [np.abs(rows[1:] - rows[0])[:, int(rows[0].argmax())].mean() for rows in scores]
        result["mean_change"] = round(float(np.mean(changes)), 6)
    groupings = samples[0][0].groups
    if groupings:
        result["gaps"] = {grouping: _gap(grouping, samples, scores, classes) for grouping in groupings}
    return result


def _not_against(scores: Sequence[np.ndarray], added: str, polarities: Sequence[str | None]) -> list[bool]:
    """Return which samples' probability of the classes opposite to the added sentence rises by at most `MAX_RISE`."""
    opposite = [polarity in {"positive", "negative"} and polarity != added for polarity in polarities]
    return [bool((rows[1] - rows[0])[opposite].sum() <= MAX_RISE) for rows in scores]


def _as_expected(scores: Sequence[np.ndarray], expected: str, polarities: Sequence[str | None]) -> list[bool]:
    """Return which samples' predicted class has the expected polarity."""
    predicted = [polarities[int(rows[0].argmax())] for rows in scores]
    if expected == "not negative":
        return [polarity != "negative" for polarity in predicted]
    return [polarity == expected for polarity in predicted]


def _gap(grouping: str, samples: Sequence[TestCase], scores: Sequence[np.ndarray], classes: Sequence[str]) -> Gap:
    """Return the largest difference between two groups' mean probabilities of any class."""
    by_group: dict[str, list[np.ndarray]] = {}
    for sample, rows in zip(samples, scores, strict=True):
        for version, probabilities in zip(sample, rows, strict=True):
            by_group.setdefault(version.groups[grouping], []).append(probabilities)
    groups = sorted(by_group)
    means = np.array([np.mean(by_group[group], axis=0) for group in groups])
    widest = int(np.ptp(means, axis=0).argmax())
    column = means[:, widest]
    return {
        "gap": round(float(np.ptp(column)), 6),
        "class": classes[widest],
        "highest": groups[int(column.argmax())],
        "lowest": groups[int(column.argmin())],
    }
