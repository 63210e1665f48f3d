"""Which words are in the scope of a negator."""

import pytest

from pipeline.text.languages import UNITS
from pipeline.text.negation import SCOPE, negated


@pytest.mark.parametrize(
    ("text", "language", "marked"),
    [
        ("it is not good", "en", "good"),
        ("it isn't good", "en", "good"),
        ("it isn’t good", "en", "good"),
        ("it isnt good", "en", "good"),
        ("i cannot say that it helps", "en", "say that it"),
        ("never again , good", "en", "again"),
        ("nothing . good", "en", ""),
        ("not :) good", "en", ""),
        ("not [user] good", "en", "[user] good"),
        ("no , not good", "en", "good"),
        ("notable and nice", "en", ""),
        ("das ist nicht gut", "de", "gut"),
        ("c'est pas bon", "fr", "bon"),
        ("no me gusta", "es", "me gusta"),
        ("не нравится", "ru", "нравится"),
        ("这个 不 好用", "zh", "好用"),
        ("not good", "de", ""),
        ("not good", "xx", ""),
    ],
)
def test_words_in_scope(text: str, language: str, marked: str) -> None:
    unit = "chinese" if language == "zh" else "word"
    units = UNITS[unit](text)
    marks, _ = negated(units, language)
    assert " ".join(word for word, mark in zip(units, marks, strict=True) if mark) == marked


def test_scope_goes_on_in_the_next_part() -> None:
    """A text may be read run by run."""
    units = ["it", "is", "not", "so", "very", "good", "at", "all"]
    whole, _ = negated(units, "en")
    left, marks = 0, []
    for unit in units:
        part, left = negated([unit], "en", left)
        marks += part
    assert marks == whole
    assert sum(whole) == SCOPE
    assert negated([], "en", 2) == ([], 2)
