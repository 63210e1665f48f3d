"""Drift: do incoming texts still look like those that the model was measured on?

`python -m pipeline.drift FILE [--model champion] [--fail]`; see docs/drift.md.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from . import clean, ingest, params, paths, reading, stage, tracking
from .calibration import combine
from .drift_report import in_short, p_value, report, write
from .files import read_table
from .prediction import MANIFEST, Predictor
from .shifts import Sample, measure
from .stage import PipelineError
from .text import UNITS, Tokenizer, clean_text
from .validate import MAX_CLASSES

FOLDER = paths.REPORTS / "drift"
MOST_ROWS = 20_000  # of a sample, drawn by hash: more show no smaller shift that matters


def sample(table: pd.DataFrame, predictor: Predictor | None, tokenizer: Tokenizer) -> Sample:
    """Measure cleaned texts; of more than 20,000 rows, those of lowest hash.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `id` and `text` (cleaned), and may have `label`, null or "" where missing; see `prepare`.
    predictor : Predictor or None
        The model whose answers are compared; None for none.
    tokenizer : Tokenizer
        That of the model, or of the state.
    """
    from scipy.sparse import csr_matrix

    table = ingest.sample(table, MOST_ROWS)
    texts = table["text"].to_list()
    numbers, split = {unit: number for number, unit in enumerate(tokenizer.vocabulary)}, UNITS[tokenizer.unit]
    lengths, unknown, held, ends = [], [], [], [0]
    for text in texts:
        units = split(text)
        known = [numbers[unit] for unit in units if unit in numbers]
        lengths.append(len(units))
        unknown.append(1 - len(known) / max(len(units), 1))
        held.extend(sorted(set(known)))
        ends.append(len(held))
    labels = table["label"].fillna("") if "label" in table else pd.Series("", index=table.index)
    return Sample(
        labels.to_numpy(dtype=object),
        np.array(lengths, dtype=np.int64),
        np.array(unknown, dtype=np.float64),
        csr_matrix((np.ones(len(held), np.float32), held, ends), shape=(len(texts), len(numbers))),
        tokenizer.vocabulary,
        predictor.classes if predictor else (),
        combine(predictor.parts(texts), predictor.calibration) if predictor else np.empty((len(texts), 0)),
    )


def reference(predictor: Predictor | None, tokenizer: Tokenizer) -> Sample:
    """The validation and test rows of the current state; parameters as in `sample`.

    Training rows would look too familiar: the vocabulary was made of them, and the model is too sure of them.
    """
    rows = pd.concat([read_table(paths.CLEAN_TABLES[split]) for split in ("validation", "test")], ignore_index=True)
    return sample(rows, predictor, tokenizer)


def prepare(raw: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Bring raw rows into the form that the reference has: cleaned, each text once, and new to the current state.

    Parameters
    ----------
    raw : DataFrame of shape (n_rows, >= 2)
        `text` and `label`, null where missing.

    Returns
    -------
    table : DataFrame
        `id`, `text`, `label` ("" where missing) and more.
    dropped : dict of str to int
        Rows left out, by reason: as in `clean.unusable`, and "known" to the state.
    """
    table = ingest.complete(raw, source="incoming")
    cleaned = [clean_text(text) for text in raw["text"].fillna("")]
    table = table.assign(text=pd.Series(cleaned, index=raw.index, dtype="str"), label=table["label"].fillna(""))
    reasons = clean.unusable(table)
    texts = [read_table(path)["text"] for path in paths.CLEAN_TABLES.values()]
    gone = np.logical_or.reduce(list(reasons.values()))
    reasons["known"] = table["text"].isin(pd.concat(texts)).to_numpy() & ~gone
    left = table[~gone & ~reasons["known"]].reset_index(drop=True)
    return left, {reason: int(rows.sum()) for reason, rows in reasons.items() if rows.any()}


def read(path: Path) -> pd.DataFrame:
    """A file or folder in the columns that `ingest` names, as `text` and `label`; without labels where it has none."""
    settings, tables = params.load(params.Ingest), []
    how = {"encoding": settings.encoding, "delimiter": settings.delimiter}
    for file in reading.table_files(path):
        try:
            cells = reading.read(file, [settings.text_column, settings.label_column], **how)
        except reading.MissingColumnError:  # the labels, or else the next call says it again
            cells = reading.read(file, [settings.text_column], **how).assign(**{settings.label_column: None})
        labels = ingest.names(cells[settings.label_column].astype(object), file)
        tables.append(pd.DataFrame({"text": ingest.texts(cells[settings.text_column], file), "label": labels}))
    table = pd.concat(tables, ignore_index=True)
    if table["label"].nunique() > MAX_CLASSES:
        raise PipelineError(
            f"{path}: column {settings.label_column!r} holds {table['label'].nunique():,} labels, more than "
            f"{MAX_CLASSES}; is it the column of labels? Name it with ingest.label_column"
        )
    new = {params.label_name(old): name for old, name in (settings.label_map or {}).items()}
    gone = table["label"].isin([old for old, name in new.items() if name is None])
    return table.assign(label=table["label"].replace(new))[~gone].reset_index(drop=True)


def load(which: str) -> tuple[str, Predictor]:
    """Name and model of a folder, or of a registered alias or version; for no champion, that of the current state."""
    if (Path(which) / MANIFEST).is_file():
        return which, Predictor.load(Path(which), threads=2)
    name, folder = str(paths.TRAIN_MODEL), paths.TRAIN_MODEL
    with tempfile.TemporaryDirectory() as temporary:
        if which != "champion" or tracking.enabled():
            try:
                folder = tracking.fetch_model(params.model_name(), which, Path(temporary))
                name = f"{params.model_name()} {which}"
            except PipelineError as error:
                if which != "champion":
                    raise
                print(f"drift: {name} answers instead of a champion: {error}", file=sys.stderr)
        return name, Predictor.load(folder, threads=2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.drift", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "file", type=Path, help="table or folder in the columns that ingest names; labels may be missing"
    )
    parser.add_argument("--model", default="champion", help="alias, version or folder (default: champion)")
    parser.add_argument("--fail", action="store_true", help="exit with status 1 where anything drifted")
    options = parser.parse_args()
    settings = params.load(params.Drift)
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


if __name__ == "__main__":
    stage.run("drift", main)
