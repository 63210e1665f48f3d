"""The parts of a model: each returns class probabilities from one modality, and calibration combines them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np

from ..base.modalities import Processor

Rows = Mapping[str, Sequence[str | None]]  # cells by modality, n_rows each; None where a row lacks one


@dataclass(frozen=True)
class Inputs:
    """Rows as parts read them.

    Parameters
    ----------
    cells : mapping of str to sequence of str
        Clean cells by modality; "" where missing.
    arrays : mapping of str to ndarray of shape (n_rows, ...)
        The encoded cells by modality.
    missing : mapping of str to ndarray of shape (n_rows,), bool
        Mask of the rows that lack a modality; only modalities that some rows lack.
    """

    cells: Mapping[str, Sequence[str]]
    arrays: Mapping[str, np.ndarray]
    missing: Mapping[str, np.ndarray]
    _shared: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def encode(cls, rows: Rows, processors: Mapping[str, Processor]) -> "Inputs":
        """Encode rows of clean cells."""
        cells, arrays, missing = {}, {}, {}
        for name, processor in processors.items():
            column = rows[name]
            if None in column:
                missing[name] = np.array([cell is None for cell in column], dtype=bool)
                column = ["" if cell is None else cell for cell in column]
            cells[name] = cast(Sequence[str], column)
            arrays[name] = processor.encode(cells[name])
        return cls(cells, arrays, missing)

    def __len__(self) -> int:
        return len(next(iter(self.cells.values())))

    def shared(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return the result of `compute` for these rows, computed once for all parts that use the same key."""
        if key not in self._shared:
            self._shared[key] = compute()
        return self._shared[key]


class Part(Protocol):
    """A classifier that reads one modality.

    `evaluation.explanation` explains it by leaving out one piece of the input at a time, unless a faster method is
    registered there for the part's type.
    """

    @property
    def name(self) -> str:
        """Its name in metrics and reports, such as "lstm"."""

    @property
    def modality(self) -> str:
        """The modality that it reads."""

    def log_probabilities(self, inputs: Inputs) -> np.ndarray:
        """Return log-probabilities of the classes.

        Returns
        -------
        ndarray of shape (n_rows, n_classes), float64
            A row of it depends only on that row of the inputs.
        """


def log_probabilities(parts: Sequence[Part], inputs: Inputs) -> list[np.ndarray]:
    """Return the log-probabilities of every part; 0 for all classes in rows that lack its modality.

    Returns
    -------
    list of ndarray of shape (n_rows, n_classes), float64
        In the order of the parts.
    """
    results = []
    for part in parts:
        values = part.log_probabilities(inputs)
        missing = inputs.missing.get(part.modality)
        results.append(values if missing is None else np.where(missing[:, None], 0.0, values))
    return results
