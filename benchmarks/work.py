"""What all contestants train on: the same ids, labels and sizes."""

from dataclasses import dataclass

import numpy as np

from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_arrays, read_json
from pipeline.data.settings import Ingest
from pipeline.text.processor import UNKNOWN, Tokenizer

SYNTHETIC_ROWS, SYNTHETIC_LENGTH, SYNTHETIC_WORDS = 6_400, 100, 10_000

CLASSES = 3  # of synthetic texts

Rows = tuple[np.ndarray, np.ndarray]  # ids (n_rows, length), int32, right-padded with 0; class numbers (n_rows,), int32


@dataclass(frozen=True)
class Work:
    """Rows to train on, and the sizes of the network."""

    name: str
    train: Rows  # full batches only, so that no contestant has a smaller last one
    validation: Rows | None
    num_ids: int
    num_classes: int
    lengths: tuple[int, ...]  # padded lengths of the length classes, ascending
    batch_size: int
    units: int  # size of the LSTM's state, and of a token's embedding

    @property
    def length(self) -> int:
        """Padded length of a row without length classes."""
        return int(self.train[0].shape[1])

    @property
    def tokens(self) -> int:
        """Tokens of an epoch without padding."""
        return int((self.train[0] > 0).sum())

    @property
    def flops_per_token(self) -> int:
        """Operations of the matrix products for training on one token.

        A product of a row with a matrix of n x m numbers is 2 n m operations; the LSTM has one of (units + units) x
        (4 units). Its gradient is two products of the same size, by the inputs and by the matrix. Work per text (the
        classes) or per number (gates, Adam) is not counted.
        """
        return 3 * 2 * (2 * self.units) * (4 * self.units)


def tokenized(*, batch_size: int, units: int, length: int | None, rows: int | None) -> Work:
    """Load the output of the stage tokenize.

    Parameters
    ----------
    batch_size, units : int
        As in `Work`.
    length : int, optional
        Pads the rows further.
    rows : int, optional
        Number of training rows, drawn at random; all by default.

    Raises
    ------
    PipelineError
        A file is missing, or `length` is shorter than the rows.
    """
    tokenizer = Tokenizer.load(paths.TOKENIZE_TOKENIZER)
    length = length or tokenizer.length
    if length < tokenizer.length:
        raise PipelineError(f"--length must be at least {tokenizer.length}, the length of the rows, got {length}")
    splits = {}
    for split in ("train", "validation"):
        arrays = read_arrays(paths.TOKENIZE_ARRAYS[split])
        splits[split] = np.pad(arrays["ids"], ((0, 0), (0, length - tokenizer.length))), arrays["label"]
    return Work(
        name=params.load(Ingest).title,
        train=_full(splits["train"], batch_size, rows),
        validation=splits["validation"],
        num_ids=tokenizer.num_ids,
        num_classes=len(read_json(paths.CLEAN_CLASSES)),
        lengths=tokenizer.lengths,
        batch_size=batch_size,
        units=units,
    )


def synthetic(
    *, batch_size: int, units: int, length: int | None = None, rows: int | None = None, shortest: int | None = None
) -> Work:
    """Draw texts of random words and random classes, each of `shortest` (by default all) to `length` tokens.

    >>> synthetic(batch_size=4, units=8, length=12, rows=21).train[0].shape
    (20, 12)
    """
    rows, length = rows or SYNTHETIC_ROWS, length or SYNTHETIC_LENGTH
    if not 1 <= (shortest := shortest or length) <= length:
        raise PipelineError(f"--shortest must be from 1 to --length ({length}), got {shortest}")
    random = np.random.default_rng(0)
    num_ids = UNKNOWN + 1 + SYNTHETIC_WORDS
    tokens = random.integers(shortest, length + 1, rows)
    ids = random.integers(UNKNOWN + 1, num_ids, (rows, length), dtype=np.int32)
    ids[np.arange(length) >= tokens[:, None]] = 0
    quarters = np.percentile(tokens, (25, 50, 75, 100), method="higher")
    return Work(
        name=f"synthetic, {SYNTHETIC_WORDS:,} words",
        train=_full((ids, random.integers(0, CLASSES, rows, dtype=np.int32)), batch_size, None),
        validation=None,
        num_ids=num_ids,
        num_classes=CLASSES,
        lengths=tuple(sorted({min(int(4 * np.ceil(quarter / 4)), length) for quarter in quarters})),
        batch_size=batch_size,
        units=units,
    )


def _full(split: Rows, batch_size: int, rows: int | None) -> Rows:
    size = min(rows or len(split[0]), len(split[0])) // batch_size * batch_size
    if not size:
        raise PipelineError(f"{len(split[0])} rows do not fill a batch of {batch_size}")
    # At random, because the pipeline's rows are sorted by class.
    selected = np.random.default_rng(0).permutation(len(split[0]))[:size]
    return split[0][selected], split[1][selected]
