"""Columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import PipelineError, display_name
from ..base.modalities import modalities_of
from ..base.params import label_name

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    "": "",
}


def typed(cells: pd.DataFrame, columns: Mapping[str, str], file: Path) -> pd.DataFrame:
    """The columns of one file by role, each of the type that its role has."""
    inputs = {name: texts(cells[columns[name]], file) for name in modalities_of(columns)}
    table = pd.DataFrame(inputs | {"label": names(cells[columns["label"]], file)})
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
    """The cells of a column of inputs; one that is neither a string nor null is an error."""
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
    mapping = {label_name(key): name for key, name in label_map.items()}
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
    return ", ".join(repr(display_name(label)) for label in labels) if len(labels) <= 50 else f"{len(labels):,} labels"
