"""Clean raw texts: repair the encoding, remove markup, mask personal data."""

import html
import re

from ftfy import TextFixerConfig, fix_text

from .masking import mask

# Repairs mojibake and straightens curly quotes. Full-width punctuation stays: it is Chinese.
_FIXES = TextFixerConfig(unescape_html=False, fix_character_width=False, remove_control_chars=False)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\ufeff]")
_MARKUP = re.compile(r"<!--(?:(?!<!--).)*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)


def clean_text(text: str) -> str:
    """Lower-case a text, repair its encoding, remove markup and extra space, and mask personal data.

    Web, e-mail and IP addresses, user names, phone, card and identity numbers become placeholders. Negation,
    punctuation, emoji, accents and scripts other than Latin are kept: they carry the emotion.

    Parameters
    ----------
    text : str
        Raw text.

    Returns
    -------
    str
        Cleaned text; empty if the text has only markup and space.

    Examples
    --------
    >>> clean_text("I &lt;3 <b>THIS</b>, @bob!")
    'i <3 this , [user] !'
    """
    text = _MARKUP.sub(" ", text)  # before the entities, so that "&lt;3" never looks like a tag
    for _ in range(2):  # real exports escape twice: "R&amp;amp;D"
        text = html.unescape(text)
    if not text.isascii():  # ftfy leaves ASCII texts as they are, and is slower than all the rest
        text = fix_text(text, _FIXES)
    text = _CONTROL.sub(" ", text)
    return " ".join(mask(text).lower().split())
