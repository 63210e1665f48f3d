"""Split of the rows into train, validation (which chooses the best epoch) and test (which only evaluate sees).

A hash of the row's own key decides, so that neither other rows nor new cleaning rules move a row. What the user
specifies takes precedence: a split column, a test file, groups that stay in one split, or a time after which rows are
test rows.
"""

import hashlib
import unicodedata

import numpy as np
import pandas as pd

from ..base.characters import without_invisible
from ..base.errors import PipelineError
from ..base.paths import SPLITS

MAX_LATEST = 0.4  # share of the rows that may become test rows because they have the latest time


# Increased when the key changes: 2 ignores the characters that nobody sees.
SPLIT_KEY_VERSION = 2


def split_key(text: str, version: int = SPLIT_KEY_VERSION) -> str:
    r"""Return the part of a raw text that decides its split. A change here moves rows: it needs a new version.

    Parameters
    ----------
    text : str
        Raw content of a row.
    version : int
        1 or 2, see `SPLIT_KEY_VERSION`. Most texts have the same key in both.

    Returns
    -------
    str
        Equal for texts that differ only in case, white space, width of letters and invisible characters.

    Examples
    --------
    >>> split_key("Great  F\u00adILM"), split_key("Great  FILM", version=1)
    ('great film', 'great film')
    """
    if version > 1 and not text.isascii():
        text = without_invisible(text)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def moved(
    raw: "pd.Series[str]", everything: "pd.Series[str]", version: int, *, test_share: float, seed: int
) -> np.ndarray:
    r"""Return which test rows were in another split under an earlier version of the key, or had a copy there.

    Parameters
    ----------
    raw : Series of shape (n_rows,), str
        Raw contents of test rows that the hash of their content put there.
    everything : Series of shape (n_all_rows,), str
        Raw contents of all rows, also of those that were dropped as copies.
    version : int
        The earlier version.
    test_share, seed : float, int
        As in `assign_split`.

    Returns
    -------
    ndarray of shape (n_rows,), bool
        True for a row of whose copies, itself among them, one had another key and its draw was not for the test split.

    Examples
    --------
    >>> texts = pd.Series(["text 6", "text 8", "te\u00adxt 8"])
    >>> moved(texts[:2], texts, 1, test_share=0.15, seed=0)
    array([False,  True])
    """
    keys = ((split_key(text), split_key(text, version)) for text in everything)
    elsewhere = {key for key, earlier in keys if key != earlier and _draw(f"{seed}\0{earlier}") >= test_share}
    return np.array([split_key(text) in elsewhere for text in raw], dtype=bool)


def held_out(table: pd.DataFrame, contents: "pd.Series[str]") -> np.ndarray:
    """Return which rows must be dropped because their content or group is in a given test or validation split.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `group` and `split` ("" where none is given).
    contents : Series of shape (n_rows,), str
        The cleaned content of each row, see `content.content`.

    Returns
    -------
    ndarray of shape (n_rows,), bool
        True for a row with a copy, or another row of its group, in a given split that precedes its own; test precedes
        validation, and validation precedes all others.

    Examples
    --------
    >>> table = pd.DataFrame({"group": ["", "", ""], "split": ["train", "test", ""]})
    >>> held_out(table, pd.Series(["so glad", "so glad", "sad"]))
    array([ True, False, False])
    """
    rank = table["split"].map({"test": 0, "validation": 1}).fillna(2)
    by_content = rank.groupby(contents).transform("min")
    by_group = rank.groupby(table["group"]).transform("min").where(table["group"] != "", rank)
    dropped: np.ndarray = (rank > np.minimum(by_content, by_group)).to_numpy()
    return dropped


def assign_split(table: pd.DataFrame, *, validation_share: float, test_share: float, seed: int) -> np.ndarray:
    """Return each row's split.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 5)
        Has `raw` (the content before cleaning), `label`, `group`, `split` and `time`.
    validation_share, test_share : float
        Expected share of the rows, whatever their class; between 0 and 1, together below 1. A split that `table` gives
        to any row gets no others. If the test split is given, or decided by time, `validation_share` is a share of the
        other rows.
    seed : int
        Another seed draws another split.

    Returns
    -------
    ndarray of shape (n_rows,), str
        "train", "validation" or "test".

    Raises
    ------
    PipelineError
        Too many rows have the latest time.

    Examples
    --------
    >>> raw = ["text 0", "text 6", "text 10"]
    >>> table = pd.DataFrame({"raw": raw, "label": "joy", "group": "", "split": "", "time": np.nan})
    >>> assign_split(table, validation_share=0.15, test_share=0.15, seed=0).tolist()
    ['train', 'test', 'validation']
    """
    draws, given = _draws(table, seed), _given_split(table)
    shares = {
        "test": 0.0 if (given == "test").any() else test_share,
        "validation": 0.0 if (given == "validation").any() else validation_share,
    }
    # Blank cells are drawn. If there are none, a split that is never given is drawn from the rows of train.
    free = given == ("" if (given == "").any() else "train")
    split: np.ndarray = np.where(free, "", given)
    if table["time"].notna().any():
        split[_latest(table, shares["test"])] = "test"
        shares["test"] = 0.0
    free &= split == ""
    drawn = np.select([draws < shares["test"], draws < sum(shares.values())], ["test", "validation"], "train")
    split[free] = drawn[free]
    for name in ["train", *(name for name, share in shares.items() if share)]:
        _fill_classes(split, name, table["label"].to_numpy(dtype=object), draws, free)
    return split


def test_rows(dropped: pd.DataFrame, table: pd.DataFrame, *, test_share: float, seed: int) -> np.ndarray:
    """Return which of the rows that clean dropped would be test rows.

    Parameters
    ----------
    dropped : DataFrame of shape (n_rows, >= 5)
        Has the columns that `assign_split` reads.
    table : DataFrame of shape (n_kept_rows, >= 5)
        The other rows, with the `split` that `assign_split` returned.
    test_share, seed : float, int
        As in `assign_split`.

    Returns
    -------
    ndarray of shape (n_rows,), bool
        A row is where its group is; where its split column puts it; after the first test row, if time decides; and
        where the hash of its content puts it otherwise.

    Examples
    --------
    >>> rows = {"raw": ["text 6", "text 7"], "label": "joy", "group": "", "split": "", "time": np.nan}
    >>> test_rows(pd.DataFrame(rows), pd.DataFrame(rows).assign(split="train"), test_share=0.15, seed=0)
    array([ True, False])
    """
    is_test, given = table["split"] == "test", dropped["split"] != ""
    of_group = dropped["group"].map(is_test.groupby(table["group"]).any().drop("", errors="ignore"))
    if table["time"].notna().any():
        drawn = dropped["time"] >= table.loc[is_test, "time"].min()
    else:
        drawn = pd.Series(_draws(dropped, seed) < test_share, dropped.index, dtype=bool)
    own = (dropped["split"] == "test").where(given, drawn)
    tests: np.ndarray = of_group.where(of_group.notna(), own).to_numpy(dtype=bool)
    return tests


def _draws(table: pd.DataFrame, seed: int) -> np.ndarray:
    """Return a number from 0 to 1 for each row: the hash of its group, or of its content if it has no group."""
    keys = ("group\0" + table["group"]).where(table["group"] != "", table["raw"].map(split_key))
    return np.array([_draw(f"{seed}\0{key}") for key in keys])


def _draw(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode(errors="surrogatepass")).digest()[:8], "big") / 2**64


def _given_split(table: pd.DataFrame) -> np.ndarray:
    """Return the split that the user gives each row, or another row of its group; "" for none."""
    given = table["split"].where(table["split"] != "")
    of_group = given.groupby(table["group"]).transform("first").where(table["group"] != "")
    given_split: np.ndarray = table["split"].where(table["split"] != "", of_group.fillna("")).to_numpy(dtype=object)
    return given_split


def _latest(table: pd.DataFrame, share: float) -> np.ndarray:
    """Return which rows are the latest, about `share` of all.

    A group counts by its first time, and rows of the same time stay together.
    """
    first = table["time"].groupby(table["group"]).transform("min").where(table["group"] != "", table["time"])
    cut = np.quantile(first, 1 - share, method="inverted_cdf")
    latest: np.ndarray = (first > cut if (first > cut).any() else first >= cut).to_numpy()
    if latest.mean() > MAX_LATEST:
        raise PipelineError(
            "ingest.time_column: too many rows have the latest time to split by time; use more precise times, or null"
        )
    return latest


def _fill_classes(split: np.ndarray, name: str, labels: np.ndarray, draws: np.ndarray, free: np.ndarray) -> None:
    """Move one row, with its group, of each class that a split lacks into it: the row of lowest draw.

    It comes from the split with the most rows of the class, which keeps others. Only `free` rows move, whose split the
    hash decided. These few rows may move again when the class grows.
    """
    for label in sorted(set(labels) - set(labels[split == name])):
        mask = free & (labels == label)
        n_draws = {donor: len(set(draws[mask & (split == donor)])) for donor in SPLITS}
        donor = max(n_draws, key=n_draws.__getitem__)
        if n_draws[donor] > 1:
            lowest = draws[mask & (split == donor)].min()
            split[free & (split == donor) & (draws == lowest)] = name
