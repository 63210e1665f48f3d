"""Sentences of the behavioural tests: those added to test texts, and templates of plain cases.

By language, and then by name of the test. A language added to all three tables gets these tests.
"""

from collections.abc import Sequence
from typing import NamedTuple


class AddedSentence(NamedTuple):
    """A sentence added to a text, and the polarity that it expresses."""

    polarity: str
    sentence: str


class Template(NamedTuple):
    """Cases with a known label: `form` filled with every combination of `parts`.

    Parameters
    ----------
    expected : {"positive", "negative", "neutral", "not negative"}
        Polarity of the label.
    parts : tuple of sequence of str
        The options for each gap.
    form : str
        Text with a {} for each gap.
    """

    expected: str
    parts: tuple[Sequence[str], ...]
    form: str


ADDED: dict[str, dict[str, AddedSentence]] = {
    "en": {
        "added_positive": AddedSentence("positive", "i loved it."),
        "added_negative": AddedSentence("negative", "i hated it."),
        "added_negation": AddedSentence("negative", "i do not like it."),
    },
    "zh": {
        "added_positive": AddedSentence("positive", "我很喜欢。"),
        "added_negative": AddedSentence("negative", "我很讨厌。"),
        "added_negation": AddedSentence("negative", "我不喜欢。"),
    },
}
FULL_STOP = {"en": ". ", "zh": "。"}

_SUBJECTS = ("it was", "this is", "that was", "everything was", "the whole thing was", "all of it is")
_CHINESE_SUBJECTS = ("这个东西", "质量", "服务", "整体感觉", "效果", "内容")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CHINESE_DAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
SENTENCE_TEMPLATES: dict[str, dict[str, Template]] = {
    "en": {
        "positive_words": Template(
            "positive",
            (_SUBJECTS, ("good", "great", "excellent", "wonderful", "amazing", "fantastic")),
            "{} {}.",
        ),
        "negative_words": Template(
            "negative",
            (_SUBJECTS, ("bad", "terrible", "awful", "horrible", "disappointing", "the worst")),
            "{} {}.",
        ),
        "neutral_facts": Template(
            "neutral",
            (("it is on", "it opens on", "we are there on", "the next one is on", "this is from"), _DAYS),
            "{} {}.",
        ),
        "negated_positive": Template(
            "negative",
            (_SUBJECTS, ("good", "great", "nice", "helpful", "worth it", "what i wanted")),
            "{} not {}.",
        ),
        "negated_negative": Template(
            "not negative",
            (_SUBJECTS, ("bad", "terrible", "awful", "horrible", "disappointing", "a problem")),
            "{} not {} at all.",
        ),
    },
    "zh": {
        "positive_words": Template(
            "positive",
            (_CHINESE_SUBJECTS, ("很好", "非常好", "很棒", "很不错", "令人满意", "太好了")),
            "{}{}。",
        ),
        "negative_words": Template(
            "negative",
            (_CHINESE_SUBJECTS, ("很差", "非常差", "很糟糕", "太差了", "令人失望", "很烂")),
            "{}{}。",
        ),
        "neutral_facts": Template("neutral", (_CHINESE_DAYS, ("开门", "送到", "开始", "有", "去的")), "{}{}。"),
        "negated_positive": Template(
            "negative",
            (_CHINESE_SUBJECTS, ("不好", "不太好", "并不好", "一点也不好", "不能令人满意", "不怎么样")),
            "{}{}。",
        ),
        "negated_negative": Template(
            "not negative",
            (_CHINESE_SUBJECTS, ("不差", "一点也不差", "并不差", "不算差", "不糟糕", "没有让人失望")),
            "{}{}。",
        ),
    },
}
