"""The content of a row: the cells of all its modalities as one string, by which equal rows are found."""

import pandas as pd

from ..base.modalities import modalities_of
from .split import split_key


def content(table: pd.DataFrame) -> "pd.Series[str]":
    r"""Return the content of every row: its cells, joined by NUL if there are several modalities.

    It is "" where all cells are missing.

    >>> content(pd.DataFrame({"id": [1, 2], "text": ["so glad", None]})).to_list()
    ['so glad', '']
    """
    first, *others = (table[name].fillna("") for name in modalities_of(table))
    for cells in others:
        first = (first + "\0" + cells).where((first != "") | (cells != ""), "")
    return first


def content_keys(contents: "pd.Series[str]") -> "pd.Series[str]":
    """Return the `split_key` of every content: rows with equal keys are in the same split.

    >>> content_keys(pd.Series(["So  GLAD", "so glad"])).to_list()
    ['so glad', 'so glad']
    """
    return pd.Series(map(split_key, contents), index=contents.index, dtype="str")
