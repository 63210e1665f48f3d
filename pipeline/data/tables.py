"""Tables."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from ..base.errors import PipelineError
from ..base.modalities import modalities_of
from . import batches
from .columns import map_labels, typed
from .datasets import DATASETS
from .readers import read, table_files
from .settings import NO_FILE, Ingest


def read_files(settings: Ingest) -> pd.DataFrame:
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
    test_files = [] if test_path == NO_FILE else [test_path]
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


def read_file(file: Path, settings: Ingest, source: str) -> pd.DataFrame:
    """Read one file, in the columns that the settings name; what it gives and raises is as above."""
    roles = {
        **settings.columns,
        "label": settings.label_column,
        "group": settings.group_column,
        "split": settings.split_column,
        "time": settings.time_column,
    }
    columns = {role: column for role, column in roles.items() if column is not None}
    cells = read(file, list(columns.values()), encoding=settings.encoding, delimiter=settings.delimiter)
    return typed(cells, columns, file).assign(source=source, row=np.arange(1, len(cells) + 1))


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
    parts = (table[column].fillna("") for column in ("source", "label", *modalities_of(table)))
    ids = [hashlib.sha256("\0".join(row).encode()).hexdigest()[:16] for row in zip(*parts, strict=True)]
    strings = dict.fromkeys((*modalities_of(table), "label", "source", "group", "split"), "str")
    with_ids = table.assign(id=pd.Series(ids, index=table.index, dtype="str")).astype(strings)
    return with_ids[["id", *modalities_of(table), "label", "source", "group", "split", "time", "row"]]


def _filled(table: pd.DataFrame, source: str) -> pd.DataFrame:
    defaults = {"source": source, "group": "", "split": "", "time": np.nan, "row": np.arange(1, len(table) + 1)}
    return table.assign(**{column: value for column, value in defaults.items() if column not in table})


def read_all(settings: Ingest) -> pd.DataFrame:
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
