"""Perturbations of a text that keep its meaning, or name other people: the predicted label should stay the same.

Each function takes a text and the hash of its row, and returns the versions to compare, the first as the reference;
none if it does not apply to the text. Choices are derived from the hash, so that they are reproducible.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...text.languages import HAN, PLACEHOLDER, UNIT_OF_LANGUAGE


class Version(NamedTuple):
    """A text, and the groups of people that it names, such as {"gender": "female"}."""

    text: str
    groups: Mapping[str, str] = {}


Perturbation = Callable[[str, str], list[Version]]

# First names typical of one origin and gender, compared as in Kiritchenko and Mohammad (2018), "Examining Gender and
# Race Bias in Two Hundred Sentiment Analysis Systems", but in real texts.
_ENGLISH_NAMES = {
    ("English", "female"): ("melanie", "katie", "ellen", "heather"),
    ("English", "male"): ("adam", "harry", "alan", "frank"),
    ("African American", "female"): ("latisha", "ebony", "shaniqua", "tia"),
    ("African American", "male"): ("jamel", "darnell", "terrence", "malik"),
    ("Hispanic", "female"): ("maria", "guadalupe", "juanita", "carmen"),
    ("Hispanic", "male"): ("jose", "luis", "carlos", "miguel"),
    ("Arabic", "female"): ("fatima", "aisha", "layla", "noor"),
    ("Arabic", "male"): ("mohammed", "ahmed", "omar", "hassan"),
    ("Indian", "female"): ("priya", "lakshmi", "anjali", "sunita"),
    ("Indian", "male"): ("rahul", "sanjay", "amit", "vijay"),
    ("Chinese", "female"): ("xiuying", "meiling", "yanli", "xiaomei"),
    ("Chinese", "male"): ("jianguo", "zhiqiang", "weiming", "haoran"),
}
_CHINESE_NAMES = {
    ("Han", "female"): ("王秀英", "李娜", "张敏", "刘芳"),
    ("Han", "male"): ("王建国", "李强", "张伟", "刘洋"),
    ("Uyghur", "female"): ("阿依古丽", "古丽娜尔", "热依汗", "帕提古丽"),
    ("Uyghur", "male"): ("买买提", "艾力", "阿不都", "吐尔逊"),
    ("Tibetan", "female"): ("卓玛", "央金", "拉姆", "白玛拉珍"),
    ("Tibetan", "male"): ("扎西", "多吉", "次仁", "丹增"),
    ("Western", "female"): ("玛丽", "艾米丽", "苏珊", "安娜"),
    ("Western", "male"): ("约翰", "大卫", "彼得", "迈克"),
}
PERSON_NAMES = {"en": (_ENGLISH_NAMES, " - {}"), "zh": (_CHINESE_NAMES, "——{}")}

_HER_ENDS = (  # after `her` as an object: "told her to", "with her and"
    "a|about|after|again|all|an|and|any|as|at|back|because|before|but|by|down|for|from|here|home|how|i|if|in|into|is|it"
    "|just|my|no|not|now|off|on|or|out|over|so|some|that|the|then|there|this|to|too|until|up|was|well|what|when|where"
    "|while|who|why|with"
)
_PAIRS = (
    "he/she him/her his/her himself/herself man/woman men/women boy/girl boys/girls sir/madam mr/mrs male/female "
    "gentleman/lady gentlemen/ladies father/mother fathers/mothers dad/mom daddy/mommy son/daughter sons/daughters "
    "brother/sister brothers/sisters husband/wife uncle/aunt grandfather/grandmother grandpa/grandma nephew/niece "
    "boyfriend/girlfriend actor/actress actors/actresses waiter/waitress"
)
_MALE_TO_FEMALE = dict(pair.split("/") for pair in _PAIRS.split())
_FEMALE_TO_MALE = {female: male for male, female in _MALE_TO_FEMALE.items()} | {"hers": "his", "mum": "dad"}
_CHINESE_MALE_TO_FEMALE = {
    **{"他": "她", "先生": "女士", "男人": "女人", "男孩": "女孩", "男生": "女生", "爸爸": "妈妈", "父亲": "母亲"},
    **{"哥哥": "姐姐", "弟弟": "妹妹", "儿子": "女儿", "丈夫": "妻子", "老公": "老婆", "爷爷": "奶奶", "叔叔": "阿姨"},
}
_CHINESE_FEMALE_TO_MALE = {female: male for male, female in _CHINESE_MALE_TO_FEMALE.items()}
_GENDERED = {
    "en": re.compile(rf"\b(?:{'|'.join([*_MALE_TO_FEMALE, *_FEMALE_TO_MALE])})\b"),
    # 其他 (other) and 吉他 (guitar) do not name a person.
    "zh": re.compile(rf"(?<![其吉])(?:{'|'.join([*_CHINESE_MALE_TO_FEMALE, *_CHINESE_FEMALE_TO_MALE])})"),
}

_LETTERS = re.compile(rf"{PLACEHOLDER}|([^\W\d_]{{4,}})")
_FULL, _HALF = "，！？：；（）", ",!?:;()"
_OTHER_WIDTH = str.maketrans(_FULL + _HALF + "。", _HALF + _FULL + ".")  # "." stays: it stands in numbers, too
_SCRIPT_BORDER = re.compile(rf"(?<={HAN.pattern})(?=[a-z0-9])|(?<=[a-z0-9])(?={HAN.pattern})")


def of_language(language: str) -> dict[str, Perturbation]:
    """Return the perturbations for texts of a language (two letters), by name.

    >>> list(of_language("de"))
    ['typos', 'case', 'markup', 'full_stop', 'symbol']
    """
    perturbations: dict[str, Perturbation] = {
        "typos": doubled_character if language in UNIT_OF_LANGUAGE else swapped_letters,
        "case": upper_case,
        "markup": markup,
        "full_stop": lambda text, row: full_stop(text, "。" if language == "zh" else "."),
        "symbol": symbol,
    }
    if language == "zh":
        perturbations |= {"punctuation_width": punctuation_width, "spacing": spacing}
    if language in PERSON_NAMES:
        perturbations |= {
            "names": lambda text, row: signed(text, row, language),
            "gender": lambda text, row: swapped_gender(text, language),
        }
    return perturbations


def swapped_letters(text: str, row: str) -> list[Version]:
    """Swap two neighbouring letters inside a word of at least four letters."""
    words = [match for match in _LETTERS.finditer(text) if match[1]]
    places = [i for word in words for i in range(word.start() + 1, word.end() - 2) if text[i] != text[i + 1]]
    if not places:
        return []
    i = places[draw(row, "typos", len(places))]
    return _changed(text, text[:i] + text[i + 1] + text[i] + text[i + 2 :])


def doubled_character(text: str, row: str) -> list[Version]:
    """Double a letter: a typing error in scripts without spaces."""
    places = [match.start() for match in re.finditer(rf"{PLACEHOLDER}|([^\W\d_])", text) if match[1]]
    if not places:
        return []
    i = places[draw(row, "typos", len(places))]
    return _changed(text, text[: i + 1] + text[i:])


def upper_case(text: str, row: str) -> list[Version]:
    """Change to upper case, unless lower-casing does not restore the text, as with ß.

    >>> upper_case("so it is", "hash")[1].text, upper_case("straße", "hash")
    ('SO IT IS', [])
    """
    return _changed(text, text.upper()) if text.upper().lower() == text.lower() else []


def markup(text: str, row: str) -> list[Version]:
    """Write it as in a web page: with tags, line breaks and more spaces."""
    return _changed(text, f"<p>{text.replace(' ', f'  {chr(10)}')}</p><br />")


def full_stop(text: str, stop: str) -> list[Version]:
    """Remove the full stop at the end, or add one after a letter or digit.

    >>> full_stop("so it is", ".")[1].text
    'so it is.'
    """
    if text.endswith(stop) and not text.endswith(stop * 2):
        return _changed(text, text.removesuffix(stop))
    return _changed(text, text + stop) if text[-1:].isalnum() else []


def symbol(text: str, row: str) -> list[Version]:
    """Add a paper clip at the end, which expresses no mood, unlike faces, hearts, hands, arrows and the weather."""
    return _changed(text, f"{text} 📎")


def punctuation_width(text: str, row: str) -> list[Version]:
    """Exchange full-width and half-width punctuation."""
    return _changed(text, text.translate(_OTHER_WIDTH))


def spacing(text: str, row: str) -> list[Version]:
    """Add a space between Chinese characters and Latin letters or digits."""
    return _changed(text, _SCRIPT_BORDER.sub(" ", text))


def signed(text: str, row: str, language: str) -> list[Version]:
    """Sign the text with a first name of each origin and gender.

    Names in the texts are not exchanged: in tweets they are mostly those of public figures, and part of the subject.
    """
    lists, signature = PERSON_NAMES[language]
    return [
        Version(text + signature.format(group[draw(row, "names", len(group))]), {"origin": origin, "gender": gender})
        for (origin, gender), group in lists.items()
    ]


def swapped_gender(text: str, language: str) -> list[Version]:
    """Exchange words for women and words for men, unless the text has both.

    The following word decides whether "her" becomes "his" or "him".

    >>> [version.text for version in swapped_gender("she lost her bag", "en")]
    ['she lost her bag', 'he lost his bag']
    """
    pattern = _GENDERED[language]
    male = _MALE_TO_FEMALE if language == "en" else _CHINESE_MALE_TO_FEMALE
    genders = {"male" if word in male else "female" for word in pattern.findall(text)}
    if len(genders) != 1:
        return []
    (before,) = genders
    after = "female" if before == "male" else "male"
    swapped = pattern.sub(_other_gender if language == "en" else _other_chinese_gender, text)
    return [Version(text, {"gender": before}), Version(swapped, {"gender": after})]


def _other_gender(match: re.Match[str]) -> str:
    word, following = match[0], match.string[match.end() :]
    if word == "her":
        return "his" if re.match(rf"\s+(?!(?:{_HER_ENDS})\b)\w", following) else "him"
    if word == "his" and not re.match(r"\s+\w", following):
        return "hers"
    return _MALE_TO_FEMALE.get(word) or _FEMALE_TO_MALE[word]


def _other_chinese_gender(match: re.Match[str]) -> str:
    return _CHINESE_MALE_TO_FEMALE.get(match[0]) or _CHINESE_FEMALE_TO_MALE[match[0]]


def draw(row: str, purpose: str, options: int) -> int:
    """Return a number from 0 to `options` - 1, derived from the hash of a row and a purpose.

    >>> draw("hash", "typos", 3) == draw("hash", "typos", 3)
    True
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {row}".encode()).digest()[:8]) % options


def _changed(before: str, after: str) -> list[Version]:
    return [Version(before), Version(after)] if after != before else []
