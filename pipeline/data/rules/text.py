"""Rules of raw texts."""

import re

import pandas as pd

from ...base.characters import INVISIBLE, without_invisible
from ..settings import Validate
from ..split import split_key
from .rule import Rule, percent

MOST = "ExpectColumnMaxToBeBetween"
SELECTORS = re.compile("[\ufe00-\ufe0f]")  # of an emoji's variant, which phones write next to many


def rules(settings: Validate) -> list[Rule]:
    """Return the rules of texts; the first one is about missing texts."""
    s = settings
    # fmt: off
    return [
        Rule("missing_texts", "shares", MOST, {"column": "missing_texts", "max_value": s.max_missing},
             f"at most {percent(s.max_missing)} of the rows lack a text", "validate.max_missing"),
        Rule("numeric_texts", "shares", MOST, {"column": "numeric_texts", "max_value": 0.5},
             "at most half of the rows have just numbers as text", "ingest.text_column",
             consequences=("duplicates", "max_duplicates", "max_conflicts")),
        Rule("max_text_length", "rows", MOST, {"column": "characters", "max_value": s.max_text_length},
             f"no text is longer than {s.max_text_length:,} characters", "validate.max_text_length"),
        Rule("undecodable", "shares", MOST, {"column": "undecodable", "max_value": 0},
             "no text holds bytes that could not be decoded", severity="warn"),
        Rule("max_undecodable", "shares", MOST, {"column": "undecodable", "max_value": s.max_undecodable},
             f"at most {percent(s.max_undecodable)} of the texts hold bytes that could not be decoded",
             "validate.max_undecodable", consequences=("undecodable",)),
        Rule("invisible_characters", "shares", MOST, {"column": "invisible_characters", "max_value": 0},
             "no text holds characters that nobody sees, such as soft hyphens, which clean drops", severity="warn"),
    ]
    # fmt: on


def measure(cells: "pd.Series[str]") -> dict[str, "pd.Series"]:
    """Return what the rules need to know of every text.

    Parameters
    ----------
    cells : Series of shape (n_rows,), str
        Raw texts, null where missing.

    Returns
    -------
    dict of str to Series of shape (n_rows,)
        By column: `characters`, the length, int64; `missing_texts`, `numeric_texts`, `undecodable` and
        `invisible_characters`, bool.

    Examples
    --------
    >>> facts = measure(pd.Series(["so glad", "10/10", None]))
    >>> facts["characters"].to_list(), facts["numeric_texts"].to_list()
    ([7, 5, 0], [False, True, False])
    """
    keys = pd.Series(map(split_key, cells.fillna("")), index=cells.index, dtype="str")
    return {
        "characters": cells.str.len().fillna(0).astype("int64"),
        "missing_texts": keys == "",
        "numeric_texts": keys.str.fullmatch(r"[\d\s.,:;/%+()#$€£-]+"),
        "undecodable": keys.str.contains("\ufffd", regex=False),
        "invisible_characters": _have_invisible(cells),
    }


def _have_invisible(cells: "pd.Series[str]") -> "pd.Series[bool]":
    """Return of which texts clean drops characters, other than those that select an emoji's variant."""
    mask = ~cells.str.isascii().to_numpy(dtype=bool)  # other texts cost nothing
    mask[mask] = cells[mask].str.contains(f"[{INVISIBLE}]", na=False).to_numpy(dtype=bool)
    mask[mask] = [_has_invisible(text) for text in cells[mask]]
    return pd.Series(mask, index=cells.index)


def _has_invisible(text: str) -> bool:
    cleaned = without_invisible(text)
    return cleaned != text and cleaned != SELECTORS.sub("", text)
