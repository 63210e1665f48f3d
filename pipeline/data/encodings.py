"""Encodings."""

import codecs
import re
import sys
from pathlib import Path

from ..base.errors import PipelineError

BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# Up to this share of all lines, broken UTF-8 is damage, not another encoding.
DAMAGED = 0.001


def detect_encoding(content: bytes) -> str | None:
    """Tell UTF-8 and UTF-16, with and without byte order mark, GBK (as its superset GB 18030) and Windows-1252 apart.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    str or None
        Python's name of the encoding; None if it is none of these.
    """
    for mark, name in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return name
    if content.count(0) > 0.01 * len(content):
        ends = {wide: content.decode(wide, errors="replace").count("\n") for wide in ("utf-16-le", "utf-16-be")}
        if any(ends.values()):  # else NULs in another encoding
            return max(ends, key=ends.__getitem__)
    if _decodes(content, "utf-8") or _damage(content, "utf-8")[1]:
        return "utf-8"
    sample = b"\n".join(line for line in content.split(b"\n") if not line.isascii())
    if _decodes(sample, "gb18030") and _is_everyday_chinese(sample.decode("gb18030")):
        return "gb18030"
    # Languages of the west write mostly plain letters; a page of accents is text in another encoding.
    if _decodes(sample, "cp1252") and len(re.findall(rb"[\x80-\xff]", sample)) < len(re.findall(rb"[A-Za-z]", sample)):
        return "cp1252"
    return None


def to_utf8(content: bytes, encoding: str | None, path: Path) -> bytes:
    """Turn a text file's bytes into UTF-8 without byte order mark, with "\\n" between lines.

    Bytes that are not of the encoding become U+FFFD, and are reported on standard error.

    Parameters
    ----------
    content : bytes
        The whole file.
    encoding : str or None
        Its encoding; None to detect it.
    path : Path
        What messages call it.

    Raises
    ------
    PipelineError
        Half of the lines that are not ASCII are not of the encoding, or none fits, or there are NUL bytes.
    """
    known = encoding or detect_encoding(content)
    if known is None:
        raise PipelineError(
            f"{path} is neither UTF-8, UTF-16, GBK nor Windows-1252; name its encoding with ingest.encoding"
        )
    if not encoding and not known.startswith("utf"):
        print(f"ingest: {path} is read as {known}; name another encoding with ingest.encoding", file=sys.stderr)
    if known in {"utf-8", "utf-8-sig"} and _decodes(content, "utf-8"):
        content = content.removeprefix(codecs.BOM_UTF8)  # a large file is UTF-8 mostly, and need not be held twice
    else:
        try:
            text = content.decode(known)
        except UnicodeDecodeError as error:
            _report_damage(content, known, path, error)
            text = content.decode(known, errors="replace")
        content = text.removeprefix("\ufeff").encode()
    if b"\r" in content:  # a bare one is text where lines end in "\n", and ends a line where none does
        content = content.replace(b"\r\n", b"\n")
        content = content if b"\n" in content else content.replace(b"\r", b"\n")
    if (place := content.find(b"\0")) >= 0:
        line = content.count(b"\n", 0, place) + 1
        raise PipelineError(f"{path}, line {line}, holds a NUL byte; the file is damaged or no text: write it anew")
    return content


def _damage(content: bytes, encoding: str) -> tuple[int, bool]:
    """How many lines are not of an encoding, and whether they are so few that it is the file's all the same."""
    lines = content.split(b"\n")
    other = [line for line in lines if not line.isascii()]
    broken = sum(not _decodes(line, encoding) for line in other)
    return broken, broken <= max(len(other) / 2, DAMAGED * len(lines))


def _report_damage(content: bytes, encoding: str, path: Path, error: UnicodeDecodeError) -> None:
    """Say how many lines are damaged, unless so many are that the encoding is another."""
    place = content.count(b"\n", 0, error.start) + 1
    broken, few = _damage(content, encoding)
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")) or not few:
        raise PipelineError(f"{path}, line {place}, is not {encoding}; name its encoding with ingest.encoding")
    print(
        f"ingest: {path}: {broken} line(s) hold bytes that are not {encoding}, the first being line {place}; "
        "these bytes are replaced by �",
        file=sys.stderr,
    )


def _decodes(content: bytes, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(content), 1 << 20):  # by parts: the whole text may take four times the memory
            decoder.decode(content[start : start + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_everyday_chinese(text: str) -> bool:
    """Whether nine in ten characters beyond ASCII are in GB 2312: what other encodings read as GBK give is rarer.

    But EUC-KR and EUC-JP, which share their code space with GB 2312: Korean syllables are the first half of the Chinese
    characters there, and Japanese letters are Japanese letters.
    """
    other = "".join(re.findall(r"[^\x00-\x7f]", text))
    places = "".join(set(other)).encode("gb2312", errors="ignore")[::2]
    korean = len(places) >= 20 and max(places) <= 0xC8
    japanese = len(re.findall("[\u3040-\u30ff]", other)) > 0.1 * len(other)
    return len(other.encode("gb2312", errors="ignore")) > 0.9 * 2 * len(other) and not korean and not japanese
