"""What evaluation does for texts only."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...inference.predictor import Predictor
from ..behaviour import BehaviourReport, run_tests
from ..explanation import Explainer
from ..kinds import Baselines, Kind
from ..near_copies import near_copies
from . import baselines, slices
from .words import telling_words

if TYPE_CHECKING:
    import pandas as pd


def _baselines(
    train: "pd.DataFrame", test: "pd.DataFrame", classes: Sequence[str], predictor: Predictor, max_rows: int
) -> Baselines:
    return baselines.probabilities(train, test, classes, unit=predictor.tokenizer.unit, max_rows=max_rows)


def _slices(test: "pd.DataFrame", ids: np.ndarray, bounds: Sequence[int] | None) -> dict[str, np.ndarray]:
    return slices.masks(test, (ids > 0).sum(axis=1), bounds)


def _words(predictor: Predictor, folder: Path, test: "pd.DataFrame") -> "pd.DataFrame":
    from threadpoolctl import threadpool_limits

    by_hash = test.sort_values("id", kind="stable")["text"].to_list()  # ids are hashes
    with threadpool_limits(1):  # the products are small: more threads wait for one another
        return telling_words(Explainer.from_predictor(predictor, folder), by_hash)


def _behaviour(predictor: Predictor, test: "pd.DataFrame", classes: Sequence[str]) -> BehaviourReport:
    texts, rows = test["text"].to_list(), test["id"].to_list()
    return run_tests(predictor.probabilities, texts, rows, classes, language=predictor.tokenizer.language)


def _near_copies(train: "pd.DataFrame", test: "pd.DataFrame", predictor: Predictor) -> np.ndarray:
    return near_copies(train["text"].to_list(), test["text"].to_list(), unit=predictor.tokenizer.unit)


KIND = Kind(_baselines, _slices, _words, _behaviour, _near_copies)
