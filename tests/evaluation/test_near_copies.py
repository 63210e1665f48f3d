"""Near copies of training texts in the test."""

import numpy as np
import pytest

from pipeline.evaluation import near_copies as subject
from pipeline.evaluation.near_copies import near_copies

WORDS = [f"{first}{last}" for first in "bdfgklmnprst" for last in ("a", "eno", "iru", "ola", "ume", "ani", "osk")]


def sentences(rows: int, words: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, words)) for _ in range(rows)]


def similarity(first: str, second: str, length: int) -> float:
    """Jaccard similarity of the sets of shingles, as defined."""
    sets = [{text[i : i + length] for i in range(len(text) - length + 1)} for text in (first, second)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_planted_near_copies() -> None:
    train, test = sentences(3_000, 25, 0), sentences(300, 25, 1)
    copied = {row: train[7 * row].split(" ") for row in range(0, 300, 3)}
    for row, words in copied.items():
        if row % 2:
            words[3] = "other"  # one word of 25: near
        else:
            words[::4] = ["other"] * len(words[::4])  # every fourth: not near
        test[row] = " ".join(words)
    expected = np.zeros(300, dtype=bool)
    for row in copied:
        expected[row] = similarity(test[row], train[7 * row], 5) >= 0.8
    assert 40 < expected.sum() < 60
    np.testing.assert_array_equal(near_copies(train, test), expected)
    np.testing.assert_array_equal(near_copies(train[::-1], test, seed=3), expected)


def test_similarity_is_exact() -> None:
    """The limit decides, not the hashes: pairs just above and below it."""
    base = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for cut in range(1, 20):
        other = base[: len(base) - cut] + "#" * cut
        expected = similarity(base, other, 5) >= 0.8
        assert near_copies([base], [other]).tolist() == [expected], cut


def test_chinese_and_short_texts() -> None:
    train = ["今天天气很好，我们一起去公园散步吧", "坏"]
    test = ["今天天气很好，我们一起去公园散步吧！", "明天要下雨，我不想出门", "坏", "好"]
    assert near_copies(train, test, unit="chinese").tolist() == [True, False, True, False]
    assert near_copies([], test).tolist() == [False] * 4
    assert near_copies(train, []).tolist() == []


def test_rows_that_share_a_band_are_compared_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "PAIRS_AT_ONCE", 7)
    same = "the very same template, over and over again"
    assert near_copies([f"{same} {number}" for number in range(30)], [same, "nothing of it"]).tolist() == [True, False]
