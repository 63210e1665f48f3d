"""Tokenize: every split as arrays of the documented shapes."""

import numpy as np
import pandas as pd

from pipeline.text import Tokenizer
from pipeline.tokenize import encode


def test_encode() -> None:
    rows = [("f" * 16, "good film", "pos"), ("0" * 16, "bad", "neg")]
    table = pd.DataFrame(rows, columns=["id", "text", "label"], dtype="str")
    arrays = encode(table, Tokenizer(("good", "bad"), 3), ["neg", "pos"])
    np.testing.assert_array_equal(arrays["ids"], [[2, 1, 0], [3, 0, 0]])
    np.testing.assert_array_equal(arrays["label"], [1, 0])
    assert list(arrays["row"]) == ["f" * 16, "0" * 16]
    assert (arrays["ids"].dtype, arrays["label"].dtype) == (np.int32, np.int32)
