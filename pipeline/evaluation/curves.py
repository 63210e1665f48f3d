"""Curves: the data behind the ROC, precision-recall and reliability plots."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .metrics import BINS, confidence_bins, normalized

POINTS = 200  # of each curve at most: more than a picture resolves


def roc(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """The ROC curve of each class against the rest.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Predicted probabilities.
    classes : sequence of str
        Class names.

    Returns
    -------
    DataFrame of shape (n_points, 3)
        `class`, `false_positive_rate`, `true_positive_rate`: at most 200 points of each curve, evenly spread along it,
        from (0, 0) to (1, 1). A class with no rows or all of them has none.
    """
    tables = []
    for name, hits, misses in _by_class(labels, probabilities, classes):
        right, wrong = (np.concatenate([[0], counts / counts[-1]]) for counts in (hits, misses))
        kept = _spread(right + wrong)
        tables.append(
            pd.DataFrame({"class": name, "false_positive_rate": wrong[kept], "true_positive_rate": right[kept]})
        )
    return _joined(tables, ["class", "false_positive_rate", "true_positive_rate"])


def precision_recall(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """The precision-recall curve of each class against the rest: `class`, `recall`, `precision`; as in `roc`."""
    tables = []
    for name, hits, misses in _by_class(labels, probabilities, classes):
        found = hits > 0  # before that, neither figure says anything
        recall, precision = (hits / hits[-1])[found], (hits / (hits + misses))[found]
        kept = _spread(recall)
        tables.append(pd.DataFrame({"class": name, "recall": recall[kept], "precision": precision[kept]}))
    return _joined(tables, ["class", "recall", "precision"])


def reliability(labels: np.ndarray, versions: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """How often the model is right, by how sure it is (Guo et al. 2017).

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    versions : mapping of str to ndarray of shape (n_rows, n_classes), float
        Probabilities by name, such as before and after calibration.

    Returns
    -------
    DataFrame of shape (n_bins_with_rows, 5)
        `probabilities` (the name), `bin` (1 to 15), and of the rows whose highest probability lies in it the mean
        `confidence`, the `accuracy` and `num_samples`.
    """
    tables = []
    for name, probabilities in versions.items():
        confidence = normalized(probabilities).max(axis=1)
        bins = confidence_bins(confidence)
        rows, sure, right = (
            np.bincount(bins, weights, minlength=BINS)
            for weights in (np.ones(len(labels)), confidence, probabilities.argmax(axis=1) == labels)
        )
        filled = np.flatnonzero(rows)
        columns = {
            "bin": filled + 1,
            "confidence": sure[filled] / rows[filled],
            "accuracy": right[filled] / rows[filled],
        }
        tables.append(pd.DataFrame({"probabilities": name, **columns, "num_samples": rows[filled].astype(int)}))
    return _joined(tables, ["probabilities", "bin", "confidence", "accuracy", "num_samples"])


def _by_class(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """By class: its name, and its rows and those of others that score no lower than each score, falling."""
    found = []
    for number, name in enumerate(classes):
        order = np.argsort(-probabilities[:, number], kind="stable")
        right = (labels == number)[order]
        ends = np.flatnonzero(np.diff(probabilities[order, number], append=-np.inf))
        if right.any() and not right.all():
            found.append((name, np.cumsum(right)[ends], np.cumsum(~right)[ends]))
    return found


def _spread(distance: np.ndarray) -> np.ndarray:
    """The positions of at most `POINTS` points, evenly spread by their rising distance from the start."""
    if len(distance) <= POINTS:
        return np.arange(len(distance))
    return np.unique(np.searchsorted(distance, np.linspace(distance[0], distance[-1], POINTS)))


def _joined(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)).round(6)
