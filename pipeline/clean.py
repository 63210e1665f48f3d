"""Clean the inputs, drop duplicates and conflicting rows, and split the rest into train, validation and test."""

import numpy as np
import pandas as pd
from tqdm import tqdm

from .base import command, params, paths
from .base.files import read_json, read_table, write_json, write_table
from .base.modalities import modalities_of, modality
from .data.content import content
from .data.selection import check_classes, count_rows, surplus, unusable
from .data.settings import Clean, Ingest
from .data.split import SPLIT_KEY_VERSION, assign_split, test_rows


def clean_cells(cells: "pd.Series[str]", name: str) -> "pd.Series[str]":
    """Return the clean cells of one modality; "" where nothing is left."""
    clean = modality(name).clean
    progress = tqdm(cells.fillna(""), desc=f"clean {name}", unit=" rows", disable=None)
    return pd.Series([clean(cell) for cell in progress], index=cells.index, dtype="str")


def select(
    table: pd.DataFrame, settings: Clean, skew: float | None
) -> tuple[pd.DataFrame, dict[str, int], pd.DataFrame]:
    """Drop unusable rows, and assign the others to splits.

    Parameters
    ----------
    table : DataFrame
        Has clean inputs, and the content before cleaning as `raw`.
    settings : Clean
        Shares of the splits, and their seed.
    skew : float or None
        As in `surplus`; None to keep all training rows.

    Returns
    -------
    table : DataFrame
        The other rows, with their `split`.
    dropped : dict of str to int
        Number of dropped rows, by reason.
    conflicting : DataFrame
        The dropped rows whose copies have other labels and that would be test rows.
    """
    reasons = unusable(table)
    dropped = {reason: int(mask.sum()) for reason, mask in reasons.items()}
    conflicting = table[reasons["conflicting"]]
    table = table[~np.logical_or.reduce(list(reasons.values()))].reset_index(drop=True)
    table["split"] = assign_split(
        table, validation_share=settings.validation_share, test_share=settings.test_share, seed=settings.split_seed
    )
    conflicting = conflicting[test_rows(conflicting, table, test_share=settings.test_share, seed=settings.split_seed)]
    if skew is not None:
        mask = surplus(table, skew)
        dropped["surplus"] = int(mask.sum())
        table = table[~mask]
    return table, dropped, conflicting.reset_index(drop=True)


def main() -> None:
    settings, skew = params.load(Clean), params.load(Ingest).skew
    read_json(paths.VALIDATE_PASSED)  # it is missing unless validate has passed
    raw = read_table(paths.INGEST_TABLE)
    table = raw.assign(**{name: clean_cells(raw[name], name) for name in modalities_of(raw)}, raw=content(raw))
    table, dropped, conflicting = select(table, settings, skew)
    classes = sorted(table["label"].unique())
    counts = count_rows(table, classes)
    check_classes(counts, dropped)
    for split, path in paths.CLEAN_TABLES.items():
        write_table(path, table[table["split"] == split].drop(columns="raw").reset_index(drop=True))
    conflicting = conflicting[conflicting["label"].isin(classes)]  # a class without other rows is none
    write_table(paths.CLEAN_CONFLICTING, conflicting.drop(columns="raw").reset_index(drop=True))
    write_json(paths.CLEAN_CLASSES, classes)
    write_table(paths.CLEAN_COUNTS, counts)
    summary = {"rows": len(raw), "kept": len(table), "dropped": dropped, "split_key_version": SPLIT_KEY_VERSION}
    write_json(paths.CLEAN_SUMMARY, summary)
    reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in dropped.items())
    print(f"{len(table):,} of {len(raw):,} rows kept; dropped: {reasons}")


if __name__ == "__main__":
    command.run_stage("clean", __doc__, main)
