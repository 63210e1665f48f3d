"""Baselines: learning, order of the classes, limits."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation.text import baselines


def table(*rows: tuple[str, str]) -> pd.DataFrame:
    texts = pd.DataFrame(rows, columns=["text", "label"], dtype="str")
    return texts.assign(id=[f"{number:016x}" for number in range(len(texts))])


def test_majority_returns_the_class_priors() -> None:
    priors = baselines.majority(np.array([0, 2, 2, 2]), 3, 2)
    np.testing.assert_array_equal(priors, [[0.25, 0, 0.75], [0.25, 0, 0.75]])


@pytest.mark.parametrize(
    ("unit", "texts"),
    [
        ("word", ("good film", "bad film", "long film", "a good one", "a bad one", "a long one")),
        ("character", ("这家酒店很好", "酒店太差了", "一般般吧", "房间很好", "服务太差", "也就一般")),
    ],
)
def test_baselines_keep_the_order_of_the_classes(unit: str, texts: tuple[str, ...]) -> None:
    labels = ("pos", "neg", "mid")
    train = table(*[(text, label) for text, label in zip(texts[:3], labels, strict=True)] * 10)
    test = table(*zip(texts[3:], labels, strict=True))
    for order in (["pos", "neg", "mid"], ["mid", "neg", "pos"]):
        predicted = baselines.probabilities(train, test, order, unit=unit, max_rows=1_000)
        assert list(predicted) == list(baselines.BASELINE_TITLES)
        for name in ("tfidf", "nb_ngrams"):
            assert [order[i] for i in predicted[name].argmax(axis=1)] == list(labels), name
        for probabilities in predicted.values():
            assert probabilities.shape == (3, 3)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_two_classes_and_max_rows() -> None:
    train = table(*[("good", "pos"), ("bad", "neg")] * 10, *[("good", "neg")] * 100)
    test = table(("good", "pos"), ("bad", "neg"))
    few = baselines.probabilities(train, test, ["neg", "pos"], max_rows=20)
    assert [list(few[name].argmax(axis=1)) for name in ("tfidf", "nb_ngrams")] == [[1, 0], [1, 0]]
    unlimited = baselines.probabilities(train, test, ["neg", "pos"], max_rows=1_000)
    assert list(unlimited["nb_ngrams"].argmax(axis=1)) == [0, 0]
    np.testing.assert_allclose(unlimited["majority"][0], [110 / 120, 10 / 120])


def test_naive_bayes_ratio_ignores_counts() -> None:
    """Column 0 is in three of four rows of class 1 and in one of class 0; its ratio is log(4/6) - log(2/6) > 0."""
    train = csr_matrix(np.array([[5, 0], [1, 0], [9, 0], [0, 1], [1, 0], [0, 3], [0, 1], [0, 1]], dtype=np.float32))
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    test = csr_matrix(np.array([[1, 0], [7, 0], [0, 1], [0, 0]], dtype=np.float32))
    predicted = baselines.nb_ngrams(train, labels, test, 2)
    assert predicted[0, 1] == predicted[1, 1] > 0.5 > predicted[2, 1]  # how often an n-gram occurs does not count
    assert predicted[3, 1] == pytest.approx(0.5, abs=1e-3)


def test_class_without_training_rows() -> None:
    train = table(*[("good", "pos"), ("bad", "neg")] * 5)
    predicted = baselines.probabilities(train, table(("good", "pos")), ["neg", "new", "pos"], max_rows=1_000)
    assert [predicted[name][0, 1] for name in baselines.BASELINE_TITLES] == [0, 0, 0]


def test_texts_without_common_words() -> None:
    train = table(*((f"word{i}", "ab"[i % 2]) for i in range(10)))
    predicted = baselines.probabilities(train, table(("word2", "a")), ["a", "b"], max_rows=1_000)
    assert predicted["tfidf"][0, 0] > 0.5


def test_tfidf_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    counts = csr_matrix(random.poisson(0.4, size=(80, 12)).astype(np.float64))
    labels = (random.random(80) < 0.2).astype(int)
    weighting = TfidfTransformer(sublinear_tf=True).fit(counts)
    linear = LogisticRegression(C=3, class_weight="balanced", tol=1e-8, max_iter=1_000)  # another solver
    expected = linear.fit(weighting.transform(counts), labels).predict_proba(weighting.transform(counts))
    np.testing.assert_allclose(baselines.tfidf(counts, labels, counts, 2), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("unit", "yes", "no"), [("word", "not good bad", "good not bad"), ("character", "不很好", "好不很")]
)
def test_order_of_units_is_learned(unit: str, yes: str, no: str) -> None:
    train, test = table(*[(yes, "pos"), (no, "neg")] * 20), table((yes, "pos"), (no, "neg"))
    predicted = baselines.probabilities(train, test, ["neg", "pos"], unit=unit, max_rows=1_000)
    for name in ("tfidf", "nb_ngrams"):
        assert predicted[name].argmax(axis=1).tolist() == [1, 0], name


def test_rows_of_lowest_id_are_used() -> None:
    train = table(*[("good", "pos"), ("bad", "neg")] * 10, *[("good", "neg")] * 100)
    predicted = baselines.probabilities(train[::-1], table(("good", "pos")), ["neg", "pos"], max_rows=20)
    assert predicted["majority"].tolist() == [[0.5, 0.5]]
