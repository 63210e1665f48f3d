"""What other programs left in a text: HTML tags and entities, and escapes such as a backslash and an n."""

import re
from html import unescape
from html.entities import html5

# The elements of HTML, also those of older versions, and the paragraph of Word's e-mails.
_ELEMENTS = """
a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink blockquote body br
button canvas caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed
fieldset figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image
img input ins kbd label legend li link listing main map mark marquee math menu menuitem meta meter nav nobr noframes
noscript o:p object ol optgroup option output p param picture plaintext pre progress q rb rp rt rtc ruby s samp script
search section select slot small source span strike strong style sub summary sup svg table tbody td template textarea
tfoot th thead time title tr track tt u ul var video wbr xmp
"""
_FLAGS = "allowfullscreen|async|autoplay|checked|compact|controls|defer|disabled|itemscope|noshade|nowrap|selected"
_SPACE = r"[\s\x00-\x1f\x7f-\x9f]"  # control characters become spaces
# After its name, a tag has attributes or nothing: <big smile> and <i think so> are words.
_TAG = (
    rf"</?(?:{'|'.join(sorted(_ELEMENTS.split(), key=len, reverse=True))})"
    rf"(?:{_SPACE}+(?:[a-z_:@][\w:.@-]*{_SPACE}*=|(?:{_FLAGS})\b)[^<>]*|{_SPACE}*/?{_SPACE}*)>"
)
_COMMENT = r"<!--(?:(?!<!--)[\s\S])*?-->"
MARKUP = re.compile(f"{_COMMENT}|{_TAG}", re.IGNORECASE | re.ASCII)

# Without a semicolon, only the five that nobody writes by chance, and no part of a word: "rock&amplifier".
_ENTITY = re.compile(
    r"&(?:(?P<number>#(?:[0-9]{1,7}|[xX][0-9a-fA-F]{1,6});)|(?P<name>[a-zA-Z][a-zA-Z0-9]{1,31};)"
    r"|(?P<bare>(?i:nbsp|(?:amp|lt|gt)(?![a-z])|quot(?![aehi]))))"
)

# A Windows path, or one on a server: C:\new is no line break. Where the first folder could be an escape, only usual
# drives count: Q: and A:, M: and F: begin lines of dialogues.
_NO_FOLDER = r"\\|u[0-9a-f]{4}|[nrt](?:\\|\W|$)"
_PATH = (
    rf"(?<![^\W_])(?:[cdeghxyz]:\\{{1,2}}(?!{_NO_FOLDER})|[a-z]:\\{{1,2}}(?![nrt]|{_NO_FOLDER}))"
    r"(?:(?:program files(?: \(x86\))?|documents and settings)\\)?[^\s\"<>|]*"
    r"|(?<![^\s\"'(])\\\\[a-z0-9][\w.$-]*\\(?!\\)[^\s\"<>|]*"
)
_ESCAPE = re.compile(
    rf"(?P<path>{_PATH})|(?<!\\)\\++(?:(?P<space>[nrt])"
    r"|u(?P<pair>d[89ab][0-9a-f]{2}\\+ud[c-f][0-9a-f]{2})"
    r"|u(?P<code>00(?:0[0-9a-f]|10)[0-9a-f]{4}|(?!d[89a-f]|005c)[0-9a-f]{4}))",
    re.IGNORECASE | re.ASCII,
)


def decode_entities(text: str) -> str:
    """Decode HTML entities that end in a semicolon, and `&amp &lt &gt &quot &nbsp` without one.

    >>> decode_entities("cheap&not good &lt;3 &amp &#8217;")
    'cheap&not good <3 & ’'
    """
    return _ENTITY.sub(_decoded_entity, text)


def _decoded_entity(match: re.Match[str]) -> str:
    if match["name"]:
        return html5.get(match["name"], match[0])
    if match["bare"]:
        return html5[match["bare"].lower() + ";"]
    return unescape(match[0])


def decode_escapes(text: str) -> str:
    r"""Replace a written line break or tab by a space, and a written code such as `\u2019` by its character.

    Files that were written as JSON or Python and read as plain text have them. Upper case is the same, because texts
    are lower-cased. Windows paths such as `C:\new` stay; so does a half of a surrogate pair.

    >>> decode_escapes(r"fine.\nNot the food, don\u2019t. \ud83d\ude00 See C:\new\table")
    'fine. Not the food, don’t. 😀 See C:\\new\\table'
    """
    return _ESCAPE.sub(_decoded_escape, text)


def _decoded_escape(match: re.Match[str]) -> str:
    if match["path"]:
        return match[0]
    if match["space"]:
        return " "
    if match["pair"]:
        high, low = (int(half[-4:], 16) for half in (match["pair"][:4], match["pair"]))
        return chr(0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00)
    return chr(int(match["code"], 16))
