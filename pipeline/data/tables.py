"""The table of all labelled rows, as ingest writes it: from the data set or the user's files, and from increments."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..base.errors import PipelineError
from ..base.modalities import modalities_of
from . import increments
from .columns import SPLIT_NAMES, as_roles, ingested_columns
from .datasets import DATASETS
from .joined import with_joined
from .labels import map_labels, unify_labels
from .readers.class_folders import read_texts_by_class
from .readers.formats import read, table_files
from .readers.headers import ColumnKey
from .readers.partitions import partition_columns
from .readers.reading import ALL_FILES, Reading
from .settings import NO_FILE, Ingest

SPLITS = tuple(name for name in SPLIT_NAMES if name)  # names of folders that are splits


def read_files(
    settings: Ingest, readings: dict[str, Reading] | None = None, left_out: list[str] | None = None
) -> pd.DataFrame:
    """Read the user's file or folder, and the test file if one is named.

    Parameters
    ----------
    settings : Ingest
        With `dataset` "file".
    readings : dict or None
        Gets how each file was read, by `source`.
    left_out : list of str or None
        Gets the names of files in the folder that are not tables.

    Returns
    -------
    DataFrame of shape (n_rows, n_modalities + 6)
        The columns of `as_roles`, such as `text` and `label`, and `source`, the file's name, and `row`, the number of
        the row in its file, from 1; in the order of the files.

    Raises
    ------
    PipelineError
        A file cannot be read, or a cell does not have the type that its column needs.
    """
    path, test_path = Path(settings.path), Path(settings.test_path)
    test_files = [] if test_path == NO_FILE else [test_path]
    if test_path.is_dir():
        raise PipelineError(f"{test_path} is a folder; name a file with ingest.test_path")
    tables, files = [], list[Path]()
    reading = Reading()
    if (texts := read_class_folder(path, settings, left_out, reading)) is not None:
        tables.append(texts)
        if readings is not None:
            readings[path.name] = reading
    else:
        present = table_files(path, _wanted(settings), left_out)
        files = [file for file in present if file.resolve() != test_path.resolve()]
        if not files:
            raise PipelineError(f"{path} holds only the test file; name your training rows with ingest.path")
    for file in files + test_files:
        source = file.relative_to(path).as_posix() if path.is_dir() and file.is_relative_to(path) else file.name
        reading = Reading(max_broken=settings.max_broken)
        table = read_file(file, settings, source, reading)
        if readings is not None:
            readings[source] = reading
        tables.append(table.assign(split="test") if file in test_files else table)
    if len({table.attrs.get("times") for table in tables}) > 1:
        raise PipelineError(f"column {settings.time_column!r} holds numbers in some files and dates in others; use one")
    return pd.concat(tables, ignore_index=True)


def read_class_folder(
    path: Path,
    settings: Ingest,
    left_out: list[str] | None = None,
    reading: Reading | None = None,
    files: Sequence[Path] | None = None,
) -> pd.DataFrame | None:
    """Read a folder of text files by class; None for a file, or a folder of tables.

    Parameters, columns and errors are those of `read_files`, for one `reading`; `files` are those to look at, by
    default all in the folder.
    """
    texts = read_texts_by_class(
        path, split_names=SPLITS, encoding=settings.encoding, left_out=left_out, reading=reading, files=files
    )
    if texts is None:
        return None
    unused = [key for key in ("group_column", "split_column", "time_column") if getattr(settings, key) is not None]
    if unused or [*settings.columns] != ["text"]:
        raise PipelineError(
            f"{path} holds text files by class, which have no columns; set ingest.{(unused or ['text_column'])[0]} to "
            + ("null" if unused else "text")
        )
    splits = texts["split"].str.lower().map(SPLIT_NAMES)
    return texts.assign(group="", split=splits, time=np.nan, row=1)


def read_file(file: Path, settings: Ingest, source: str, reading: Reading | None = None) -> pd.DataFrame:
    """Read one file, in the columns that the settings name.

    Parameters
    ----------
    file : Path
        A table in a format that `readers.formats.read` reads.
    settings : Ingest
        Names of the columns, encoding and delimiter.
    source : str
        Value of the column `source`: the file's path in the folder that was named, which may name partitions.
    reading : Reading or None
        Gets how the file was read.

    Returns
    -------
    DataFrame of shape (n_rows, n_modalities + 6)
        As in `read_files`.

    Raises
    ------
    PipelineError
        As in `read_files`.
    """
    reading = reading or Reading(max_broken=settings.max_broken)
    cells = read(
        file,
        _wanted(settings),
        encoding=settings.encoding,
        delimiter=settings.delimiter,
        reading=reading,
        partitions=partition_columns(source.split("/")[:-1]),
    )
    reading.guessed = settings.encoding is None and reading.is_legacy
    roles = _columns(settings)
    for modality, columns in settings.columns.items():
        if len(columns) > 1:
            cells, roles[modality] = with_joined(cells, columns, file)
    table = as_roles(cells, roles, file, missing_labels=settings.missing_labels, reading=reading)
    return table.assign(source=source, row=cells.index).reset_index(drop=True)


def _wanted(settings: Ingest) -> list[ColumnKey]:
    """Return all columns to read, those of inputs first."""
    inputs = [column for columns in settings.columns.values() for column in columns]
    return list(dict.fromkeys([*inputs, *_columns(settings).values()]))


def _columns(settings: Ingest) -> dict[str, ColumnKey]:
    """Return the user's column of each role that has one, the first where there are several."""
    roles: dict[str, ColumnKey | None] = {
        **{modality: columns[0] for modality, columns in settings.columns.items()},
        "label": settings.label_column,
        "group": settings.group_column,
        "split": settings.split_column,
        "time": settings.time_column,
    }
    return {role: column for role, column in roles.items() if column is not None}


def with_rows(table: pd.DataFrame, new: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Return a data set followed by the rows of increments.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `text` and `label`.
    new : DataFrame of shape (n_new_rows, 7)
        As returned by `increments.read_rows`.
    source : str
        Value of the column `source` for the data set, if it has no such column.
    """
    return pd.concat([_filled(table, source), new], ignore_index=True) if len(new) else table


def complete(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Add the columns that a data set lacks, and `id`.

    The id is 16 hexadecimal digits of the SHA-256 of source, label and inputs.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has inputs such as `text`, and `label`.
    source : str
        Value of the column `source`, if the table has no such column.

    Returns
    -------
    DataFrame of shape (n_rows, n_modalities + 7)
        The columns of `ingested_columns`.

    Examples
    --------
    >>> table = complete(pd.DataFrame({"text": ["so glad", "sad"], "label": "joy"}), source="a.csv")
    >>> table["source"].to_list(), table["row"].to_list()
    (['a.csv', 'a.csv'], [1, 2])
    """
    table, modalities = _filled(table, source), modalities_of(table)
    parts = (table[column].fillna("") for column in ("source", "label", *modalities))
    ids = [hashlib.sha256("\0".join(row).encode()).hexdigest()[:16] for row in zip(*parts, strict=True)]
    strings = dict.fromkeys((*modalities, "label", "source", "group", "split"), "str")
    with_ids = table.assign(id=pd.Series(ids, index=table.index, dtype="str")).astype(strings)
    return with_ids[ingested_columns(modalities)]


def _filled(table: pd.DataFrame, source: str) -> pd.DataFrame:
    defaults = {"source": source, "group": "", "split": "", "time": np.nan, "row": np.arange(1, len(table) + 1)}
    return table.assign(**{column: value for column, value in defaults.items() if column not in table})


def read_all(
    settings: Ingest, readings: dict[str, Reading] | None = None, left_out: list[str] | None = None
) -> pd.DataFrame:
    """Return all rows, with those of increments, before any is forgotten or left out.

    Parameters are those of `read_files`.

    Returns
    -------
    DataFrame of shape (n_rows, n_modalities + 7)
        The columns of `ingested_columns`.

    Raises
    ------
    PipelineError
        As in `read_files`; or an increment is missing, or has no times although the settings name a column of times.
    """
    readings = {} if readings is None else readings
    raw = read_files(settings, readings, left_out) if settings.dataset == "file" else DATASETS[settings.dataset]()
    new = increments.read_rows()
    if settings.time_column is None:  # increments may have times from when it was set
        new["time"] = np.nan
    elif new["time"].isna().any():
        raise PipelineError(
            f"{int(new['time'].isna().sum()):,} rows of increments have no time: they were added before "
            "ingest.time_column was set; set it to null, or remove their lines from data/batches.csv and add them again"
        )
    raw = with_rows(raw, new, source=settings.dataset)
    raw["label"] = unify_labels(raw["label"], readings.setdefault(ALL_FILES, Reading()))
    return complete(map_labels(raw, settings.label_map), source=settings.dataset)
