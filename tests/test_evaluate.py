"""Evaluate: the baseline learns, and slices hold the right rows."""

import numpy as np
import pandas as pd

from pipeline.evaluate import baseline_probabilities, rows_digest, slice_members


def test_the_baseline_learns_and_keeps_the_order_of_the_classes() -> None:
    train = pd.DataFrame({"text": ["good film", "bad film"] * 10, "label": ["pos", "neg"] * 10}, dtype="str")
    test = pd.DataFrame({"text": ["good", "bad"], "label": ["pos", "neg"]}, dtype="str")
    probabilities = baseline_probabilities(train, test, ["pos", "neg"])
    assert list(probabilities.argmax(axis=1)) == [0, 1]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_slices() -> None:
    ids = np.array([[2, 0, 0, 0], [2, 1, 0, 0], [2, 2, 2, 0], [5, 5, 5, 5]], dtype=np.int32)
    texts = pd.Series(["[url]", "a b", "[user] a [url]", "a b c d"], dtype="str")
    members = slice_members(ids, texts, [1, 3])
    assert {name: list(np.flatnonzero(rows)) for name, rows in members.items()} == {
        "1 to 1 tokens": [0],
        "2 to 3 tokens": [1, 2],
        "4 tokens or more": [3],
        "with address": [0, 2],
        "with user name": [2],
    }


def test_the_digest_of_the_rows_ignores_their_order_alone() -> None:
    rows, labels = np.array(["a", "b"]), np.array([0, 1])
    digest = rows_digest(rows, labels)
    assert rows_digest(rows[::-1], labels[::-1]) == digest
    assert rows_digest(rows, labels[::-1]) != digest
    assert rows_digest(rows[:1], labels[:1]) != digest
