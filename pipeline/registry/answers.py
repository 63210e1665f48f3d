"""A cache of models' probabilities for the test rows, so that the gate does not ask twice.

A file lies in `.state/kept/` under a hash of all that its content depends on. It holds numbers and class names, no
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

MAX_FILES = 20  # the oldest are deleted
StoredColumns = Mapping[str, np.ndarray]  # by name; all of the same shape (n_rows,) and dtype


def _path(root: Path, depends_on: Any) -> Path:
    return root / ".state/kept" / f"{sha256_json([depends_on, sha256(packaging.RUNTIME_LOCK)])}.npz"


def keep(root: Path, depends_on: Any, columns: StoredColumns) -> None:
    """Store columns.

    Parameters
    ----------
    root : Path
        The main checkout.
    depends_on : anything that JSON can hold
        What the columns depend on, such as a model's digest and the texts; the runtime lock is added.
    columns : mapping of str to ndarray of shape (n_rows,)
        The columns.
    """
    path = _path(root, depends_on)
    names = np.frombuffer(json.dumps(list(columns)).encode(), dtype=np.uint8)
    write_arrays(path, {"names": names, "columns": np.stack(list(columns.values()))})
    for oldest in sorted(path.parent.glob("*.npz"), key=lambda file: file.stat().st_mtime)[:-MAX_FILES]:
        oldest.unlink(missing_ok=True)


def find(root: Path, depends_on: Any) -> StoredColumns | None:
    """Return the columns that depend on the same; None if there are none, or their file is damaged."""
    path = _path(root, depends_on)
    if not path.is_file():
        return None
    try:
        arrays = read_arrays(path)
        return dict(zip(json.loads(arrays["names"].tobytes()), arrays["columns"], strict=True))
    except TORN:
        return None
