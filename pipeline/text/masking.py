"""Replace what identifies a person by placeholders, in training and in prediction alike."""

import ipaddress
import re
from collections.abc import Callable
from functools import cache

from stdnum import iban, luhn, numdb
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.iso7064 import mod_11_2

PLACEHOLDERS = ("[url]", "[email]", "[user]", "[phone]", "[card]", "[id]", "[ip]")

# An address ends before closing punctuation, and before an ellipsis, even if a sentence follows without a space.
_URL = re.compile(
    r"(?:(?:h(?:tt|xx)ps?|ftp)://|(?<![A-Za-z0-9_])www\.(?=\w))(?:(?!\.\.)[\w\-./?%&=#~:;,+@!$*()\[\]])+(?<![.,;:!?)\]])",
    re.ASCII | re.IGNORECASE,
)
# Without http: names that end in ".com", ".org", ".co.uk"; in other endings of sites with three labels or a path.
_SITE = re.compile(
    r"(?<![\w@./-])(?:(?:[a-z0-9-]{1,63}\.){2,4}(?:net|io|info|app|dev|xyz|edu|gov)(?![\w-])"
    r"|(?:[a-z0-9-]{1,63}\.){1,4}(?:(?:com|org|(?:com?|org|ac|gov)\.[a-z]{2})(?![\w-])"
    r"|(?:com|org|net|edu|gov|info|io|co|me|ly|tv|us|uk|eu|de|fr|es|it|nl|ch|at|cn|in|jp|ru|br|au|ca|app|dev|xyz)"
    r"(?:\.[a-z]{2})?(?=/\w)))(?:/[\w\-./?%&=#~+]*(?<![.,?]))?",
    re.ASCII | re.IGNORECASE,
)
_PATH = re.compile(r"\.[a-z]{2,4}/[a-z0-9]")
_ENDING = re.compile(r"\.(?:com|org|co\.|ac\.|gov|net|io|info|app|dev|xyz|edu)")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9_.+'\-À-ɏ])[A-Za-z0-9_.+'\-À-ɏ]+(?:@| @ (?=[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2}))"
    r"[A-Za-z0-9À-ɏ-]+(?:\.[A-Za-z0-9-]+)+"
)
_SPELT_EMAIL = re.compile(
    r"(?<![\w.+-])(?:[\w+-]{1,30} dot )?[\w.+-]{1,64}"
    r"(?: ?[(\[]at[)\]] ?[\w-]+(?: ?[(\[]dot[)\]] ?\w+|\.\w+)+| at [\w-]+ dot \w+)",
    re.ASCII | re.IGNORECASE,
)
# A Latin name ends where another script begins; other names end at a space or colon, as on Weibo.
_HANDLE = re.compile(
    r"(?:@(?:[A-Za-z0-9_]+(?:(?:\.[a-z0-9_]+){2,5}|\.[a-z0-9]*[0-9_][a-z0-9_]*)?|[\w-]{1,30}(?=[\s:：]|$)))+"
)
# Names without an @: Reddit's, and names after a word such as "telegram" if they contain a digit or underscore.
_NAMED_HANDLE = re.compile(
    r"(?<![\w./])/?u/[\w-]{3,20}(?![\w/])"
    r"|((?:微信号?|威信|we ?chat(?: id)?|\bvx|\bwx|telegram|instagram|\binsta|snapchat|\bline id)[\s:：]{1,3}|微信号?)"
    r"(?=[a-z-]*[\d_])[a-z][a-z0-9_-]{4,29}(?![a-z0-9_@.])",
    re.ASCII | re.IGNORECASE,
)
_BEFORE_HANDLE = ("u/", "微信", "威信", "wechat", "we chat", "vx", "wx", "telegram", "insta", "snapchat", "line id")
# Every number below has six digits close together, or digits with letters between; few texts do.
_NUMBER = re.compile(r"[0-9](?:(?:[^\w\s]{0,2} ?[^\w\s]?[0-9]){5}|[0-9][A-Za-z][0-9]{2}|[0-9]{3}[A-Za-z])", re.ASCII)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d\d?)?(?!\w|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f:]{6,39}(?![\w:])", re.ASCII | re.IGNORECASE)
_CARD = re.compile(r"(?<![\w.,$€£¥#-])[2-6]\d{3}(?:[ .-]?\d){9,15}(?![\w-]|[.,]\d)", re.ASCII)
_ID = re.compile(
    r"(?<![\w-])(?:"
    r"(?P<chinese>\d{17}[\dx])"
    r"|(?P<french>[12] ?\d\d ?(?:0[1-9]|1[0-2]) ?\d[\dab] ?\d{3} ?\d{3} ?\d\d)"
    r"|(?P<spanish>(?:\d|[xyz]-?)\d{7}-?[a-z])"
    r"|(?!000|666)\d{3}-\d\d-\d{4}|(?!000|666)[0-8]\d\d \d\d \d{4}"  # USA
    r"|[a-ceghj-prstw-z][a-z] ?\d\d ?\d\d ?\d\d ?[a-d]"  # British
    r"|[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]|\d{3}\.\d{3}\.\d{3}-\d\d|[a-z]{5}\d{4}[a-z]"  # Italian, Brazilian, Indian
    r")(?![\w-])",
    re.ASCII | re.IGNORECASE,
)
# The beginning of an account number, and the longest text that may belong to it: the check digits decide what does.
_IBAN = re.compile(r"(?<![\w-])[a-z]{2}\d\d(?=((?: ?[a-z0-9]){11,30})(?![\w-]))", re.ASCII | re.IGNORECASE)
# Numbers that can be recognised only by the words before them.
_NAMED_ID = re.compile(
    r"((?:passport|pasaporte|passeport|reisepass|ausweis|steuer-?id|licen[cs]e|social security|\bssn|"
    r"\bnational insurance|\bdni|\bnie|\bnir|sécu|\bcpf|\bpan|aadhaa?r|(?<![a-z])qq|护照|身份证|证件)"
    r"[^\W\d]{0,8}[\s:.#-]{0,3}"
    r"(?:(?:no|num|number|nummer|nr|is|号|号码|是|my)\b[\s:.#-]{0,3}){0,2})"
    r"(?=(?:[a-z .-]{0,2}\d){4})([a-z]{0,2}\d(?:[.-]?[a-z\d]| \d){5,17}(?![a-z\d]))",
    re.IGNORECASE,
)
# Nine digits or more in groups, or seven as in 555-0123; not a date, nor part of a longer number or code.
_PHONE = re.compile(
    r"(?<![\w.,$€£¥#-])(?!\d{4}-\d\d?-\d\d?(?!\d)|\d\d?[./-]\d\d?[./-](?:19|20)\d\d(?!\d)|97[89]-|\d\.\d{5})"
    r"(?:\+?[(（]?\d{1,4}[)）]?(?:[ ./-]?(?:\(0\) ?)?[(（]?\d{2,5}[)）]?){1,6}|\d{3}-\d{4})(?![\w-]|[.,]\d)",
    re.ASCII,
)
# Digits without a space: with a trunk or country code, or as many as national numbers have; not product codes.
_BARE_PHONE = re.compile(r"0\d{8,14}|[2-9]\d{8,11}|1[2-9]\d{9}", re.ASCII)
# Full-width digits, and what joins them or the labels of an address, as Chinese keyboards write them.
_WIDE = re.compile("[０-９＠]|[－．](?=[0-9０-９])|(?<=[A-Za-z0-9])．(?=[A-Za-z])")
_NARROW = str.maketrans("０１２３４５６７８９＠－．", "0123456789@-.")
_TWO_DIGITS = re.compile(r"[0-9]{2}")
# Identity numbers with check digits; the others are recognised by their form only.
# Of Chinese ones only the check sum is tested: python-stdnum rejects regions that it does not know.
_CHECKED: dict[str, Callable[[str], bool]] = {
    "chinese": mod_11_2.is_valid,
    "french": nir.is_valid,
    "spanish": lambda number: dni.is_valid(number) or nie.is_valid(number),
}


def mask(text: str) -> str:
    """Replace web, e-mail and IP addresses, user names, phone, card and identity numbers by `PLACEHOLDERS`.

    Check digits are verified by python-stdnum. What is masked, and what is not: docs/privacy.md.

    Parameters
    ----------
    text : str
        Text without markup and entities, in any case.

    Returns
    -------
    str
        The text with a space on either side of each placeholder.

    Examples
    --------
    >>> mask("ask @bob or call +44 20 7946 0958")
    'ask  [user]  or call  [phone] '
    """
    if not text.isascii() and _WIDE.search(text):
        text = _WIDE.sub(lambda match: match[0].translate(_NARROW), text)
    # Most texts have nothing to mask: these tests are cheaper than the searches.
    lowered = text.lower()
    if "://" in text or "www." in lowered:
        text = _URL.sub(" [url] ", text)
    if "(at)" in lowered or "[at]" in lowered or " dot " in lowered:
        text = _SPELT_EMAIL.sub(" [email] ", text)
    if "@" in text:
        text = _HANDLE.sub(" [user] ", _EMAIL.sub(" [email] ", text))
    if any(word in lowered for word in _BEFORE_HANDLE):
        text = _NAMED_HANDLE.sub(r"\1 [user] ", text)
    if _ENDING.search(lowered) or ("/" in text and _PATH.search(lowered)):
        text = _SITE.sub(" [url] ", text)
    if "::" in text or text.count(":") >= 7:
        text = _IPV6.sub(_mask_ip, text)
    if _TWO_DIGITS.search(text) and _NUMBER.search(text):
        text = _IPV4.sub(_mask_ip, text)
        text = _mask_ibans(text)
        text = _ID.sub(_mask_id, text)
        text = _NAMED_ID.sub(r"\1 [id] ", text)
        text = _CARD.sub(_mask_card, text)
        text = _PHONE.sub(_mask_phone, text)
    return text


def _mask_ip(match: re.Match[str]) -> str:
    try:
        ipaddress.ip_network(match[0], strict=False)
    except ValueError:
        return match[0]
    return " [ip] "


def _mask_id(match: re.Match[str]) -> str:
    is_valid = _CHECKED.get(match.lastgroup or "")
    return " [id] " if is_valid is None or is_valid(match[0]) else match[0]


def _mask_ibans(text: str) -> str:
    """Replace account numbers, which may be followed by words of the sentence."""
    pieces, end = [], 0
    for match in _IBAN.finditer(text):
        if match.start() >= end and (length := _iban_length(match[0] + match[1])):
            pieces += [text[end : match.start()], " [id] "]
            end = match.start() + length
    return "".join([*pieces, text[end:]])


def _iban_length(groups: str) -> int:
    """Return the length, with spaces, of the account number at the beginning of `groups`; 0 if there is none."""
    wanted, seen = _iban_characters(groups[:2].upper()), 0
    for length, character in enumerate(groups, start=1):
        seen += character != " "
        if seen == wanted:
            is_whole = groups[length : length + 1] in {"", " "}
            return length if is_whole and iban.is_valid(groups[:length].replace(" ", "")) else 0
    return 0


@cache
def _iban_characters(country: str) -> int:
    """Return how many characters a country's account numbers have, without spaces; 0 if it has none."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    return 4 + sum(map(int, re.findall(r"\d+", structure))) if structure else 0


def _mask_card(match: re.Match[str]) -> str:
    return " [card] " if luhn.is_valid(re.sub("[ .-]", "", match[0])) else match[0]


def _mask_phone(match: re.Match[str]) -> str:
    number = match[0]
    digits = sum(character.isdigit() for character in number)
    if number.isdigit():
        return " [phone] " if _BARE_PHONE.fullmatch(number) else number
    return " [phone] " if 9 <= digits <= 15 or re.fullmatch(r"\d{3}-\d{4}", number) else number
