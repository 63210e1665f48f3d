"""Behaviour: whether the model does what anyone would expect of it, whatever its test figures are.

Tests as in CheckList (Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList"):
invariance (INV), directional expectation (DIR) and minimum functionality (MFT).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, product
from typing import Any

import numpy as np

from .text.perturbations import Version, of_language

MOST_ROWS = 500  # test rows in each test, the first by their hash
MIN_SAMPLES = 20  # a test with fewer says nothing for or against a model
TOLERANCE = 0.1  # by which a sentence may raise the opposite classes' probability, as in CheckList

# What classes are called whose feeling anyone knows. Numbers are none of them: 1 may stand for anything.
_CALLED = {
    "positive": "positive pos good happy happiness joy love like admiration amusement approval caring excitement "
    "gratitude optimism pride relief enthusiasm fun 4star 5star 正面 正向 积极 好评 喜悦 高兴 开心 快乐 喜欢 "
    "4星 5星 四星 五星",
    "neutral": "neutral neu 3star 中性 中立 中评 3星 三星",
    "negative": "negative neg bad sad sadness anger angry fear disgust hate dislike worry annoyance disappointment "
    "disapproval embarrassment grief nervousness remorse 1star 2star 负面 负向 消极 差评 愤怒 生气 悲伤 难过 厌恶 讨厌 "
    "恐惧 害怕 1星 2星 一星 二星",
}
_POLARITY = {name: polarity for polarity, names in _CALLED.items() for name in names.split()}
_DEGREE = re.compile(r"^(?:very|extremely|strongly|mostly|slightly|somewhat|weakly|非常)")

ADDED = {
    "en": {
        "added_positive": ("positive", "i loved it."),
        "added_negative": ("negative", "i hated it."),
        "added_negation": ("negative", "i do not like it."),
    },
    "zh": {
        "added_positive": ("positive", "我很喜欢。"),
        "added_negative": ("negative", "我很讨厌。"),
        "added_negation": ("negative", "我不喜欢。"),
    },
}
_STOP = {"en": ". ", "zh": "。"}

_SUBJECTS = ("it was", "this is", "that was", "everything was", "the whole thing was", "all of it is")
_CHINESE_SUBJECTS = ("这个东西", "质量", "服务", "整体感觉", "效果", "内容")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CHINESE_DAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
# By language and test: what the label must be, or must not be, and the parts of the texts.
TEMPLATES: dict[str, dict[str, tuple[str, tuple[Sequence[str], ...], str]]] = {
    "en": {
        "positive_words": (
            "positive",
            (_SUBJECTS, ("good", "great", "excellent", "wonderful", "amazing", "fantastic")),
            "{} {}.",
        ),
        "negative_words": (
            "negative",
            (_SUBJECTS, ("bad", "terrible", "awful", "horrible", "disappointing", "the worst")),
            "{} {}.",
        ),
        "neutral_facts": (
            "neutral",
            (("it is on", "it opens on", "we are there on", "the next one is on", "this is from"), _DAYS),
            "{} {}.",
        ),
        "negated_positive": (
            "negative",
            (_SUBJECTS, ("good", "great", "nice", "helpful", "worth it", "what i wanted")),
            "{} not {}.",
        ),
        "negated_negative": (
            "not negative",
            (_SUBJECTS, ("bad", "terrible", "awful", "horrible", "disappointing", "a problem")),
            "{} not {} at all.",
        ),
    },
    "zh": {
        "positive_words": (
            "positive",
            (_CHINESE_SUBJECTS, ("很好", "非常好", "很棒", "很不错", "令人满意", "太好了")),
            "{}{}。",
        ),
        "negative_words": (
            "negative",
            (_CHINESE_SUBJECTS, ("很差", "非常差", "很糟糕", "太差了", "令人失望", "很烂")),
            "{}{}。",
        ),
        "neutral_facts": ("neutral", (_CHINESE_DAYS, ("开门", "送到", "开始", "有", "去的")), "{}{}。"),
        "negated_positive": (
            "negative",
            (_CHINESE_SUBJECTS, ("不好", "不太好", "并不好", "一点也不好", "不能令人满意", "不怎么样")),
            "{}{}。",
        ),
        "negated_negative": (
            "not negative",
            (_CHINESE_SUBJECTS, ("不差", "一点也不差", "并不差", "不算差", "不糟糕", "没有让人失望")),
            "{}{}。",
        ),
    },
}

NO_WORDS = "no words for this language here"
NO_POLARITY = "no classes known as positive and negative"
NO_NEUTRAL = "no class known as neutral"
NO_ROWS = "no test row has what it changes"


def polarity(name: str) -> str | None:
    """Whether a class of this name is positive, neutral or negative; None where that is not known.

    Case, separators, a degree before the word ("very_negative") and the plural of stars do not matter.
    """
    word = re.sub(r"[\s_-]+", "", name).lower()
    word = re.sub(r"stars$", "star", _DEGREE.sub("", word))
    return _POLARITY.get(word)


def measure(
    probabilities: Callable[[Sequence[str]], np.ndarray],
    texts: Sequence[str],
    rows: Sequence[str],
    classes: Sequence[str],
    *,
    language: str,
) -> dict[str, Any]:
    """Run every test that applies to a model of this language and these classes.

    Parameters
    ----------
    probabilities : callable
        Raw texts to class probabilities of shape (n_texts, n_classes), such as `Predictor.probabilities`; called once.
    texts : sequence of str
        Test texts. Cleaned ones will do: what cleaning removes is added by the perturbations.
    rows : sequence of str
        Their hashes, which decide which 500 take part and what is changed of them.
    classes : sequence of str
        Class names.
    language : str
        Of the texts, two letters.

    Returns
    -------
    dict
        `tests`: by name, `kind` (INV, DIR or MFT), `num_samples`, `pass_rate` (share of the samples that behave), for
        INV `mean_change` (mean absolute change of the first label's probability), and for tests that name people
        `gaps`: by grouping, the largest difference between two groups' mean probabilities of a class. `not_applicable`:
        the reasons of the others. No texts.
    """
    order = sorted(range(len(texts)), key=lambda i: rows[i])
    polarities = [polarity(name) for name in classes]
    samples, left_out = _samples([(texts[i], rows[i]) for i in order], polarities, language)
    number = {text: i for i, text in enumerate(dict.fromkeys(v.text for s in samples.values() for vs in s for v in vs))}
    found = probabilities(list(number)) if number else np.zeros((0, len(classes)))
    tests = {}
    for name, of in samples.items():
        rated = [found[[number[version.text] for version in versions]] for versions in of]
        tests[name] = _figures(name, of, rated, polarities, classes, language)
    return {"tests": tests, "not_applicable": left_out}


def counted(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tests with samples enough to judge a model by."""
    return {name: of for name, of in found["tests"].items() if of["num_samples"] >= MIN_SAMPLES}


def line(found: Mapping[str, Any]) -> str:
    """The weakest test, in a line."""
    tests = counted(found)
    if not tests:
        return f"behaviour: no test has {MIN_SAMPLES} samples"
    name = min(tests, key=lambda name: tests[name]["pass_rate"])
    of = tests[name]
    return (
        f"behaviour: the weakest of {len(tests)} tests is {name} ({of['kind']}): "
        f"{of['pass_rate']:.1%} of {of['num_samples']} samples pass"
    )


def _samples(
    texts: Sequence[tuple[str, str]], polarities: Sequence[str | None], language: str
) -> tuple[dict[str, list[list[Version]]], dict[str, str]]:
    """The samples of each test, each the versions of one text, and why the others have none."""
    samples: dict[str, list[list[Version]]] = {}
    left_out = {}
    for name, perturb in of_language(language).items():
        samples[name] = list(islice((made for text, row in texts if (made := perturb(text, row))), MOST_ROWS))
        if not samples[name]:
            left_out[name] = NO_ROWS
    if language not in ADDED:
        left_out |= dict.fromkeys(("names", "gender", *ADDED["en"], *TEMPLATES["en"]), NO_WORDS)
    elif not {"positive", "negative"} <= set(polarities):
        left_out |= dict.fromkeys((*ADDED[language], *TEMPLATES[language]), NO_POLARITY)
    else:
        for name, (_, sentence) in ADDED[language].items():
            samples[name] = [[Version(text), Version(_with(text, sentence, language))] for text, _ in texts[:MOST_ROWS]]
        for name, (_, parts, form) in TEMPLATES[language].items():
            samples[name] = [[Version(form.format(*words))] for words in product(*parts)]
        if "neutral" not in polarities:
            left_out["neutral_facts"] = NO_NEUTRAL
    return {name: of for name, of in samples.items() if of and name not in left_out}, left_out


def _with(text: str, sentence: str, language: str) -> str:
    return text + (_STOP[language] if text[-1:].isalnum() else _STOP[language][1:]) + sentence


def _figures(
    name: str,
    samples: Sequence[Sequence[Version]],
    rated: Sequence[np.ndarray],
    polarities: Sequence[str | None],
    classes: Sequence[str],
    language: str,
) -> dict[str, Any]:
    """One test's figures; `rated` holds the probabilities of each sample's versions, shape (n_versions, n_classes)."""
    figures: dict[str, Any] = {"kind": "INV", "num_samples": len(samples)}
    if name in ADDED.get(language, {}):
        figures["kind"], said = "DIR", ADDED[language][name][0]
        opposite = [of in {"positive", "negative"} and of != said for of in polarities]
        passed = [bool((of[1] - of[0])[opposite].sum() <= TOLERANCE) for of in rated]
    elif name in TEMPLATES.get(language, {}):
        figures["kind"], expected = "MFT", TEMPLATES[language][name][0]
        called = [polarities[int(of[0].argmax())] for of in rated]
        passed = [of != "negative" if expected == "not negative" else of == expected for of in called]
    else:
        passed = [len(set(of.argmax(axis=1))) == 1 for of in rated]
    figures["pass_rate"] = round(float(np.mean(passed)), 6)
    if figures["kind"] == "INV":
        changes = [np.abs(of[1:] - of[0])[:, int(of[0].argmax())].mean() for of in rated]
        figures["mean_change"] = round(float(np.mean(changes)), 6)
    if samples[0][0].groups:
        figures["gaps"] = {axis: _gap(axis, samples, rated, classes) for axis in samples[0][0].groups}
    return figures


def _gap(
    axis: str, samples: Sequence[Sequence[Version]], rated: Sequence[np.ndarray], classes: Sequence[str]
) -> dict[str, Any]:
    """The largest difference between two groups' mean probabilities of any class, and of which class and groups."""
    by_group: dict[str, list[np.ndarray]] = {}
    for versions, of in zip(samples, rated, strict=True):
        for version, probabilities in zip(versions, of, strict=True):
            by_group.setdefault(version.groups[axis], []).append(probabilities)
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
