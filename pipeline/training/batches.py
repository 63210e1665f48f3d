"""Which rows make the steps of an epoch: batches of similar length, in random order."""

from collections.abc import Sequence

import numpy as np

from ..inference.network import steps


def by_length(array: np.ndarray, lengths: Sequence[int]) -> list[tuple[int, np.ndarray]]:
    """Return the rows by the shortest of the padded `lengths` that fits them: (length, row numbers), ascending.

    >>> by_length(np.array([[1, 2, 0], [1, 0, 0]]), (1, 3))
    [(1, array([1])), (3, array([0]))]
    """
    classes = np.searchsorted(lengths, steps(array))
    return [(length, np.flatnonzero(classes == number)) for number, length in enumerate(lengths)]


def batches(
    array: np.ndarray,
    lengths: Sequence[int],
    batch_size: int,
    random: np.random.Generator,
    *,
    classes: np.ndarray | None = None,
) -> list[tuple[int, np.ndarray]]:
    """Cut the rows of an epoch into batches of similar length, in random order.

    Parameters
    ----------
    array : ndarray of shape (n_rows, lengths[-1]) or (n_rows, lengths[-1], width)
        Token ids or frames, right-padded with 0.
    lengths : sequence of int
        The padded lengths there are, ascending.
    batch_size : int
        Rows a batch, all of the same size: rows that do not fill one join the next longer ones, and at the end are
        left out of the epoch.
    random : Generator
        Draws which rows go together.
    classes : ndarray of shape (n_rows,), int, optional
        Class numbers: then every batch has its part of each class, as far as their lengths allow.

    Returns
    -------
    list of (int, ndarray)
        Padded length and row numbers of each batch.
    """
    batch_size = min(batch_size, len(array))
    taken, rest = [], np.empty(0, dtype=np.int64)
    for length, rows in by_length(array, lengths):
        rows = random.permutation(rows)
        if classes is not None:
            rows = rows[np.argsort(_places(classes[rows]), kind="stable")]
        rows = np.concatenate([rest, rows])
        full = len(rows) // batch_size * batch_size
        taken += [(length, each) for each in rows[:full].reshape(-1, batch_size)]
        rest = rows[full:]
    return [taken[i] for i in random.permutation(len(taken))]


def _places(classes: np.ndarray) -> np.ndarray:
    """Of each row among those of its class, from 0 to 1: in their order, every stretch has its part of each class."""
    places = np.empty(len(classes))
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return places
