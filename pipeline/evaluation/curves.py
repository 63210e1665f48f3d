"""The data behind the ROC, precision-recall and reliability plots."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from .metrics import BINS, confidence_bins, normalized

POINTS = 200  # maximum of each curve: more than a picture resolves


def roc(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return the ROC curve of each class against the rest.

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
        from (0, 0) to (1, 1). A class with no rows or all of them has no points.

    Examples
    --------
    >>> roc(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), ["a", "b"])["true_positive_rate"].tolist()
    [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    """
    from sklearn.metrics import roc_curve

    tables = []
    for name, is_class, scores in _one_against_rest(labels, probabilities, classes):
        false_rate, true_rate, _ = roc_curve(is_class, scores, drop_intermediate=False)
        points = _spread(true_rate + false_rate)
        columns = {"false_positive_rate": false_rate[points], "true_positive_rate": true_rate[points]}
        tables.append(pd.DataFrame({"class": name, **columns}))
    return _concatenate(tables, ["class", "false_positive_rate", "true_positive_rate"])


def precision_recall(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return the precision-recall curve of each class against the rest: `class`, `recall`, `precision`.

    Parameters, number of points and order as in `roc`; the curve starts at the first threshold with recall above 0.
    """
    from sklearn.metrics import precision_recall_curve

    tables = []
    for name, is_class, scores in _one_against_rest(labels, probabilities, classes):
        # In descending order of the threshold, without scikit-learn's final point (0, 1), which has no threshold.
        precision, recall = (values[-2::-1] for values in precision_recall_curve(is_class, scores)[:2])
        precision, recall = precision[recall > 0], recall[recall > 0]
        points = _spread(recall)
        tables.append(pd.DataFrame({"class": name, "recall": recall[points], "precision": precision[points]}))
    return _concatenate(tables, ["class", "recall", "precision"])


def reliability(labels: np.ndarray, versions: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return the accuracy by confidence (Guo et al. 2017).

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    versions : mapping of str to ndarray of shape (n_rows, n_classes), float
        Probabilities by name, such as before and after calibration.

    Returns
    -------
    DataFrame of shape (n_bins_with_rows, 5)
        `probabilities` (the name), `bin` (1 to 15), and of the rows whose highest probability is in the bin the mean
        `confidence`, the `accuracy` and `num_samples`.

    Examples
    --------
    >>> reliability(np.array([0, 0]), {"raw": np.array([[0.6, 0.4], [0.4, 0.6]])}).to_numpy().tolist()
    [['raw', 9, 0.6, 0.5, 2]]
    """
    tables = []
    for name, probabilities in versions.items():
        confidence = normalized(probabilities).max(axis=1)
        bins = confidence_bins(confidence)
        counts, confidences, hits = (
            np.bincount(bins, weights, minlength=BINS)
            for weights in (np.ones(len(labels)), confidence, probabilities.argmax(axis=1) == labels)
        )
        filled = np.flatnonzero(counts)
        columns = {
            "bin": filled + 1,
            "confidence": confidences[filled] / counts[filled],
            "accuracy": hits[filled] / counts[filled],
        }
        tables.append(pd.DataFrame({"probabilities": name, **columns, "num_samples": counts[filled].astype(int)}))
    return _concatenate(tables, ["probabilities", "bin", "confidence", "accuracy", "num_samples"])


def _one_against_rest(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each class with its mask and its probabilities, without classes that have no rows or all of them."""
    for number, name in enumerate(classes):
        is_class = labels == number
        if is_class.any() and not is_class.all():
            yield name, is_class, probabilities[:, number]


def _spread(distance: np.ndarray) -> np.ndarray:
    """Return the positions of at most `POINTS` points, evenly spread by their ascending distance from the start."""
    if len(distance) <= POINTS:
        return np.arange(len(distance))
    return np.unique(np.searchsorted(distance, np.linspace(distance[0], distance[-1], POINTS)))


def _concatenate(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)).round(6)
