"""How plausible a character beyond ASCII is between its two neighbours: its likelihood in a language (naive Bayes)."""

import math
import re
from functools import lru_cache

from .letters import LETTERS, MARKS, OFTEN_CHINESE

FIRST, OTHER = 1.5, 0.05  # the n-th most frequent neighbour has the weight 1 / (n + FIRST); all others OTHER together
UNCOUNTED = {"Hebrew": r"[\u0590-\u05ff]", "Arabic": r"[\u0600-\u06ff]", "Thai": r"[\u0e00-\u0e7f]"}
LOW_QUOTES = {
    "German",
    "Czech",
    "Slovak",
    "Slovene",
    "Croatian",
    "Lithuanian",
    "Latvian",
    "Estonian",
    "Icelandic",
}  # „“
ELIDING = {"English", "French", "Italian", "Catalan", "Irish", "Afrikaans", "Dutch", "Albanian", "Turkish"}  # ’
LEAST = 1e-10  # likelihood of anything
FOREIGN = 1e-8  # of a letter that is not the language's
CAPITAL, INITIAL, MIDDLE, AMONG = 0.03, 0.1, 1e-4, 0.005  # in capitals, at the start, after a small letter; a small one


@lru_cache(100_000)
def log_likelihood(character: str, before: str, after: str, language: str) -> float:
    """Return the logarithm of the likelihood of a character.

    Parameters
    ----------
    character : str
        Beyond ASCII.
    before, after : str
        One character before it, and one or two after it.
    language : str
        One of `LETTERS`, or "Chinese".

    Examples
    --------
    >>> french, czech = log_likelihood("è", "r", "s", "French"), log_likelihood("č", "r", "s", "Czech")
    >>> french > czech + 2
    True
    """
    if (not character.isalpha() and language != "Thai") or character in "ªº":
        likelihood = _mark(character, before, after) * _marks_of(language, character, before, after)
    elif language in UNCOUNTED:
        likelihood = _script(before, character, after[0], UNCOUNTED[language])
    elif language == "Chinese":
        likelihood = _chinese(character, before, after[0])
    else:
        likelihood = _letter(character, before, after[0], language) * _case(character, before, after[0])
    return math.log(likelihood + LEAST)


def _script(before: str, character: str, after: str, script: str) -> float:
    """Likelihood in a language whose letters are not counted: all are alike, and stand together."""
    if not re.match(script, character):
        return FOREIGN
    likelihood = 0.02
    for neighbour in (before, after):
        likelihood *= 0.04 if re.match(script, neighbour) else 1e-4 if neighbour.isalpha() else 0.2
    return likelihood


def _letter(character: str, before: str, after: str, language: str) -> float:
    letters = _letters(language)
    if _fold(character) not in letters:
        return FOREIGN
    frequency, befores, afters = letters[_fold(character)]
    return frequency * befores.get(_fold(before), OTHER / 30) * afters.get(_fold(after), OTHER / 30)


def _case(character: str, before: str, after: str) -> float:
    if not character.isupper():
        return AMONG if after.isupper() else 1.0
    if before.islower():
        return MIDDLE
    return CAPITAL if before.isupper() or after.isupper() else INITIAL


def _fold(character: str) -> str:
    if not character.isalpha():
        return "_"
    return character if character == "İ" else character.lower()


@lru_cache
def _letters(language: str) -> dict[str, tuple[float, dict[str, float], dict[str, float]]]:
    entries = (entry.split("/") for entry in LETTERS[language].split())
    return {head[0]: (int(head[1:]) / 1000, _shares(befores), _shares(afters)) for head, befores, afters in entries}


def _shares(neighbours: str) -> dict[str, float]:
    total = sum(1 / (rank + FIRST) for rank in range(len(neighbours)))
    return {letter: (1 - OTHER) / (rank + FIRST) / total for rank, letter in enumerate(neighbours)}


def _chinese(character: str, before: str, after: str) -> float:
    latin = any(neighbour.isascii() and neighbour.isalpha() for neighbour in (before, after))
    if character in OFTEN_CHINESE:
        likelihood = 0.4 / len(OFTEN_CHINESE)
    else:
        row = (character.encode("gb2312", errors="ignore") or b"\0")[0]  # of the table; its first part: everyday ones
        likelihood = 1e-4 if 0xB0 <= row <= 0xD7 else 1e-6 if row else 1e-8
    return likelihood * (0.005 if latin else 1.0)


def _mark(character: str, before: str, after: str) -> float:
    around = _kind(before) + _kind(after[0])
    if character == "’" and around == "LL":
        return 0.1 if _is_apostrophe(before.lower(), after.lower()) else 1e-4
    if character == "’" and around == "L_" and before == "s":
        return 0.01
    beside = 1.0 if all(letter.isascii() or letter.isalpha() for letter in (before, after[0])) else 0.05  # another mark
    shares = [(beside * share, around in places) for characters, places, share in MARKS if character in characters]
    if not shares:
        return 1e-7
    return max((share for share, fits in shares if fits), default=1e-3 * shares[0][0])


def _marks_of(language: str, character: str, before: str, after: str) -> float:
    """Share of a mark in a language that others have: “ closes a quotation in German, ¿ is Spanish.

    >>> _marks_of("German", "“", "d", " "), _marks_of("Italian", "“", "d", " ")
    (0.1, 0.02)
    """
    if character in "¿¡":
        return 1.0 if language == "Spanish" else 0.01
    if character == "“" and before.isalnum():
        return 0.1 if language in LOW_QUOTES else 0.02
    if character == "’" and before.isalpha() and after[0].isalpha():
        return 1.0 if language in ELIDING else 0.05
    return 10.0 if language == "Catalan" and (character, before) == ("·", "l") else 1.0


def _kind(character: str) -> str:
    return "L" if character.isalpha() else "D" if character.isdigit() else "_"


def _is_apostrophe(before: str, after: str) -> bool:
    """Whether an apostrophe fits between letters: don’t, it’s, I’m, you’re, she’ll, he’d; l’amie, d’un, qu’il.

    >>> _is_apostrophe("n", "t "), _is_apostrophe("u", "si")
    (True, False)
    """
    english = after[:2] in {"re", "ve", "ll"} or (after[0] in "stmd" and not after[1:2].isalpha())
    elided = before in "dlcnqsjmtu" and after[0] in "aeiouyhéèêàâôîæœ"
    return english or (elided and (before != "d" or after[1:2].isalpha()))  # n’a and l’a, but no d’a
