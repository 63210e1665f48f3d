"""Kept: what a model said of each test row, kept so that the gate does not ask twice.

A file lies in `.state/kept/` under a hash of all that its content depends on. It holds numbers and names of classes, no
text.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_arrays, sha256, sha256_json, write_arrays
from ..training.checkpoint import TORN
from . import packaging

MOST = 20  # files; the oldest go
Columns = Mapping[str, np.ndarray]  # by name; all of the same shape (n_rows,) and type


def _place(root: Path, depends_on: Any) -> Path:
    return root / ".state/kept" / f"{sha256_json([depends_on, sha256(packaging.RUNTIME_LOCK)])}.npz"


def keep(root: Path, depends_on: Any, columns: Columns) -> None:
    """Keep columns.

    Parameters
    ----------
    root : Path
        The main checkout.
    depends_on : anything that JSON can hold
        What they were made of, but for the runtime lock; such as a model's digest and the texts that it was asked.
    columns : mapping of str to ndarray of shape (n_rows,)
        What is kept.
    """
    path = _place(root, depends_on)
    names = np.frombuffer(json.dumps(list(columns)).encode(), dtype=np.uint8)
    write_arrays(path, {"names": names, "columns": np.stack(list(columns.values()))})
    for old in sorted(path.parent.glob("*.npz"), key=lambda each: each.stat().st_mtime)[:-MOST]:
        old.unlink(missing_ok=True)


def find(root: Path, depends_on: Any) -> Columns | None:
    """The columns that were made of this; None where they are not known."""
    path = _place(root, depends_on)
    if not path.is_file():
        return None
    try:
        found = read_arrays(path)
        return dict(zip(json.loads(found["names"].tobytes()), found["columns"], strict=True))
    except TORN:  # then they are made again
        return None
