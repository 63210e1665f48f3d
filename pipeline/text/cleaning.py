"""Cleaning."""

import html
import re

from ftfy import TextFixerConfig, fix_text

from .masking import mask

# Mojibake becomes what was meant, curly quotes straight ones; full-width punctuation is Chinese, and stays.
_FIXES = TextFixerConfig(unescape_html=False, fix_character_width=False, remove_control_chars=False)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\ufeff]")
_MARKUP = re.compile(r"<!--(?:(?!<!--).)*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)


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
