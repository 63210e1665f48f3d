"""The batches of an epoch: rows of similar length, in random order."""

from collections.abc import Sequence

import numpy as np

from ..inference.network import steps

Batch = tuple[int, np.ndarray]  # padded length, row numbers


def by_length(array: np.ndarray, lengths: Sequence[int]) -> list[Batch]:
    """Group the rows by the shortest of the padded `lengths` that fits them.

    Parameters
    ----------
    array : ndarray of shape (n_rows, length) or (n_rows, length, width)
        Token ids or frames, right-padded with 0.
    lengths : sequence of int
        Padded lengths, ascending.

    Returns
    -------
    list of (int, ndarray of int64)
        For each padded length, in this order, the numbers of its rows, ascending.

    Examples
    --------
    >>> by_length(np.array([[1, 2, 0], [1, 0, 0]]), (1, 3))
    [(1, array([1])), (3, array([0]))]
    """
    length_classes = np.searchsorted(lengths, steps(array))
    return [(length, np.flatnonzero(length_classes == number)) for number, length in enumerate(lengths)]


def batches(
    array: np.ndarray,
    lengths: Sequence[int],
    batch_size: int,
    random: np.random.Generator,
    *,
    classes: np.ndarray | None = None,
) -> list[Batch]:
    """Divide the rows of an epoch into batches of similar length, in random order.

    Parameters
    ----------
    array : ndarray of shape (n_rows, lengths[-1]) or (n_rows, lengths[-1], width)
        Token ids or frames, right-padded with 0.
    lengths : sequence of int
        Padded lengths, ascending.
    batch_size : int
        Rows of every batch. Rows that do not fill a batch join the next longer ones; at the end, they are left out of
        the epoch.
    random : Generator
        Decides which rows go together.
    classes : ndarray of shape (n_rows,), int, optional
        Class numbers; if given, every batch has the same mix of classes, as far as the lengths allow.

    Returns
    -------
    list of (int, ndarray of int64)
        Padded length and row numbers of each batch.

    Examples
    --------
    >>> batches(np.array([[1, 2, 0], [1, 0, 0], [3, 0, 0]]), (1, 3), 3, np.random.default_rng(0))
    [(3, array([1, 2, 0]))]
    """
    batch_size = min(batch_size, len(array))
    selected: list[Batch] = []
    rest = np.empty(0, dtype=np.int64)
    for length, rows in by_length(array, lengths):
        rows = random.permutation(rows)
        if classes is not None:
            rows = rows[np.argsort(_positions(classes[rows]), kind="stable")]
        rows = np.concatenate([rest, rows])
        full = len(rows) // batch_size * batch_size
        selected += [(length, batch) for batch in rows[:full].reshape(-1, batch_size)]
        rest = rows[full:]
    return [selected[i] for i in random.permutation(len(selected))]


def _positions(classes: np.ndarray) -> np.ndarray:
    """Return the position of each row among those of its class, from 0 to 1.

    Rows in the order of their positions have the same mix of classes in every stretch.
    """
    positions = np.empty(len(classes))
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        positions[members] = (np.arange(len(members)) + 0.5) / len(members)
    return positions
