"""Negation: the words of a text that a negator before them turns round, such as "good" in "not so good"."""

import re
from collections.abc import Sequence

SCOPE = 3  # words after a negator, as far as the next punctuation mark
_ENGLISH_VERBS = "ai|are|ca|could|did|do|does|had|has|have|is|must|need|should|was|were|wo|would"
# By language, two letters. Words that only lessen, such as "hardly", are among them.
_NEGATORS = {
    "de": "nicht|kein(?:e[mnrs]?)?|nie|niemals|niemand|nichts|ohne|weder|noch|kaum",
    "en": r"no|not|never|none|nobody|nothing|nowhere|neither|nor|without|cannot|hardly|barely|\w+n['’]t|"
    rf"(?:{_ENGLISH_VERBS})nt",
    "es": "no|nunca|jamás|nada|nadie|sin|tampoco|ni|ningún|ninguno|ninguna|apenas",
    "fr": "ne|pas|jamais|rien|personne|sans|aucun|aucune|ni|guère|n['’]\\w+",
    "it": "non|mai|niente|nulla|nessuno|nessuna|nessun|senza|né|neanche|neppure",
    "nl": "niet|geen|nooit|niemand|niets|zonder|noch|nauwelijks",
    "pl": "nie|nigdy|nic|nikt|bez|ani|żaden|żadna|żadne",
    "pt": "não|nunca|jamais|nada|ninguém|sem|nem|nenhum|nenhuma",
    "ru": "не|ни|нет|никогда|ничего|никто|без|нельзя",
    "sv": "inte|ej|aldrig|ingen|inget|inga|ingenting|utan|knappt",
    "zh": "不|没|没有|没什么|未|无|别|不是|不能|不会|不太|不够|不要|不怎么|并不|并非|并没有|从不|毫不|毫无",
}
_PATTERNS = {language: re.compile(f"(?:{words})") for language, words in _NEGATORS.items()}
_ENDS_SCOPE = re.compile(r"[^\w\s'’\[]")  # punctuation and symbols; a placeholder, such as [user], is a word


def negated(units: Sequence[str], language: str, left: int = 0) -> tuple[list[bool], int]:
    """Mark the units in the scope of a negator (Pang et al. 2002, "Thumbs up?"), here the next three words.

    Parameters
    ----------
    units : sequence of str
        Words of a cleaned text.
    language : str
        Two letters; nothing is marked in a language whose negators are not listed.
    left : int
        Words that are still in the scope of a negator before the first unit.

    Returns
    -------
    marks : list of bool
        One for each unit; False for a negator.
    left : int
        Words after the last unit that are still in scope.

    Examples
    --------
    >>> negated(["not", "so", "good", ",", "but", "cheap"], "en")
    ([False, True, True, False, False, False], 0)
    """
    pattern, marks = _PATTERNS.get(language), []
    if pattern is None:
        return [False] * len(units), 0
    for unit in units:
        if pattern.fullmatch(unit):
            marks.append(False)
            left = SCOPE
        else:
            left = 0 if _ENDS_SCOPE.match(unit) else left
            marks.append(left > 0)
            left = max(left - 1, 0)
    return marks, left
