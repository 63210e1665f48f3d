"""Which encoding a file that is neither UTF-8 nor UTF-16 has: the one in which its letters stand as in some language.

Every byte beyond ASCII is judged with its two neighbours (`plausibility.py`), in the languages that the words around it
make likely (`languages.py`). A file may mix languages: those of an encoding share its places as a mixture, fitted by
expectation maximisation (Dempster, Laird and Rubin 1977). The likeliest encoding must beat every other by a wide
margin; otherwise nothing is guessed.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from .compression import BLOCK_BYTES
from .languages import log_shares
from .letters import OFTEN_CHINESE
from .plausibility import log_likelihood
from .sources import OpenFile

Places = Mapping[tuple[bytes, bytes, bytes], int]  # how often: bytes beyond ASCII, one before them, and two after

MOST_PLACES = 10_000  # different ones that are judged; more would take time, and change nothing
# A character of GB 18030 may be four bytes, two of which are digits.
PLACE = re.compile(
    rb"([\x00-\x7f]?)([\x80-\xff]+(?:(?<=[\x81-\xfe])[0-9][\x81-\xfe][0-9][\x80-\xff]*)*)(?=([\x00-\x7f]{0,2}))"
)
BESIDES_LETTERS = re.compile(rb"[\x00-@\[-`{-\x7f]")
MOST_LINES = 1_000  # with bytes beyond ASCII, whose words tell the language
WESTERN = (
    *("English", "French", "German", "Spanish", "Portuguese", "Italian", "Dutch", "Catalan", "Irish", "Afrikaans"),
    *("Danish", "Norwegian", "Swedish", "Finnish", "Estonian", "Albanian"),
)
CENTRAL = ("English", "Polish", "Czech", "Slovak", "Hungarian", "Slovene", "Croatian", "Romanian", "Albanian", "German")
BALTIC = (
    *("English", "Lithuanian", "Latvian", "Estonian", "German", "Polish", "Slovene", "Croatian"),
    *("Danish", "Norwegian", "Swedish", "Finnish"),
)
# Of encodings that give a file the same text, the first is taken: ISO-8859-1 is read as Windows-1252, -9 as -1254.
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "cp1252": (*WESTERN, "Icelandic"),
    "cp1250": CENTRAL,
    "cp1254": (*WESTERN, "Turkish"),
    "cp1257": BALTIC,
    "iso8859_2": CENTRAL,
    "iso8859_15": (*WESTERN, "Icelandic"),
    "mac_roman": (*WESTERN, "Icelandic"),
    "gb18030": ("Chinese", "English", "French", "Spanish"),
    # Those below are never taken, only named: too rare here to be guessed.
    "cp1251": ("Russian",),
    "koi8_r": ("Russian",),
    "cp866": ("Russian",),
    "iso8859_5": ("Russian",),
    "mac_cyrillic": ("Russian",),
    "cp1253": ("Greek",),
    "iso8859_7": ("Greek",),
    "cp1255": ("Hebrew",),
    "cp1256": ("Arabic",),
    "cp874": ("Thai",),
    "cp850": WESTERN,
    "cp852": CENTRAL,
    "mac_latin2": CENTRAL,
    "iso8859_13": BALTIC,
}
# Logarithms of how frequent a file of this encoding is beside one of Windows-1252.
PRIOR = {"cp1252": 0.0, "cp1254": -2.0, "cp1250": -2.0, "cp1257": -2.5, "iso8859_2": -3.0, "iso8859_15": -2.0}
PRIOR |= {"mac_roman": -4.0, "gb18030": -3.0}
RARE = -8.0  # that of all others, which are never taken
MARGIN = 5.0  # log-likelihood by which the best must beat each other one, ...
MARGIN_EACH = 0.1  # ... more for each place in which they differ, ...
MIXED = 3.0  # the price of mixing languages: few files do
CAUTION = {"mac_roman": 5.0, "gb18030": 7.0, "cp1254": 1.5}  # ... and for these
UNASKED = -3.3  # logarithm of the share of lines in a language whose words are not known
OLD_MAC, WINDOWS = 7.0, -2.0  # how much likelier "\r" and "\r\n" make an encoding of the Macintosh
REPEATED = 0.25  # a place that is found e times as often counts so much more: copies are not new evidence
PLAINLY_CHINESE = 1_000  # characters that cannot be the accents of another language by chance
MOST_JUDGED = 1_000  # places, the most frequent ones
LEAST_MEAN = -10.5  # log-likelihood of a character; that of text in no known language is less
# What is named, if nothing fits, by the characters that the text then has.
SCRIPTS = {
    "cp1251": "[Ѐ-ӿ]",
    "koi8_r": "[Ѐ-ӿ]",
    "cp1253": "[Ͱ-Ͽ]",
    "cp1255": "[\u0590-\u05ff]",
    "cp1256": "[\u0600-\u06ff]",
    "cp874": "[\u0e00-\u0e7f]",
    "euc_kr": "[가-힣]",
    "shift_jis": "[ぁ-ヿ一-鿿、。]",
    "euc_jp": "[ぁ-ヿ一-鿿、。]",
    "big5": "[一-鿿，。！？、]",
    "gb18030": "[一-鿿，。！？、]",
}


@dataclass(frozen=True)
class Verdict:
    """The encoding, or None where several are as likely or none is; and the candidates then, likeliest first."""

    encoding: str | None
    candidates: tuple[str, ...] = ()


def detect_legacy(open_file: OpenFile) -> Verdict:
    """Tell the encodings of `LANGUAGES` apart.

    Parameters
    ----------
    open_file : callable
        Opens the file; it is read once, a block at a time.

    Examples
    --------
    >>> import io
    >>> detect_legacy(lambda: io.BytesIO("gekürzt, größer".encode("cp1252"))).encoding
    'cp1252'
    >>> detect_legacy(lambda: io.BytesIO("źle się czuję".encode("cp1250"))).encoding
    'cp1250'
    """
    places: Counter[tuple[bytes, bytes, bytes]] = Counter()
    used: set[int] = set()
    lines: list[bytes] = []
    ends: Counter[bytes] = Counter()
    for block in _blocks_of_words(open_file):
        ends.update({end: block.count(end) for end in (b"\r", b"\n", b"\r\n")})
        if len(lines) < MOST_LINES:
            lines += [line for line in block.splitlines() if not line.isascii()][:MOST_LINES]
        used.update(block.translate(None, bytes(range(128))))
        for place, count in Counter(PLACE.findall(block)).items():
            if place in places or len(places) < MOST_PLACES:
                places[place] += count
    counts = np.array(list(places.values()))
    chinese = _decoded(places, used, "gb18030")
    if chinese and len("".join(chinese)) >= PLAINLY_CHINESE and _is_everyday_chinese(chinese, counts):
        return Verdict("gb18030")  # at once: to judge thousands of characters in every language takes long
    places = Counter(dict(places.most_common(MOST_JUDGED)))
    texts: dict[tuple[str, ...], list[str]] = {}  # and the encodings that give each
    for encoding in LANGUAGES:
        if decoded := _decoded(places, used, encoding):
            texts.setdefault(decoded, []).append(encoding)
    counts = np.array(list(places.values()))
    likely, ranked = _judge(texts, _weights(places), counts, log_shares(lines), _line_ends_of_mac(ends))
    if likely and likely[0] in PRIOR:
        return Verdict(None, likely) if len(likely) > 1 else Verdict(likely[0])
    return Verdict(None, tuple(dict.fromkeys((*likely[:2], *_by_script(places, used), *ranked[:2]))))


def _weights(places: Places) -> np.ndarray:
    """Return how much each place counts: those between the same letters are one that is repeated."""
    alike: Counter[bytes] = Counter()
    members: Counter[bytes] = Counter()
    keys = [
        BESIDES_LETTERS.sub(b"_", before) + character + BESIDES_LETTERS.sub(b"_", after[:1] or b"_")
        for before, character, after in places
    ]
    for key, count in zip(keys, places.values(), strict=True):
        alike[key] += count
        members[key] += 1
    return np.array([(1 + REPEATED * np.log(alike[key])) / members[key] for key in keys])


def _blocks_of_words(open_file: OpenFile) -> Iterator[bytes]:
    """Yield blocks that end between two words: a character of several bytes is never cut."""
    rest = b""
    with open_file() as file:
        for block in iter(partial(file.read, BLOCK_BYTES), b""):
            block = rest + block
            end = max(block.rfind(separator) for separator in (b" ", b"\n", b"\r", b",")) + 1 or len(block)
            rest = block[end:]
            yield block[:end]
    yield rest


def _decoded(places: Places, used: set[int], encoding: str) -> tuple[str, ...] | None:
    """Decode every place; None if one is not of the encoding."""
    try:
        if encoding in {"gb18030", "euc_kr", "shift_jis", "euc_jp", "big5"}:
            return tuple(_decoded_wide(b"".join(place), len(place[2]), encoding) for place in places)
        bytes(used).decode(encoding)
    except UnicodeDecodeError:
        return None
    if encoding.startswith("iso8859") and any(byte < 0xA0 for byte in used):
        return None  # control characters
    return tuple(b"".join(place).decode(encoding) for place in places)


def _decoded_wide(place: bytes, after: int, encoding: str) -> str:
    for end in range(len(place), len(place) - after, -1):  # what follows may be the first part of something
        try:
            return place[:end].decode(encoding)
        except UnicodeDecodeError:
            continue
    return place[: len(place) - after].decode(encoding)


def _judge(
    texts: Mapping[tuple[str, ...], list[str]],
    weights: np.ndarray,
    counts: np.ndarray,
    log_shares: Mapping[str, float],
    line_ends: float,
) -> tuple[tuple[str, ...], list[str]]:
    """Return the best encoding and those that it does not beat by far (none if it is implausible); all, best first."""
    fitted, prior, decoded = {}, {}, {encodings[0]: text for text, encodings in texts.items()}
    for text, (first, *others) in texts.items():
        languages = dict.fromkeys(chain(*(LANGUAGES[encoding] for encoding in (first, *others))))
        fitted[first], share = _fit(tuple(languages), text, weights, log_shares)
        prior[first] = PRIOR.get(first, RARE) + share + line_ends * first.startswith("mac")
    ranked = sorted(decoded, key=lambda encoding: prior[encoding] + float(weights @ fitted[encoding]), reverse=True)
    if not ranked:
        return (), []
    best = ranked[0]
    characters = np.array([sum(not character.isascii() for character in text) for text in decoded[best]])
    plausible = weights @ fitted[best] >= LEAST_MEAN * (weights @ characters)
    if not plausible or (best == "gb18030" and not _is_everyday_chinese(decoded[best], counts)):
        return (), ranked
    rivals = []
    least = MARGIN + (0.0 if best == "mac_roman" and line_ends > 0 else CAUTION.get(best, 0.0))
    for rival in ranked[1:]:
        differ = np.array([mine != other for mine, other in zip(decoded[best], decoded[rival], strict=True)])
        better, favour = weights * (fitted[best] - fitted[rival]), prior[best] - prior[rival]
        where_they_differ = favour + better[differ].sum()  # other places only tell the languages
        if favour + better.sum() < least + MARGIN_EACH * weights[differ].sum() or where_they_differ < 0:
            rivals.append(rival)
    return (best, *rivals), ranked


def _fit(
    languages: tuple[str, ...], texts: tuple[str, ...], weights: np.ndarray, log_shares: Mapping[str, float]
) -> tuple[np.ndarray, float]:
    """Return each text's log-likelihood in the language, or the mixture of all, that fits best; and that of these."""
    prior = np.array([log_shares.get(language, UNASKED) for language in languages])
    each = np.array([[_text_likelihood(text, language) for language in languages] for text in texts])
    highest = each.max(1)
    likelihoods = np.exp(each - highest[:, None])
    expected = np.exp(prior) / np.exp(prior).sum()
    shares = expected
    for _ in range(20):
        parts = likelihoods * shares
        shares = weights @ (parts / parts.sum(1, keepdims=True)) + expected
        shares /= shares.sum()
    mixture = np.log(likelihoods @ shares) + highest
    mixed = float(np.log(np.exp(prior).sum())) - MIXED
    alone = int(np.argmax(weights @ each + prior))
    if weights @ mixture + mixed > weights @ each[:, alone] + prior[alone]:
        return mixture, mixed
    return each[:, alone], float(prior[alone])


def _line_ends_of_mac(ends: Counter[bytes]) -> float:
    """Return by how much these line ends change the log-likelihood of an encoding of the Macintosh."""
    if ends[b"\r"] and not ends[b"\n"]:
        return OLD_MAC
    return WINDOWS if ends[b"\r\n"] else 0.0


def _text_likelihood(text: str, language: str) -> float:
    return sum(
        log_likelihood(character, text[place - 1] if place else " ", text[place + 1 : place + 3] or " ", language)
        for place, character in enumerate(text)
        if not character.isascii()
    )


def _is_everyday_chinese(texts: tuple[str, ...], counts: np.ndarray) -> bool:
    """Whether these are characters of GB 2312, some of the most frequent among them; no Korean or Japanese.

    EUC-KR and EUC-JP share their code space with GB 2312: Korean syllables are the first half of the Chinese characters
    there, and Japanese letters are Japanese letters.
    """
    characters: Counter[str] = Counter()
    for text, count in zip(texts, counts.tolist(), strict=True):
        for character in text:
            if len(character.encode("gb18030")) == 2:  # neither ASCII nor an emoji
                characters[character] += count
    total = characters.total()
    rows = "".join(characters).encode("gb2312", errors="ignore")[::2]  # of the table of GB 2312
    korean = len(rows) >= 20 and max(rows) <= 0xC8
    japanese = sum(count for character, count in characters.items() if "\u3040" <= character <= "\u30ff") > 0.1 * total
    common = sum(
        count for character, count in characters.items() if character in "—–·" or character.encode("gb2312", "ignore")
    )
    hanzi = sum(count for character, count in characters.items() if "一" <= character <= "鿿")
    often = sum(characters[character] for character in OFTEN_CHINESE)
    return common > 0.9 * total and not korean and not japanese and often >= 0.08 * hanzi


def _by_script(places: Places, used: set[int]) -> tuple[str, ...]:
    named = []
    for encoding, script in SCRIPTS.items():
        text = "".join(_decoded(places, used, encoding) or ())
        beyond = sum(not character.isascii() for character in text)
        lower = sum(character.islower() for character in text if not character.isascii())
        upper = sum(character.isupper() for character in text if not character.isascii())
        if len(re.findall(script, text)) > 0.85 * beyond and upper <= lower:
            named.append(encoding)
    return tuple(named)
