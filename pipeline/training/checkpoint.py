"""Checkpoint: what a training needs to go on after a kill, in one file that is there whole or not at all."""

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

FOLDER = Path(".state/checkpoints")
KEPT = 7 * 24 * 3600.0  # seconds after which a training that has written nothing more is not waited for
NAME = "checkpoint.npz"
# What zipfile and NumPy raise on bytes that are no archive of arrays.
TORN = (OSError, ValueError, KeyError, EOFError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile)


class Saved(NamedTuple):
    """What a checkpoint holds."""

    values: list[np.ndarray]  # of the variables, in their order
    best: list[np.ndarray]  # the best epoch's weights
    told: dict[str, Any]  # the rest, as JSON holds it

    def restore(self, variables: Sequence["keras.Variable"]) -> None:
        """Give the variables their values back."""
        for variable, value in zip(variables, self.values, strict=True):
            variable.assign(value)


@dataclass(frozen=True)
class Checkpoint:
    """Where a training keeps what it carries from one epoch to the next.

    Parameters
    ----------
    path : Path, optional
        The file; None keeps nothing.
    key : str
        What the training depends on, as a digest: a file that holds another one is never used.
    """

    path: Path | None = None
    key: str = ""

    @classmethod
    def of(cls, state: str, backend: str, root: Path) -> "Checkpoint":
        """That of a pipeline state on a backend, in the checkout at `root`; those long given up are removed.

        Other trainings may be at work in the same checkout, in DVC's temporary folders: only age tells who is not.
        """
        key = sha256_json([state, backend])
        for folder in (root / FOLDER).glob("*"):
            if folder.name != key and folder.stat().st_mtime < time.time() - KEPT:
                shutil.rmtree(folder, ignore_errors=True)
        return cls(root / FOLDER / key / NAME, key)

    def load(self, phase: str) -> Saved | None:
        """What was saved last, if it was in this phase of the training.

        A file that is torn, or another training's, is removed, and the user is told.
        """
        if self.path is None or not self.path.is_file():
            return None
        try:
            # Sums of all bytes first: NumPy would believe an altered shape.
            with zipfile.ZipFile(self.path) as archive:
                torn = archive.testzip() is not None
            with np.load(self.path, allow_pickle=False) as arrays:
                told = json.loads(str(arrays["told"]))
                saved = {
                    kind: [arrays[f"{kind}_{number}"] for number in range(told[kind])] for kind in ("values", "best")
                }
            torn |= told["key"] != self.key
        except TORN:
            torn = True
        if torn:
            print(f"{self.path} is torn or of another training: it is left out, and training starts afresh")
            self.path.unlink()
            return None
        return Saved(**saved, told=told["told"]) if told["phase"] == phase else None

    def save(
        self,
        phase: str,
        variables: Sequence["keras.Variable"],
        told: dict[str, Any],
        best: Sequence[np.ndarray] = (),
    ) -> None:
        """Keep what `load` gives back, in place of what was saved before."""
        if self.path is None:
            return
        values = [np.asarray(variable.value) for variable in variables]
        named = {
            f"{kind}_{number}": each
            for kind, of in (("values", values), ("best", best))
            for number, each in enumerate(of)
        }
        text = {"key": self.key, "phase": phase, "values": len(values), "best": len(best), "told": told}
        with atomic(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **named, told=np.array(json.dumps(text)))

    def remove(self) -> None:
        """Forget it: the training's outputs are written."""
        if self.path is not None:
            shutil.rmtree(self.path.parent, ignore_errors=True)


NOWHERE = Checkpoint()
