"""Split cleaned texts into units: words, characters or Chinese words, depending on the language."""

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from .masking import PLACEHOLDERS

PLACEHOLDER = "|".join(re.escape(placeholder) for placeholder in PLACEHOLDERS)  # a regular expression
# Vowel signs and combining accents (Hindi, Thai), which `\w` does not match, belong to their word.
_MARKS = "".join(chr(code) for code in range(0x300, 0xFE00) if unicodedata.category(chr(code))[0] == "M")
_WORD = re.compile(rf"{PLACEHOLDER}|\w[\w{_MARKS}]*(?:['’][\w{_MARKS}]+)*|[^\w\s]")
_CHARACTER = re.compile(rf"{PLACEHOLDER}|.")
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ebef]")  # one Chinese character
LONGEST_RUN = 500  # characters without a space or mark that jieba cuts at once: its time grows with the square
SAMPLED_TEXTS, SAMPLED_CHARACTERS = 1_000, 1_000  # by `detect_language`; characters of each text


def words(text: str) -> list[str]:
    """Split a cleaned text into words, single punctuation marks and symbols, and placeholders.

    >>> words("[user] isn't sad :)")
    ['[user]', "isn't", 'sad', ':', ')']
    """
    return _WORD.findall(text)


def characters(text: str) -> list[str]:
    """Split a cleaned text into characters and placeholders.

    >>> characters("我 [url]a")
    ['我', ' ', '[url]', 'a']
    """
    return _CHARACTER.findall(text)


def chinese_words(text: str) -> list[str]:
    """Split a cleaned text as `words` does, and Chinese further into words, with jieba.

    >>> chinese_words("我不喜欢 it")
    ['我', '不', '喜欢', 'it']
    """
    segment = _segmenter().lcut
    return [word for run in words(text) for word in (_in_pieces(segment, run) if HAN.search(run) else [run])]


def _in_pieces(segment: Callable[[str], list[str]], run: str) -> Iterator[str]:
    for start in range(0, len(run), LONGEST_RUN):
        yield from segment(run[start : start + LONGEST_RUN])


@cache
def _segmenter() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # invalid escapes in jieba's patterns
        import jieba

    segmenter = jieba.Tokenizer()
    # As `Tokenizer.initialize` does, without its cache in the shared temporary folder: any user of the machine could
    # put a dictionary there.
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return segmenter


T = TypeVar("T")


class RunCache(dict[str, T]):
    """Cache of a function of runs, the pieces of a text between spaces: most are words that occur again and again.

    Its memory is bounded: runs longer than `MAX_CHARACTERS` are not stored, and the cache is emptied when it
    holds `MAX_RUNS`.

    >>> lengths = RunCache(len)
    >>> lengths["good"], dict(lengths)
    (4, {'good': 4})
    """

    MAX_RUNS, MAX_CHARACTERS = 2**16, 32

    def __init__(self, function: Callable[[str], T]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, run: str) -> T:
        value = self.function(run)
        if len(run) <= self.MAX_CHARACTERS:
            if len(self) >= self.MAX_RUNS:
                self.clear()
            self[run] = value
        return value


# Languages without spaces between words; except for Chinese, there is no segmenter here.
UNIT_OF_LANGUAGE = {"zh": "chinese", **dict.fromkeys(("ja", "th", "lo", "km", "my"), "character")}
UNITS: dict[str, Callable[[str], list[str]]] = {"word": words, "character": characters, "chinese": chinese_words}


def detect_language(texts: Sequence[str]) -> str:
    """Detect the language of cleaned texts with py3langid, from the beginnings of 1,000 of them, evenly spaced.

    Parameters
    ----------
    texts : sequence of str
        Cleaned texts, one or more.

    Returns
    -------
    str
        Two letters (ISO 639-1).

    Examples
    --------
    >>> detect_language(["das ist leider gar nicht gut [user]"])
    'de'
    """
    from py3langid import classify

    step = -(-len(texts) // SAMPLED_TEXTS)
    sample = " ".join(text[:SAMPLED_CHARACTERS] for text in texts[::step])
    language: str = classify(re.sub(PLACEHOLDER, " ", sample))[0]
    return language
