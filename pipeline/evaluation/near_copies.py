"""Near copies: test rows that a training row repeats almost word for word, which flatter the metrics.

The similarity of two texts is that of their sets of character 5-grams (Jaccard 1901). Candidates are found by MinHash
and bands (Broder 1997; Leskovec et al. 2020, "Mining of Massive Datasets", chapter 3), then compared exactly.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SIMILARITY = 0.8
LENGTHS = {"word": 5}  # characters of a shingle; of scripts without spaces:
SHORT = 2
COLUMN_BITS = 20
COLUMNS = 2**COLUMN_BITS  # for the hashes of the shingles
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits mixed: of Fibonacci hashing (Knuth 1998)
BANDS, HASHES = 20, 3  # a pair of similarity 0.8 shares one of the bands with probability 0.9999
MOST_OF_BAND = 50  # training rows that are compared with a test row, of each band
PAIRS_AT_ONCE = 200_000


def near_copies(train: Sequence[str], test: Sequence[str], *, unit: str = "word", seed: int = 0) -> np.ndarray:
    """Return which test texts are near copies of a training text.

    Parameters
    ----------
    train, test : sequence of str
        Clean texts.
    unit : str
        As in the tokenizer: "word" for shingles of five characters, otherwise of two, for scripts without spaces.
    seed : int
        Seed of the hashes.

    Returns
    -------
    ndarray of shape (n_test_rows,), bool
        Whether the similarity to a training text is 0.8 or more.

    Examples
    --------
    >>> near_copies(["what a wonderful morning it is today"], ["what a wonderful morning it is today!", "so sad"])
    array([ True, False])
    """
    length = LENGTHS.get(unit, SHORT)
    of_train, of_test = (_shingles(texts, length) for texts in (train, test))
    copies = np.zeros(of_test.shape[0], dtype=bool)
    for train_keys, test_keys in zip(*(_band_keys(rows, seed) for rows in (of_train, of_test)), strict=True):
        own = np.flatnonzero(~copies)  # the others are known
        for test_rows, train_rows in _pairs(train_keys, test_keys[own]):
            similar = _similarity(of_test[own[test_rows]], of_train[train_rows]) >= SIMILARITY
            copies[own[test_rows[similar]]] = True
    return copies


def _shingles(texts: Sequence[str], length: int) -> "csr_matrix":
    """Return the set of hashed shingles of each text, shape (n_rows, COLUMNS); a short text is filled with spaces."""
    from scipy.sparse import csr_matrix

    padded = [text.ljust(length) for text in texts]
    sizes = np.array([len(text) for text in padded], dtype=np.int64)
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    rows = np.repeat(np.arange(len(texts)), sizes)
    whole = np.arange(len(codes)) + length <= np.cumsum(sizes)[rows]  # shingles that end within their text
    starts, hashes = np.flatnonzero(whole), np.zeros(int(whole.sum()), dtype=np.uint64)
    for offset in range(length):
        hashes = (hashes + codes[starts + offset]) * MULTIPLIER
    columns = (hashes >> np.uint64(64 - COLUMN_BITS)).astype(np.int64)
    shingles = csr_matrix((np.ones(len(columns), dtype=np.float32), (rows[starts], columns)), (len(texts), COLUMNS))
    shingles.data[:] = 1  # duplicates were summed
    return shingles


def _band_keys(rows: "csr_matrix", seed: int) -> list[np.ndarray]:
    """Return a key of each row, (n_rows,) uint64, for each band: rows with equal keys agree in all of its hashes."""
    random = np.random.default_rng(seed)
    indices, keys = rows.indices.astype(np.uint32), []
    for _ in range(BANDS):
        key = np.zeros(rows.shape[0], dtype=np.uint64)
        for _ in range(HASHES):
            factor, offset = random.integers(2**32, size=2, dtype=np.uint32)
            hashes = indices * (factor | np.uint32(1)) + offset  # modulo 2**32
            lowest = np.minimum.reduceat(hashes, rows.indptr[:-1]) if len(indices) else hashes  # each row has a shingle
            key = (key + lowest) * MULTIPLIER
        keys.append(key)
    return keys


def _pairs(train_keys: np.ndarray, test_keys: np.ndarray) -> "list[tuple[np.ndarray, np.ndarray]]":
    """Return pairs of test and training rows with equal keys, at most 50 for each test row, in chunks."""
    order = np.argsort(train_keys, kind="stable")
    low, high = (np.searchsorted(train_keys[order], test_keys, side) for side in ("left", "right"))
    counts = np.minimum(high - low, MOST_OF_BAND)
    test_rows = np.repeat(np.arange(len(test_keys)), counts)
    within = np.arange(len(test_rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    train_rows = order[low[test_rows] + within]
    cuts = range(PAIRS_AT_ONCE, len(test_rows), PAIRS_AT_ONCE)
    return list(zip(np.split(test_rows, cuts), np.split(train_rows, cuts), strict=True))


def _similarity(first: "csr_matrix", second: "csr_matrix") -> np.ndarray:
    """Return the Jaccard similarity of each pair of rows, shape (n_rows,)."""
    shared, sizes = (np.asarray(rows.sum(axis=1)).ravel() for rows in (first.multiply(second), first + second))
    similarity: np.ndarray = shared / np.maximum(sizes - shared, 1)
    return similarity
