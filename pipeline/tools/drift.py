"""Drift: measure whether incoming texts still look like the validation and test rows.

What is measured, and what counts as drift: docs/drift.md.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..base import command, params, paths
from ..base.errors import PipelineError
from ..base.params import label_name
from ..data import columns, readers
from ..data.rules.engine import MAX_CLASSES
from ..data.settings import Ingest
from ..evaluation.drift import prepare, reference, sample
from ..evaluation.measures import measure
from ..evaluation.settings import Drift
from ..inference.predictor import Predictor
from ..registry import tracking
from ..registry.models import open_model
from ..reports.drift import in_short, p_value, report, write

FOLDER = paths.REPORTS / "drift"


def read(path: Path) -> pd.DataFrame:
    """A file or folder in the columns that `ingest` names, as `text` and `label`; without labels where it has none."""
    settings, tables = params.load(Ingest), []
    if settings.text_column is None:
        raise PipelineError("drift is measured on texts; name their column with ingest.text_column")
    how = {"encoding": settings.encoding, "delimiter": settings.delimiter}
    for file in readers.table_files(path):
        try:
            cells = readers.read(file, [settings.text_column, settings.label_column], **how)
        except readers.MissingColumnError:  # the labels, or else the next call says it again
            cells = readers.read(file, [settings.text_column], **how).assign(**{settings.label_column: None})
        labels = columns.names(cells[settings.label_column].astype(object), file)
        tables.append(pd.DataFrame({"text": columns.texts(cells[settings.text_column], file), "label": labels}))
    table = pd.concat(tables, ignore_index=True)
    if table["label"].nunique() > MAX_CLASSES:
        raise PipelineError(
            f"{path}: column {settings.label_column!r} holds {table['label'].nunique():,} labels, more than "
            f"{MAX_CLASSES}; is it the column of labels? Name it with ingest.label_column"
        )
    new = {label_name(old): name for old, name in (settings.label_map or {}).items()}
    gone = table["label"].isin([old for old, name in new.items() if name is None])
    return table.assign(label=table["label"].replace(new))[~gone].reset_index(drop=True)


def load(which: str) -> tuple[str, Predictor]:
    """Return name and model of a folder, alias or version; without a champion, those of the current state."""
    if which == "champion" and not tracking.enabled():
        which = str(paths.TRAIN_MODEL)
    try:
        with open_model(which) as model:
            return model.name, Predictor.load(model.folder, threads=2)
    except PipelineError as error:
        if which != "champion":
            raise
        print(f"drift: {paths.TRAIN_MODEL} is used in place of a champion: {error}", file=sys.stderr)
        return str(paths.TRAIN_MODEL), Predictor.load(paths.TRAIN_MODEL, threads=2)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("drift", __doc__, example="incoming.csv --fail")
    parser.add_argument(
        "file", type=command.path, help="table or folder in the columns that ingest names; labels may be missing"
    )
    parser.add_argument(
        "--model", type=command.model, default="champion", help="alias, version or folder (default: champion)"
    )
    parser.add_argument("--fail", action="store_true", help="exit with status 1 where anything drifted")
    options = parser.parse_args(arguments)
    settings = params.load(Drift)
    table, left_out = prepare(read(options.file))
    name, predictor = load(options.model)
    before, after = (reference(predictor, predictor.tokenizer), sample(table, predictor, predictor.tokenizer))
    shifts = measure(before, after, settings)
    found = report(before, after, shifts, file=options.file.name, model=name, left_out=left_out)
    files = write(FOLDER, found)
    for shift in shifts:
        verdict = "DRIFT" if shift.drifted else "ok"
        figures = f"{in_short(shift.effect):>7} (limit {shift.limit:g}, p {p_value(shift.p_value)})"
        print(f"{verdict:6} {shift.measure:14}{figures:32} {shift.found}")
    print(f"{len(after):,} rows of {options.file}: {found['verdict']}; report: {files[-1]}")
    if options.fail and found["drifted"]:
        raise PipelineError(f"{found['verdict']}; see {files[-1]}")
