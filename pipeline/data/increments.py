"""Increments: labelled rows that were added after the data set, in files named by their content.

A file never changes. DVC stores the files, and `data/batches.csv`, which is in git, lists them. Only this list decides
which increments there are, so that a clone that has not pulled a file reports it instead of training without its rows.

In the names of files and columns, an increment is a "batch".
"""

import io
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ..base import paths
from ..base.errors import PipelineError, on_one_line
from ..base.files import atomic, read_table, sha256, write_table, write_text

# Of the list: name of the increment, the SHA-256 of its file; its number of rows; name and SHA-256 of the incoming file
# that it was made from; when, in UTC.
LIST_COLUMNS = ("batch", "rows", "source", "file", "taken")
ROW_COLUMNS = ("text", "label", "source", "group", "split", "time", "row")  # of an increment, as ingest names them


def read_list(path: Path = paths.INCREMENTS, columns: tuple[str, ...] = LIST_COLUMNS) -> pd.DataFrame:
    """Read a list of files, in the order in which they were added.

    Parameters
    ----------
    path : Path
        The list: that of increments, or another one in git, such as that of refused files.
    columns : tuple of str
        Its columns; the first one identifies a line.

    Returns
    -------
    DataFrame of shape (n_files, n_columns), str
        The list, without repeated lines.

    Raises
    ------
    PipelineError
        The list is missing or damaged: rows might be lost unnoticed.
    """
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise PipelineError(f"{path} cannot be read; restore it from git") from error
    if tuple(table.columns) != columns:
        raise PipelineError(f"{path} must have the columns {', '.join(columns)}; restore it from git")
    return table.drop_duplicates(columns[0], ignore_index=True)  # git's union of two branches may repeat a line


def names() -> list[str]:
    """Return the names of all increments that have rows."""
    listed = read_list()
    with_rows: list[str] = listed.loc[listed["rows"] != "0", "batch"].to_list()
    return with_rows


def append(line: Mapping[str, str], path: Path = paths.INCREMENTS, columns: tuple[str, ...] = LIST_COLUMNS) -> None:
    """Add a line to a list, unless the list has it already; other parameters as in `read_list`."""
    table = read_list(path, columns)
    if line[columns[0]] in set(table[columns[0]]):
        return
    stream = io.StringIO()
    line = {key: on_one_line(value) for key, value in line.items()}  # a carriage return would end it
    pd.DataFrame([line], columns=list(columns)).to_csv(stream, index=False, header=False, lineterminator="\n")
    write_text(path, path.read_text(encoding="utf-8") + stream.getvalue())


def add(rows: pd.DataFrame, *, source: str, file: str, taken: str) -> Path:
    """Store rows as an increment, and list it; return its file, which must then be added to DVC.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, >= 7)
        Has the columns `ROW_COLUMNS`.
    source, file : str
        Name and SHA-256 of the incoming file that the rows come from.
    taken : str
        When they were added, in UTC.
    """
    path = _write(rows)
    append({"batch": path.stem, "rows": str(len(rows)), "source": source, "file": file, "taken": taken})
    return path


def replace(name: str, rows: pd.DataFrame) -> Path | None:
    """Replace an increment in the list by a new one with other rows; return its file, None if there are no rows.

    The line keeps the incoming file's SHA-256, so that the file is not added again.
    """
    lines, path = read_list(), None
    mask = lines["batch"] == name
    if len(rows):
        path = _write(rows)
        lines.loc[mask, ["batch", "rows"]] = [path.stem, str(len(rows))]
    else:
        lines.loc[mask, ["batch", "rows"]] = [f"empty-{name[:16]}", "0"]
    with atomic(paths.INCREMENTS) as temporary:
        lines.to_csv(temporary, index=False, lineterminator="\n")
    return path


def read_rows(*selected: str) -> pd.DataFrame:
    """Return the rows of the increments with these names, or of all, with the columns `ROW_COLUMNS`.

    Raises
    ------
    PipelineError
        A file is missing, or its content is not what its name says.
    """
    tables = []
    for name in selected or names():
        path = _path(name)
        if not path.is_file():
            raise PipelineError(f"{path} is missing; run `dvc pull` to get it from your DVC remote")
        if sha256(path) != name:
            raise PipelineError(f"{path} was changed; run `dvc checkout --force {path}.dvc` to restore it")
        tables.append(read_table(path))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(ROW_COLUMNS))


def _write(rows: pd.DataFrame) -> Path:
    new = paths.INCREMENT_FILES / "new.parquet"
    write_table(new, rows[list(ROW_COLUMNS)].reset_index(drop=True))
    path = _path(sha256(new))
    new.replace(path)
    return path


def _path(name: str) -> Path:
    return paths.INCREMENT_FILES / f"{name}.parquet"
