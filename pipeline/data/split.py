"""Split: which rows train, which choose the epoch (validation), and which only evaluate sees (test).

A hash of the row's own key decides, so that no other row and no new cleaning rule can move it. What the user has named
wins: a split column, a test file, groups that stay together, or a time after which rows are test rows.
"""

import hashlib
import unicodedata

import numpy as np
import pandas as pd

from ..base.errors import PipelineError

MOST_LATEST = 0.4  # share of the rows that may test because they have the latest time


def split_key(text: str) -> str:
    """The part of a raw text that decides its split. Frozen: a change here moves rows between the splits."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def held_out(table: pd.DataFrame, cells: "pd.Series[str]") -> np.ndarray:
    """Rows that a given test or validation split forbids, because their text or their group is in it.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `group` and `split` ("" where none is given).
    cells : Series of shape (n_rows,), str
        The cleaned content of each row, see `content.content`.

    Returns
    -------
    ndarray of shape (n_rows,), bool
        True for a row with a copy, or another row of its group, in a given split before its own; test comes before
        validation, and validation before all others.
    """
    rank = table["split"].map({"test": 0, "validation": 1}).fillna(2)
    by_text = rank.groupby(cells).transform("min")
    by_group = rank.groupby(table["group"]).transform("min").where(table["group"] != "", rank)
    forbidden: np.ndarray = (rank > np.minimum(by_text, by_group)).to_numpy()
    return forbidden


def assign_split(table: pd.DataFrame, *, validation_share: float, test_share: float, seed: int) -> np.ndarray:
    """Decide each row's split.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 5)
        Has `raw` (the text before cleaning), `label`, `group`, `split` and `time`.
    validation_share, test_share : float
        Expected share of the rows, whatever their class; between 0 and 1, together below 1. A split that `table` gives
        rows for gets no others; where it is the test split, or time decides that, `validation_share` is of the rest.
    seed : int
        Another seed draws another split.

    Returns
    -------
    ndarray of shape (n_rows,), str
        "train", "validation" or "test".
    """
    grouped = table["group"] != ""
    keys = ("group\0" + table["group"]).where(grouped, table["raw"].map(split_key))
    draws = np.array([_draw(f"{seed}\0{key}") for key in keys])
    of_group = table["split"].where(table["split"] != "").groupby(table["group"]).transform("first").where(grouped)
    given = table["split"].where(table["split"] != "", of_group.fillna("")).to_numpy(dtype=object)
    shares = {
        "test": 0.0 if (given == "test").any() else test_share,
        "validation": 0.0 if (given == "validation").any() else validation_share,
    }
    # What is blank is drawn; where nothing is, train gives the splits that are never named.
    free = given == ("" if (given == "").any() else "train")
    split: np.ndarray = np.where(free, "", given)
    if table["time"].notna().any():
        split[_latest(table, shares["test"])] = "test"
        shares["test"] = 0.0
    free &= split == ""
    drawn = np.select([draws < shares["test"], draws < sum(shares.values())], ["test", "validation"], "train")
    split[free] = drawn[free]
    for name in ["train", *(name for name, share in shares.items() if share)]:
        _fill(split, name, table["label"].to_numpy(dtype=object), draws, free)
    return split


def _draw(key: str) -> float:
    """A number from 0 to 1, by the hash of a key."""
    return int.from_bytes(hashlib.sha256(key.encode(errors="surrogatepass")).digest()[:8], "big") / 2**64


def _latest(table: pd.DataFrame, share: float) -> np.ndarray:
    """The latest rows, about `share` of all; a group counts by its first time, and rows of one time stay together."""
    first = table["time"].groupby(table["group"]).transform("min").where(table["group"] != "", table["time"])
    cut = np.quantile(first, 1 - share, method="inverted_cdf")
    latest: np.ndarray = (first > cut if (first > cut).any() else first >= cut).to_numpy()
    if latest.mean() > MOST_LATEST:
        raise PipelineError("ingest.time_column: so many rows have the latest time that no split by time can be made")
    return latest


def _fill(split: np.ndarray, name: str, labels: np.ndarray, draws: np.ndarray, free: np.ndarray) -> None:
    """Give a split that the hash left without a class one row of it, with its group: that of lowest draw.

    It comes from the split that has most of that class, which keeps others; of `free` rows alone, decided by the hash.
    These few rows may move when the class grows.
    """
    for label in sorted(set(labels) - set(labels[split == name])):
        members = free & (labels == label)
        donors = {donor: len(set(draws[members & (split == donor)])) for donor in ("train", "validation", "test")}
        donor = max(donors, key=donors.__getitem__)
        if donors[donor] > 1:
            lowest = draws[members & (split == donor)].min()
            split[free & (split == donor) & (draws == lowest)] = name
