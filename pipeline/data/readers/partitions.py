"""Hive partitions: columns that stand in the names of folders, such as `label=joy/part-0.parquet`."""

import re
from collections.abc import Sequence
from urllib.parse import unquote

MISSING = "__HIVE_DEFAULT_PARTITION__"
_KEY = re.compile(r"(?P<key>[^=/]+)=(?P<value>.*)")


def partition_columns(folders: Sequence[str]) -> dict[str, str | None]:
    """Return the columns that the folders of a file name, and their value for all its rows, None where missing.

    >>> partition_columns(["data", "lang=en", "label=so%20so", "day=__HIVE_DEFAULT_PARTITION__"])
    {'lang': 'en', 'label': 'so so', 'day': None}
    """
    matches = (_KEY.fullmatch(name) for name in folders)
    pairs = ((match["key"], unquote(match["value"])) for match in matches if match)
    return {unquote(key): None if value == MISSING else value for key, value in pairs}
