"""Rows of tokens that a tiny network can learn."""

import numpy as np

SIZES = {"num_ids": 5, "num_classes": 2, "embedding_dim": 4, "units": 4}
LENGTHS = (2, 4, 6)


def token_rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Texts of one to six tokens, the first of which decides the label: ids (count, 6) and labels (count,)."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count).astype(np.int32)
    ids = random.choice([1, 4], (count, 6)).astype(np.int32)
    ids[:, 0] = 2 + labels
    ids[np.arange(6) >= random.integers(1, 7, (count, 1))] = 0
    return ids, labels
