"""Clean raw texts: repair the encoding, remove markup, fold letters, mask personal data."""

import re
import unicodedata

from ftfy import TextFixerConfig, fix_text

from ..base.characters import INVISIBLE, without_invisible
from .markup import MARKUP, decode_entities, decode_escapes
from .masking import mask

# Repairs mojibake and straightens curly quotes. Full-width punctuation stays: it is Chinese.
_FIXES = TextFixerConfig(unescape_html=False, fix_character_width=False, remove_control_chars=False)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


# The blocks of styled letters: letterlike, circled, full-width, mathematical, and squared ones.
_BLOCKS = (
    *((0x2102, 0x214F), (0x24B6, 0x24EA), (0xFF10, 0xFF5B)),
    *((0x1D400, 0x1D800), (0x1F130, 0x1F14A), (0x1F150, 0x1F16A), (0x1F170, 0x1F18A)),
)


def _plain_letters() -> dict[int, str]:
    """Return the plain letter or digit of every full-width, mathematical, circled or squared one."""
    plain = {start + number: chr(ord("A") + number) for start in (0x1F150, 0x1F170) for number in range(26)}
    for code in (code for block in _BLOCKS for code in range(*block)):
        letter = unicodedata.normalize("NFKC", chr(code))
        style = unicodedata.decomposition(chr(code)).partition(" ")[0]
        if style in {"<font>", "<wide>", "<circle>", "<square>"} and len(letter) == 1 and letter.isalnum():
            plain[code] = letter
    return plain


_PLAIN = _plain_letters()
# Some are emoji if they stand alone: information, blood types, parking.
_STYLED = re.compile(
    "(?:(?![ℹ\U0001f170-\U0001f189])[" + "".join(f"{chr(start)}-{chr(end - 1)}" for start, end in _BLOCKS) + "]"
    "|[\U0001f170-\U0001f189]{2,})+"
)
# What only some texts have: such letters, accents written as apostrophes, and the capital i of Turkish, of which Python
# keeps the dot as a character of its own. Letters outside of the basic plane are among the invisible ones' range.
_FOLDED = re.compile(f"[{INVISIBLE}\u00b4\u0130\u0307\u2032\u2102-\u214f\u24b6-\u24e9\uff07\uff10-\uff5a]")
_DOTTED_I = re.compile("[iI]\u0307+")
_ACCENT_AS_APOSTROPHE = re.compile(r"(?<=[^\W\d_])[\u00b4\u2032](?=[^\W\d_])")


def clean_text(text: str) -> str:
    """Lower-case a text, repair its encoding, remove markup and extra space, and mask personal data.

    Web, e-mail and IP addresses, user names, phone, card and identity numbers become placeholders. Full-width and
    styled letters become plain ones, and characters that nobody sees are dropped. Negation, punctuation, emoji, accents
    and scripts other than Latin are kept: they carry the emotion.

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
    text = _repair(text)
    if "\\" in text:
        text = _repair(decode_escapes(text))
    if "<" in text:
        text = MARKUP.sub(" ", text)  # before the entities, so that "&lt;3" never looks like a tag
    if "&" in text:
        decoded = decode_entities(decode_entities(text))  # real exports escape twice: "R&amp;amp;D"
        text = text if decoded == text else _repair(decoded)
        if "\\" in text:
            text = _repair(decode_escapes(text))
    text = _CONTROL.sub(" ", text)
    return " ".join(without_invisible(mask(text)).lower().split())


def _repair(text: str) -> str:
    """Repair mojibake, and fold; ftfy leaves ASCII texts as they are, and is slower than all the rest."""
    return text if text.isascii() else fold_letters(fix_text(text, _FIXES))


def fold_letters(text: str) -> str:
    """Drop what nobody sees, and replace full-width and styled letters by plain ones."""
    if not _FOLDED.search(text):
        return text
    text = _STYLED.sub(lambda match: match[0].translate(_PLAIN), without_invisible(text).replace("\u0130", "i"))
    text = without_invisible(text)  # a joiner may now follow a plain letter
    text = _ACCENT_AS_APOSTROPHE.sub("'", _DOTTED_I.sub("i", text).replace("\uff07", "'"))
    return unicodedata.normalize("NFC", text)  # an accent may have followed what was dropped
