"""Encodings: detected in constant memory from the whole file; text becomes UTF-8 with "\\n" between lines."""

import codecs
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from ...base.errors import PipelineError
from .compression import BLOCK_BYTES
from .detection import Verdict, detect_legacy
from .reading import Reading
from .sources import OpenFile, Source

BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
BY_CHANCE = re.compile(r"[\x80-\x9f]|(?<=[A-Za-z])[\u0530-\u07ff]|[\u0530-\u07ff](?=[A-Za-z])")
DAMAGED = 0.001  # up to this share of all lines, broken UTF-8 is damage, not another encoding
UNKNOWN = "is neither UTF-8 nor UTF-16, and its letters do not tell which other encoding it has"
MOST_NAMED = 5  # encodings in a message
MOST_LETTERS, SAMPLE_BYTES = 10, 1_000_000


def detect_encoding(open_file: OpenFile) -> Verdict:
    """Tell UTF-8 and UTF-16, with and without byte order mark, and the encodings of `detection.LANGUAGES` apart.

    Parameters
    ----------
    open_file : callable
        Opens the file; called once for each pass over it. Memory: a block, or the longest line.

    Examples
    --------
    >>> detect_encoding(lambda: io.BytesIO("größer".encode("utf-8"))).encoding
    'utf-8'
    """
    if mark := _byte_order_mark(open_file):
        return Verdict(BYTE_ORDER_MARKS[mark])
    size = nulls = 0
    for block in _blocks(open_file):
        size += len(block)
        nulls += block.count(0)
    if nulls > 0.01 * size:
        line_ends = {
            wide: sum(text.count("\n") for text in _decoded(open_file, wide, errors="replace"))
            for wide in ("utf-16-le", "utf-16-be")
        }
        if any(line_ends.values()):  # otherwise these are NUL bytes in another encoding
            return Verdict(max(line_ends, key=line_ends.__getitem__))
    if decodes(open_file, "utf-8"):
        by_chance = size < BLOCK_BYTES and _is_utf8_by_chance("".join(_decoded(open_file, "utf-8")))
        return detect_legacy(open_file) if by_chance else Verdict("utf-8")
    return Verdict("utf-8") if _damage(open_file, "utf-8").small else detect_legacy(open_file)


def _is_utf8_by_chance(text: str) -> bool:
    """Whether all characters beyond ASCII are control characters, or Armenian to N'Ko letters within Latin words.

    >>> _is_utf8_by_chance("c’è".encode("mac_roman").decode("utf-8")), _is_utf8_by_chance("c’è")
    (True, False)
    """
    return not text.isascii() and BY_CHANCE.sub("", text).isascii()


def to_utf8(content: bytes, encoding: str | None, path: Path, reading: Reading) -> bytes:
    """Turn a text file's bytes into UTF-8 without byte order mark, with "\\n" between lines.

    Bytes that are not of the encoding become U+FFFD, and are reported on standard error.

    Parameters
    ----------
    content : bytes
        The whole file.
    encoding : str or None
        Its encoding; None to detect it.
    path : Path
        For messages.
    reading : Reading
        Gets the encoding, and the letters that show whether it is right.

    Raises
    ------
    PipelineError
        Half of the lines that are not ASCII are not of the encoding, none fits or several do, or there are NUL bytes.
    """
    source = Source(str(path), lambda: io.BytesIO(content))
    known = reading.encoding = known_encoding(source, encoding, "ingest.encoding")
    if known in {"utf-8", "utf-8-sig"} and decodes(source.open, "utf-8"):
        content = content.removeprefix(codecs.BOM_UTF8)  # most large files are UTF-8, and need not be held twice
    else:
        try:
            text = content.decode(known)
        except UnicodeDecodeError:
            _report_damage(source, known, "ingest.encoding")
            text = content.decode(known, errors="replace")
        content = text.removeprefix("\ufeff").encode()
    if b"\r" in content:  # a bare one is text where lines end in "\n", and ends a line where none does
        content = content.replace(b"\r\n", b"\n")
        content = content if b"\n" in content else content.replace(b"\r", b"\n")
    if (place := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, place) + 1
        raise PipelineError(f"{path}, line {line}, holds a NUL byte; the file is damaged or not a text file")
    reading.letters = _frequent_letters(content)
    return content


@dataclass(frozen=True)
class Decoding:
    """How the bytes of a stream become text.

    Parameters
    ----------
    encoding : str
        Python's name.
    errors : str
        "surrogateescape" for UTF-8: what does not decode is written as the bytes that it was. Otherwise "replace", or
        "strict" where the stream can be read only once, so that damage cannot be counted beforehand.
    """

    encoding: str
    errors: str


def choose_decoding(source: Source, encoding: str | None) -> Decoding:
    """Detect the encoding of a stream, unless it is given; standard input is UTF-8 unless it is given.

    Raises
    ------
    PipelineError
        No encoding fits, or half of the lines that are not ASCII are not of a given one other than UTF-8.
    """
    known = known_encoding(source, encoding, "--encoding") if source.rereadable else encoding or "utf-8"
    name = codecs.lookup(known).name
    if name in {"utf-8", "utf-8-sig"}:
        return Decoding("utf-8", "surrogateescape")
    if name in {"utf-16", "utf-32"} and source.rereadable and not _byte_order_mark(source.open):
        known = f"{name}-{sys.byteorder[0]}e"  # what `bytes.decode` assumes, but a text stream does not
    if not source.rereadable or decodes(source.open, known):
        return Decoding(known, "strict")
    _report_damage(source, known, "--encoding")
    return Decoding(known, "replace")


def text_lines(source: Source, decoding: Decoding) -> Iterator[str]:
    """Yield the lines of a text file, each with its "\\n" or "\\r\\n", without byte order mark.

    A bare "\\r" is text, but ends lines in a file that has no "\\n".
    """
    number = 0
    with io.TextIOWrapper(source.open(), decoding.encoding, decoding.errors, newline="\n") as text:
        try:
            first = text.readline(BLOCK_BYTES)
            lines: Iterator[str] = chain([first], text)
            if not first.endswith("\n") and "\r" in first[:-1]:
                lines = _split_at_carriage_returns(chain([first], iter(partial(text.read, BLOCK_BYTES), "")))
            elif not first.endswith("\n"):
                lines = chain([first + text.readline()], text)
            for number, line in enumerate(lines, start=1):
                line = line.removeprefix("\ufeff") if number == 1 else line
                if line:
                    yield line
        except UnicodeError as error:
            raise PipelineError(
                f"{source.name}, after line {number:,}, is not {decoding.encoding}; set --encoding"
            ) from error


def _split_at_carriage_returns(blocks: Iterator[str]) -> Iterator[str]:
    rest = ""
    for block in blocks:
        *lines, rest = (rest + block).split("\r")
        yield from (line + "\n" for line in lines)
    yield rest


def known_encoding(source: Source, encoding: str | None, option: str) -> str:
    if encoding:
        return encoding
    verdict = detect_encoding(source.open)
    if verdict.encoding is None:
        raise PipelineError(f"{source.name} {UNKNOWN}{_named(verdict.candidates)}; name its encoding with {option}")
    if not verdict.encoding.startswith("utf"):
        print(f"{source.name} is read as {verdict.encoding}; name another encoding with {option}", file=sys.stderr)
    return verdict.encoding


def _named(candidates: tuple[str, ...]) -> str:
    """Name the encodings that are likely.

    >>> _named(("cp1250", "cp1252"))
    ': it may be cp1250 or cp1252'
    """
    return ": it may be " + " or ".join(candidates[:MOST_NAMED]) if candidates else ""


def _frequent_letters(content: bytes) -> str:
    """Return the most frequent letters beyond ASCII of the first megabyte of UTF-8, or marks if there are no letters.

    >>> _frequent_letters("größer, schön – größte".encode())
    'öß'
    """
    if content.isascii():
        return ""
    beyond = content[:SAMPLE_BYTES].translate(None, bytes(range(128))) or content.translate(None, bytes(range(128)))
    text = beyond.decode("utf-8", errors="ignore")
    letters = Counter(filter(str.isalpha, text)) or Counter(filter(str.isprintable, text))
    return "".join(letter for letter, _ in letters.most_common(MOST_LETTERS))


@dataclass(frozen=True)
class Damage:
    """Lines that are not of an encoding.

    All lines, those beyond ASCII, those that do not decode, and the number of the first of these, from 1.
    """

    lines: int
    not_ascii: int
    broken: int
    first: int

    @property
    def small(self) -> bool:
        """Whether so few lines are broken that the encoding is the file's all the same."""
        return self.broken <= max(self.not_ascii / 2, DAMAGED * self.lines)


def _damage(open_file: OpenFile, encoding: str) -> Damage:
    lines, not_ascii, broken, first = 1, 0, 0, 0
    for line in _lines(open_file):
        if not line.isascii():
            not_ascii += 1
            if not is_encoded(line.removesuffix(b"\n"), encoding):
                broken += 1
                first = first or lines
        lines += line.endswith(b"\n")
    return Damage(lines, not_ascii, broken, first)


def _report_damage(source: Source, encoding: str, option: str) -> None:
    """Print how many lines are damaged, unless so many are that the encoding is another."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        raise PipelineError(f"{source.name} is not {encoding}; name its encoding with {option}")
    damage = _damage(source.open, encoding)
    if not damage.small:
        raise PipelineError(f"{source.name}, line {damage.first}, is not {encoding}; name its encoding with {option}")
    print(
        f"{source.name}: {damage.broken} line(s) hold bytes that are not {encoding}, the first being line "
        f"{damage.first}; these bytes are replaced by �",
        file=sys.stderr,
    )


def _byte_order_mark(open_file: OpenFile) -> bytes | None:
    with open_file() as file:
        start = file.read(3)
    return next((mark for mark in BYTE_ORDER_MARKS if start.startswith(mark)), None)


def _lines(open_file: OpenFile) -> Iterator[bytes]:
    with open_file() as file:
        yield from file


def _blocks(open_file: OpenFile) -> Iterator[bytes]:
    with open_file() as file:
        yield from iter(partial(file.read, BLOCK_BYTES), b"")


def _decoded(open_file: OpenFile, encoding: str, errors: str = "strict") -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for block in _blocks(open_file):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def decodes(open_file: OpenFile, encoding: str) -> bool:
    """Whether a whole file is of an encoding; a block at a time: the whole text may take four times the memory."""
    try:
        return all(True for _ in _decoded(open_file, encoding))
    except UnicodeError:
        return False


def is_encoded(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
