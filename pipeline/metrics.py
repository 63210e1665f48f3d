"""Metrics: pure functions from labels and probabilities to figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def overall(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Figures over all rows.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Predicted probabilities; the predicted class is the most probable one.

    Returns
    -------
    dict of str to float
        `num_samples`; `accuracy`; `macro_f1`, the mean of all classes' F1 (0 for a class never predicted);
        `loss`, the mean cross-entropy in nats.
    """
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    return {
        "num_samples": len(labels),
        "accuracy": _round(accuracy_score(labels, predicted)),
        "macro_f1": _round(f1_score(labels, predicted, labels=classes, average="macro", zero_division=0)),
        "loss": _round(log_loss(labels, _normalized(probabilities), labels=classes)),
    }


def per_class(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """`precision`, `recall`, `f1` and `num_samples` (true rows) by class name; shapes as in `overall`."""
    from sklearn.metrics import precision_recall_fscore_support

    figures = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=np.arange(len(classes)), zero_division=0
    )
    return {
        name: {"num_samples": int(rows), "precision": _round(precision), "recall": _round(recall), "f1": _round(f1)}
        for name, precision, recall, f1, rows in zip(classes, *figures, strict=True)
    }


def slices(
    labels: np.ndarray, probabilities: np.ndarray, members: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """`num_samples` and `accuracy` of each named part of the rows.

    Macro-F1 is left out: in a small part a class may have no rows, and its F1 would be noise.

    Parameters
    ----------
    labels, probabilities
        As in `overall`.
    members : mapping of str to ndarray of shape (n_rows,), bool
        Which rows belong to each slice; a slice without rows is left out.
    """
    right = probabilities.argmax(axis=1) == labels
    return {
        name: {"num_samples": int(rows.sum()), "accuracy": _round(right[rows].mean())}
        for name, rows in members.items()
        if rows.any()
    }


def flatten(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested figures as one level of names: {"overall": {"loss": 1}} becomes {"overall/loss": 1}."""
    flat: dict[str, float] = {}
    for key, value in figures.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}/") if isinstance(value, Mapping) else {name: value}
    return flat


def _round(figure: float) -> float:
    """Six decimals: more than any test set resolves."""
    return round(float(figure), 6)


def _normalized(probabilities: np.ndarray) -> np.ndarray:
    """Rows that sum to 1 in double precision, as scikit-learn asks for (a float32 softmax is off by 1e-7)."""
    exact = probabilities.astype(np.float64)
    normalized: np.ndarray = exact / exact.sum(axis=1, keepdims=True)
    return normalized
