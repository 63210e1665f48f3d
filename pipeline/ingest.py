"""Ingest: a named data set, or the user's file or folder, becomes one table of labelled texts.

Columns: `id` (content hash), `text` and `label` (null where missing), `source`, `group` and `split` (empty where none
is given), `time` (a number that orders the rows, NaN where none is given) and `row` (number of the row in its source).
"""

from .base import command, params, paths
from .base.errors import display_name
from .base.files import write_json, write_table
from .data import batches
from .data.forgotten import matching, read_forgotten
from .data.selection import sample
from .data.settings import Ingest
from .data.tables import read_all


def main() -> None:
    settings = params.load(Ingest)
    listed = batches.read_list()
    whole = read_all(settings)
    gone = matching(whole, read_forgotten())
    table = sample(whole[~gone].reset_index(drop=True), settings.max_rows)
    counts = {column: table[column].value_counts().sort_index().to_dict() for column in ("source", "label")}
    missing = int(table["label"].isna().sum())
    write_table(paths.INGEST_TABLE, table)
    write_json(
        paths.INGEST_SUMMARY,
        {
            "dataset": settings.dataset,
            "rows": len(table),
            "batches": len(listed),
            "forgotten": int(gone.sum()),
            "without_label": missing,
            "sources": counts["source"],
            "classes": counts["label"],
        },
    )
    classes = [f"{display_name(label)} {rows:,}" for label, rows in counts["label"].items()]
    classes = classes if len(classes) <= 50 else [f"{len(classes):,} labels"]
    classes += [f"without label {missing:,}"] if missing else []
    print(f"{len(table):,} rows of {', '.join(list(counts['source'])[:5])}: " + ", ".join(classes))


if __name__ == "__main__":
    command.run_stage("ingest", __doc__, main)
