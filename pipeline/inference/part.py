"""Parts: a model is made of them, joined by calibration; each says how probable the classes are."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..base.modalities import Processor

Rows = Mapping[str, Sequence[str | None]]  # cells by kind of input, all as many; None where a row lacks one


@dataclass(frozen=True)
class Inputs:
    """Rows as parts read them.

    Parameters
    ----------
    cells : mapping of str to sequence of str
        Clean cells by kind of input; "" where missing.
    arrays : mapping of str to ndarray of shape (n_rows, ...)
        What the processors made of them.
    missing : mapping of str to ndarray of shape (n_rows,), bool
        Rows that lack a kind of input, for those kinds that some rows lack.
    """

    cells: Mapping[str, Sequence[str]]
    arrays: Mapping[str, np.ndarray]
    missing: Mapping[str, np.ndarray]
    _shared: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, rows: Rows, processors: Mapping[str, Processor]) -> "Inputs":
        """Encode clean cells."""
        cells = {name: ["" if cell is None else cell for cell in rows[name]] for name in processors}
        arrays = {name: processor.encode(cells[name]) for name, processor in processors.items()}
        missing = {name: np.array([cell is None for cell in rows[name]], dtype=bool) for name in processors}
        return cls(cells, arrays, {name: mask for name, mask in missing.items() if mask.any()})

    def __len__(self) -> int:
        return len(next(iter(self.cells.values())))

    def shared(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """Return what `work` gives for these rows, computed once for all parts that share the key."""
        if key not in self._shared:
            self._shared[key] = work()
        return self._shared[key]


class Part(Protocol):
    """What says how probable the classes are, from one kind of input.

    What its pieces add to the classes is explained by `evaluation.explanation`: by leaving them out one by one, unless
    a faster way is registered there for the part's type.
    """

    @property
    def name(self) -> str:
        """By which metrics and reports call it, such as "lstm"."""

    @property
    def modality(self) -> str:
        """The kind of input that it reads."""

    def log_probabilities(self, inputs: Inputs) -> np.ndarray:
        """Return logarithms of class probabilities, (n_rows, n_classes), float64; a row depends on itself only."""


def log_probabilities(parts: Sequence[Part], inputs: Inputs) -> list[np.ndarray]:
    """Return the logarithms of class probabilities of every part; a part says nothing (0) of a row without its input.

    Returns
    -------
    list of ndarray of shape (n_rows, n_classes), float64
        In the order of the parts.
    """
    found = []
    for part in parts:
        values = part.log_probabilities(inputs)
        mask = inputs.missing.get(part.modality)
        found.append(values if mask is None else np.where(mask[:, None], 0.0, values))
    return found
