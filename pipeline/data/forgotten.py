"""Forgotten rows: a file of digests, which holds no text and so may stand in git, of what no training may contain."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..base import paths
from ..base.errors import PipelineError
from .content import content
from .split import split_key

if TYPE_CHECKING:
    import pandas as pd


def id_digest(row: str) -> str:
    """SHA-256 by which a row's id is listed."""
    return hashlib.sha256(f"id\0{row}".encode()).hexdigest()


def text_digest(text: str) -> str:
    """SHA-256 by which a text is listed: the same for other letter case, width of characters and white space."""
    return hashlib.sha256(f"text\0{split_key(text)}".encode(errors="surrogatepass")).hexdigest()


def read_forgotten() -> set[str]:
    """The digests in `data/forgotten.txt`, one a line.

    Raises
    ------
    PipelineError
        The file is missing, or a line is no digest: a row might come back unnoticed.
    """
    try:
        lines = paths.FORGOTTEN.read_text(encoding="utf-8").split()
    except OSError as error:
        raise PipelineError(f"{paths.FORGOTTEN} cannot be read ({error.strerror}); get it back from git") from error
    for number, line in enumerate(lines, 1):
        if len(line) != 64 or set(line) - set("0123456789abcdef"):
            raise PipelineError(f"{paths.FORGOTTEN}, line {number} is no SHA-256 digest; get the file back from git")
    return set(lines)


def matching(table: "pd.DataFrame", digests: Iterable[str]) -> np.ndarray:
    """Tell which rows are listed, by id or by text.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `id` and `text` (raw, null where missing).
    digests : iterable of str
        As `read_forgotten` gives them.

    Returns
    -------
    ndarray of shape (n_rows,), bool
    """
    listed = set(digests)
    if not listed:
        return np.zeros(len(table), dtype=bool)
    pairs = zip(table["id"], content(table), strict=True)
    return np.array([id_digest(row) in listed or text_digest(text) in listed for row, text in pairs], dtype=bool)
