"""Encodings that must not be taken: of other scripts, and of nothing that is a language."""

import io

import numpy as np
import pytest

from pipeline.data.readers.detection import Verdict, detect_legacy

RUSSIAN = "Очень понравилось, спасибо! Телефон пришёл сломанным"


def detect(content: bytes) -> Verdict:
    return detect_legacy(lambda: io.BytesIO(content))


def in_korean(code: int) -> bool:
    try:
        return bool(chr(code).encode("euc_kr"))
    except UnicodeEncodeError:
        return False


@pytest.mark.slow  # five seconds
def test_long_korean_file_is_not_chinese() -> None:
    """Thousands of its characters are Chinese ones, too, by their codes."""
    syllables = [chr(code) for code in range(0xAC00, 0xD7A4) if in_korean(code)]
    words = ("".join(syllables[start : start + 3]) for start in range(0, len(syllables) - 3, 2))
    verdict = detect(" ".join(words).encode("euc_kr"))
    assert verdict.encoding is None
    assert verdict.candidates[0] == "euc_kr"


@pytest.mark.parametrize("seed", range(4))
def test_bytes_of_no_language_are_refused(seed: int) -> None:
    draw = np.random.default_rng(seed)
    words = np.empty((40, 8), dtype=np.uint8)
    words[:, ::2], words[:, 1::2] = draw.integers(ord("a"), ord("z"), (40, 4)), draw.integers(0xA1, 0xFF, (40, 4))
    assert detect(b" ".join(word.tobytes() for word in words)).encoding is None


@pytest.mark.parametrize(("encoding", "other"), [("cp1251", "koi8_r"), ("koi8_r", "cp1251")])
def test_cyrillic_has_more_small_letters_than_capitals(encoding: str, other: str) -> None:
    """Decoded as the other encoding, small letters are capitals."""
    candidates = detect(RUSSIAN.encode(encoding)).candidates
    assert candidates[0] == encoding
    assert other not in candidates
