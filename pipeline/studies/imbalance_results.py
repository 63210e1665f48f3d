"""Results of a training against imbalance: predictions, metrics, and how they are cached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_arrays, read_json, write_arrays, write_json

NONE = "none"  # the strategy that all others are compared with
# Metrics of each training: over all classes, and of the smallest one.
STRATEGY_METRICS = (
    *("accuracy", "macro_f1", "balanced_accuracy", "minority_recall", "minority_precision", "pr_auc", "loss", "ece"),
    *("uncalibrated_accuracy", "uncalibrated_loss", "uncalibrated_ece", "seconds"),
)
ARRAYS = ("labels", "probabilities", "clusters")  # fields that are cached as arrays
COMPARED = ("accuracy", "macro_f1", "minority_recall", "loss")  # with "none", on the same resamples of the test rows


@dataclass(frozen=True)
class StrategyResult:
    """Predictions of one training for the test rows, and its metrics.

    Parameters
    ----------
    classes : tuple of str
        Class names.
    rows : tuple of int
        Training rows of each class.
    labels : ndarray of shape (n_rows,), int
        True class numbers of the test rows.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Calibrated.
    clusters : ndarray of shape (n_rows,), int
        The cluster of each test row, see `intervals.clusters`.
    metrics : dict
        `metrics.json` of the stage evaluate.
    history : list of dict
        As `fit.train_network` returns it.
    seconds : float, or None
        Duration of the stage train; None where DVC took its outputs from the cache.
    """

    classes: tuple[str, ...]
    rows: tuple[int, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    clusters: np.ndarray
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float | None

    @property
    def minority(self) -> int:
        """Number of the class with fewest training rows."""
        return int(np.argmin(self.rows))

    @property
    def summary(self) -> dict[str, float]:
        """Those of `STRATEGY_METRICS` that are known."""
        smallest = self.metrics["per_class"][self.classes[self.minority]]
        values = self.metrics["overall"] | {
            "minority_recall": smallest["recall"],
            "minority_precision": smallest["precision"],
            **{f"uncalibrated_{key}": value for key, value in self.metrics["uncalibrated"].items()},
            **({} if self.seconds is None else {"seconds": self.seconds}),
        }
        return {key: values[key] for key in STRATEGY_METRICS if key in values}

    def save(self, folder: Path) -> None:
        """Cache the result: the JSON file last, so that its presence proves that the arrays are complete."""
        write_arrays(folder / "rows.npz", {name: getattr(self, name) for name in ARRAYS})
        fields = {key: getattr(self, key) for key in ("classes", "rows", "metrics", "history", "seconds")}
        write_json(folder / "result.json", fields)

    @classmethod
    def load(cls, folder: Path) -> "StrategyResult | None":
        """Return the result cached in `folder`; None where there is none."""
        if not (folder / "result.json").is_file():
            return None
        fields, arrays = read_json(folder / "result.json"), read_arrays(folder / "rows.npz")
        fields |= {key: tuple(fields[key]) for key in ("classes", "rows")}
        return cls(**(fields | arrays))


# By skew of the training rows (None: unchanged) and strategy: one result for each seed.
StrategyResults = Mapping[tuple[float | None, str], Sequence[StrategyResult]]
