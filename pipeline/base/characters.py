"""Characters that nobody sees: texts that differ only in them are copies of one another."""

import re

_JOINERS = "\u200c\u200d"  # they shape Persian, Hindi and family emoji
_ZERO_WIDTH_SPACE = "\u200b"
# Soft hyphen, grapheme joiner, direction marks, vowels without a shape, word joiner and invisible operators, variation
# selectors, byte order mark, annotations, and controls of shorthand, music and tags.
_DROPPED = "\u00ad\u034f\u061c\u17b4\u17b5\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
_DROPPED_RARE = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
_BLANK = "\u2800\u3164\uffa0"  # letters by name, but as empty as a space
# One range for the rare ones, emoji among them: a search for many is slow.
INVISIBLE = f"{_DROPPED}{_BLANK}{_JOINERS}{_ZERO_WIDTH_SPACE}\U0001bca0-\U000e0fff"
_MAY_BE = re.compile(f"[{INVISIBLE}]")
# The tags that spell a flag, such as Scotland's, are part of its emoji.
_DROP = re.compile(f"(\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[{_DROPPED}{_DROPPED_RARE}]")
_BLANKS = re.compile(f"[{_BLANK}]")
# Scripts without spaces between words: Thai, Lao, Burmese and Khmer.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
_BOUNDARY = re.compile(f"(?<=[{_UNSPACED}]){_ZERO_WIDTH_SPACE}+(?=[{_UNSPACED}])")
# Nothing is joined at the beginning of a word, nor at the end of one that ends in ASCII. At the end of others a joiner
# may shape the last letter, as in Malayalam.
_LOOSE = re.compile(rf"(?<!\S)[{_JOINERS}]+|(?<=[\x00-\x7f])[{_JOINERS}]++(?!\w)")


def without_invisible(text: str) -> str:
    r"""Drop the characters that nobody sees, such as soft hyphens, direction marks and variation selectors.

    Joiners stay inside words and emoji. A zero-width space becomes a space between letters of scripts that mark words
    by it, Thai, Lao, Burmese and Khmer, and is dropped elsewhere. A text without such a character is returned as it is.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The text with nothing but visible characters, joiners and white space.

    Examples
    --------
    >>> without_invisible("ter\u00adri\u200bble\u2060!")
    'terrible!'
    """
    if text.isascii() or not _MAY_BE.search(text):
        return text
    text = _BLANKS.sub(" ", _DROP.sub(r"\1", text))
    text = _BOUNDARY.sub(" ", text).replace(_ZERO_WIDTH_SPACE, "")
    return _LOOSE.sub("", text)
