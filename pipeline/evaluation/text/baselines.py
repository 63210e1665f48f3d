"""Baselines: what simpler models make of the same rows. A network that does not beat them is not worth its name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...text.languages import PLACEHOLDER
from ..kinds import majority

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

TITLES = {
    "majority": "most frequent class",
    "tfidf": "TF-IDF + logistic regression",
    "nb_ngrams": "NB-weighted n-grams + logistic regression",
}
WORDS = rf"{PLACEHOLDER}|\w+|[^\w\s]"  # placeholders, words and single symbols
COLUMNS = 2**22  # n-grams share this many columns by hash: no vocabulary to keep, which took twice the time


def probabilities(
    train: "pd.DataFrame", test: "pd.DataFrame", classes: Sequence[str], *, unit: str = "word", max_rows: int
) -> dict[str, np.ndarray]:
    """Class probabilities of the test rows by each baseline.

    Parameters
    ----------
    train, test : DataFrame
        Have the columns `id`, `text` (cleaned) and `label`.
    classes : sequence of str
        Class names, in the order of the columns of the results.
    unit : str
        "word" for n-grams of one and two words; anything else for those of one to three characters, which need no
        spaces between words.
    max_rows : int
        Most training rows used: those of lowest id, which is a hash.

    Returns
    -------
    dict of str to ndarray of shape (n_test_rows, n_classes), float64
        By the names in `TITLES`.
    """
    from threadpoolctl import threadpool_limits

    train = train.sort_values("id").head(max_rows) if len(train) > max_rows else train
    number = {name: number for number, name in enumerate(classes)}
    labels = train["label"].map(number).to_numpy(dtype=np.int64)
    seen, new = _ngrams(train["text"], test["text"], unit)
    with threadpool_limits(1):  # the vectors are short: more threads wait for one another, up to ten times as long
        return {
            "majority": majority(labels, len(classes), len(test)),
            "tfidf": tfidf(seen, labels, new, len(classes)),
            "nb_ngrams": nb_ngrams(seen, labels, new, len(classes)),
        }


def tfidf(train: "csr_matrix", labels: np.ndarray, test: "csr_matrix", num_classes: int) -> np.ndarray:
    """Balanced logistic regression on TF-IDF with logarithmic term frequencies.

    Parameters
    ----------
    train, test : sparse matrix of shape (n_rows, n_columns), float64
        Counts of n-grams.
    labels : ndarray of shape (n_train_rows,), int64
        Class numbers.
    num_classes : int
        Number of classes.

    Returns
    -------
    ndarray of shape (n_test_rows, num_classes), float64
        Class probabilities; 0 for a class that `labels` lacks.
    """
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    weighting = TfidfTransformer(sublinear_tf=True).fit(train)
    # C by the validation rows of four data sets. The tolerance is ten times stricter than by default: there, the
    # order of the rows moved the accuracy by 0.2 points.
    linear = LogisticRegression(C=3, class_weight="balanced", tol=1e-5, max_iter=1_000)
    linear.fit(weighting.transform(train), labels)
    columns = np.zeros((test.shape[0], num_classes))
    columns[:, linear.classes_] = linear.predict_proba(weighting.transform(test))
    return columns


def nb_ngrams(train: "csr_matrix", labels: np.ndarray, test: "csr_matrix", num_classes: int) -> np.ndarray:
    """Logistic regression on which n-grams occur, each scaled by its naive Bayes log-count ratio.

    The method is Wang and Manning 2012, "Baselines and Bigrams", with logistic regression in the place of the SVM, as
    in Mesnil et al. 2014; each class against the rest. Shapes as in `tfidf`.
    """
    from sklearn.linear_model import LogisticRegression

    train, test = train.sign(), test.sign()
    columns = np.zeros((test.shape[0], num_classes))
    present = np.unique(labels)
    for number in present[1:] if len(present) == 2 else present:  # of two, one says it all
        own = labels == number
        inside, outside = (1 + np.asarray(train[rows].sum(axis=0), dtype=np.float64).ravel() for rows in (own, ~own))
        ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
        linear = LogisticRegression(C=0.3, max_iter=1_000).fit(train.multiply(ratio).tocsr(), own)
        columns[:, number] = linear.predict_proba(test.multiply(ratio).tocsr())[:, 1]
    if len(present) == 2:
        columns[:, present[0]] = 1 - columns[:, present[1]]
    columns /= columns.sum(axis=1, keepdims=True)
    return columns


def _ngrams(train: "pd.Series[str]", test: "pd.Series[str]", unit: str) -> tuple["csr_matrix", "csr_matrix"]:
    """Counts of n-grams, without those of one training row alone: they teach little, and are most of the columns."""
    from sklearn.feature_extraction.text import HashingVectorizer

    cut = (
        {"ngram_range": (1, 2), "token_pattern": WORDS}
        if unit == "word"
        else {"ngram_range": (1, 3), "analyzer": "char"}
    )
    hashing = HashingVectorizer(n_features=COLUMNS, norm=None, alternate_sign=False, lowercase=False, **cut)
    seen, new = (hashing.transform(texts.to_numpy(dtype=object)) for texts in (train, test))
    rows = np.bincount(seen.indices, minlength=COLUMNS)
    kept = np.flatnonzero(rows >= min(2, rows.max()))
    return seen[:, kept], new[:, kept]
