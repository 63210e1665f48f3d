"""Cleaning: invisible characters, styled letters, tags, entities and escapes."""

import time

import pytest

from pipeline.base.characters import without_invisible
from pipeline.evaluation.text.words import trace
from pipeline.text.cleaning import clean_text
from pipeline.text.languages import words

SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"

CASES = {
    "only names of HTML elements are tags": [
        ("so happy <grin>", "so happy <grin>"),
        ("I <3 this </3", "i <3 this </3"),
        ("price <hope and > fear", "price <hope and > fear"),
        ("<i think so> <big smile> <a lot of> <bad>", "<i think so> <big smile> <a lot of> <bad>"),
        ("a<b>b</b>c<BR/>d<br />e<o:p></o:p>f", "a b c d e f"),
        ("<a href=x.y title='so'>link</A > <td nowrap> <p\n class = x>y", "link y"),
        ("<!-- a > b -->kept<!-- -->", "kept"),
    ],
    "entities end in a semicolon, but for five": [
        ("cheap&not good &copycat", "cheap&not good &copycat"),
        ("R&amp;amp;D R&amp;D &#8217; &#x27;", "r&d r&d ' '"),
        ("&lt3 a &amp b a&nbspb &quotSo&quot &GT", '<3 a & b a b "so" >'),
        ("rock&amplifier the&quote co&ltd AT&T; &notit; &#39", "rock&amplifier the&quote co&ltd at&t; &notit; &#39"),
    ],
    "escapes are what they stand for": [
        (r"fine.\nNot the food", "fine. not the food"),
        (r"a\r\nb\tc\\nd\Ne", "a b c d e"),
        (r"don\u2019t \u00e9t\u00e9 \ud83d\ude00 \U0001F600", "don't été 😀 😀"),
        (r"fine.&#92;nNot &bsol;u2019", "fine. not '"),
        (r"\u003cbr\u003eso\u0026amp;so", "so&so"),
        (r"ter\u00adrible don\u00e2\u0080\u0099t", "terrible don't"),
        (r"\ud83d \u12 \x \o/ ¯\_(ツ)_/¯", r"\ud83d \u12 \x \o/ ¯\_(ツ)_/¯"),
        (
            r"C:\new \\server\table\n.txt (d:\temp\u2019) B:\all\new",
            r"c:\new \\server\table\n.txt (d:\temp\u2019) b:\all\new",
        ),
        (r"C:\Program Files\node x\ny", r"c:\program files\node x y"),
        (r"Q:\nWhy?\nA:\nso C:\n\nx C:\u2019", "q: why? a: so c: x c:'"),
    ],
    "invisible characters are dropped": [
        ("ter\u00adri\u00adble", "terrible"),
        *((f"\ufeffte{mark}rrible{mark} ", "terrible") for mark in "\u2060\ufeff\u200e\u200f\u202a\u202e\u2066\u2069"),
        *(
            (f"te{mark}rrible{mark}", "terrible")
            for mark in "\u061c\u180e\u2061\u2064\ufff9\ufffb\u034f\U000e0041\u206a"
        ),
        ("<\u00adb>so", "so"),
        ("b\u2060ob@a\u00adb.org", "[email]"),
        ("a&shy;b a&#8203;b", "ab ab"),
        ("\u3164 \u2800", ""),
        ("cafÃ\u00ada", "cafía"),  # half of a broken letter, not a hyphen
        (
            "one\u200btwo \u0e14\u0e35\u200b\u0e21\u0e32\u200b! \u1780\u200b\u1781",
            "onetwo \u0e14\u0e35 \u0e21\u0e32! \u1780 \u1781",
        ),
        ("\u0e81\u200b\u200b\u0e82 \u1000\u2060\u200b\u1001", "\u0e81 \u0e82 \u1000 \u1001"),
    ],
    "joiners stay inside words and emoji": [
        ("می\u200cخواهم क्\u200dष ന്\u200d .", "می\u200cخواهم क्\u200dष ന്\u200d ."),
        ("👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 ❤\ufe0f 1\ufe0f\u20e3", "👨\u200d👩\u200d👧 🏳\u200d🌈 ❤ 1\u20e3"),
        (f"{SCOTLAND} x", f"{SCOTLAND} x"),
        ("\u200dgood\u200c\u200d, \u200c so\u200d", "good, so"),
        ("a\u200d\u200db", "a\u200d\u200db"),
    ],
    "styled letters are plain": [
        ("Ｔｅｒｒｉｂｌｅ １２，！（x）：", "terrible 12，！（x）："),
        ("𝓖𝓸𝓸𝓭 𝐆𝟙 ⓖⓞⓞⓓ 🄶🄾 🅖🅞 🅶🅾🅾🅳 ℋ", "good g1 good go go good h"),
        ("🅱 ℹ Ⓜ ™ x² ① 🇩🇪 ｶﾞ (ﾟдﾟ)", "🅱 ℹ m ™ x² ① 🇩🇪 ｶﾞ (ﾟдﾟ)"),
        ("ｂｏｂ＠ｇｍａｉｌ．ｃｏｍ", "[email]"),
        ("don’t don＇t don´t donʼt 5′ ´so´", "don't don't don't don't 5′ ´so´"),
        ("İyi ürün I\u0307YI\u0307 i\u0307\u0307 ÇOK ż", "iyi ürün iyi i çok ż"),
    ],
}


@pytest.mark.parametrize(("raw", "cleaned"), [case for cases in CASES.values() for case in cases])
def test_cleaned_text(raw: str, cleaned: str) -> None:
    assert clean_text(raw) == cleaned
    assert clean_text(cleaned) == cleaned


def test_cleaning_ignores_case() -> None:
    raw = r"so\tGood C:\new &amp x<b>y</b> ﬁne&nbspday"
    assert clean_text(raw.upper()) == clean_text(raw)


def test_cleaning_again_changes_nothing() -> None:
    pieces = [
        "a",
        "<b",
        ">",
        "\u00ad",
        "\u200b",
        "\u200d",
        " ",
        "&amp",
        ";",
        "\\",
        "n",
        "\\u",
        "2019",
        "ก",
        "İ",
        "\u0307",
    ]
    pieces += ["Ｂ", "🅱", "@", "😀", "\ufe0f", "\x00", "’", "3", "C:"]
    texts = [first + second + third for first in pieces for second in pieces for third in pieces]
    changed = [text for text in texts if clean_text(once := clean_text(text)) != once]
    assert changed == []


def test_visible_text_is_returned_as_it_is() -> None:
    text = "Ｓｏ “good” é 喜 😀 می\u200cخواهم"
    assert without_invisible(text) is text or without_invisible(text) == text


def test_emoji_is_one_word() -> None:
    assert words(clean_text("❤\ufe0f 1\ufe0f\u20e3")) == ["❤", "1\u20e3"]


def test_words_are_found_in_raw_text() -> None:
    raw = r"Ｓｏ ter" + "\u00adrible <grin>" + r"\nİyi"
    units = words(clean_text(raw))
    assert units == ["so", "terrible", "<", "grin", ">", "iyi"]
    spans = list(trace(raw, units, "word"))
    assert [raw[start:end] for start, end in spans if start is not None] == [  # type: ignore[misc]
        *("Ｓｏ", "ter\u00adrible", "<", "grin", ">", "İyi")
    ]
    thai = "\u0e14\u0e35\u200b\u0e21\u0e32"
    assert list(trace(thai, words(clean_text(thai)), "word")) == [(0, 2), (3, 5)]


def test_long_runs_are_fast() -> None:
    started = time.process_time()
    for run in ("\\u005c", "<a b", "\u200d", "\u200b", "&", "\\", "c:\\", "<!--", "<a =", "İ"):
        clean_text(run * 20_000)
    assert time.process_time() - started < 3
