"""Selection."""

import hashlib

import numpy as np
import pandas as pd

from ..base import paths
from ..base.errors import PipelineError
from .content import content
from .split import held_out


def sample(table: pd.DataFrame, max_rows: int | None) -> pd.DataFrame:
    """Keep the `max_rows` rows of lowest hash, in their order, so that a growing table keeps most of its sample.

    The hash is that of the id and of how often it occurred before: copies of a text are drawn one by one.
    """
    if max_rows is None or len(table) <= max_rows:
        return table
    copies = table.groupby("id").cumcount()
    draws = [hashlib.sha256(f"{row}\0{copy}".encode()).digest() for row, copy in zip(table["id"], copies, strict=True)]
    kept = sorted(sorted(range(len(table)), key=draws.__getitem__)[:max_rows])
    return table.iloc[kept].reset_index(drop=True)


def unusable(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Tell which rows must not be learnt from or measured on, and why.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 4)
        Has cleaned inputs such as `text`, `label` (null where missing), `group` and `split` ("" where none is given).

    Returns
    -------
    dict of str to ndarray of shape (n_rows,), bool
        Rows by reason, each row under one at most:

        - "unlabelled": no label;
        - "empty": no text is left;
        - "held_out": a copy or another row of the group is in a given test or validation split;
        - "conflicting": most rows with this text have another label, or as many have;
        - "duplicate": the text stands in an earlier row.
    """
    left = np.ones(len(table), dtype=bool)
    reasons: dict[str, np.ndarray] = {}

    def drop(reason: str, rows: np.ndarray) -> None:
        reasons[reason] = np.zeros(len(table), dtype=bool)
        reasons[reason][left] = rows
        left[reasons[reason]] = False

    cells = content(table)
    drop("unlabelled", table["label"].isna().to_numpy())
    drop("empty", (cells == "").to_numpy()[left])
    drop("held_out", held_out(table[left], cells[left]))
    drop("conflicting", _conflicting(cells[left], table["label"][left]))
    drop("duplicate", cells[left].duplicated().to_numpy())
    return reasons


def _conflicting(cells: "pd.Series[str]", labels: "pd.Series[str]") -> np.ndarray:
    votes = labels.groupby([cells, labels]).transform("size")
    most = votes == votes.groupby(cells).transform("max")
    tied = labels.where(most).groupby(cells).transform("nunique") > 1
    conflicting: np.ndarray = (tied | ~most).to_numpy(dtype=bool)
    return conflicting


def surplus(table: pd.DataFrame, skew: float) -> np.ndarray:
    """Tell which training rows must go to make the classes unequal on purpose.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 3)
        Has `id`, `label` and `split`.
    skew : float
        Rows of the largest class per row of the smallest; those between fall evenly by their logarithm, in the order of
        their sizes (Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples").

    Returns
    -------
    ndarray of shape (n_rows,), bool
        Those of highest hash. A class that has fewer rows already keeps them; one row of each stays.
    """
    train = table.loc[table["split"] == "train", ["id", "label"]]
    counts = train["label"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    falling = skew ** (-np.arange(len(counts)) / max(len(counts) - 1, 1))
    most = pd.Series(np.maximum(np.round(counts.iloc[0] * falling), 1), index=counts.index)
    place = train.groupby("label")["id"].rank(method="first")
    gone: np.ndarray = (place > train["label"].map(most)).reindex(table.index, fill_value=False).to_numpy(dtype=bool)
    return gone


def count(table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Rows by split and class: a table of shape (3 * n_classes, 3) with `split`, `label` and `rows`."""
    counts = table.groupby(["split", "label"]).size()
    full = pd.MultiIndex.from_product([paths.SPLITS, classes], names=["split", "label"])
    return counts.reindex(full, fill_value=0).rename("rows").reset_index()


def check(counts: pd.DataFrame, dropped: dict[str, int]) -> None:
    """Fail, naming how many rows were `dropped` and why, unless two classes or more have rows in every split."""
    reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in dropped.items() if rows) or "none"
    totals = counts.groupby("label", sort=False)["rows"].sum()
    if len(totals) < 2:
        found = f"all rows have the label {totals.index[0]!r}" if len(totals) else "no row is left"
        raise PipelineError(f"after cleaning, {found} (dropped: {reasons}); there must be two classes or more")
    for row in counts[counts["rows"] == 0].itertuples():
        raise PipelineError(
            f"class {row.label!r} has {totals[row.label]} row(s) after cleaning, but none in the {row.split} split "
            f"(dropped: {reasons}); give it more rows there, drop it with ingest.label_map, or change the splits"
        )
