"""Baselines: simpler models, which the network must beat to be worth its cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...text.languages import PLACEHOLDER
from ..kinds import majority

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

BASELINE_TITLES = {
    "majority": "most frequent class",
    "tfidf": "TF-IDF + logistic regression",
    "nb_ngrams": "NB-weighted n-grams + logistic regression",
}
WORDS = rf"{PLACEHOLDER}|\w+|[^\w\s]"  # placeholders, words and single symbols
COLUMNS = 2**22  # for the hashes of the n-grams: building a vocabulary instead took twice as long


def probabilities(
    train: "pd.DataFrame", test: "pd.DataFrame", classes: Sequence[str], *, unit: str = "word", max_rows: int
) -> dict[str, np.ndarray]:
    """Return the class probabilities of the test rows by each baseline.

    Parameters
    ----------
    train, test : DataFrame
        Have the columns `id`, `text` (clean) and `label`.
    classes : sequence of str
        Class names, in the order of the columns of the results.
    unit : str
        "word" for n-grams of one and two words; otherwise n-grams of one to three characters, for scripts without
        spaces.
    max_rows : int
        Maximum number of training rows, those of lowest id, which is a hash.

    Returns
    -------
    dict of str to ndarray of shape (n_test_rows, n_classes), float64
        By the names in `BASELINE_TITLES`.
    """
    from threadpoolctl import threadpool_limits

    train = train.sort_values("id").head(max_rows) if len(train) > max_rows else train
    number_of = {name: number for number, name in enumerate(classes)}
    labels = train["label"].map(number_of).to_numpy(dtype=np.int64)
    train_counts, test_counts = _ngrams(train["text"], test["text"], unit)
    with threadpool_limits(1):  # the vectors are short: more threads wait for one another, up to ten times as long
        return {
            "majority": majority(labels, len(classes), len(test)),
            "tfidf": tfidf(train_counts, labels, test_counts, len(classes)),
            "nb_ngrams": nb_ngrams(train_counts, labels, test_counts, len(classes)),
        }


def tfidf(train: "csr_matrix", labels: np.ndarray, test: "csr_matrix", num_classes: int) -> np.ndarray:
    """Predict by logistic regression with balanced class weights on TF-IDF with logarithmic term frequencies.

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
        Class probabilities; 0 for a class that is not in `labels`.
    """
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    weighting = TfidfTransformer(sublinear_tf=True).fit(train)
    # C was chosen on the validation rows of four data sets. With a tolerance ten times as large, the order of the rows
    # changes the accuracy by 0.2 points. The default solver takes six times as long and ends farther from the optimum.
    linear = LogisticRegression(C=3, class_weight="balanced", solver="newton-cg", tol=1e-5)
    linear.fit(weighting.transform(train), labels)
    columns = np.zeros((test.shape[0], num_classes))
    columns[:, linear.classes_] = linear.predict_proba(weighting.transform(test))
    return columns


def nb_ngrams(train: "csr_matrix", labels: np.ndarray, test: "csr_matrix", num_classes: int) -> np.ndarray:
    """Predict by logistic regression on binary n-gram features, each scaled by its naive Bayes log-count ratio.

    As in Wang and Manning 2012, "Baselines and Bigrams", with logistic regression instead of the SVM, as in Mesnil et
    al. 2014; each class against the rest. Parameters and result as in `tfidf`.
    """
    from sklearn.linear_model import LogisticRegression

    train, test = train.sign(), test.sign()
    columns = np.zeros((test.shape[0], num_classes))
    present = np.unique(labels)
    for number in present[1:] if len(present) == 2 else present:  # with two classes, one model suffices
        own = labels == number
        inside, outside = (1 + np.asarray(train[mask].sum(axis=0), dtype=np.float64).ravel() for mask in (own, ~own))
        ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
        linear = LogisticRegression(C=0.3, max_iter=1_000).fit(train.multiply(ratio).tocsr(), own)
        columns[:, number] = linear.predict_proba(test.multiply(ratio).tocsr())[:, 1]
    if len(present) == 2:
        columns[:, present[0]] = 1 - columns[:, present[1]]
    columns /= columns.sum(axis=1, keepdims=True)
    return columns


def _ngrams(train: "pd.Series[str]", test: "pd.Series[str]", unit: str) -> tuple["csr_matrix", "csr_matrix"]:
    """Count n-grams, except those of a single training row: they are most of the columns and contribute little."""
    from sklearn.feature_extraction.text import HashingVectorizer

    options = (
        {"ngram_range": (1, 2), "token_pattern": WORDS}
        if unit == "word"
        else {"ngram_range": (1, 3), "analyzer": "char"}
    )
    hashing = HashingVectorizer(n_features=COLUMNS, norm=None, alternate_sign=False, lowercase=False, **options)
    train_counts, test_counts = (hashing.transform(texts.to_numpy(dtype=object)) for texts in (train, test))
    rows = np.bincount(train_counts.indices, minlength=COLUMNS)
    columns = np.flatnonzero(rows >= min(2, rows.max()))
    return train_counts[:, columns], test_counts[:, columns]
