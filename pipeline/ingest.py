"""Read a data set, or your file or folder, into one table of labelled rows.

Columns: `id` (a hash of source, label and inputs), the inputs, such as `text`, and `label` (null where missing),
`source` (the file's name), `group` and `split` ("" where none is given), `time` (a number, NaN where none is given) and
`row` (the row's number in its source, from 1).
"""

import sys

from .base import command, params, paths
from .base.errors import display_name
from .base.files import write_json, write_table
from .data import increments
from .data.forgotten import mask_listed, read_forgotten
from .data.labels import MAX_LISTED
from .data.readers.formats import MAX_LEFT_OUT, listed_names
from .data.readers.reading import Reading
from .data.selection import sample
from .data.settings import Ingest
from .data.tables import read_all


def main() -> None:
    settings = params.load(Ingest)
    listed = increments.read_list()
    readings: dict[str, Reading] = {}
    left_out: list[str] = []
    everything = read_all(settings, readings, left_out)
    forgotten = mask_listed(everything, read_forgotten())
    table = sample(everything[~forgotten].reset_index(drop=True), settings.max_rows)
    sources, classes = (table[column].value_counts().sort_index().to_dict() for column in ("source", "label"))
    unlabelled = int(table["label"].isna().sum())
    write_table(paths.INGEST_TABLE, table)
    write_json(paths.INGEST_COLUMNS, settings.columns)
    write_json(paths.INGEST_READING, {source: reading.as_json() for source, reading in readings.items()})
    write_json(
        paths.INGEST_SUMMARY,
        {
            "dataset": settings.dataset,
            "rows": len(table),
            "batches": len(listed),
            "forgotten": int(forgotten.sum()),
            "without_label": unlabelled,
            "left_out": {"files": len(left_out), "names": left_out[:MAX_LEFT_OUT]},
            "sources": sources,
            "classes": classes,
        },
    )
    counts = [f"{display_name(label)} {rows:,}" for label, rows in classes.items()]
    if len(counts) > MAX_LISTED:
        counts = [f"{len(counts):,} labels"]
    if unlabelled:
        counts.append(f"without label {unlabelled:,}")
    for source, reading in readings.items():
        if reading.changed or reading.skipped:
            print(f"{source}: {'; '.join(reading.lines())}", file=sys.stderr)
    others = f"; files left out: {listed_names(left_out)}" if left_out else ""
    print(f"{len(table):,} rows of {', '.join(list(sources)[:5])}: {', '.join(counts)}{others}")


if __name__ == "__main__":
    command.run_stage("ingest", __doc__, main)
