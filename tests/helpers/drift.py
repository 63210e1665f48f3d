"""Samples to measure drift on: real tweets and film reviews with a cheap model, and synthetic ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from pipeline.base import params
from pipeline.data import datasets
from pipeline.evaluation import drift
from pipeline.evaluation.drift_sample import DriftSample
from pipeline.evaluation.measures import measure_shifts
from pipeline.evaluation.settings import Drift
from pipeline.inference.calibration import Calibration
from pipeline.inference.predictor import Predictor
from pipeline.text.cleaning import clean_text
from pipeline.text.processor import Tokenizer

SETTINGS = params.load(Drift)


@dataclass(frozen=True)
class NaiveBayes:
    """A fast model with the attributes of a `Predictor` that drift reads."""

    fitted: Any
    classes: tuple[str, ...]
    calibration: Calibration

    def log_probabilities(self, cleaned: Sequence[str]) -> list[np.ndarray]:
        return [self.fitted.predict_log_proba(cleaned)]


@dataclass(frozen=True, repr=False)
class RealSamples:
    """A model of tweets; other tweets as the reference; fresh tweets, and film reviews."""

    predictor: Predictor
    tokenizer: Tokenizer
    reference: DriftSample
    fresh: DriftSample
    reviews: DriftSample

    def draw(self, rows: int, seed: int) -> DriftSample:
        return self.fresh.take(np.random.default_rng(seed).permutation(len(self.fresh))[:rows])

    def drifted(self, incoming: DriftSample, **changes: float) -> set[str]:
        """The measures that drift, with changed settings."""
        shifts = measure_shifts(self.reference, incoming, SETTINGS.model_copy(update=changes))
        return {shift.measure for shift in shifts if shift.drifted}


def cleaned_rows(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    table = table.sample(rows, random_state=0).reset_index(drop=True)
    table["text"] = pd.Series([clean_text(text) for text in table["text"]], dtype="str")
    return table.drop_duplicates("text").reset_index(drop=True)


@cache
def real_samples() -> RealSamples:
    tweets = cleaned_rows(datasets.tweets(), 16_000)
    train, held_out, fresh = tweets[:4_000], tweets[4_000:9_000], tweets[9_000:]
    tokenizer = Tokenizer.fit(train["text"], vocabulary_size=None, length=None)
    fitted = make_pipeline(CountVectorizer(), MultinomialNB()).fit(train["text"], train["label"])
    model = NaiveBayes(fitted, tuple(fitted.classes_), Calibration((1.0,), 1.0, (0.0,) * 3))
    predictor = cast(Predictor, model)
    tables = (held_out, fresh, cleaned_rows(datasets.rotten_tomatoes(), 3_000))
    return RealSamples(predictor, tokenizer, *(drift.draw_sample(table, predictor, tokenizer) for table in tables))


def synthetic_sample(
    labels: Sequence[str], probabilities: np.ndarray | None = None, *, unknown: float = 0.0
) -> DriftSample:
    """A sample of texts of five words each, none of them in the vocabulary, which is empty."""
    rows = len(labels)
    return DriftSample(
        labels=np.array(labels, dtype=object),
        lengths=np.full(rows, 5),
        unknown=np.full(rows, unknown),
        terms=csr_matrix((rows, 0)),
        vocabulary=(),
        classes=() if probabilities is None else ("a", "b", "c"),
        probabilities=np.empty((rows, 0)) if probabilities is None else probabilities,
    )
