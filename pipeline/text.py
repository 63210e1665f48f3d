"""Raw text to token ids: the one path that training and prediction share."""

import html
import ipaddress
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from ftfy import TextFixerConfig, fix_text

from .files import read_json, write_json

PADDING, UNKNOWN = 0, 1  # the ids below those of the units
MOST_UNITS, LENGTHS = 20_000, (16, 400)  # bounds of what the data may choose
PLACEHOLDERS = ("[url]", "[email]", "[user]", "[phone]", "[card]", "[id]", "[ip]")

# Mojibake becomes what was meant, curly quotes straight ones; full-width punctuation is Chinese, and stays.
_FIXES = TextFixerConfig(unescape_html=False, fix_character_width=False, remove_control_chars=False)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\ufeff]")
_MARKUP = re.compile(r"<!--(?:(?!<!--).)*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
# An address ends before closing punctuation, and before an ellipsis that a sentence follows without a space.
_URL = re.compile(
    r"(?:(?:https?|ftp)://|(?<![A-Za-z0-9_])www\.(?=\w))(?:(?!\.\.)[\w\-./?%&=#~:;,+@!$*()\[\]])+(?<![.,;:!?)\]])",
    re.ASCII | re.IGNORECASE,
)
# Without http, what ends as sites do: ".com", or another such ending and a path.
_SITE = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9-]{1,63}\.){1,4}(?:com(?![\w-])|(?:com|org|net|edu|gov|info|io|co|me|ly|tv|us|uk|eu|de|fr|es|"
    r"it|nl|ch|at|cn|in|jp|ru|br|au|ca|app|dev|xyz)(?:\.[a-z]{2})?(?=/\w))(?:/[\w\-./?%&=#~+]*(?<![.,?]))?",
    re.ASCII | re.IGNORECASE,
)
_PATH = re.compile(r"\.[a-z]{2,4}/[a-z0-9]")
_EMAIL = re.compile(r"(?<![A-Za-z0-9_.+'\-À-ɏ])[A-Za-z0-9_.+'\-À-ɏ]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_SPELT_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}(?: ?[(\[]at[)\]] ?[\w-]+(?: ?[(\[]dot[)\]] ?\w+|\.\w+)+| at [\w-]+ dot \w+)",
    re.ASCII | re.IGNORECASE,
)
# A Latin name ends where another script begins; others end, as in Weibo, at a space or colon.
_HANDLE = re.compile(r"(?:@(?:[A-Za-z0-9_]+(?:\.[a-z0-9]*[0-9_][a-z0-9_]*)?|[\w-]{1,30}(?=[\s:：]|$)))+")
# Six digits near one another, or letters between: what every number below has, and few texts.
_NUMBER = re.compile(r"[0-9](?:(?:[^\w\s]{0,2} ?[^\w\s]?[0-9]){5}|[0-9][A-Za-z][0-9]{2}|[0-9]{3}[A-Za-z])", re.ASCII)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d\d?)?(?!\w|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f:]{6,39}(?![\w:])", re.ASCII | re.IGNORECASE)
_CARD = re.compile(r"(?<![\w.,$€£¥#-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\w-]|[.,]\d)", re.ASCII)
_ID = re.compile(
    r"(?<![\w-])(?:"
    r"(?P<chinese>\d{17}[\dx])"
    r"|(?P<french>[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?\d[\dab] ?\d{3} ?\d{3} ?\d\d)"
    r"|(?P<spanish>(?:\d|[xyz])\d{7}-?[a-z])"
    r"|(?!000|666)\d{3}-\d\d-\d{4}|(?!000|666)[0-8]\d\d \d\d \d{4}"  # the United States'
    r"|[a-ceghj-prstw-z][a-z] ?\d\d ?\d\d ?\d\d ?[a-d]"  # British
    r"|[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]|\d{3}\.\d{3}\.\d{3}-\d\d|[a-z]{5}\d{4}[a-z]"  # Italian, Brazilian, Indian
    r"|(?P<iban>[a-z]{2}\d\d(?: ?[a-z0-9]{1,4}){3,8})"
    r")(?![\w-])",
    re.ASCII | re.IGNORECASE,
)
_IBAN_COUNTRIES = frozenset(
    [
        "AD",
        "AE",
        "AL",
        "AT",
        "AZ",
        "BA",
        "BE",
        "BG",
        "BH",
        "BI",
        "BR",
        "BY",
        "CH",
        "CR",
        "CY",
        "CZ",
        "DE",
        "DJ",
        "DK",
        "DO",
        "EE",
        "EG",
        "ES",
        "FI",
        "FK",
        "FO",
        "FR",
        "GB",
        "GE",
        "GI",
        "GL",
        "GR",
        "GT",
        "HN",
        "HR",
        "HU",
        "IE",
        "IL",
        "IQ",
        "IS",
        "IT",
        "JO",
        "KW",
        "KZ",
        "LB",
        "LC",
        "LI",
        "LT",
        "LU",
        "LV",
        "LY",
        "MC",
        "MD",
        "ME",
        "MK",
        "MN",
        "MR",
        "MT",
        "MU",
        "NI",
        "NL",
        "NO",
        "OM",
        "PK",
        "PL",
        "PS",
        "PT",
        "QA",
        "RO",
        "RS",
        "RU",
        "SA",
        "SC",
        "SD",
        "SE",
        "SI",
        "SK",
        "SM",
        "SO",
        "ST",
        "SV",
        "TL",
        "TN",
        "TR",
        "UA",
        "VA",
        "VG",
        "XK",
        "YE",
    ]
)
# A number that only the words before it tell from others.
_NAMED_ID = re.compile(
    r"((?:passport|pasaporte|passeport|reisepass|ausweis|steuer-?id|licen[cs]e|social security|\bssn|"
    r"\bnational insurance|\bdni|\bnie|\bnir|sécu|\bcpf|\bpan|aadhaa?r|\bqq|护照|身份证|证件)\w{0,8}[\s:.#-]{0,3}"
    r"(?:(?:no|num|number|nummer|nr|is|号|号码|是|my)\b[\s:.#-]{0,3}){0,2})"
    r"(?=(?:[a-z .-]{0,2}\d){4})([a-z]{0,2}\d(?:[.-]?[a-z\d]| \d){5,17}(?![a-z\d]))",
    re.IGNORECASE,
)
# Nine digits or more in groups, or seven as in 555-0123; a date and part of a longer number or code are none.
_PHONE = re.compile(
    r"(?<![\w.,$€£¥#-])(?!\d{4}-\d\d?-\d\d?(?!\d)|\d\d?[./-]\d\d?[./-](?:19|20)\d\d(?!\d)|97[89]-|\d\.\d{5})"
    r"(?:\+?\(?\d{1,4}\)?(?:[ ./-]?(?:\(0\) ?)?\(?\d{2,5}\)?){1,6}|\d{3}-\d{4})(?![\w-]|[.,]\d)",
    re.ASCII,
)
# Digits without a space: with a trunk or country code, or as many as national numbers have; not those of goods.
_BARE_PHONE = re.compile(r"0\d{8,14}|[2-9]\d{8,11}|1[2-9]\d{9}", re.ASCII)
_TWO_DIGITS = re.compile(r"[0-9]{2}")
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
    # Most texts have none, which costs less to tell than to search.
    lowered = text.lower()
    if "://" in text or "www." in lowered:
        text = _URL.sub(" [url] ", text)
    if "(at)" in lowered or "[at]" in lowered or " dot " in lowered:
        text = _SPELT_EMAIL.sub(" [email] ", text)
    if "@" in text:
        text = _HANDLE.sub(" [user] ", _EMAIL.sub(" [email] ", text))
    if ".com" in lowered or ("/" in text and _PATH.search(lowered)):
        text = _SITE.sub(" [url] ", text)
    if "::" in text or text.count(":") >= 7:
        text = _IPV6.sub(_masked_ip, text)
    if _TWO_DIGITS.search(text) and _NUMBER.search(text):
        text = _IPV4.sub(_masked_ip, text)
        text = _ID.sub(_masked_id, text)
        text = _NAMED_ID.sub(r"\1 [id] ", text)
        text = _CARD.sub(_masked_card, text)
        text = _PHONE.sub(_masked_phone, text)
    return " ".join(text.lower().split())


def _masked_ip(found: re.Match[str]) -> str:
    try:
        ipaddress.ip_network(found[0], strict=False)
    except ValueError:
        return found[0]
    return " [ip] "


def _masked_id(found: re.Match[str]) -> str:
    kind, number = found.lastgroup, re.sub("[ -]", "", found[0]).upper()
    if kind == "iban":
        return _masked_iban(found[0])
    valid = True
    if kind == "chinese":  # ISO 7064, MOD 11-2
        total = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(number[:17]))
        valid = "10X98765432"[total % 11] == number[17]
    elif kind == "french":
        department = number.replace("2A", "19").replace("2B", "18")
        valid = department.isdigit() and (int(department[:-2]) + int(department[-2:])) % 97 == 0
    elif kind == "spanish":
        digits = int(number[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2"))
        valid = "TRWAGMYFPDXBNJZSQVHLCKE"[digits % 23] == number[-1]
    return " [id] " if valid else found[0]


def _masked_iban(found: str) -> str:
    """The account number at the start replaced (ISO 7064, MOD 97-10); words of a sentence may follow it."""
    groups = found.split(" ") if found[:2].upper() in _IBAN_COUNTRIES else []
    for end in range(len(groups), 0, -1):
        number = "".join(groups[:end])
        value = int("".join(str(int(each, 36)) for each in number[4:] + number[:4]))
        if len(number) >= 15 and sum(map(str.isdigit, number)) >= 10 and value % 97 == 1:
            return f" [id] {' '.join(groups[end:])}"
    return found


def _masked_card(found: re.Match[str]) -> str:
    """By Luhn's check digit."""
    digits = [int(digit) for digit in re.sub("[ -]", "", found[0])]
    total = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return " [card] " if total % 10 == 0 else found[0]


def _masked_phone(found: re.Match[str]) -> str:
    number = found[0]
    digits = sum(character.isdigit() for character in number)
    if number.isdigit():
        return " [phone] " if _BARE_PHONE.fullmatch(number) else number
    return " [phone] " if 9 <= digits <= 15 or re.fullmatch(r"\d{3}-\d{4}", number) else number


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
        ids = {word: i for i, word in enumerate(self.vocabulary, start=UNKNOWN + 1)}
        split = UNITS[self.unit]
        of_run = Remembered(lambda run: [ids.get(unit, UNKNOWN) for unit in split(run)])
        object.__setattr__(self, "_of_run", of_run)

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
        quarters = np.percentile(lengths, (25, 50, 75, 100), method="higher")
        padded = {min(int(4 * np.ceil(quarter / 4)), length) for quarter in quarters} - {0} | {length}
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
        of_run: Remembered[list[int]] = self._of_run  # type: ignore[attr-defined]
        rows = np.full((len(texts), self.length), PADDING, dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            # No unit but a space itself, of characters, holds a space: a text is cut as its runs are.
            runs = [text] if self.unit == "character" else text.split()
            ids = [each for run in runs for each in of_run[run]][-self.length :] or [UNKNOWN]
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
