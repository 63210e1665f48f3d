"""Columns of a table: raw cells become values of the type that a column's role needs, and labels get new names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import PipelineError
from ..base.modalities import modalities_of
from .labels import as_labels
from .readers.reading import Reading

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    "": "",
}


def ingested_columns(modalities: Sequence[str]) -> list[str]:
    """Return the columns of the table that ingest writes, with these modalities.

    >>> ingested_columns(["text"])
    ['id', 'text', 'label', 'source', 'group', 'split', 'time', 'row']
    """
    return ["id", *modalities, "label", "source", "group", "split", "time", "row"]


def as_roles(
    cells: pd.DataFrame,
    columns: Mapping[str, str | int],
    file: Path,
    *,
    missing_labels: Sequence[str] | None = None,
    reading: Reading | None = None,
) -> pd.DataFrame:
    """Convert the columns of one file to those of the pipeline.

    Parameters
    ----------
    cells : DataFrame of shape (n_rows, >= n_columns)
        Raw cells; the index is the number of the row in the file.
    columns : mapping of str to str or int
        The user's column of each role: of the modalities, "label", and where given "group", "split" and "time".
    file : Path
        For messages.
    missing_labels, reading
        As in `as_labels`.

    Returns
    -------
    DataFrame of shape (n_rows, n_modalities + 4)
        Inputs and labels, null where missing; `group` and `split`, "" where none is given; `time`, float, NaN where
        none is given.

    Raises
    ------
    PipelineError
        A cell does not have the type that its role needs.
    """
    inputs = {name: as_texts(cells[columns[name]], file) for name in modalities_of(columns)}
    table = pd.DataFrame(inputs | {"label": as_labels(cells[columns["label"]], file, missing_labels, reading)})
    for role in ("group", "split"):
        table[role] = as_names(cells[columns[role]], file).fillna("") if role in columns else ""
    split = table["split"].str.lower()
    unknown = split[~split.isin(list(SPLIT_NAMES))]
    if len(unknown):
        raise PipelineError(
            f"{file}, row {unknown.index[0]}: column {columns['split']!r} must be train, validation or test"
        )
    table["split"] = split.map(SPLIT_NAMES)
    table["time"] = as_times(cells[columns["time"]], file) if "time" in columns else np.nan
    if "time" in columns:  # whether times are numbers, which must not be mixed with dates of other files
        table.attrs["times"] = bool(pd.to_numeric(cells[columns["time"]], errors="coerce").notna().all())
    return table


def as_texts(cells: "pd.Series[Any]", file: Path) -> "pd.Series[str]":
    """Return the cells of a column of inputs as strings, null where missing.

    Raises
    ------
    PipelineError
        A cell is neither a string nor null.
    """
    if cells.dtype == object:
        wrong = [position for position, cell in enumerate(cells) if not (cell is None or isinstance(cell, str))]
        if wrong:
            kind = type(cells.iloc[wrong[0]]).__name__
            raise PipelineError(
                f"{file}, row {cells.index[wrong[0]]}: column {cells.name!r} must hold text, but {len(wrong)} row(s) "
                f"do not; the first holds {kind}"
            )
    return cells.astype("str").where(cells.notna())


def as_names(cells: "pd.Series[Any]", file: Path) -> "pd.Series[str]":
    """Return the cells of a column of names as strings without surrounding spaces, null where blank.

    Integers and booleans look the same in every file format.

    Raises
    ------
    PipelineError
        A cell is neither a string, an integer, a boolean nor null.

    Examples
    --------
    >>> as_names(pd.Series([" joy ", 1.0, True], dtype=object), Path("a.csv")).to_list()
    ['joy', '1', 'true']
    """
    if cells.dtype == object:
        cells = pd.Series([_as_name(cell, row, cells, file) for row, cell in cells.items()], cells.index, dtype="str")
    cells = cells.str.strip()
    cells = cells.where(cells != "")
    if cells.dropna().str.fullmatch(r"-?\d+(\.0)?").all():  # integers, as pandas writes them next to empty cells
        cells = cells.str.removesuffix(".0")
    elif cells.dropna().str.fullmatch(r"(?i)true|false").all():  # as JSON writes them
        cells = cells.str.lower()
    return cells


def _as_name(cell: Any, row: int, cells: "pd.Series[Any]", file: Path) -> str | None:
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
        f"{file}, row {row}: column {cells.name!r} must hold names, integers, or true and false, "
        f"not {type(cell).__name__}"
    )


def as_times(cells: "pd.Series[Any]", file: Path) -> "pd.Series[float]":
    """Return the cells of a column of times as numbers that ascend: ISO 8601 as seconds since 1970, numbers unchanged.

    Raises
    ------
    PipelineError
        A cell is missing, or neither a time in ISO 8601 nor a finite number.

    Examples
    --------
    >>> as_times(pd.Series(["1970-01-02", "1970-01-02 00:00:01"]), Path("a.csv")).to_list()
    [86400.0, 86401.0]
    """
    try:
        times = pd.to_numeric(cells, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    except OverflowError as error:
        raise PipelineError(f"{file}: column {cells.name!r} holds an integer that is not a time; correct it") from error
    if times.isna().any():
        iso = cells.astype("str").str.strip().str.removesuffix(" UTC")
        iso = iso.str.replace(r"^(\d{4})/(\d\d?)/", r"\1-\2-", regex=True)
        moments = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
        times = (moments.dt.as_unit("us") - pd.Timestamp(0, tz="UTC").as_unit("us")).dt.total_seconds()
    missing = np.flatnonzero(times.isna())
    if len(missing):
        raise PipelineError(
            f"{file}, row {cells.index[missing[0]]}: column {cells.name!r} must hold a time as in ISO 8601, such as "
            f"2024-03-31 18:00, or a number; {len(missing)} row(s) do not"
        )
    return times
