"""Clean: raw texts become clean, unique, unambiguous ones, split into train, validation and test."""

import numpy as np
import pandas as pd
from tqdm import tqdm

from .base import command, params, paths
from .base.files import read_json, read_table, write_json, write_table
from .data.selection import check, count, surplus, unusable
from .data.settings import Clean, Ingest
from .data.split import assign_split
from .text.cleaning import clean_text


def main() -> None:
    settings = params.load(Clean)
    read_json(paths.VALIDATE_PASSED)
    table = read_table(paths.INGEST_TABLE).rename(columns={"text": "raw"})
    texts = tqdm(table["raw"].fillna(""), desc="clean", unit=" texts", disable=None)
    table.insert(1, "text", pd.Series([clean_text(text) for text in texts], dtype="str"))
    reasons = unusable(table)
    rows = len(table)
    table = table[~np.logical_or.reduce(list(reasons.values()))].reset_index(drop=True)
    table["split"] = assign_split(
        table, validation_share=settings.validation_share, test_share=settings.test_share, seed=settings.split_seed
    )
    dropped = {reason: int(rows.sum()) for reason, rows in reasons.items()}
    skew = params.load(Ingest).skew
    if skew is not None:
        gone = surplus(table, skew)
        dropped["surplus"] = int(gone.sum())
        table = table[~gone]
    classes = sorted(table["label"].unique())
    counts = count(table, classes)
    check(counts, dropped)
    for split, path in paths.CLEAN_TABLES.items():
        write_table(path, table[table["split"] == split].drop(columns="raw").reset_index(drop=True))
    write_json(paths.CLEAN_CLASSES, classes)
    write_table(paths.CLEAN_COUNTS, counts)
    write_json(paths.CLEAN_SUMMARY, {"rows": rows, "kept": len(table), "dropped": dropped})
    print(f"{len(table):,} of {rows:,} rows kept; dropped: " + ", ".join(f"{v:,} {k}" for k, v in dropped.items()))


if __name__ == "__main__":
    command.run_stage("clean", __doc__, main)
