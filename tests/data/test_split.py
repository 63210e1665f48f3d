"""The split: a row's own key decides, and what the user specifies takes precedence."""

import re
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.data import split
from pipeline.data.datasets import DATASETS


def frame(keys: list[str], **columns: object) -> pd.DataFrame:
    table = pd.DataFrame({"raw": keys, "text": keys, "label": "x", "group": "", "split": ""}, dtype="str")
    return table.assign(time=np.nan).assign(**columns)


def assign(table: pd.DataFrame, seed: int = 0) -> np.ndarray:
    return split.assign_split(table, validation_share=0.15, test_share=0.15, seed=seed)


def shares(splits: np.ndarray) -> list[float]:
    return [float((splits == name).mean()) for name in ("train", "validation", "test")]


# Written out, so that a new invisible character moves no row unnoticed.
INVISIBLE_HERE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0f\ufeff]")
TEXTS = [f"text {number}" for number in range(4_000)]


def test_no_row_moves_when_the_table_grows() -> None:
    splits = assign(frame(TEXTS))
    np.testing.assert_array_equal(splits[:500], assign(frame(TEXTS[:500])))
    np.testing.assert_array_equal(splits[::-1], assign(frame(TEXTS[::-1])))
    assert (splits != assign(frame(TEXTS), seed=1)).any()


def test_shares_in_every_class() -> None:
    labels = np.repeat(["a", "b"], 2_000)
    splits = assign(frame(TEXTS, label=labels))
    for label in ("a", "b"):
        np.testing.assert_allclose(shares(splits[labels == label]), [0.7, 0.15, 0.15], atol=0.03)


def test_split_is_frozen() -> None:
    # Literal values: if this test fails, rows of existing users move between train and test.
    assert split.split_key("  Ａ b\n C ß") == "a b c ss"
    assert list(assign(frame(["text 0", "text 6", "text 8", "text 10"]))) == ["train", "test", "test", "validation"]


def test_key_ignores_invisible_characters() -> None:
    assert split.SPLIT_KEY_VERSION == 2
    for copy in ("\ufeffSo gl\u00adad", "so\u2060 glad\u200e", "\u202aso glad\u202c", "so gl\u200bad", "so \ufe0fglad"):
        assert split.split_key(copy) == "so glad", ascii(copy)
        assert split.split_key(copy, version=1) != "so glad", ascii(copy)
    assert split.split_key("می\u200cخواهم") == split.split_key("می\u200cخواهم", version=1)


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "keras_imdb"])  # which is downloaded
def test_no_row_of_a_packaged_set_moves(name: str) -> None:
    seen = [text for text in DATASETS[name]()["text"] if not INVISIBLE_HERE.search(text)]
    assert len(seen) > 8_000
    assert all(split.split_key(text) == split.split_key(text, version=1) for text in seen)


def test_rows_that_a_new_key_moves() -> None:
    raw = pd.Series([f"{mark}text {number}" for mark in ("", "\u00ad") for number in range(500)])
    moved = split.moved(raw, raw[500:], 1, test_share=0.15, seed=0)
    np.testing.assert_array_equal(moved[:500], moved[500:])  # a copy had another key, so the row's champion may know it
    assert not split.moved(raw, raw[:500], 1, test_share=0.15, seed=0).any()
    before = np.array([sha256(f"0\0{text}".encode()).hexdigest() >= "26666" for text in raw])  # 0.15 in hexadecimal
    np.testing.assert_array_equal(moved[500:], before[500:])
    assert not split.moved(raw, raw, 2, test_share=0.15, seed=0).any()


def test_key_ignores_case_and_spaces() -> None:
    assert split.split_key("Great  FILM\n") == split.split_key("great film")


def test_groups_stay_in_one_split() -> None:
    groups = [f"film {number % 200}" for number in range(4_000)]
    splits = pd.Series(assign(frame(TEXTS, group=groups)))
    assert splits.groupby(groups).nunique().max() == 1
    np.testing.assert_allclose(shares(splits.to_numpy()), [0.7, 0.15, 0.15], atol=0.08)


def test_given_split_takes_precedence() -> None:
    given = ["test"] * 100 + ["train"] * 50 + [""] * 3_850
    splits = assign(frame(TEXTS, split=given))
    assert set(splits[:100]) == {"test"}
    assert set(splits[100:150]) == {"train"}
    assert "test" not in splits[100:]
    assert (splits[150:] == "validation").mean() == pytest.approx(0.15, abs=0.02)
    with_validation = assign(frame(TEXTS, split=["validation"] * 100 + [""] * 3_900))
    assert "validation" not in with_validation[100:]
    assert (with_validation[100:] == "test").mean() == pytest.approx(0.15, abs=0.02)
    whole = ["test", "validation", "train"] * 1_000 + ["train"] * 1_000
    assert list(assign(frame(TEXTS, split=whole))) == whole


def test_latest_rows_are_test_rows() -> None:
    times = np.random.default_rng(0).permutation(4_000)
    splits = assign(frame(TEXTS, time=times.astype(float)))
    assert times[splits == "test"].min() > times[splits != "test"].max()
    np.testing.assert_allclose(shares(splits), [0.7, 0.15, 0.15], atol=0.03)


def test_group_counts_by_its_first_time() -> None:
    groups = [f"thread {number // 4}" for number in range(4_000)]
    splits = pd.Series(assign(frame(TEXTS, time=np.arange(4_000.0), group=groups)))
    assert splits.groupby(groups).nunique().max() == 1
    assert set(splits[-400:]) == {"test"}
    long = ["long", *[""] * 3_998, "long"]  # its last post is the latest of all
    assert assign(frame(TEXTS, time=np.arange(4_000.0), group=long))[-1] != "test"


def test_equal_times_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"ingest\.time_column: too many rows have the latest time"):
        assign(frame(TEXTS, time=np.r_[np.zeros(2_000), np.ones(2_000)]))


def test_small_class_is_in_every_split() -> None:
    labels = np.array(["large"] * 3_997 + ["small"] * 3)
    for seed in range(10):
        splits = assign(frame(TEXTS, label=labels), seed=seed)
        assert set(splits[labels == "small"]) == {"train", "validation", "test"}
    pairs = ["", "", ""] * 1_332 + [""] + [f"pair {number}" for number in range(3)]
    pairs[:3] = pairs[-3:]  # a row of the large class in each group goes where its group goes
    for seed in range(10):
        splits = assign(frame(TEXTS, label=labels, group=pairs), seed=seed)
        assert list(splits[:3]) == list(splits[-3:])
    one_group = assign(frame(TEXTS, label=labels, group=[""] * 3_997 + ["one"] * 3))
    assert len(set(one_group[-3:])) == 1
    single = frame(TEXTS, label=["large"] * 3_999 + ["single"])
    assert [assign(single, seed)[-1] for seed in range(10)] == [assign(frame(TEXTS), seed)[-1] for seed in range(10)]


def test_given_rows_do_not_fill_other_splits() -> None:
    labels, given = ["large"] * 3_900 + ["small"] * 100, [""] * 3_900 + ["train"] * 94 + [""] * 6
    for seed in range(10):
        splits = assign(frame(TEXTS, label=labels, split=given), seed=seed)
        assert set(splits[3_900:3_994]) == {"train"}
        assert set(splits[3_994:]) >= {"validation", "test"}


def test_row_of_lowest_draw_fills_a_split() -> None:
    table = frame(TEXTS[:30], label=["large"] * 25 + ["small"] * 5)
    for seed in range(10):
        by_hash = assign(table.assign(label="x"), seed=seed)  # one class is in every split, so that no row moves
        splits = assign(table, seed=seed)
        draws = np.array([sha256(f"{seed}\0{key}".encode()).hexdigest() for key in table["raw"]])
        for moved in np.flatnonzero(splits != by_hash):
            same_class = (table["label"] == table["label"][moved]).to_numpy()
            others = same_class & (by_hash == by_hash[moved]) & (splits == by_hash)
            assert (draws[moved] < draws[others]).all()


def test_given_splits_are_not_filled() -> None:
    """A class that the user's test file lacks is an error of `clean`, not a reason to take rows from train."""
    labels = ["a"] * 2_000 + ["b"] * 2_000
    splits = assign(frame(TEXTS, label=labels, split=["test"] * 100 + [""] * 3_900))
    assert set(splits[2_000:]) == {"train", "validation"}
    one_free = assign(frame(TEXTS, label=labels, split=["train"] * 3_999 + [""]))
    assert set(one_free[:3_999]) == {"train"}


def test_cleaning_does_not_change_the_split() -> None:
    cleaned = frame(TEXTS, text=[f"cleaned {number}" for number in range(4_000)])
    np.testing.assert_array_equal(assign(frame(TEXTS)), assign(cleaned))


def test_keys_of_groups_differ_from_those_of_texts() -> None:
    by_group = assign(frame(TEXTS, raw=[f"x{text}" for text in TEXTS], group=TEXTS))
    assert (by_group != assign(frame(TEXTS))).any()


def test_copies_of_given_test_rows_are_held_out() -> None:
    texts = ["a", "a", "b", "b", "c", "d", "e", "f"]
    given = ["test", "", "validation", "train", "test", "", "", "train"]
    groups = ["", "", "", "", "film", "film", "", ""]
    table = frame(texts, split=given, group=groups)
    assert list(np.flatnonzero(split.held_out(table, table["text"]))) == [1, 3, 5]
    copies = frame(["a", "a"], split=["validation", "test"])
    assert list(split.held_out(copies, copies["text"])) == [True, False]  # test comes before validation


def test_given_split_of_one_row_holds_for_its_group() -> None:
    groups = [f"thread {number // 2}" for number in range(4_000)]
    splits = pd.Series(assign(frame(TEXTS, group=groups, split=["train", ""] * 2_000)))
    assert splits.groupby(groups).nunique().max() == 1


def test_split_that_is_never_given_is_drawn_from_train() -> None:
    splits = assign(frame(TEXTS, split=["test"] * 1_000 + ["train"] * 3_000))
    assert set(splits[:1_000]) == {"test"}
    assert "test" not in splits[1_000:]
    assert (splits[1_000:] == "validation").mean() == pytest.approx(0.15, abs=0.02)


def test_number_of_latest_rows_with_long_groups() -> None:
    """Each group has a row in every quarter of the time, so that the last rows of all groups are equally late."""
    numbers = np.arange(4_000)
    splits = assign(frame(TEXTS, time=numbers.astype(float), group=[f"thread {n % 1_000}" for n in numbers]))
    assert (splits == "test").mean() == pytest.approx(0.15, abs=0.01)
    assert set(np.flatnonzero(splits == "test") % 1_000) == set(range(850, 1_000))


def test_rows_at_the_cut_are_not_the_latest() -> None:
    splits = assign(frame(TEXTS, time=np.repeat([0.0, 1.0, 2.0], [2_000, 1_500, 500])))
    assert set(np.flatnonzero(splits == "test")) == set(range(3_500, 4_000))


def test_dropped_rows_are_where_their_group_split_or_time_puts_them() -> None:
    kept = frame(["a", "b", "c", "d"], group=["ann", "bob", "", ""], split=["test", "train", "test", "train"])
    dropped = frame(["text 6", "text 6", "text 6", "text 0", "text 0"])
    dropped = dropped.assign(group=["ann", "bob", "", "", "ann"], split=["", "", "train", "test", ""])
    assert split.test_rows(dropped, kept, test_share=0.15, seed=0).tolist() == [True, False, False, True, True]
    kept["time"], dropped["time"] = [5.0, 1.0, 4.0, 2.0], [1.0, 9.0, 4.0, 1.0, 1.0]
    dropped = dropped.assign(group="", split="")
    assert split.test_rows(dropped, kept, test_share=0.15, seed=0).tolist() == [False, True, True, False, False]
