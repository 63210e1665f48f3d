"""Batches: similar lengths, random order, every row at most once."""

import numpy as np
import pytest
from helpers.token_rows import LENGTHS, token_rows

from pipeline.training import batches


def test_by_length_gives_each_row_the_shortest_length_that_fits() -> None:
    ids = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    groups = [(length, rows.tolist()) for length, rows in batches.by_length(ids, (2, 3, 5))]
    assert groups == [(2, [0, 2]), (3, [3]), (5, [1, 4])]
    assert [rows.tolist() for _, rows in batches.by_length(ids[:1], (2, 3, 5))] == [[0], [], []]


@pytest.mark.parametrize("batch_size", [7, 32, 1_000])
def test_batches_use_each_row_once_and_fit_its_length(batch_size: int) -> None:
    ids, _ = token_rows(301)
    num_tokens = (ids > 0).sum(axis=1)
    selected = batches.batches(ids, LENGTHS, batch_size, np.random.default_rng(0))
    expected = min(batch_size, 301)
    assert {len(rows) for _, rows in selected} == {expected}
    together = np.concatenate([rows for _, rows in selected])
    assert len(np.unique(together)) == len(together) > 301 - expected
    for length, rows in selected:
        assert length in LENGTHS
        assert num_tokens[rows].max() <= length
    if batch_size == 7:  # all rows have the length of their batch, except for the few that join the next one
        longest = [num_tokens[rows] for length, rows in selected if length == 6]
        assert sum((tokens <= 4).sum() for tokens in longest) < 7
        lengths = [length for length, _ in selected]
        assert lengths != sorted(lengths)


def draw(ids: np.ndarray, batch_size: int, seed: int) -> list[tuple[int, list[int]]]:
    selected = batches.batches(ids, LENGTHS, batch_size, np.random.default_rng(seed))
    return [(length, rows.tolist()) for length, rows in selected]


def test_rows_that_fill_no_batch_join_longer_ones() -> None:
    ids = np.tril(np.ones((6, 6), dtype=np.int32))  # texts of one to six tokens
    by_size = {size: sorted((length, sorted(rows)) for length, rows in draw(ids, size, 0)) for size in (2, 4, 6)}
    assert by_size[2] == [(2, [0, 1]), (4, [2, 3]), (6, [4, 5])]
    assert by_size[4] == [(4, [0, 1, 2, 3])]
    assert by_size[6] == [(6, [0, 1, 2, 3, 4, 5])]


def test_seed_decides_batches_and_left_out_rows() -> None:
    ids, _ = token_rows(300)

    def left_out(seed: int) -> set[int]:
        return set(range(300)) - {row for _, rows in draw(ids, 32, seed) for row in rows}

    assert draw(ids, 32, 1) == draw(ids, 32, 1) != draw(ids, 32, 2)
    assert len(left_out(1)) == len(left_out(2)) == 300 % 32
    assert left_out(1) != left_out(2)


def test_only_the_longest_rows_are_left_out() -> None:
    """Rows that fill no batch come first among the longer ones: short rows are not left out in every epoch."""
    ids, _ = token_rows(300)
    num_tokens = (ids > 0).sum(axis=1)
    for seed in range(5):
        used = {row for _, rows in draw(ids, 32, seed) for row in rows}
        assert num_tokens[list(set(range(300)) - used)].min() > LENGTHS[-2]


def test_every_batch_has_the_same_mix_of_classes() -> None:
    ids, labels = np.ones((120, 6), dtype=np.int32), np.repeat([0, 1, 2], [60, 40, 20])
    selected = batches.batches(ids, (6,), 12, np.random.default_rng(0), classes=labels)
    for _, rows in selected:
        counts = np.bincount(labels[rows], minlength=3)
        assert np.abs(counts - [6, 4, 2]).max() <= 1
    assert len({int(row) for _, rows in selected for row in rows}) == 120
