"""The table of modalities: text, speech, image. A folder of the package turns each one's raw cells into arrays.

A new modality is one more name in `MODALITIES`. The code for it is found by that name:

- `pipeline/NAME/modality.py` holds `MODALITY`, a `Modality`: how cells are cleaned and encoded;
- `pipeline/data/rules/NAME.py` holds the rules that raw cells must follow;
- `pipeline/training/encoders/NAME.py` builds the network that reads the arrays;
- `pipeline/evaluation/NAME/` holds baselines, slices and perturbations; it is optional.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

MODALITIES = ("text",)  # in the order of the columns of tables

Cells = Sequence[str]  # of one modality: texts, paths, or whatever the user's table holds

_MODULES = {
    "modality": "..{}.modality",
    "rules": "..data.rules.{}",
    "encoder": "..training.encoders.{}",
    "evaluation": "..evaluation.{}.kind",
}


class Processor(Protocol):
    """Turns clean cells into an array. It is fitted on training rows and travels with the model."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """The padded lengths, ascending; a network pads a row to the shortest that fits."""

    def encode(self, cells: Cells) -> np.ndarray:
        """Return an array of shape (n_cells, ...), in which a row depends only on its own cell."""

    def units(self, cell: str) -> list[str]:
        """Split a clean cell into the pieces that explanations name, such as words; each is a substring of the cell."""

    def save(self, path: Path) -> None:
        """Write one file that `Modality.load` reads."""


@dataclass(frozen=True)
class Modality:
    """How the cells of a modality become arrays, in training and in prediction alike.

    Parameters
    ----------
    name : str
        One of `MODALITIES`; also the name of its column in the pipeline's tables.
    array : str
        Name of the arrays in the files that tokenize writes.
    file : str
        File name of the processor, in `data/tokenize/` and in a model folder.
    clean : callable
        Returns the clean cell of a raw one, "" where nothing is left of it.
    fit : callable
        Fits a processor to clean training cells, by section `tokenize` of the parameters.
    load : callable
        Reads a processor that `Processor.save` wrote.
    describe : callable
        Returns a line about a processor, for the log.
    describe_array : callable
        Returns a line about an array that a processor made, for the log.
    examples : tuple of str
        Raw cells by which the registry tests a model.
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


@cache  # looked up for every prediction
def modality(name: str) -> Modality:
    """Import a modality by its name.

    >>> modality("text").file
    'tokenizer.json'
    """
    loaded: Modality = module_of("modality", name).MODALITY
    return loaded


def module_of(role: str, name: str) -> Any:
    """Import the module that does something for a modality.

    Parameters
    ----------
    role : {"modality", "rules", "encoder", "evaluation"}
        What the module does; see the top of this module.
    name : str
        One of `MODALITIES`.

    Examples
    --------
    >>> module_of("rules", "text").__name__
    'pipeline.data.rules.text'
    """
    return import_module(_MODULES[role].format(name), __package__)


def modalities_of(table: Any) -> list[str]:
    """Return the modalities that a table has columns of, in the order of `MODALITIES`.

    >>> modalities_of({"id": [], "text": []})
    ['text']
    """
    return [name for name in MODALITIES if name in table]
