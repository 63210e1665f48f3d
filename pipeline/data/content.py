"""What a row holds: its cells of all kinds of input, as one string by which equal rows are found."""

import pandas as pd

from ..base.modalities import modalities_of
from .split import split_key


def content(table: pd.DataFrame) -> "pd.Series[str]":
    r"""Return the cells of every row, joined where it has several kinds of input; "" where all are missing.

    >>> content(pd.DataFrame({"id": [1, 2], "text": ["so glad", None]})).to_list()
    ['so glad', '']
    """
    first, *others = (table[name].fillna("") for name in modalities_of(table))
    for cells in others:
        first = (first + "\0" + cells).where((first != "") | (cells != ""), "")
    return first


def content_keys(cells: "pd.Series[str]") -> "pd.Series[str]":
    """Return the contents as `split_key` folds them: equal keys never straddle the splits."""
    return pd.Series(map(split_key, cells), index=cells.index, dtype="str")
