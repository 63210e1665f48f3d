"""How a cleaned text is split into units: words, characters or Chinese words, by its language."""

import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from .masking import PLACEHOLDERS

PLACEHOLDER = "|".join(re.escape(placeholder) for placeholder in PLACEHOLDERS)
# Vowel signs and accents of their own, which `\w` leaves out, belong to the word that they stand in (Hindi, Thai).
_MARKS = "".join(chr(code) for code in range(0x300, 0xFE00) if unicodedata.category(chr(code))[0] == "M")
_WORD = re.compile(rf"{PLACEHOLDER}|\w[\w{_MARKS}]*(?:['’][\w{_MARKS}]+)*|[^\w\s]")
_CHARACTER = re.compile(rf"{PLACEHOLDER}|.")
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ebef]")


def words(text: str) -> list[str]:
    """Split a cleaned text into words, single punctuation marks and symbols, and placeholders."""
    return _WORD.findall(text)


def characters(text: str) -> list[str]:
    """Split a cleaned text into characters and placeholders."""
    return _CHARACTER.findall(text)


def chinese_words(text: str) -> list[str]:
    """Split a cleaned text as `words` does, and what holds Chinese further into jieba's words."""
    cut = _segmenter().lcut
    return [word for run in words(text) for word in (cut(run) if HAN.search(run) else [run])]


@cache
def _segmenter() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # old escapes in its patterns, which newer Pythons report
        import jieba

    segmenter = jieba.Tokenizer()
    # As its `initialize` does, but for the cache in the machine's temporary folder: whoever writes there first could
    # choose the words of all users.
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return segmenter


T = TypeVar("T")


class Remembered(dict[str, T]):
    """What a function gives for the runs between a text's spaces: words, which come again and again.

    Memory is bounded: long runs, which are no words, are not kept, and of 65,536 runs none is.
    """

    MOST, LONGEST = 2**16, 32

    def __init__(self, function: Callable[[str], T]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, run: str) -> T:
        found = self.function(run)
        if len(run) <= self.LONGEST:
            if len(self) >= self.MOST:
                self.clear()
            self[run] = found
        return found


# What is no word between spaces. Others of the kind have no segmenter here.
UNIT_OF_LANGUAGE = {"zh": "chinese", **dict.fromkeys(("ja", "th", "lo", "km", "my"), "character")}
UNITS: dict[str, Callable[[str], list[str]]] = {"word": words, "character": characters, "chinese": chinese_words}


def detect_language(texts: Sequence[str]) -> str:
    """The language of cleaned texts, as two letters, by py3langid on the starts of 1,000 of them."""
    from py3langid import classify

    sample = " ".join(text[:1_000] for text in texts[:: -(-len(texts) // 1_000)])
    language: str = classify(re.sub(PLACEHOLDER, " ", sample))[0]
    return language
