"""Labels in several spellings: find those that look alike, and write the `ingest.label_map` that merges them.

Letters that look alike are Cyrillic and Greek ones whose prototype is a Latin letter in `confusables.txt` of Unicode
Technical Standard 39, "Unicode Security Mechanisms" (https://www.unicode.org/reports/tr39/).
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from ..base.errors import MAX_NAME_LENGTH, display_name
from ..base.params import label_name
from .split import split_key

# In the order of the Latin letters: A B C E H I J K M O P Q S T V W X Y, and a c d e h i j l o p q s v w x y.
_CYRILLIC = (
    "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u051a\u0405\u0422\u0474\u051c\u0425\u0423"
    "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u04cf\u043e\u0440\u051b\u0455\u0475\u051d\u0445\u0443"
)
# A B C E H I K M N O P T X Y Z, and a c i j o p u v y.
_GREEK = (
    "\u0391\u0392\u03f9\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7\u03a5\u0396"
    "\u03b1\u03f2\u03b9\u03f3\u03bf\u03c1\u03c5\u03bd\u03b3"
)
_PAIRS = [
    *zip(_CYRILLIC, "ABCEHIJKMOPQSTVWXYacdehijlopqsvwxy", strict=True),
    *zip(_GREEK, "ABCEHIKMNOPTXYZacijopuvy", strict=True),
]
# Tables for `str.translate`, by the script that the letters become.
_TABLES = {
    "LATIN": {ord(other): latin for other, latin in _PAIRS},
    "CYRILLIC": {ord(latin): other for other, latin in _PAIRS if other in _CYRILLIC},
    "GREEK": {ord(latin): other for other, latin in _PAIRS if other in _GREEK},
}
_WORD = re.compile(r"[^\W\d_]+")


def spelling_keys(labels: Iterable[str]) -> list[str]:
    r"""Return a key for each label, equal for labels that look alike or differ only in case, width and spaces.

    >>> spelling_keys(["Negative", "n\u0435gative", "positive"])
    ['negative', 'negative', 'positive']
    """
    pairs = [(label, split_key(label)) for label in labels]
    by_look = {key: key for label, key in pairs if label.isascii()}
    # The key of the first label of each look, so that a Cyrillic label has one key whatever its case.
    return [key if label.isascii() else by_look.setdefault(_look(label), key) for label, key in pairs]


def _look(label: str) -> str:
    return split_key(_translated(label, "LATIN"))


def _translated(text: str, script: str) -> str:
    """Return a text with look-alike letters of one script; accents stay."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).translate(_TABLES[script]))


def unmixed(label: str) -> str:
    r"""Return a label whose words have letters of one script each, where look-alike letters mix two.

    >>> unmixed("n\u0435gative"), unmixed("VIP-\u043a\u043b\u0438\u0435\u043d\u0442")
    ('negative', 'VIP-клиент')
    """
    return label if label.isascii() else _WORD.sub(lambda match: _unmixed_word(match[0]), label)


def _unmixed_word(word: str) -> str:
    if len(_scripts(word)) > 1 and _scripts(word) <= {*_TABLES}:
        for script in _TABLES:
            if _scripts(new := _translated(word, script)) == {script}:
                return new
    return word


def _scripts(word: str) -> set[str]:
    return {unicodedata.name(letter, "").partition(" ")[0] for letter in word}


def merged_labels(labels: Sequence[str]) -> dict[str, str]:
    r"""Return new names for labels in several spellings, and for words that mix scripts.

    Parameters
    ----------
    labels : sequence of str
        All labels, the most frequent first.

    Returns
    -------
    dict of str to str
        By label, of those that change: the most frequent spelling, but none that mixes scripts.

    Examples
    --------
    >>> merged_labels(["Joy", "joy", "s\u0430d", "Sad", "fear"])
    {'joy': 'Joy', 'sаd': 'Sad'}
    """
    names: dict[str, str] = {}
    keys = spelling_keys(labels)
    for label, key in zip(labels, keys, strict=True):
        if label == unmixed(label):
            names.setdefault(key, label)
    new = {label: names.get(key, unmixed(label)) for label, key in zip(labels, keys, strict=True)}
    return {label: name for label, name in new.items() if label != name}


def label_map_line(changes: Mapping[str, str], present: Mapping[Any, str | None] | None) -> str:
    r"""Return a line for `params.yaml` that renames labels.

    Parameters
    ----------
    changes : mapping of str to str
        New names by label, as in `merged_labels`. Labels that are so long that they may be texts are left out.
    present : mapping or None
        The present `ingest.label_map`, whose entries the line includes.

    Returns
    -------
    str
        YAML, from which every label is read back as it is; "" for no change.

    Examples
    --------
    >>> print(label_map_line({"n\u0435gative": "negative", "Joy": "joy"}, {1: "Joy", 2: None}))
    label_map: {"1": "joy", "2": null, "n\u0435gative": "negative"}
    """
    changes = {old: new for old, new in changes.items() if max(len(old), len(new)) <= MAX_NAME_LENGTH}
    before = {label_name(key): name for key, name in (present or {}).items()}
    entries = {key: changes.get(name, name) if name else None for key, name in before.items()}
    entries |= {old: new for old, new in changes.items() if old not in before.values()}
    pairs = [f"{_quoted(old, new)}: {_quoted(new, old) if new else 'null'}" for old, new in entries.items()]
    return f"label_map: {{{', '.join(pairs)}}}" if changes else ""


def shown_spellings(labels: Sequence[str]) -> str:
    r"""Name labels in several spellings, those of one class together, with look-alike letters as their codes.

    >>> print(shown_spellings(["Joy", "s\u0430d", "sad", "joy"]))
    'Joy' and 'joy'; 's\u0430d' and 'sad' (\u0430 is Cyrillic small letter a)
    """
    groups: dict[str, list[str]] = {}
    for label, key in zip(labels, spelling_keys(labels), strict=True):
        groups.setdefault(key, []).append(label)
    letters = sorted({letter for names in groups.values() for letter in _look_alikes(names)})
    shown = (" and ".join(f"'{shown_label(label, *names)}'" for label in names) for names in groups.values())
    return "; ".join(shown) + _named_letters(letters)


def _named_letters(letters: Iterable[str]) -> str:
    """Return the names of letters that are shown as codes, in brackets; "" for none."""
    names = ", ".join(f"{_escape(letter)} is {unicodedata.name(letter).capitalize()}" for letter in letters)
    return f" ({names})" if names else ""


def shown_label(label: str, *spellings: str) -> str:
    r"""Return a label for a message or report, with codes of letters that look like others.

    Those that do not fit into their word; and those by which the label differs from other spellings of its class.

    >>> print(shown_label("s\u0430d"))
    s\u0430d
    """
    return _escaped(display_name(label), _look_alikes([label, *spellings]))


def _look_alikes(spellings: Sequence[str]) -> set[str]:
    """Return the letters by which spellings of a class differ although they look the same.

    Those that do not fit into their word; if there are none, all Cyrillic and Greek ones that look Latin.
    """
    pairs = (pair for label in spellings for pair in zip(label, unmixed(label), strict=False))
    mixed = {letter for letter, other in pairs if letter != other}
    if mixed or len({*map(split_key, spellings)}) < 2:
        return mixed
    return {letter for letter in "".join(spellings) if ord(unicodedata.normalize("NFD", letter)[0]) in _TABLES["LATIN"]}


def _quoted(label: str, other: str | None) -> str:
    return f'"{_escaped(label, _look_alikes([label, other or label]))}"'


def _escaped(label: str, letters: Container[str]) -> str:
    """Return a label with the escapes of YAML's double quotes for these letters, and for what nobody sees."""
    return "".join(_escape(letter) if letter in letters or _is_hidden(letter) else letter for letter in label)


def _is_hidden(letter: str) -> bool:
    return letter in '"\\' or not letter.isprintable() or "\ufe00" <= letter <= "\ufe0f"  # variants of an emoji


def _escape(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    return f"\\u{ord(letter):04x}" if letter <= "\uffff" else f"\\U{ord(letter):08x}"
