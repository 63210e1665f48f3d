"""Checkpoints: all that a training needs to resume after a kill, in one file that is written atomically."""

import json
import shutil
import struct
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.files import atomic, sha256_json

if TYPE_CHECKING:
    import keras

CHECKPOINTS = Path(".state/checkpoints")
MAX_AGE = 7 * 24 * 3600.0  # seconds since its last write after which a training counts as given up
NAME = "checkpoint.npz"
# What zipfile and NumPy raise on bytes that are not an archive of arrays.
TORN = (OSError, ValueError, KeyError, EOFError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile)


class Saved(NamedTuple):
    """Contents of a checkpoint."""

    values: list[np.ndarray]  # of the variables, in their order
    best: list[np.ndarray]  # weights of the best epoch
    metadata: dict[str, Any]  # everything else, as JSON

    def restore(self, variables: Sequence["keras.Variable"]) -> None:
        """Assign the saved values to the variables."""
        for variable, value in zip(variables, self.values, strict=True):
            variable.assign(value)


@dataclass(frozen=True)
class Checkpoint:
    """Where a training saves its state after each epoch.

    Parameters
    ----------
    path : Path, optional
        The file; None saves nothing.
    key : str
        Digest of all that the training depends on: a file with another key is never used.
    """

    path: Path | None = None
    key: str = ""

    @classmethod
    def of(cls, state: str, backend: str, root: Path) -> "Checkpoint":
        """Return the checkpoint of a pipeline state on a backend, and remove old ones.

        Other trainings may be running in the same checkout, in DVC's temporary folders: only its age shows that a
        checkpoint is no longer needed.

        Parameters
        ----------
        state : str
            See `base.state`.
        backend : str
            See `backend.description`.
        root : Path
            The main checkout.
        """
        key = sha256_json([state, backend])
        for folder in (root / CHECKPOINTS).glob("*"):
            if folder.name != key and folder.stat().st_mtime < time.time() - MAX_AGE:
                shutil.rmtree(folder, ignore_errors=True)
        return cls(root / CHECKPOINTS / key / NAME, key)

    def load(self, phase: str) -> Saved | None:
        """Return what was saved last, if it was saved in this phase of the training.

        A file that is damaged or belongs to another training is removed, with a message.
        """
        if self.path is None or not self.path.is_file():
            return None
        try:
            # Checksums first: NumPy would not notice an altered shape.
            with zipfile.ZipFile(self.path) as archive:
                valid = archive.testzip() is None
            with np.load(self.path, allow_pickle=False) as arrays:
                header = json.loads(str(arrays["header"]))
                saved = {
                    kind: [arrays[f"{kind}_{number}"] for number in range(header[kind])] for kind in ("values", "best")
                }
            valid &= header["key"] == self.key
        except TORN:
            valid = False
        if not valid:
            print(f"{self.path} is damaged or belongs to another training; training starts from the beginning")
            self.path.unlink()
            return None
        return Saved(**saved, metadata=header["metadata"]) if header["phase"] == phase else None

    def save(
        self,
        phase: str,
        variables: Sequence["keras.Variable"],
        metadata: dict[str, Any],
        best: Sequence[np.ndarray] = (),
    ) -> None:
        """Save what `load` returns, replacing what was saved before.

        Parameters
        ----------
        phase : {"pretraining", "training"}
            Part of the training.
        variables : sequence of keras.Variable
            Their values are saved.
        metadata : dict
            Anything that JSON can hold.
        best : sequence of ndarray
            Weights of the best epoch so far.
        """
        if self.path is None:
            return
        values = [np.asarray(variable.value) for variable in variables]
        arrays = {
            f"{kind}_{number}": array
            for kind, group in (("values", values), ("best", best))
            for number, array in enumerate(group)
        }
        header = {"key": self.key, "phase": phase, "values": len(values), "best": len(best), "metadata": metadata}
        with atomic(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays, header=np.array(json.dumps(header)))

    def remove(self) -> None:
        """Remove the checkpoint, once the outputs of the training are written."""
        if self.path is not None:
            shutil.rmtree(self.path.parent, ignore_errors=True)


NOWHERE = Checkpoint()
