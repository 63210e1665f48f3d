"""Batches: labelled rows that came in after the data set, each a file that never changes and is named by its content.

`data/batches.csv`, which stands in git, lists them; DVC keeps the files. What the data set holds with them is decided
by that list alone, so a clone that has not pulled a file says so instead of training without it.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ..base import paths
from ..base.errors import PipelineError
from ..base.files import atomic, read_table, sha256, write_table, write_text

# batch: SHA-256 of the file here; rows in it; name and SHA-256 of the file that brought them; when, in UTC.
COLUMNS = ("batch", "rows", "source", "file", "taken")
ROLES = ("text", "label", "source", "group", "split", "time", "row")  # columns of a batch, as ingest gives them


def read_list(path: Path = paths.BATCHES, columns: tuple[str, ...] = COLUMNS) -> pd.DataFrame:
    """The list of batches, in the order in which they came; all columns are strings.

    Raises
    ------
    PipelineError
        The list is missing or damaged: rows might be lost unnoticed.
    """
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise PipelineError(f"{path} cannot be read; get it back from git") from error
    if tuple(table.columns) != columns:
        raise PipelineError(f"{path} must have the columns {', '.join(columns)}; get it back from git")
    return table.drop_duplicates(columns[0], ignore_index=True)  # git's union of two branches may repeat a line


def files() -> list[str]:
    """The batches that have rows, by name."""
    listed = read_list()
    names: list[str] = listed.loc[listed["rows"] != "0", "batch"].to_list()
    return names


def append(line: Mapping[str, str], path: Path = paths.BATCHES, columns: tuple[str, ...] = COLUMNS) -> None:
    """Add a line to a list, unless it is there already."""
    table = read_list(path, columns)
    if line[columns[0]] in set(table[columns[0]]):
        return
    stream = io.StringIO()
    pd.DataFrame([line], columns=list(columns)).to_csv(stream, index=False, header=False, lineterminator="\n")
    write_text(path, path.read_text(encoding="utf-8") + stream.getvalue())


def add(rows: pd.DataFrame, *, source: str, file: str, taken: str) -> Path:
    """Keep rows as a batch, and list it; give the file, which DVC has to be told of.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, >= 7)
        Has the columns `ROLES`.
    source, file : str
        Name and SHA-256 of the file that brought them.
    taken : str
        When.
    """
    place = _write(rows)
    append({"batch": place.stem, "rows": str(len(rows)), "source": source, "file": file, "taken": taken})
    return place


def without(batch: str, rows: pd.DataFrame) -> Path | None:
    """Let a batch that holds `rows` alone stand in the list in the place of `batch`; give its file, None for no rows.

    What told which file brought it stays, so that the file does not come in once more.
    """
    lines = read_list()
    place = None
    if len(rows):
        place = _write(rows)
        lines.loc[lines["batch"] == batch, ["batch", "rows"]] = [place.stem, str(len(rows))]
    else:  # the file that brought it is still known, under a name that no batch has
        lines.loc[lines["batch"] == batch, ["batch", "rows"]] = [f"empty-{batch[:16]}", "0"]
    with atomic(paths.BATCHES) as temporary:
        lines.to_csv(temporary, index=False, lineterminator="\n")
    return place


def read_rows(*names: str) -> pd.DataFrame:
    """The rows of all batches, or of those named, with the columns `ROLES`.

    Raises
    ------
    PipelineError
        A batch is missing, or not what its name says.
    """
    tables = []
    for batch in names or files():
        place = _place(batch)
        if not place.is_file():
            raise PipelineError(f"{place} is missing; run `dvc pull`, which brings it from your DVC remote")
        if sha256(place) != batch:
            raise PipelineError(f"{place} was changed; run `dvc checkout --force {place}.dvc`")
        tables.append(read_table(place))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(ROLES))


def _write(rows: pd.DataFrame) -> Path:
    new = paths.BATCH_FILES / "new.parquet"
    write_table(new, rows[list(ROLES)].reset_index(drop=True))
    place = _place(sha256(new))
    new.replace(place)
    return place


def _place(batch: str) -> Path:
    return paths.BATCH_FILES / f"{batch}.parquet"
