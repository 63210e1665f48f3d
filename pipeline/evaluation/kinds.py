"""What evaluation does for one modality only: baselines, slices, words, behavioural tests and near copies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..base.modalities import module_of
from ..inference.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd

    from .behaviour import BehaviourReport

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
    number_of = {name: number for number, name in enumerate(classes)}
    labels = train["label"].map(number_of).to_numpy(dtype=np.int64)
    return {"majority": majority(labels, len(classes), len(test))}


def _no_slices(test: "pd.DataFrame", array: np.ndarray, bounds: Sequence[int] | None) -> dict[str, np.ndarray]:
    return {}


def _no_words(predictor: Predictor, folder: Path, test: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(columns=["class", "word", "contribution", "rows"])


def _no_behaviour(predictor: Predictor, test: "pd.DataFrame", classes: Sequence[str]) -> "BehaviourReport":
    return {"tests": {}, "not_applicable": {}}


def _no_near_copies(train: "pd.DataFrame", test: "pd.DataFrame", predictor: Predictor) -> np.ndarray:
    return np.zeros(len(test), dtype=bool)


@dataclass(frozen=True)
class Kind:
    """The functions that `evaluate` calls for a modality; by default only the majority baseline.

    Parameters
    ----------
    baselines : callable
        (train, test, classes, predictor, max_rows) -> class probabilities of the test rows by baseline, "majority"
        among them.
    slices : callable
        (test, array of the test rows, `evaluate.length_bounds`) -> masks of the test rows by slice.
    words : callable
        (predictor, model folder, test) -> table of the pieces of the inputs that add most to each class, with the
        columns `class`, `word`, `contribution` and `rows`.
    behaviour : callable
        (predictor, test, classes) -> results of the behavioural tests.
    near_copies : callable
        (train, test, predictor) -> mask of the test rows that nearly repeat a training row, (n_rows,), bool.
    """

    baselines: Callable[["pd.DataFrame", "pd.DataFrame", Sequence[str], Predictor, int], Baselines] = _majority_only
    slices: Callable[["pd.DataFrame", np.ndarray, Sequence[int] | None], dict[str, np.ndarray]] = _no_slices
    words: Callable[[Predictor, Path, "pd.DataFrame"], "pd.DataFrame"] = _no_words
    behaviour: Callable[[Predictor, "pd.DataFrame", Sequence[str]], "BehaviourReport"] = _no_behaviour
    near_copies: Callable[["pd.DataFrame", "pd.DataFrame", Predictor], np.ndarray] = _no_near_copies


def kind_of(modality: str) -> Kind:
    """Return the `KIND` in `pipeline/evaluation/MODALITY/kind.py`; the default if there is no such folder."""
    if find_spec(f"{__package__}.{modality}") is None:
        return Kind()
    kind: Kind = module_of("evaluation", modality).KIND
    return kind
