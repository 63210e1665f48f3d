"""Clean: raw texts become clean, unique, unambiguous ones, split into train, validation and test."""

import hashlib
import unicodedata

import numpy as np
import pandas as pd
from tqdm import tqdm

from . import params, paths, stage
from .files import read_json, read_table, write_json, write_table
from .stage import PipelineError
from .text import clean_text


def deduplicate(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop what must not be learnt from or measured on.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has the columns `text` (cleaned) and `label`.

    Returns
    -------
    DataFrame
        The rows that have a text and the label that most rows with this text have (none of them if two labels
        tie), the first of each text.
    dict of str to int
        Rows dropped, by reason: `empty`, `conflicting`, `duplicate`.
    """
    empty = table["text"] == ""
    votes = table.groupby(["text", "label"])["label"].transform("size")
    most = votes == votes.groupby(table["text"]).transform("max")
    tied = table["label"].where(most).groupby(table["text"]).transform("nunique") > 1
    conflicting = ~empty & (tied | ~most)
    duplicate = ~empty & ~conflicting & table[~conflicting].duplicated("text").reindex(table.index, fill_value=False)
    dropped = {"empty": int(empty.sum()), "conflicting": int(conflicting.sum()), "duplicate": int(duplicate.sum())}
    return table[~(empty | conflicting | duplicate)], dropped


def split_key(text: str) -> str:
    """The part of a raw text that decides its split. Frozen: a change here moves rows between the splits."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def assign_split(keys: "pd.Series[str]", *, validation_share: float, test_share: float, seed: int) -> np.ndarray:
    """Decide each row's split by the hash of its own key alone, so that no other row can move it.

    Parameters
    ----------
    keys : Series of str, n_rows
        Split keys.
    validation_share, test_share : float
        Expected share of the rows, of each class alike; between 0 and 1, together below 1.
    seed : int
        Another seed draws another split.

    Returns
    -------
    ndarray of shape (n_rows,), str
        "train", "validation" or "test".
    """
    digests = (hashlib.sha256(f"{seed}\0{key}".encode()).digest() for key in keys)
    draw = np.array([int.from_bytes(digest[:8], "big") / 2**64 for digest in digests])
    return np.select([draw < test_share, draw < test_share + validation_share], ["test", "validation"], "train")


def count(table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Rows by split and class: a table of shape (3 * n_classes, 3) with `split`, `label` and `rows`."""
    counts = table.groupby(["split", "label"]).size()
    full = pd.MultiIndex.from_product([paths.SPLITS, classes], names=["split", "label"])
    return counts.reindex(full, fill_value=0).rename("rows").reset_index()


def main() -> None:
    settings = params.load(params.Clean)
    read_json(paths.VALIDATE_PASSED)
    raw = read_table(paths.INGEST_TABLE)
    table = raw.assign(
        text=[clean_text(text) for text in tqdm(raw["text"], desc="clean", unit=" texts", disable=None)],
        split=assign_split(
            raw["text"].map(split_key),
            validation_share=settings.validation_share,
            test_share=settings.test_share,
            seed=settings.split_seed,
        ),
    )
    table, dropped = deduplicate(table)
    classes = sorted(table["label"].unique())
    counts = count(table, classes)
    if len(classes) < 2:
        raise PipelineError(f"after cleaning, all rows have the label {classes}; there must be two classes or more")
    empty = counts[counts["rows"] == 0]
    if len(empty):
        label, split = empty.iloc[0]["label"], empty.iloc[0]["split"]
        raise PipelineError(
            f"class {label!r} has no rows in the {split} split after cleaning; "
            "give it more rows, change the shares of the splits, or try another clean.split_seed"
        )
    for split, path in paths.CLEAN_TABLES.items():
        write_table(path, table[table["split"] == split].reset_index(drop=True))
    write_json(paths.CLEAN_CLASSES, classes)
    write_table(paths.CLEAN_COUNTS, counts)
    write_json(paths.CLEAN_SUMMARY, {"rows": len(raw), "kept": len(table), "dropped": dropped})
    print(f"{len(table):,} of {len(raw):,} rows kept; dropped: " + ", ".join(f"{v:,} {k}" for k, v in dropped.items()))


if __name__ == "__main__":
    stage.run("clean", main)
