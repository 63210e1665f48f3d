"""Fit the wide branch: two linear models over n-grams of words and characters (Cheng et al. 2016)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..inference.ngrams import Ngrams, cut
from ..text.languages import UNITS

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_GRAMS = 500_000  # n-grams kept, the most frequent ones
MOST_ROWS = 200_000  # training rows used: more cost time and memory, and change little
FEW = 10  # classes; with more, which cost time and memory too, both bounds are lowered by as much
LONG = 100  # units of the median text above which characters, many and slow, give way to runs of three words
# Inverse strengths of the penalty, by the validation rows of six data sets.
TFIDF_C, NB_C = 3.0, 0.05


def fit_ngrams(texts: Sequence[str], labels: np.ndarray, weights: np.ndarray, *, num_classes: int, unit: str) -> Ngrams:
    """Fit both models on cleaned training texts.

    Parameters
    ----------
    texts : sequence of str
        Cleaned texts; of more than 200,000 (with more than 10 classes, fewer), evenly spaced ones are used.
    labels : ndarray of shape (n_texts,), int
        Class numbers.
    weights : ndarray of shape (n_texts,), float
        Weight of each text in the loss; 0 for one left out.
    num_classes : int
        Number of classes.
    unit : str
        What `Tokenizer` splits by.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from threadpoolctl import threadpool_limits

    fewer = max(num_classes / FEW, 1)
    rows = np.flatnonzero(weights)[:: -(-np.count_nonzero(weights) // int(MOST_ROWS / fewer))]
    texts, labels, weights = [texts[row] for row in rows], labels[rows], weights[rows]
    spaced = texts[:: -(-len(texts) // 2_000)]  # the rows are ordered by class: the first would be of one only
    long = unit != "character" and float(np.median([len(UNITS[unit](text)) for text in spaced])) > LONG
    most = int(MOST_GRAMS / fewer)
    counting = CountVectorizer(
        analyzer=lambda text: cut(text, unit, long=long), min_df=2, max_features=most, dtype=np.float32
    )
    counts = counting.fit_transform(texts)
    weighting = TfidfTransformer(sublinear_tf=True).fit(counts)
    with threadpool_limits(1):  # the vectors are short: more threads wait for one another
        tfidf = _logistic(weighting.transform(counts), labels, weights, num_classes)
        nb = _naive_bayes(counts.sign(), labels, weights, num_classes)
    grams = counting.get_feature_names_out().tolist()
    return Ngrams(tuple(grams), unit, long, weighting.idf_.astype(np.float32), tfidf, nb)


def _logistic(
    features: "csr_matrix", labels: np.ndarray, weights: np.ndarray, num_classes: int, strength: float = TFIDF_C
) -> np.ndarray:
    """Weights and, in the last row, intercepts of logistic regression; two classes share them, with opposite signs."""
    from sklearn.linear_model import LogisticRegression

    linear = LogisticRegression(C=strength, max_iter=1_000).fit(features, labels, sample_weight=weights)
    found = np.vstack([linear.coef_.T, linear.intercept_])
    if len(linear.classes_) == 2:
        found = np.hstack([-found / 2, found / 2])
    # A class without a row, which undersampling cannot make but a tiny file can, is never the answer.
    columns = np.zeros((len(found), num_classes))
    columns[-1] = -30
    columns[:, linear.classes_] = found
    return columns.astype(np.float32)


def _naive_bayes(occurs: "csr_matrix", labels: np.ndarray, weights: np.ndarray, num_classes: int) -> np.ndarray:
    """Weights and intercepts of each class against the rest, on n-grams scaled by their log-count ratios."""
    present = np.unique(labels)
    columns = np.zeros((occurs.shape[1] + 1, num_classes), dtype=np.float32)
    columns[-1] = -30
    for number in present[1:] if len(present) == 2 else present:  # of two, one says it all
        own = labels == number
        inside, outside = (1 + np.asarray(occurs[rows].sum(axis=0), dtype=np.float64).ravel() for rows in (own, ~own))
        ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
        scaled = occurs.copy()
        scaled.data = ratio.astype(np.float32)[scaled.indices]
        found = _logistic(scaled, own.astype(np.int64), weights, 2, NB_C)
        found[:-1] *= ratio[:, None]
        columns[:, number] = found[:, 1] if len(present) == 2 else 2 * found[:, 1]
        if len(present) == 2:
            columns[:, present[0]] = found[:, 0]
    return columns
