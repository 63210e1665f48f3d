"""Slices of texts."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.text import slices

ENGLISH = "This is what happens when nobody checks the luggage before the flight takes off."

FRENCH = "C'est vraiment une très mauvaise journée, je suis déçu par votre service."

CHINESE = "这家酒店的房间很干净"


def slice_rows(texts: list[str], **columns: list[str]) -> dict[str, list[int]]:
    """The row numbers of each slice."""
    table = pd.DataFrame({"text": texts, **columns}, dtype="str")
    masks = slices.masks(table, np.ones(len(texts), dtype=int), [1])
    return {name: list(np.flatnonzero(rows)) for name, rows in masks.items()}


def test_slices_by_length() -> None:
    lengths = np.array([1, 2, 3, 4])
    masks = slices.length_slices(lengths, [1, 3])
    assert {name: list(np.flatnonzero(rows)) for name, rows in masks.items()} == {
        "1 to 1 tokens": [0],
        "2 to 3 tokens": [1, 2],
        "4 tokens or more": [3],
    }


@pytest.mark.parametrize(
    ("lengths", "names"),
    [
        (range(1, 102), ["1 to 26 tokens", "27 to 51 tokens", "52 to 76 tokens", "77 tokens or more"]),
        ([5] * 90 + [9] * 10, ["1 to 5 tokens", "6 tokens or more"]),
        ([5] * 10 + [9] * 90, ["1 tokens or more"]),  # the longest is a quartile
        ([4], ["1 tokens or more"]),
    ],
)
def test_quartiles_of_the_lengths(lengths: list[int], names: list[str]) -> None:
    masks = slices.length_slices(np.array(lengths), None)
    assert list(masks) == names
    assert (sum(rows.astype(int) for rows in masks.values()) == 1).all()


def test_slices_by_source_and_placeholder() -> None:
    masks = slice_rows(["[url] a", "b [user]", "c [phone]"], source=["x", "y", "x"])
    assert (masks["source x"], masks["source y"]) == ([0, 2], [1])
    assert (masks["with address"], masks["with user name"], masks["with phone number"]) == ([0], [1], [2])
    assert not [name for name in slice_rows(["a"]) if name.startswith("source")]


def test_slice_of_negations() -> None:
    negated = [
        *("this is not it", "no way", "never again", "don't go", "it isn’t", "cant wait", "DONT", "nobody cares"),
        *("without you", "we cannot", "不好", "没有", "无聊", "别去", "并非如此", "未必"),
    ]
    others = ["know it", "a notable knot", "plant", "want", "the ant", "非常好", "特别好", "别人家"]
    assert slice_rows(negated + others)["with negation"] == list(range(len(negated)))


def test_slice_of_emoji() -> None:
    assert slice_rows(["nice 😀", "☀", "🇫🇷", "❤️", "plain :)", "© ™ 中文 é …"])["with emoji"] == [0, 1, 2, 3]


def test_each_row_has_one_language() -> None:
    masks = slices.by_language(
        [ENGLISH] * 40 + [FRENCH] * 30 + [CHINESE] * 35 + ["Это совсем плохо, я разочарован"] * 3
    )
    sizes = {name: int(rows.sum()) for name, rows in masks.items()}
    assert sizes == {"language en": 40, "language fr": 30, "language zh": 35, "other language": 3}
    assert (sum(rows.astype(int) for rows in masks.values()) == 1).all()


def test_few_words_count_as_the_main_language() -> None:
    """py3langid calls these Nigerian Pidgin, Interlingua and Walloon, at less than 0.7."""
    unclear = ["[user] follow for dm please", "i wanna go to coachella!!!!", "[user] i want one!", "[user]", "!!!"]
    masks = slices.by_language([ENGLISH] * 30 + unclear)
    assert {name: int(rows.sum()) for name, rows in masks.items()} == {"language en": 35, "other language": 0}
    assert slices.by_language(["!!!", "[url]"]) == {}


def test_han_without_kana_is_chinese() -> None:
    masks = slices.by_language(["好"] * 40 + ["東京都知事選挙の結果発表は明日です"] * 30)
    assert {name: int(rows.sum()) for name, rows in masks.items()} == {
        "language ja": 30,
        "language zh": 40,
        "other language": 0,
    }


def test_small_source_files_share_a_slice() -> None:
    sources = [f"{number}.csv" for number in range(30) for _ in range(30 - number)]
    table = pd.DataFrame({"text": "a", "source": sources}, dtype="str")
    masks = slices.masks(table, np.ones(len(table), dtype=int), [1])
    named = [name for name in masks if name.startswith("source ")]
    assert set(named) == {f"source {number}.csv" for number in range(20)}
    assert masks["other source"].sum() == sum(30 - number for number in range(20, 30))
