"""Raw text to token ids: the one path that training and prediction share."""

import html
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from ftfy import TextFixerConfig, fix_text

from .files import read_json, write_json
from .masking import PLACEHOLDERS, mask

PADDING, UNKNOWN = 0, 1  # the ids below those of the units
MOST_UNITS, LENGTHS = 20_000, (16, 400)  # bounds of what the data may choose
MANY_UNITS = 1_000_000

# Mojibake becomes what was meant, curly quotes straight ones; full-width punctuation is Chinese, and stays.
_FIXES = TextFixerConfig(unescape_html=False, fix_character_width=False, remove_control_chars=False)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\ufeff]")
_MARKUP = re.compile(r"<!--(?:(?!<!--).)*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
PLACEHOLDER = "|".join(re.escape(placeholder) for placeholder in PLACEHOLDERS)
# Vowel signs and accents of their own, which `\w` leaves out, belong to the word that they stand in (Hindi, Thai).
_MARKS = "".join(chr(code) for code in range(0x300, 0xFE00) if unicodedata.category(chr(code))[0] == "M")
_WORD = re.compile(rf"{PLACEHOLDER}|\w[\w{_MARKS}]*(?:['’][\w{_MARKS}]+)*|[^\w\s]")
_CHARACTER = re.compile(rf"{PLACEHOLDER}|.")
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ebef]")


def clean_text(text: str) -> str:
    """Lower-case a text, mend its encoding, remove markup and extra space, and mask what identifies people.

    Web, e-mail and IP addresses, user names, phone, card and identity numbers become placeholders. Negation,
    punctuation, emoji, accents and scripts other than Latin are kept: they carry the emotion.

    Parameters
    ----------
    text : str
        Raw text.

    Returns
    -------
    str
        Cleaned text; empty if nothing but markup and space was there.
    """
    text = _MARKUP.sub(" ", text)  # before the entities, so that "&lt;3" never looks like a tag
    for _ in range(2):  # real exports escape twice: "R&amp;amp;D"
        text = html.unescape(text)
    if not text.isascii():  # ftfy changes no ASCII text, and takes longer than all the rest
        text = fix_text(text, _FIXES)
    text = _CONTROL.sub(" ", text)
    return " ".join(mask(text).lower().split())


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


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary, a unit and a length: turns cleaned texts into rows of ids.

    Parameters
    ----------
    vocabulary : tuple of str
        Units by id, the first having id 2 (0 is padding, 1 any other unit).
    length : int
        Units kept of a text: its last ones, because a text's verdict tends to come at its end.
    unit : {"word", "character", "chinese"}
        How a text is split.
    language : str
        Of the training texts, two letters.
    lengths : tuple of int
        The padded lengths there are, ascending, the last being `length`: a network pads a text to the shortest that
        holds it, because padding costs as much time as tokens do.
    """

    vocabulary: tuple[str, ...]
    length: int
    unit: str = "word"
    language: str = "en"
    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.lengths:
            object.__setattr__(self, "lengths", (self.length,))

    @cached_property
    def _of_run(self) -> Remembered[list[int]]:
        ids = {word: i for i, word in enumerate(self.vocabulary, start=UNKNOWN + 1)}
        split = UNITS[self.unit]
        return Remembered(lambda run: [ids.get(unit, UNKNOWN) for unit in split(run)])

    def __reduce__(self) -> tuple[Any, ...]:  # to another process it goes without what it remembers
        return Tokenizer, (self.vocabulary, self.length, self.unit, self.language, self.lengths)

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        *,
        vocabulary_size: int | None,
        length: int | None,
        unit: str = "word",
        language: str = "en",
    ) -> "Tokenizer":
        """Take the most frequent units of cleaned `texts`, equal counts in alphabetical order.

        Parameters
        ----------
        texts : iterable of str
            Cleaned training texts.
        vocabulary_size : int or None
            Most units; None for those that occur twice or more, at most 20,000: what occurs once teaches nothing.
        length : int or None
            Units kept of a text; None for as many as 95 of 100 texts have, 16 to 400.
        unit, language
            As above.
        """
        counts: Counter[str] = Counter()
        lengths = []
        for text in texts:
            units = UNITS[unit](text)
            counts.update(units)
            lengths.append(len(units))
        if vocabulary_size is None:
            repeated = sum(count > 1 for count in counts.values())
            vocabulary_size = min(max(repeated, 1), MOST_UNITS)
        if length is None:
            length = int(np.clip(np.percentile(lengths, 95, method="higher"), *LENGTHS))
        # Each padded length takes some seconds to compile, and only many units save as much in padding.
        steps = 8 if sum(lengths) > MANY_UNITS else 4
        bounds = np.percentile(lengths, np.linspace(0, 100, steps + 1)[1:], method="higher")
        padded = {min(int(4 * np.ceil(bound / 4)), length) for bound in bounds} - {0} | {length}
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        vocabulary = tuple(each for each, _ in ranked[:vocabulary_size])
        return cls(vocabulary, length, unit, language, tuple(sorted(padded)))

    @property
    def num_ids(self) -> int:
        """Number of ids: the vocabulary, padding and unknown."""
        return len(self.vocabulary) + UNKNOWN + 1

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Turn cleaned texts into ids.

        Parameters
        ----------
        texts : sequence of str
            Cleaned texts.

        Returns
        -------
        ndarray of shape (n_texts, length), int32
            Token ids, right-padded with 0. An empty text is one unknown unit, because cuDNN refuses an empty row.
        """
        rows = np.full((len(texts), self.length), PADDING, dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            # No unit but a space itself, of characters, holds a space: a text is cut as its runs are.
            runs = [text] if self.unit == "character" else text.split()
            ids = [each for run in runs for each in self._of_run[run]][-self.length :] or [UNKNOWN]
            row[: len(ids)] = ids
        return rows

    def save(self, path: Path) -> None:
        write_json(
            path,
            {
                "unit": self.unit,
                "language": self.language,
                "length": self.length,
                "lengths": list(self.lengths),
                "vocabulary": list(self.vocabulary),
            },
        )

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        content = read_json(path)
        return cls(tuple(content.pop("vocabulary")), lengths=tuple(content.pop("lengths")), **content)
