"""Split: a row's own key decides, and what the user names wins."""

import numpy as np
import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.data import split


def frame(keys: list[str], **columns: object) -> pd.DataFrame:
    table = pd.DataFrame({"raw": keys, "text": keys, "label": "x", "group": "", "split": ""}, dtype="str")
    return table.assign(time=np.nan).assign(**columns)


def assign(table: pd.DataFrame, seed: int = 0) -> np.ndarray:
    return split.assign_split(table, validation_share=0.15, test_share=0.15, seed=seed)


def shares(found: np.ndarray) -> list[float]:
    return [float((found == name).mean()) for name in ("train", "validation", "test")]


TEXTS = [f"text {number}" for number in range(4_000)]


def test_no_row_moves_when_the_data_grow() -> None:
    found = assign(frame(TEXTS))
    np.testing.assert_array_equal(found[:500], assign(frame(TEXTS[:500])))
    np.testing.assert_array_equal(found[::-1], assign(frame(TEXTS[::-1])))
    assert (found != assign(frame(TEXTS), seed=1)).any()


def test_shares_hold_in_every_class() -> None:
    labels = np.repeat(["a", "b"], 2_000)
    found = assign(frame(TEXTS, label=labels))
    for label in ("a", "b"):
        np.testing.assert_allclose(shares(found[labels == label]), [0.7, 0.15, 0.15], atol=0.03)


def test_the_frozen_key_gives_the_frozen_split() -> None:
    # Literal values: if this test fails, rows of existing users move between train and test.
    assert split.split_key("  Ａ b\n C ß") == "a b c ss"
    assert list(assign(frame(["text 0", "text 6", "text 8", "text 10"]))) == ["train", "test", "test", "validation"]


def test_the_key_ignores_case_and_space_so_that_near_equal_texts_stay_together() -> None:
    assert split.split_key("Great  FILM\n") == split.split_key("great film")


def test_no_group_straddles() -> None:
    groups = [f"film {number % 200}" for number in range(4_000)]
    found = pd.Series(assign(frame(TEXTS, group=groups)))
    assert found.groupby(groups).nunique().max() == 1
    np.testing.assert_allclose(shares(found.to_numpy()), [0.7, 0.15, 0.15], atol=0.08)


def test_a_given_split_wins_and_only_what_is_not_given_is_drawn() -> None:
    given = ["test"] * 100 + ["train"] * 50 + [""] * 3_850
    found = assign(frame(TEXTS, split=given))
    assert set(found[:100]) == {"test"}
    assert set(found[100:150]) == {"train"}
    assert "test" not in found[100:]
    assert (found[150:] == "validation").mean() == pytest.approx(0.15, abs=0.02)
    with_validation = assign(frame(TEXTS, split=["validation"] * 100 + [""] * 3_900))
    assert "validation" not in with_validation[100:]
    assert (with_validation[100:] == "test").mean() == pytest.approx(0.15, abs=0.02)
    whole = ["test", "validation", "train"] * 1_000 + ["train"] * 1_000
    assert list(assign(frame(TEXTS, split=whole))) == whole


def test_the_latest_rows_are_the_test_rows() -> None:
    times = np.random.default_rng(0).permutation(4_000)
    found = assign(frame(TEXTS, time=times.astype(float)))
    assert times[found == "test"].min() > times[found != "test"].max()
    np.testing.assert_allclose(shares(found), [0.7, 0.15, 0.15], atol=0.03)


def test_a_group_counts_by_its_first_time() -> None:
    groups = [f"thread {number // 4}" for number in range(4_000)]
    found = pd.Series(assign(frame(TEXTS, time=np.arange(4_000.0), group=groups)))
    assert found.groupby(groups).nunique().max() == 1
    assert set(found[-400:]) == {"test"}
    long = ["long", *[""] * 3_998, "long"]  # its last post is the latest of all
    assert assign(frame(TEXTS, time=np.arange(4_000.0), group=long))[-1] != "test"


def test_one_time_for_most_rows_cannot_be_split() -> None:
    with pytest.raises(PipelineError, match=r"ingest\.time_column: so many rows have the latest time"):
        assign(frame(TEXTS, time=np.r_[np.zeros(2_000), np.ones(2_000)]))


def test_a_small_class_has_rows_in_every_split() -> None:
    labels = np.array(["large"] * 3_997 + ["small"] * 3)
    for seed in range(10):
        found = assign(frame(TEXTS, label=labels), seed=seed)
        assert set(found[labels == "small"]) == {"train", "validation", "test"}
    pairs = ["", "", ""] * 1_332 + [""] + [f"pair {number}" for number in range(3)]
    pairs[:3] = pairs[-3:]  # a row of the large class in each group goes where its group goes
    for seed in range(10):
        found = assign(frame(TEXTS, label=labels, group=pairs), seed=seed)
        assert list(found[:3]) == list(found[-3:])
    lonely = assign(frame(TEXTS, label=labels, group=[""] * 3_997 + ["one"] * 3))
    assert len(set(lonely[-3:])) == 1
    alone = frame(TEXTS, label=["large"] * 3_999 + ["alone"])
    assert [assign(alone, seed)[-1] for seed in range(10)] == [assign(frame(TEXTS), seed)[-1] for seed in range(10)]


def test_given_rows_are_never_moved_to_fill_a_split() -> None:
    labels, given = ["large"] * 3_900 + ["small"] * 100, [""] * 3_900 + ["train"] * 94 + [""] * 6
    for seed in range(10):
        found = assign(frame(TEXTS, label=labels, split=given), seed=seed)
        assert set(found[3_900:3_994]) == {"train"}
        assert set(found[3_994:]) >= {"validation", "test"}


def test_a_class_that_lacks_a_split_gives_its_row_of_lowest_draw() -> None:
    table = frame(TEXTS[:30], label=["large"] * 25 + ["small"] * 5)
    for seed in range(10):
        shared = assign(table.assign(label="x"), seed=seed)  # by the hash alone
        found = assign(table, seed=seed)
        draws = np.array([split._draw(f"{seed}\0{key}") for key in table["raw"]])
        for moved in np.flatnonzero(found != shared):
            others = (
                (table["label"] == table["label"][moved]).to_numpy() & (shared == shared[moved]) & (found == shared)
            )
            assert (draws[moved] < draws[others]).all()


def test_given_splits_are_not_filled() -> None:
    """A class that the user's test file lacks is an error of `clean`, not a reason to take rows from train."""
    labels = ["a"] * 2_000 + ["b"] * 2_000
    found = assign(frame(TEXTS, label=labels, split=["test"] * 100 + [""] * 3_900))
    assert set(found[2_000:]) == {"train", "validation"}
    kept = assign(frame(TEXTS, label=labels, split=["train"] * 3_999 + [""]))
    assert set(kept[:3_999]) == {"train"}


def test_the_raw_text_decides_and_no_cleaning_rule() -> None:
    cleaned = frame(TEXTS, text=[f"cleaned {number}" for number in range(4_000)])
    np.testing.assert_array_equal(assign(frame(TEXTS)), assign(cleaned))


def test_a_group_is_no_text() -> None:
    alike = assign(frame(TEXTS, raw=[f"x{text}" for text in TEXTS], group=TEXTS))
    assert (alike != assign(frame(TEXTS))).any()


def test_copies_of_given_test_rows_are_held_out() -> None:
    texts = ["a", "a", "b", "b", "c", "d", "e", "f"]
    given = ["test", "", "validation", "train", "test", "", "", "train"]
    groups = ["", "", "", "", "film", "film", "", ""]
    table = frame(texts, split=given, group=groups)
    found = split.held_out(table, table["text"])
    assert list(np.flatnonzero(found)) == [1, 3, 5]
    copies = frame(["a", "a"], split=["validation", "test"])
    both = split.held_out(copies, copies["text"])
    assert list(both) == [True, False]  # test comes before validation


def test_a_group_with_one_training_row_trains() -> None:
    groups = [f"thread {number // 2}" for number in range(4_000)]
    found = pd.Series(assign(frame(TEXTS, group=groups, split=["train", ""] * 2_000)))
    assert found.groupby(groups).nunique().max() == 1


def test_a_split_that_the_column_never_names_is_drawn_from_train() -> None:
    found = assign(frame(TEXTS, split=["test"] * 1_000 + ["train"] * 3_000))
    assert set(found[:1_000]) == {"test"}
    assert "test" not in found[1_000:]
    assert (found[1_000:] == "validation").mean() == pytest.approx(0.15, abs=0.02)


def test_so_many_rows_are_the_latest_however_long_their_groups_go_on() -> None:
    """Each group has a row in every quarter of the time: the last of the latest group's are as late as others'."""
    numbers = np.arange(4_000)
    found = assign(frame(TEXTS, time=numbers.astype(float), group=[f"thread {n % 1_000}" for n in numbers]))
    assert (found == "test").mean() == pytest.approx(0.15, abs=0.01)
    assert set(np.flatnonzero(found == "test") % 1_000) == set(range(850, 1_000))


def test_rows_of_the_time_at_the_cut_are_left_out_where_later_ones_are_left() -> None:
    found = assign(frame(TEXTS, time=np.repeat([0.0, 1.0, 2.0], [2_000, 1_500, 500])))
    assert set(np.flatnonzero(found == "test")) == set(range(3_500, 4_000))
