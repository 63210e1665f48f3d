"""Modalities: the kinds of input. Each is a folder of the package that turns a raw cell into an array.

The table has a line for each. Everything else of a modality is found by its name:

- `pipeline/NAME/modality.py` holds `MODALITY`, a `Modality`: how cells are cleaned and encoded;
- `pipeline/data/rules/NAME.py` holds the rules that its raw cells must keep;
- `pipeline/training/encoders/NAME.py` builds the network that reads its arrays;
- `pipeline/evaluation/NAME/`, where there is one, holds its baselines, slices and perturbations.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

MODALITIES = ("text",)  # in the order in which tables have their columns; a new modality is one more name

Cells = Sequence[str]  # of one modality: a text, a path or whatever else stands in a cell of the user's table


class Processor(Protocol):
    """What turns clean cells into an array; it is fitted on training rows and travels with the model."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """The padded lengths there are, ascending: a network pads a row to the shortest that fits it."""

    def encode(self, cells: Cells) -> np.ndarray:
        """Return an array of shape (n_cells, ...), in which a row depends on its own cell only."""

    def units(self, cell: str) -> list[str]:
        """Split a clean cell into the pieces that an explanation names, such as words; each stands in the cell."""

    def save(self, path: Path) -> None:
        """Write one file that `Modality.load` reads."""


@dataclass(frozen=True)
class Modality:
    """How the cells of one kind of input become arrays, in training and in prediction alike.

    Parameters
    ----------
    name : str
        One of `MODALITIES`; also the column of the pipeline's tables.
    array : str
        What the arrays are called in the files of tokenize.
    file : str
        The processor's file, in `data/tokenize/` and in a model folder.
    clean : callable
        Turns a raw cell into a clean one, "" where nothing is left of it.
    fit : callable
        Fits a processor to clean training cells under the section `tokenize` of the parameters.
    load : callable
        Reads a processor that `Processor.save` wrote.
    describe : callable
        Returns a line about a processor, and one about an array that it made.
    examples : tuple of str
        Raw cells for the registry to ask a model.
    """

    name: str
    array: str
    file: str
    clean: Callable[[str], str]
    fit: Callable[[Iterable[str], Any], Processor]
    load: Callable[[Path], Processor]
    describe: Callable[[Any], str]
    describe_array: Callable[[np.ndarray], str]
    examples: tuple[str, ...]


def modality(name: str) -> Modality:
    """Return a modality by its name."""
    loaded: Modality = part_of("modality", name).MODALITY
    return loaded


def part_of(place: str, name: str) -> Any:
    """Import what a folder has for a modality, such as its rules; see the top of this module."""
    modules = {
        "modality": f"..{name}.modality",
        "rules": f"..data.rules.{name}",
        "encoder": f"..training.encoders.{name}",
        "evaluation": f"..evaluation.{name}.kind",
    }
    return import_module(modules[place], __package__)


def modalities_of(table: Any) -> list[str]:
    """Return the modalities that a table has columns of, in their order.

    >>> modalities_of({"id": [], "text": []})
    ['text']
    """
    return [name for name in MODALITIES if name in table]
