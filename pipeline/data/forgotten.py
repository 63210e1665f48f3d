"""Forgotten rows, which no training may use: `data/forgotten.txt` lists their digests.

The file contains no texts, so that it can be in git.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..base import paths
from ..base.errors import PipelineError
from ..base.modalities import modalities_of, modality
from .content import content
from .split import SPLIT_KEY_VERSION, split_key

if TYPE_CHECKING:
    import pandas as pd


def id_digest(row_id: str) -> str:
    """Return the SHA-256 that lists a row by its id.

    >>> id_digest("0123456789abcdef")[:16]
    '472842a915854707'
    """
    return hashlib.sha256(f"id\0{row_id}".encode()).hexdigest()


def text_digest(text: str, version: int = SPLIT_KEY_VERSION) -> str:
    """Return the SHA-256 that lists a text, whatever its letter case, character width and white space.

    Parameters
    ----------
    text : str
        Raw text.
    version : int
        Version of the split's key; an earlier one finds what was listed before.

    Examples
    --------
    >>> text_digest("So  glad") == text_digest("so glad")
    True
    """
    return hashlib.sha256(f"text\0{split_key(text, version)}".encode(errors="surrogatepass")).hexdigest()


def clean_digest(cleaned: str) -> str:
    """Return the SHA-256 that lists all texts of which cleaning leaves this one; they are copies of one another."""
    return hashlib.sha256(f"clean\0{split_key(cleaned)}".encode(errors="surrogatepass")).hexdigest()


def text_digests(text: str) -> list[str]:
    """Return the digests that list a raw text: its own, and that of what cleaning leaves of it.

    Its own stays valid if the rules of cleaning change.

    >>> len(text_digests("so glad")), len(text_digests("<br>"))  # of which nothing is left
    (2, 1)
    """
    cleaned = modality("text").clean(text)
    return [text_digest(text), *([clean_digest(cleaned)] if cleaned else [])]


def _is_listed(text: str, listed: set[str]) -> bool:
    return any(text_digest(text, version) in listed for version in range(SPLIT_KEY_VERSION, 0, -1))


def read_forgotten() -> set[str]:
    """Return the digests in `data/forgotten.txt`, which has one per line.

    Raises
    ------
    PipelineError
        The file is missing, or a line is not a digest: a forgotten row might be used again unnoticed.
    """
    try:
        lines = paths.FORGOTTEN.read_text(encoding="utf-8").split()
    except OSError as error:
        raise PipelineError(f"{paths.FORGOTTEN} cannot be read ({error.strerror}); restore it from git") from error
    for number, line in enumerate(lines, 1):
        if len(line) != 64 or set(line) - set("0123456789abcdef"):
            raise PipelineError(f"{paths.FORGOTTEN}, line {number} is not a SHA-256 digest; restore the file from git")
    return set(lines)


def mask_listed(table: "pd.DataFrame", digests: Iterable[str]) -> np.ndarray:
    """Return which rows are listed: by id, by content, or by what cleaning leaves of it.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `id` and raw inputs such as `text` (null where missing).
    digests : iterable of str
        As returned by `read_forgotten`, `id_digest` and `text_digests`.

    Returns
    -------
    ndarray of shape (n_rows,), bool
        True for a listed row.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"id": ["1", "2", "3"], "text": ["so glad", "sad", "<b>So</b> glad"]})
    >>> mask_listed(table, text_digests("So glad"))
    array([ True, False,  True])
    """
    listed = set(digests)
    if not listed:
        return np.zeros(len(table), dtype=bool)
    clean = {name: modality(name).clean for name in modalities_of(table)}
    cleaned = table.assign(**{name: table[name].fillna("").map(function) for name, function in clean.items()})
    rows = zip(table["id"], content(table), content(cleaned), strict=True)
    return np.array(
        [
            id_digest(row_id) in listed or _is_listed(raw, listed) or (left != "" and clean_digest(left) in listed)
            for row_id, raw, left in rows
        ],
        dtype=bool,
    )
