"""Values as the model card shows them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...base.markdown import escaped
from ...evaluation.rates import wilson_interval
from ..summary import format_metric


def format_share(share: float, rows: int) -> str:
    """Format a share of so many rows with its interval.

    >>> format_share(1.0, 10)
    '1.0000 [0.7225, 1.0000]'
    """
    return format_metric(share, wilson_interval(share, rows))


def format_metrics(
    metrics: Mapping[str, float], columns: Iterable[str], intervals: Mapping[str, Any] | None = None
) -> list[str]:
    """Format the metrics of a table row, with their intervals; "" for those that are undefined.

    >>> format_metrics({"f1": 0.5}, ["f1", "roc_auc"])
    ['0.5000', '']
    """
    return [format_metric(metrics.get(key), (intervals or {}).get(key)) for key in columns]


def format_value(value: Any) -> str:
    """Format what a check found, or its limit: a number, a text or None.

    >>> format_value(0.75662), format_value(12345678), format_value(None)
    ('0.7566', '12,345,678', '')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escaped(str(value))


def first_names(names: Sequence[str]) -> str:
    """List the first ten names, because the tables of the card have all of them.

    >>> first_names(["a", "b"])
    'a, b'
    """
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more, listed below" if len(names) > 10 else "")
