"""What evaluation does with one modality only: simpler models, named parts of the rows, words, behaviour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.modalities import module_of
from ..inference.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd

Baselines = dict[str, np.ndarray]  # class probabilities of the test rows, (n_rows, n_classes), by baseline


def majority(labels: np.ndarray, num_classes: int, num_rows: int) -> np.ndarray:
    """Return the class priors of training `labels`, shape (n_rows,), for every row: shape (num_rows, num_classes).

    >>> majority(np.array([0, 0, 0, 1]), 2, 1).tolist()
    [[0.75, 0.25]]
    """
    priors = np.bincount(labels, minlength=num_classes) / len(labels)
    return np.tile(priors, (num_rows, 1))


def _majority_only(
    train: "pd.DataFrame", test: "pd.DataFrame", classes: Sequence[str], predictor: Predictor, max_rows: int
) -> Baselines:
    numbers = train["label"].map({name: number for number, name in enumerate(classes)}).to_numpy(dtype=np.int64)
    return {"majority": majority(numbers, len(classes), len(test))}


def _no_slices(test: "pd.DataFrame", array: np.ndarray, bounds: Sequence[int] | None) -> dict[str, np.ndarray]:
    return {}


def _no_words(predictor: Predictor, folder: Path, test: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(columns=["class", "word", "contribution", "rows"])


def _no_behaviour(predictor: Predictor, test: "pd.DataFrame", classes: Sequence[str]) -> dict[str, Any]:
    return {"tests": {}, "not_applicable": {}}


@dataclass(frozen=True)
class Kind:
    """What `evaluate` asks of a modality; by default only the baseline that knows nothing of it.

    Parameters
    ----------
    baselines : callable
        Class probabilities of the test rows by simpler models, "majority" among them.
    slices : callable
        Masks of named parts of the test rows, by the rows, their array and `evaluate.length_bounds`.
    words : callable
        Which pieces of the inputs add most to each class: `class`, `word`, `contribution`, `rows`.
    behaviour : callable
        Tests of behaviour, as `behaviour.measure` returns them.
    """

    baselines: Callable[..., Baselines] = _majority_only
    slices: Callable[..., dict[str, np.ndarray]] = _no_slices
    words: Callable[..., "pd.DataFrame"] = _no_words
    behaviour: Callable[..., dict[str, Any]] = _no_behaviour


def kind_of(modality: str) -> Kind:
    """Return what `pipeline/evaluation/MODALITY/kind.py` declares; the default where there is no such folder."""
    if find_spec(f"{__package__}.{modality}") is None:
        return Kind()
    kind: Kind = module_of("evaluation", modality).KIND
    return kind
