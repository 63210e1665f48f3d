"""Ingest: a named data set, or the user's file or folder, becomes one table of labelled texts.

Columns: `id` (content hash), `text` and `label` (null where missing), `source`, `group` and `split` (empty where none
is given), `time` (a number that orders the rows, NaN where none is given) and `row` (number of the row in its source).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import batches, params, paths, stage
from .datasets import DATASETS
from .files import write_json, write_table
from .forgotten import matching, read_forgotten
from .reading import read, table_files
from .stage import PipelineError, shown

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    "": "",
}


def read_files(settings: params.Ingest) -> pd.DataFrame:
    """Read the user's file or folder, and the test file if one is named.

    Parameters
    ----------
    settings : params.Ingest
        With `dataset` "file".

    Returns
    -------
    DataFrame of shape (n_rows, 7)
        `text`, `label`, `source`, `group`, `split`, `time` and `row`, as described above, in the order of the files.

    Raises
    ------
    PipelineError
        A file cannot be read, or a cell is not what its column is for.
    """
    path, test_path = Path(settings.path), Path(settings.test_path)
    test_files = [] if test_path == params.NO_FILE else [test_path]
    files = [file for file in table_files(path) if file.resolve() != test_path.resolve()]
    if not files:
        raise PipelineError(f"{path} holds the test file alone; name your training rows with ingest.path")
    if test_path.is_dir():
        raise PipelineError(f"{test_path} is a folder; name a file with ingest.test_path")
    tables = []
    for file in files + test_files:
        source = file.relative_to(path).as_posix() if path.is_dir() and file.is_relative_to(path) else file.name
        table = read_file(file, settings, source)
        tables.append(table.assign(split="test") if file in test_files else table)
    if len({table.attrs.get("times") for table in tables}) > 1:
        raise PipelineError(f"column {settings.time_column!r} holds numbers in some files and dates in others; use one")
    return pd.concat(tables, ignore_index=True)


def read_file(file: Path, settings: params.Ingest, source: str) -> pd.DataFrame:
    """Read one file, in the columns that the settings name; what it gives and raises is as above."""
    roles = {
        "text": settings.text_column,
        "label": settings.label_column,
        "group": settings.group_column,
        "split": settings.split_column,
        "time": settings.time_column,
    }
    columns = {role: column for role, column in roles.items() if column is not None}
    cells = read(file, list(columns.values()), encoding=settings.encoding, delimiter=settings.delimiter)
    return _typed(cells, columns, file).assign(source=source, row=np.arange(1, len(cells) + 1))


def _typed(cells: pd.DataFrame, columns: Mapping[str, str], file: Path) -> pd.DataFrame:
    """The columns of one file by role, each of the type that its role has."""
    table = pd.DataFrame({"text": texts(cells[columns["text"]], file), "label": names(cells[columns["label"]], file)})
    for role in ("group", "split"):
        table[role] = names(cells[columns[role]], file).fillna("") if role in columns else ""
    split = table["split"].str.lower()
    unknown = split[~split.isin(list(SPLIT_NAMES))]
    if len(unknown):
        raise PipelineError(
            f"{file}, row {unknown.index[0] + 1}: column {columns['split']!r} must say train, validation or test"
        )
    table["split"] = split.map(SPLIT_NAMES)
    table["time"] = times(cells[columns["time"]], file) if "time" in columns else np.nan
    if "time" in columns:
        table.attrs["times"] = bool(pd.to_numeric(cells[columns["time"]], errors="coerce").notna().all())
    return table


def texts(cells: "pd.Series[Any]", file: Path) -> "pd.Series[str]":
    """The cells of a text column; one that is neither a string nor null is an error."""
    if cells.dtype == object:
        wrong = [place for place, cell in enumerate(cells) if not (cell is None or isinstance(cell, str))]
        if wrong:
            kind = type(cells.iloc[wrong[0]]).__name__
            raise PipelineError(
                f"{file}, row {wrong[0] + 1}: column {cells.name!r} must hold text, but {len(wrong)} row(s) do not; "
                f"the first holds {kind}"
            )
    return cells.astype("str").where(cells.notna())


def names(cells: "pd.Series[Any]", file: Path) -> "pd.Series[str]":
    """The cells of a column of names as strings without space around them; blank ones are null."""
    if cells.dtype == object:
        cells = pd.Series([_name(cell, place, cells, file) for place, cell in enumerate(cells)], dtype="str")
    cells = cells.str.strip()
    cells = cells.where(cells != "")
    if cells.dropna().str.fullmatch(r"-?\d+(\.0)?").all():  # integers, as pandas writes them beside empty cells
        cells = cells.str.removesuffix(".0")
    elif cells.dropna().str.fullmatch(r"(?i)true|false").all():  # as JSON writes them
        cells = cells.str.lower()
    return cells


def _name(cell: Any, place: int, cells: "pd.Series[Any]", file: Path) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int):
        return str(cell)
    if isinstance(cell, float):
        if np.isnan(cell):
            return None
        if cell.is_integer():
            return str(int(cell))
    raise PipelineError(
        f"{file}, row {place + 1}: column {cells.name!r} must hold names, integers, or true and false, "
        f"not {type(cell).__name__}"
    )


def times(cells: "pd.Series[Any]", file: Path) -> "pd.Series[float]":
    """The cells of a column of times as numbers in their order: ISO 8601 as seconds since 1970, numbers as they are."""
    try:
        found = pd.to_numeric(cells, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    except OverflowError as error:
        raise PipelineError(f"{file}: column {cells.name!r} holds an integer that is no time; correct it") from error
    if found.isna().any():
        iso = cells.astype("str").str.strip().str.removesuffix(" UTC")
        iso = iso.str.replace(r"^(\d{4})/(\d\d?)/", r"\1-\2-", regex=True)
        moments = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
        found = (moments.dt.as_unit("us") - pd.Timestamp(0, tz="UTC").as_unit("us")).dt.total_seconds()
    missing = np.flatnonzero(found.isna())
    if len(missing):
        raise PipelineError(
            f"{file}, row {missing[0] + 1}: column {cells.name!r} must hold a time as in ISO 8601, such as "
            f"2024-03-31 18:00, or a number; {len(missing)} row(s) do not"
        )
    return found


def map_labels(table: pd.DataFrame, label_map: Mapping[Any, str | None] | None) -> pd.DataFrame:
    """Rename labels; drop the rows of those whose new name is null.

    Raises
    ------
    PipelineError
        The map lacks a label that occurs, or has one that does not.
    """
    if label_map is None:
        return table
    mapping = {params.label_name(key): name for key, name in label_map.items()}
    if len(mapping) < len(label_map):
        raise PipelineError("ingest.label_map names a label twice, such as 1 and '1'; name each once")
    occurring = sorted(table["label"].dropna().unique())
    missing = [label for label in occurring if label not in mapping]
    if missing:
        sentence = "ingest.label_map lacks {}; name every label, null to drop its rows"
        raise PipelineError(sentence.format(_listed(missing)), sentence.format(f"{len(missing):,} of the labels"))
    unknown = [label for label in mapping if label not in occurring]
    if unknown:
        raise PipelineError(f"ingest.label_map names {_listed(unknown)}, but the labels are {_listed(occurring)}")
    dropped = table["label"].isin([label for label, name in mapping.items() if name is None])
    return table.assign(label=table["label"].map(mapping))[~dropped].reset_index(drop=True)


def _listed(labels: list[str]) -> str:
    """Labels for a message; where they are too many to be classes, they may be texts, and only their number is told."""
    return ", ".join(repr(shown(label)) for label in labels) if len(labels) <= 50 else f"{len(labels):,} labels"


def with_rows(table: pd.DataFrame, more: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Add the rows of batches to a data set, each with the columns that it leaves out; parameters as below."""
    return pd.concat([_filled(table, source), more], ignore_index=True) if len(more) else table


def complete(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Add the columns that a data set leaves out, and `id`, 16 hexadecimal digits of the content's SHA-256.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `text` and `label`.
    source : str
        What the column `source` says where the table has none.
    """
    table = _filled(table, source)
    parts = (table[column].fillna("") for column in ("source", "label", "text"))
    ids = [hashlib.sha256("\0".join(row).encode()).hexdigest()[:16] for row in zip(*parts, strict=True)]
    strings = dict.fromkeys(("text", "label", "source", "group", "split"), "str")
    return table.assign(id=pd.Series(ids, index=table.index, dtype="str")).astype(strings)[
        ["id", "text", "label", "source", "group", "split", "time", "row"]
    ]


def _filled(table: pd.DataFrame, source: str) -> pd.DataFrame:
    defaults = {"source": source, "group": "", "split": "", "time": np.nan, "row": np.arange(1, len(table) + 1)}
    return table.assign(**{column: value for column, value in defaults.items() if column not in table})


def sample(table: pd.DataFrame, max_rows: int | None) -> pd.DataFrame:
    """Keep the `max_rows` rows of lowest hash, in their order, so that a growing table keeps most of its sample.

    The hash is that of the id and of how often it occurred before: copies of a text are drawn one by one.
    """
    if max_rows is None or len(table) <= max_rows:
        return table
    copies = table.groupby("id").cumcount()
    draws = [hashlib.sha256(f"{row}\0{copy}".encode()).digest() for row, copy in zip(table["id"], copies, strict=True)]
    kept = sorted(sorted(range(len(table)), key=draws.__getitem__)[:max_rows])
    return table.iloc[kept].reset_index(drop=True)


def read_all(settings: params.Ingest) -> pd.DataFrame:
    """All rows there are, those of batches among them, before any is forgotten or left out; columns as above."""
    raw = read_files(settings) if settings.dataset == "file" else DATASETS[settings.dataset]()
    more = batches.read_rows()
    if settings.time_column is None:  # batches may have times from when it was set
        more["time"] = np.nan
    elif more["time"].isna().any():
        raise PipelineError(
            f"{int(more['time'].isna().sum()):,} rows of batches have no time: they came in before ingest.time_column "
            "was set; set it to null, or take their lines out of data/batches.csv and bring them in again"
        )
    raw = with_rows(raw, more, source=settings.dataset)
    return complete(map_labels(raw, settings.label_map), source=settings.dataset)


def main() -> None:
    settings = params.load(params.Ingest)
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
    classes = [f"{shown(label)} {rows:,}" for label, rows in counts["label"].items()]
    classes = classes if len(classes) <= 50 else [f"{len(classes):,} labels"]
    classes += [f"without label {missing:,}"] if missing else []
    print(f"{len(table):,} rows of {', '.join(list(counts['source'])[:5])}: " + ", ".join(classes))


if __name__ == "__main__":
    stage.run("ingest", main)
