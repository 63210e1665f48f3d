"""Selection of rows: the sample that ingest keeps, and the rows that clean drops, with the reasons."""

import hashlib

import numpy as np
import pandas as pd

from ..base import paths
from ..base.errors import PipelineError
from .content import content
from .split import held_out


def sample(table: pd.DataFrame, max_rows: int | None) -> pd.DataFrame:
    """Return the `max_rows` rows of lowest hash, in their order; all rows for None.

    The hash is that of the id, and of how often it occurred before, so that copies of a text are drawn one by one. When
    a table grows, most rows of its sample stay.

    >>> table = pd.DataFrame({"id": ["a", "b", "c", "d"]})
    >>> len(sample(table, 3)), len(sample(table, None))
    (3, 4)
    """
    if max_rows is None or len(table) <= max_rows:
        return table
    copies = table.groupby("id").cumcount()
    draws = [hashlib.sha256(f"{row}\0{copy}".encode()).digest() for row, copy in zip(table["id"], copies, strict=True)]
    lowest = sorted(range(len(table)), key=draws.__getitem__)[:max_rows]
    return table.iloc[sorted(lowest)].reset_index(drop=True)


def unusable(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return which rows must be neither learned from nor measured on, by reason.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 4)
        Has cleaned inputs such as `text`, `label` (null where missing), `group` and `split` ("" where none is given).

    Returns
    -------
    dict of str to ndarray of shape (n_rows,), bool
        A mask for each reason; a row has one reason at most:

        - "unlabelled": the label is missing;
        - "empty": nothing is left of the text;
        - "held_out": a copy, or another row of the group, is in a given test or validation split;
        - "conflicting": the same text has another label at least as often;
        - "duplicate": the text is in an earlier row.

    Examples
    --------
    >>> rows = {"text": ["so glad", "so glad", ""], "label": ["joy", "joy", "joy"], "group": "", "split": ""}
    >>> {reason: mask.tolist() for reason, mask in unusable(pd.DataFrame(rows)).items() if mask.any()}
    {'empty': [False, False, True], 'duplicate': [False, True, False]}
    """
    usable = np.ones(len(table), dtype=bool)
    reasons: dict[str, np.ndarray] = {}

    def drop(reason: str, mask_of_usable: np.ndarray) -> None:
        reasons[reason] = np.zeros(len(table), dtype=bool)
        reasons[reason][usable] = mask_of_usable
        usable[reasons[reason]] = False

    contents = content(table)
    drop("unlabelled", table["label"].isna().to_numpy())
    drop("empty", (contents == "").to_numpy()[usable])
    drop("held_out", held_out(table[usable], contents[usable]))
    drop("conflicting", _conflicting(contents[usable], table["label"][usable]))
    drop("duplicate", contents[usable].duplicated().to_numpy())
    return reasons


def _conflicting(contents: "pd.Series[str]", labels: "pd.Series[str]") -> np.ndarray:
    """Return which rows do not have the most frequent label of their content, or one of several such labels."""
    votes = labels.groupby([contents, labels]).transform("size")
    most = votes == votes.groupby(contents).transform("max")
    tied = labels.where(most).groupby(contents).transform("nunique") > 1
    conflicting: np.ndarray = (tied | ~most).to_numpy(dtype=bool)
    return conflicting


def surplus(table: pd.DataFrame, skew: float) -> np.ndarray:
    """Return which training rows to drop in order to make the classes imbalanced.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 3)
        Has `id`, `label` and `split`.
    skew : float
        Rows of the largest class per row of the smallest. The sizes between fall evenly on a logarithmic scale, in the
        order of the classes' sizes (Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples").

    Returns
    -------
    ndarray of shape (n_rows,), bool
        True for the rows of highest hash. A class that is smaller already loses none; each keeps one row at least.

    Examples
    --------
    >>> rows = {"id": list("abcdefgh"), "label": ["joy"] * 4 + ["fear"] * 4, "split": "train"}
    >>> surplus(pd.DataFrame(rows), skew=2)
    array([False, False,  True,  True, False, False, False, False])
    """
    train = table.loc[table["split"] == "train", ["id", "label"]]
    counts = train["label"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    fractions = skew ** (-np.arange(len(counts)) / max(len(counts) - 1, 1))
    wanted = pd.Series(np.maximum(np.round(counts.iloc[0] * fractions), 1), index=counts.index)
    rank = train.groupby("label")["id"].rank(method="first")  # ids are hashes
    mask = (rank > train["label"].map(wanted)).reindex(table.index, fill_value=False)
    dropped: np.ndarray = mask.to_numpy(dtype=bool)
    return dropped


def count_rows(table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Return the number of rows by split and class: shape (3 * n_classes, 3), columns `split`, `label` and `rows`.

    >>> count_rows(pd.DataFrame({"split": ["train", "test"], "label": ["joy", "joy"]}), ["joy"])["rows"].to_list()
    [1, 0, 1]
    """
    counts = table.groupby(["split", "label"]).size()
    full = pd.MultiIndex.from_product([paths.SPLITS, classes], names=["split", "label"])
    return counts.reindex(full, fill_value=0).rename("rows").reset_index()


def check_classes(counts: pd.DataFrame, dropped: dict[str, int]) -> None:
    """Check that there are two classes or more, and that each has rows in every split.

    Parameters
    ----------
    counts : DataFrame of shape (3 * n_classes, 3)
        As returned by `count_rows`.
    dropped : dict of str to int
        Number of dropped rows by reason, for the message.

    Raises
    ------
    PipelineError
        There are fewer classes, or a class has no row in a split.
    """
    reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in dropped.items() if rows) or "none"
    totals = counts.groupby("label", sort=False)["rows"].sum()
    if len(totals) < 2:
        problem = f"all rows have the label {totals.index[0]!r}" if len(totals) else "no row is left"
        raise PipelineError(f"after cleaning, {problem} (dropped: {reasons}); there must be two classes or more")
    for row in counts[counts["rows"] == 0].itertuples():
        raise PipelineError(
            f"class {row.label!r} has {totals[row.label]} row(s) after cleaning, but none in the {row.split} split "
            f"(dropped: {reasons}); give it more rows there, drop it with ingest.label_map, or change the splits"
        )
