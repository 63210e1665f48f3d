"""Test whether new texts still resemble the validation and test rows.

The measures, and the definition of drift: docs/drift.md.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..base import command, params, paths
from ..base.errors import PipelineError
from ..data import columns
from ..data.joined import with_joined
from ..data.labels import as_labels, map_labels, unknown_labels
from ..data.readers import formats
from ..data.readers.partitions import partition_columns
from ..data.readers.reading import Reading
from ..data.rules.engine import MAX_CLASSES
from ..data.settings import Ingest
from ..data.tables import read_class_folder
from ..evaluation.drift import draw_sample, prepare, reference
from ..evaluation.measures import measure_shifts
from ..evaluation.settings import Drift
from ..inference.predictor import Predictor
from ..registry import tracking
from ..registry.models import open_model
from ..reports.drift import drift_report, format_effect, format_p_value, write_drift_report


def read_new_rows(path: Path) -> pd.DataFrame:
    """Read a file or folder in the columns that `ingest` names, as `text` and `label`; labels may be missing."""
    settings, tables = params.load(Ingest), []
    text_columns = settings.columns.get("text")
    if text_columns is None:
        raise PipelineError("drift is measured on texts; name their column with ingest.text_column")
    texts = read_class_folder(path, settings)
    if texts is not None:
        tables.append(texts[["text", "label"]])
    for file in formats.table_files(path, text_columns) if texts is None else ():
        cells = formats.read(
            file,
            text_columns,
            optional=[settings.label_column],
            encoding=settings.encoding,
            delimiter=settings.delimiter,
            partitions=partition_columns(file.relative_to(path).parts[:-1]),
            reading=Reading(max_broken=settings.max_broken),
        )
        joined: str | int = text_columns[0]
        if len(text_columns) > 1:
            cells, joined = with_joined(cells, text_columns, file)
        labels = as_labels(cells[settings.label_column].astype(object), file, settings.missing_labels)
        tables.append(pd.DataFrame({"text": columns.as_texts(cells[joined], file), "label": labels}))
    table = pd.concat(tables, ignore_index=True)
    if table["label"].nunique() > MAX_CLASSES:
        raise PipelineError(
            f"{path}: column {settings.label_column!r} holds {table['label'].nunique():,} labels, more than "
            f"{MAX_CLASSES}; name the column of labels with ingest.label_column"
        )
    return map_labels(table, settings.label_map, strict=False)


def load_predictor(which: str) -> tuple[str, Predictor]:
    """Load a model by its folder, alias or version; if there is no champion, that of the current state.

    Returns
    -------
    name : str
        For the report, such as "tweets-lstm champion".
    predictor : Predictor
        The model.
    """
    if which == "champion" and not tracking.enabled():
        which = str(paths.TRAIN_MODEL)
    try:
        with open_model(which) as model:
            return model.name, Predictor.load(model.folder, threads=2)
    except PipelineError as error:
        if which != "champion":
            raise
        print(f"drift: using {paths.TRAIN_MODEL} instead of a champion: {error}", file=sys.stderr)
        return str(paths.TRAIN_MODEL), Predictor.load(paths.TRAIN_MODEL, threads=2)


def without_unknown_labels(table: pd.DataFrame, classes: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """Remove labels that the model does not know, which are no mistakes of it, and name them on standard error.

    Returns
    -------
    table : DataFrame
        With "" in the place of such labels.
    count : int
        How many there are.
    """
    unknown = (table["label"] != "") & ~table["label"].isin(classes)
    if unknown.any():
        print(
            f"drift: {unknown.sum():,} row(s) have labels that the model does not know, and count as unlabelled: "
            f"{unknown_labels(table.loc[unknown, 'label'], classes)}",
            file=sys.stderr,
        )
    return table.assign(label=table["label"].mask(unknown, "")), int(unknown.sum())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("drift", __doc__, example="incoming.csv --fail")
    parser.add_argument(
        "file",
        type=command.path,
        help="table or folder of tables, with the columns named in section ingest of params.yaml; labels are optional",
    )
    parser.add_argument(
        "--model",
        type=command.model,
        default="champion",
        help="model to measure with: alias, version or folder (default: %(default)s)",
    )
    parser.add_argument("--fail", action="store_true", help="exit with status 1 if any measure drifted")
    options = parser.parse_args(arguments)
    settings = params.load(Drift)
    table, left_out = prepare(read_new_rows(options.file))
    name, predictor = load_predictor(options.model)
    table, unknown = without_unknown_labels(table, predictor.classes)
    if unknown:
        left_out["labels unknown to the model"] = unknown
    before, after = reference(predictor, predictor.tokenizer), draw_sample(table, predictor, predictor.tokenizer)
    shifts = measure_shifts(before, after, settings)
    result = drift_report(before, after, shifts, file=options.file.name, model=name, left_out=left_out)
    files = write_drift_report(paths.REPORTS / "drift", result)
    for shift in shifts:
        verdict = "DRIFT" if shift.drifted else "ok"
        effect = f"{format_effect(shift.effect):>7} (limit {shift.limit:g}, p {format_p_value(shift.p_value)})"
        print(f"{verdict:6} {shift.measure:14}{effect:32} {shift.found}")
    print(f"{len(after):,} rows of {options.file}: {result['verdict']}; report: {files[-1]}")
    if options.fail and result["drifted"]:
        raise PipelineError(f"{result['verdict']}; see {files[-1]}")
