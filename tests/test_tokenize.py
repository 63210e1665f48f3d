"""Tokenize: every split as arrays of the documented shapes."""

import numpy as np
import pandas as pd
import pytest

from pipeline.text import Tokenizer
from pipeline.tokenize import detect_language, encode


def test_encode() -> None:
    rows = [("f" * 16, "good film", "pos"), ("0" * 16, "bad", "neg")]
    table = pd.DataFrame(rows, columns=["id", "text", "label"], dtype="str")
    arrays = encode(table, Tokenizer(("good", "bad"), 3), ["neg", "pos"])
    np.testing.assert_array_equal(arrays["ids"], [[2, 1, 0], [3, 0, 0]])
    np.testing.assert_array_equal(arrays["label"], [1, 0])
    assert list(arrays["row"]) == ["f" * 16, "0" * 16]
    assert (arrays["ids"].dtype, arrays["label"].dtype) == (np.int32, np.int32)


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["i love this film, [user] !", "what a waste of time", "not good at all"]),
        ("zh", ["很好 [url]", "太差了，再也不买", "没有说的那么好"]),
        ("de", ["das ist ein sehr schöner film", "leider gar nicht gut", "ich bin enttäuscht"]),
    ],
)
def test_the_language_is_detected(language: str, texts: list[str]) -> None:
    assert detect_language(pd.Series(texts * 900, dtype="str")) == language
