"""Fit the linear models on n-grams of words and characters, the wide part of the model (Cheng et al. 2016)."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..inference.ngrams import Ngrams
from ..text.languages import UNITS
from ..text.ngrams import has_words, ngrams_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MAX_GRAMS = 500_000  # the most frequent ones
MAX_TRAINING_ROWS = 200_000  # training rows: more cost time and memory, and change little
FULL_SIZE_CLASSES = 10  # with more classes, which cost time and memory too, both limits are lowered in proportion
LONG = 100  # units of the median text above which runs of three words replace characters, which are many and slow
# Inverse strengths of the penalty, chosen on the validation rows of six data sets.
TFIDF_C, NB_C = 3.0, 0.05


def fit_ngrams(
    texts: Sequence[str], labels: np.ndarray, weights: np.ndarray, *, num_classes: int, unit: str, language: str = ""
) -> Ngrams:
    """Fit the models on cleaned training texts.

    Parameters
    ----------
    texts : sequence of str
        Cleaned texts; of more than 200,000 (with more than 10 classes, fewer), evenly spaced ones are used.
    labels : ndarray of shape (n_texts,), int
        Class numbers.
    weights : ndarray of shape (n_texts,), float
        Weight of each text in the loss; 0 to leave it out.
    num_classes : int
        Number of classes.
    unit : str
        Unit of the `Tokenizer`, a key of `UNITS`.
    language : str
        Language of the `Tokenizer`, for its negators.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from threadpoolctl import threadpool_limits

    excess = max(num_classes / FULL_SIZE_CLASSES, 1)
    rows = np.flatnonzero(weights)[:: -(-np.count_nonzero(weights) // int(MAX_TRAINING_ROWS / excess))]
    texts, labels, weights = [texts[row] for row in rows], labels[rows], weights[rows]
    spaced = texts[
        :: -(-len(texts) // 2_000)
    ]  # the rows are ordered by class: the first ones would be of one class only
    long = unit != "character" and float(np.median([len(UNITS[unit](text)) for text in spaced])) > LONG
    max_grams = int(MAX_GRAMS / excess)
    cut = partial(ngrams_of, unit=unit, long=long, language=language)
    counting = CountVectorizer(analyzer=cut, min_df=2, max_features=max_grams, dtype=np.float32)
    counts = counting.fit_transform(texts)
    weighting = TfidfTransformer(sublinear_tf=True).fit(counts)
    grams = counting.get_feature_names_out().tolist()
    words = np.array([has_words(gram) for gram in grams], dtype=bool)
    with threadpool_limits(1):  # the vectors are short: more threads wait for one another
        tfidf = logistic(weighting.transform(counts), labels, weights, num_classes)
        nb = _naive_bayes(counts.sign(), labels, weights, num_classes)
        of_words = None
        if words.any() and not words.all():
            counts = counts[:, words]
            weighting_of_words = TfidfTransformer(sublinear_tf=True).fit(counts)
            of_words = logistic(weighting_of_words.transform(counts), labels, weights, num_classes)
    idf = weighting.idf_.astype(np.float32)
    return Ngrams(tuple(grams), unit, long, idf, tfidf, nb, of_words, language=language)


def logistic(
    features: "csr_matrix | np.ndarray",
    labels: np.ndarray,
    weights: np.ndarray,
    num_classes: int,
    strength: float = TFIDF_C,
) -> np.ndarray:
    """Fit logistic regression.

    Returns
    -------
    ndarray of shape (n_features + 1, num_classes), float32
        Weights and, in the last row, intercepts; those of two classes are equal, with opposite signs.
    """
    from sklearn.linear_model import LogisticRegression

    # Of many classes, the default solver takes four times as long, and the order of the rows changes what it returns.
    linear = LogisticRegression(C=strength, solver="newton-cg", tol=1e-5).fit(features, labels, sample_weight=weights)
    fitted = np.vstack([linear.coef_.T, linear.intercept_])
    if len(linear.classes_) == 2:
        fitted = np.hstack([-fitted / 2, fitted / 2])
    # A class without rows, which only a tiny file has, is never predicted.
    columns = np.zeros((len(fitted), num_classes))
    columns[-1] = -30
    columns[:, linear.classes_] = fitted
    return columns.astype(np.float32)


def _naive_bayes(occurs: "csr_matrix", labels: np.ndarray, weights: np.ndarray, num_classes: int) -> np.ndarray:
    """Fit each class against the rest, on n-grams scaled by their log-count ratios; result as in `logistic`."""
    present = np.unique(labels)
    columns = np.zeros((occurs.shape[1] + 1, num_classes), dtype=np.float32)
    columns[-1] = -30
    for number in present[1:] if len(present) == 2 else present:  # of two classes, one is enough
        own = labels == number
        inside, outside = (1 + np.asarray(occurs[rows].sum(axis=0), dtype=np.float64).ravel() for rows in (own, ~own))
        ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
        scaled = occurs.copy()
        scaled.data = ratio.astype(np.float32)[scaled.indices]
        fitted = logistic(scaled, own.astype(np.int64), weights, 2, NB_C)
        fitted[:-1] *= ratio[:, None]
        columns[:, number] = fitted[:, 1] if len(present) == 2 else 2 * fitted[:, 1]
        if len(present) == 2:
            columns[:, present[0]] = fitted[:, 0]
    return columns
