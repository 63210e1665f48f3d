"""Several seeds for each training: the option `--seeds`, and means with their spread."""

from argparse import ArgumentParser

import pandas as pd

SEEDS = (0, 1, 2)


def add_seeds_option(parser: ArgumentParser) -> None:
    """Add `--seeds` to a command."""
    default = " ".join(map(str, SEEDS))
    parser.add_argument("--seeds", type=seed, nargs="+", default=SEEDS, metavar="N", help=f"default: {default}")


def seed(text: str) -> int:
    """Return a seed given on the command line.

    >>> seed("7")
    7

    Raises
    ------
    ValueError
        It is not a whole number from 0 to 2**32 - 1.
    """
    value = int(text)
    if not 0 <= value < 2**32:
        raise ValueError(text)
    return value


def mean_and_sd(mean: float | None, sd: float | None, digits: int) -> str:
    """Return "mean ± standard deviation" for a table's cell; empty where the mean is unknown.

    >>> mean_and_sd(0.7867, 0.0016, 4), mean_and_sd(25, None, 1), mean_and_sd(float("nan"), None, 4)
    ('0.7867 ± 0.0016', '25.0', '')
    """
    if mean is None or pd.isna(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if sd is None or pd.isna(sd) else f" ± {sd:.{digits}f}")
