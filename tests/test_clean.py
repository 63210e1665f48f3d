"""Clean: duplicates, conflicts, and a split that no other row can move."""

import numpy as np
import pandas as pd

from pipeline import clean


def frame(rows: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["text", "label"], dtype="str")


def test_duplicates_and_conflicts() -> None:
    table = frame(
        [("a", "x"), ("a", "x"), ("b", "x"), ("b", "y"), ("c", "y"), ("c", "x"), ("c", "y"), ("", "x"), ("d", "y")]
    )
    kept, dropped = clean.deduplicate(table)
    # a: one of two; b: a tie, none; c: the majority's first; the empty text: none
    assert list(kept.itertuples(index=True, name=None)) == [(0, "a", "x"), (4, "c", "y"), (8, "d", "y")]
    assert dropped == {"empty": 1, "conflicting": 3, "duplicate": 2}
    assert len(kept) + sum(dropped.values()) == len(table)


def split(keys: list[str], seed: int = 0) -> np.ndarray:
    return clean.assign_split(pd.Series(keys, dtype="str"), validation_share=0.15, test_share=0.15, seed=seed)


def test_no_row_moves_when_the_data_grow() -> None:
    keys = [f"text {i}" for i in range(2_000)]
    np.testing.assert_array_equal(split(keys)[:500], split(keys[:500]))
    np.testing.assert_array_equal(split(keys[::-1])[::-1], split(keys))
    assert (split(keys) != split(keys, seed=1)).any()


def test_shares_hold_in_every_class() -> None:
    for name in ("negative", "positive"):
        drawn = split([f"{name} {i}" for i in range(10_000)])
        shares = [(drawn == part).mean() for part in ("train", "validation", "test")]
        np.testing.assert_allclose(shares, [0.7, 0.15, 0.15], atol=0.015)


def test_the_frozen_key_gives_the_frozen_split() -> None:
    # Literal values: if this test fails, rows of existing users move between train and test.
    assert clean.split_key("  Ａ b\n C ß") == "a b c ss"
    assert list(split(["text 0", "text 6", "text 8", "text 10"])) == ["train", "test", "test", "validation"]


def test_the_key_ignores_case_and_space_so_that_near_equal_texts_stay_together() -> None:
    assert clean.split_key("Great  FILM\n") == clean.split_key("great film")
