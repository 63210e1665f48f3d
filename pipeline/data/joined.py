"""Several columns of texts, such as a title and a body, joined to one."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from .columns import as_texts
from .readers.headers import ColumnKey


def with_joined(cells: pd.DataFrame, columns: Sequence[ColumnKey], file: Path) -> tuple[pd.DataFrame, str]:
    """Add a column of texts: those of several columns, a line each; blank ones are skipped.

    Parameters
    ----------
    cells : DataFrame of shape (n_rows, >= n_columns)
        Raw cells.
    columns : sequence of str or int
        The columns to join, in this order.
    file : Path
        For messages.

    Returns
    -------
    cells : DataFrame of shape (n_rows, >= n_columns + 1)
        Also has the new column, null where all its parts are.
    name : str
        Of the new column.

    Raises
    ------
    PipelineError
        A cell is neither a string nor null.

    Examples
    --------
    >>> cells = pd.DataFrame({"title": ["Good", None], "body": ["I like it.", "Bad."]})
    >>> with_joined(cells, ["title", "body"], Path("a.csv"))[0]["title + body"].to_list()
    ['Good\\nI like it.', 'Bad.']
    """
    parts = [as_texts(cells[column], file) for column in columns]
    texts = [_joined(row) for row in zip(*parts, strict=True)]
    name = " + ".join(map(str, columns))
    return cells.assign(**{name: pd.Series(texts, cells.index, dtype=object)}), name


def _joined(row: Sequence[object]) -> str | None:
    texts = [cell for cell in row if isinstance(cell, str)]
    return "\n".join(text for text in texts if text.strip()) if texts else None
