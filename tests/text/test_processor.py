"""Cleaning, splitting into units, and the tokenizer."""

import pickle
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.data import datasets
from pipeline.text import cleaning, languages, processor
from pipeline.text.cleaning import clean_text
from pipeline.text.languages import characters, chinese_words, words
from pipeline.text.processor import Tokenizer


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("A <b>GREAT</b>\n  film<br /><br />Really!", "a great film really!"),
        ("not good, isn't it? NEVER again", "not good, isn't it? never again"),
        ("I &lt;3 R&amp;amp;D &quot;a&quot;", 'i <3 r&d "a"'),
        ("2 < 3 and 4 > 1", "2 < 3 and 4 > 1"),
        ("see https://t.co/x?a=1&b=2 now", "see [url] now"),
        ("see www.example.org, now", "see [url] , now"),
        ("WWW.EXAMPLE.ORG or Http://a.b", "[url] or [url]"),
        ("看这里https://t.co/abc真好", "看这里 [url] 真好"),
        ("@Bob_1 and .@Alice@Carol hi", "[user] and . [user] hi"),
        ("mail me: bob.b@example.org!", "mail me: [email] !"),
        ("RT@name via_@name", "rt [user] via_ [user]"),
        ("Awww...I love it", "awww...i love it"),
        ("http://t.co/x...I hate this (https://a.b/c) https://a.b!!!", "[url] ...i hate this ( [url] ) [url] !!!"),
        ("Café très ÉMU 😀 很高兴", "café très ému 😀 很高兴"),
        ("one\rtwo\x00three four", "one two three four"),
        ("<p> </p>", ""),
        ("<!-- a > b -->kept", "kept"),
        ("e\u0301", "é"),
        ("donâ\x80\x99t go, itâ€™s cafÃ©", "don't go, it's café"),
        ("I don’t “like” it…", 'i don\'t "like" it…'),
        ("你好，世界！Ａ", "你好，世界！a"),
        ("call +44 20 7946 0958 or (212) 555 0187.", "call [phone] or [phone] ."),
        ("1-800-356-9377, 555-0123", "[phone] , [phone]"),
        (
            "12 345 678, 123 456 789, 12345 12345 12345, 12345 12345 123456",
            "12 345 678, [phone] , [phone] , 12345 12345 123456",
        ),
        ("电话13812345678谢谢", "电话 [phone] 谢谢"),
        ("2012-11-04 10:30, 2019-2020, $1,234,567.89, 10-3", "2012-11-04 10:30, 2019-2020, $1,234,567.89, 10-3"),
        ("AB123456789 #123456789 10 9 8 7 6 5 4 3 2 1", "ab123456789 #123456789 10 9 8 7 6 5 4 3 2 1"),
        ("@张三 你好 //@李四:转发 @bob很失望 @王五你好", "[user] 你好 // [user] :转发 [user] 很失望 [user]"),
    ],
)
def test_clean_text(raw: str, cleaned: str) -> None:
    assert clean_text(raw) == cleaned


def test_words_keep_negation_emoji_and_placeholders() -> None:
    assert words("[user] isn't :) 😀 [url] très #ok") == ["[user]", "isn't", ":", ")", "😀", "[url]", "très", "#", "ok"]


def test_ftfy_leaves_ascii_texts_unchanged() -> None:
    """So `clean_text` can skip it for them: it is slower than all the rest."""
    for raw in datasets.rotten_tomatoes()["text"].head(2_000):
        if raw.isascii():
            assert cleaning.fix_text(raw, cleaning._FIXES) == raw


def test_long_runs_are_cut_before_jieba_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time for a run grows with the square: 18 seconds for 80,000 times the same character."""
    lengths: list[int] = []
    segment = languages._segmenter().lcut
    recorded = SimpleNamespace(lcut=lambda run: lengths.append(len(run)) or segment(run))
    monkeypatch.setattr(languages, "_segmenter", lambda: recorded)
    text = "\u4e2d" * 1_234 + " ok"
    units = chinese_words(text)
    assert lengths == [500, 500, 234]
    assert ("".join(units[:-1]), units[-1]) == ("\u4e2d" * 1_234, "ok")


def test_characters_and_chinese_words() -> None:
    assert characters("我 [url]a") == ["我", " ", "[url]", "a"]
    cleaned = clean_text("我不喜欢这个iPhone手机，@bob 很失望！😂")
    expected = ["我", "不", "喜欢", "这个", "iphone", "手机", "，", "[user]", "很", "失望", "！", "😂"]
    assert chinese_words(cleaned) == expected
    assert chinese_words("㐀㐁a") == [*chinese_words("㐀㐁"), "a"]  # rare characters are Chinese as well


def test_tokenizer_of_characters() -> None:
    tokenizer = Tokenizer.fit(["ab", "ba"], vocabulary_size=None, length=3, unit="character")
    assert tokenizer.vocabulary == ("a", "b")
    np.testing.assert_array_equal(tokenizer.encode(["ba"]), [[3, 2, 0]])


def test_vocabulary_size_and_length_by_data() -> None:
    texts = ["a b"] * 19 + ["a c " + "x w w" + " y" * 39] + ["z " * 500]
    tokenizer = Tokenizer.fit(texts, vocabulary_size=None, length=None)
    assert tokenizer.vocabulary == ("z", "y", "a", "b", "w")  # c and x occur once
    assert tokenizer.length == 44  # 20 of 21 texts are that long or shorter
    many = [" ".join(f"w{number}" for number in range(20_001))] * 2
    assert len(Tokenizer.fit(many, vocabulary_size=None, length=None).vocabulary) == 20_000
    assert Tokenizer.fit(["a b"], vocabulary_size=None, length=None).vocabulary == ("a",)
    assert Tokenizer.fit(["a"], vocabulary_size=None, length=None).length == 16
    assert Tokenizer.fit(["a " * 900], vocabulary_size=None, length=None).length == 400


def test_padded_lengths_are_quartiles() -> None:
    """Quartiles rounded up to multiples of 4: 5, 9, 13 and 30 units, the last one limited by the length."""
    texts = ["a " * units for units in (1, 2, 5, 6, 9, 10, 13, 30)]

    def lengths(length: int | None, texts: list[str] = texts) -> tuple[int, ...]:
        return Tokenizer.fit(texts, vocabulary_size=None, length=length).lengths

    assert lengths(None) == (8, 12, 16, 30)
    assert lengths(12) == (8, 12)
    assert lengths(6) == (6,)
    assert lengths(10, ["", "", "", "", "a"]) == (4, 10)
    assert Tokenizer(("a",), 7).lengths == (7,)


def test_eight_padded_lengths_for_many_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "MANY_UNITS", 1_000)
    texts = ["a " * units for units in range(1, 65)]  # 2,080 units
    assert Tokenizer.fit(texts, vocabulary_size=None, length=64).lengths == (12, 20, 28, 36, 44, 52, 60, 64)
    assert Tokenizer.fit(texts[:32], vocabulary_size=None, length=32).lengths == (12, 20, 28, 32)  # 528 units


def test_vocabulary_is_sorted_by_frequency_then_alphabet() -> None:
    tokenizer = Tokenizer.fit(["b a", "b d", "a b c"], vocabulary_size=3, length=4)
    assert tokenizer.vocabulary == ("b", "a", "c")
    assert tokenizer.num_ids == 5


@pytest.mark.parametrize("unit", ["word", "character", "chinese"])
def test_cache_does_not_change_ids(unit: str) -> None:
    """The ids of runs between spaces are cached; the result is the same as for the units of the whole text."""
    texts = ["it's good, good !", "我喜欢 [url] 它,它", "", f"{'x' * 50} good", "good"] * 2
    units_of_texts = [languages.UNITS[unit](text) for text in texts]
    tokenizer = Tokenizer(("good", "它", "[url]", "喜欢", "欢", " "), 12, unit)
    numbers = {word: number for number, word in enumerate(tokenizer.vocabulary, start=2)}
    for row, units in zip(tokenizer.encode(texts), units_of_texts, strict=True):
        expected = [numbers.get(word, 1) for word in units[-12:]] or [1]
        assert row.tolist() == expected + [0] * (12 - len(expected))


def test_run_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages.RunCache, "MAX_RUNS", 3)
    calls: list[str] = []
    lengths = languages.RunCache(lambda run: calls.append(run) or len(run))
    assert [lengths[run] for run in ("a", "bb", "a", "x" * 33, "x" * 33)] == [1, 2, 1, 33, 33]
    assert calls == ["a", "bb", "x" * 33, "x" * 33]
    for run in ("c", "d", "e"):
        assert lengths[run] == 1
    assert len(lengths) == 2


def test_ids_are_right_padded_and_truncated_left() -> None:
    tokenizer = Tokenizer(("a", "b"), 3)
    ids = tokenizer.encode(["a", "b a x b", ""])
    np.testing.assert_array_equal(ids, [[2, 0, 0], [2, 1, 3], [1, 0, 0]])
    assert ids.dtype == np.int32


def test_tokenizer_survives_saving(tmp_path: Path) -> None:
    tokenizer = Tokenizer(("a", "😀"), 8, "character", "zh", (4, 8))
    tokenizer.save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json") == tokenizer


def test_vowel_signs_belong_to_their_word() -> None:
    assert words(clean_text("हिन्दी अच्छा है।")) == ["हिन्दी", "अच्छा", "है", "।"]


def test_cleaning_a_long_run_is_fast() -> None:
    """The search for addresses once started at each of its characters: 12 seconds."""
    started = time.process_time()
    clean_text("a" * 50_000)
    assert time.process_time() - started < 1


def test_tokenizer_can_be_pickled() -> None:
    fitted = Tokenizer.fit(["a b", "a c"], vocabulary_size=100, length=16)
    fitted.encode(["a b"])
    copy = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    assert copy == fitted
    assert (copy.encode(["a c d"]) == fitted.encode(["a c d"])).all()


def test_emoji_are_words_and_punctuation_is_not() -> None:
    tokenizer = Tokenizer(("😀", "!", "[user]", "10", "好"), 8)
    assert tokenizer.known_words(tokenizer.encode(["😀 ! [user]", "10 ! 好", "x", ""])).tolist() == [1, 2, 0, 0]
