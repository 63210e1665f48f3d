"""Text: what cleaning keeps and removes, and ids."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.text import Tokenizer, clean_text, words


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("A <b>GREAT</b>\n  film<br /><br />Really!", "a great film really!"),
        ("not good, isn't it? NEVER again", "not good, isn't it? never again"),
        ("I &lt;3 R&amp;amp;D &quot;a&quot;", 'i <3 r&d "a"'),
        ("2 < 3 and 4 > 1", "2 < 3 and 4 > 1"),
        ("see https://t.co/x?a=1&b=2 now", "see [url] now"),
        ("see www.example.org, now", "see [url] , now"),
        ("看这里https://t.co/abc真好", "看这里 [url] 真好"),
        ("@Bob_1 and .@Alice@Carol hi", "[user] and . [user] hi"),
        ("mail me: bob.b@example.org!", "mail me: [email] !"),
        ("RT@name via_@name", "rt [user] via_ [user]"),
        ("Awww...I love it", "awww...i love it"),
        ("http://t.co/x...I hate this (https://a.b/c) https://a.b!!!", "[url] ...i hate this ( [url] ) [url] !!!"),
        ("Café très ÉMU 😀 很高兴", "café très ému 😀 很高兴"),
        ("one\rtwo\x00three\u200bfour", "one two three four"),
        ("<p> </p>", ""),
        ("<!-- a > b -->kept", "kept"),
        ("e\u0301", "é"),
    ],
)
def test_clean_text(raw: str, cleaned: str) -> None:
    assert clean_text(raw) == cleaned


def test_words_keep_negation_punctuation_emoji_and_placeholders() -> None:
    assert words("[user] isn't :) 😀 [url] très #ok") == ["[user]", "isn't", ":", ")", "😀", "[url]", "très", "#", "ok"]


def test_vocabulary_is_by_frequency_then_alphabet() -> None:
    tokenizer = Tokenizer.fit(["b a", "b c", "a b d"], vocabulary_size=3, length=4)
    assert tokenizer.vocabulary == ("b", "a", "c")
    assert tokenizer.num_ids == 5


def test_ids_are_right_padded_and_keep_the_end() -> None:
    tokenizer = Tokenizer(("a", "b"), 3)
    ids = tokenizer.encode(["a", "b a x b", ""])
    np.testing.assert_array_equal(ids, [[2, 0, 0], [2, 1, 3], [1, 0, 0]])
    assert ids.dtype == np.int32


def test_a_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    tokenizer = Tokenizer(("a", "😀"), 3)
    tokenizer.save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json") == tokenizer
