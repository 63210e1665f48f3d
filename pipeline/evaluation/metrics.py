"""Metrics: pure functions from labels and probabilities to figures, with their bootstrap intervals.

Everything is measured over row weights: all ones give the plain figures, and the number of times that each row was
drawn gives those of a bootstrap resample, without copying or sorting a row again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BINS = 15  # of the calibration error, as in Guo et al. 2017
RANKINGS = ("roc_auc", "pr_auc")  # dear: they pass over all rows once a class

Figures = dict[str, float]


class Measured:
    """The predictions of one model, sorted once, measured under any row weights.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Predicted probabilities; the predicted class is the most probable one.
    """

    def __init__(self, labels: np.ndarray, probabilities: np.ndarray) -> None:
        exact = normalized(probabilities)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.num_classes = exact.shape[1]
        self.predicted = probabilities.argmax(axis=1)
        self._cells = self.labels * self.num_classes + self.predicted
        # scikit-learn clips at the same number, so that one impossible row does not make the mean infinite.
        epsilon = np.finfo(np.float64).eps
        self._losses = -np.log(np.clip(exact[np.arange(len(exact)), self.labels], epsilon, 1 - epsilon))
        confidence = exact.max(axis=1, initial=0)
        self._excess = (self.predicted == self.labels) - confidence
        self._bins = confidence_bins(confidence)
        # By the figures as given: a division would tell equal ones apart.
        self._rankings = [_ranked(probabilities[:, i], self.labels == i) for i in range(self.num_classes)]

    def __call__(self, weights: np.ndarray | None = None, *, rankings: bool = True) -> Figures:
        """All overall figures but `num_samples`, see `overall`; NaN where one is undefined.

        Parameters
        ----------
        weights : ndarray of shape (n_rows,), optional
            How often each row counts; once by default.
        rankings : bool
            Whether to measure `roc_auc` and `pr_auc` as well.
        """
        weights = np.ones(len(self.labels)) if weights is None else weights
        confusion = self.confusion(weights)
        total, true, called = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
        if not total:
            return {}
        hits = np.diag(confusion)
        recalls, f1 = _ratio(hits, true), _ratio(2 * hits, true + called)
        gaps = np.bincount(self._bins, weights * self._excess, minlength=BINS)
        figures = {
            "accuracy": hits.sum() / total,
            "balanced_accuracy": np.nanmean(recalls),
            "macro_f1": np.nanmean(f1),
            "weighted_f1": np.nansum(true * f1) / total,
            "mcc": _mcc(total, hits.sum(), true, called),
        }
        if rankings:
            figures |= dict(zip(RANKINGS, (_mean(areas) for areas in self.areas(weights, true)), strict=True))
        return figures | {"loss": weights @ self._losses / total, "ece": np.abs(gaps).sum() / total}

    def overall(self) -> Figures:
        """See the function of this name."""
        return {"num_samples": len(self.labels)} | _rounded(self())

    def confusion(self, weights: np.ndarray) -> np.ndarray:
        """Weight by true and predicted class, shape (n_classes, n_classes)."""
        flat = np.bincount(self._cells, weights, minlength=self.num_classes**2)
        return flat.reshape(self.num_classes, self.num_classes)

    def areas(self, weights: np.ndarray, true: np.ndarray) -> np.ndarray:
        """ROC-AUC and average precision of each class against the rest, shape (2, n_classes); NaN where undefined."""
        total, areas = true.sum(), np.full((2, self.num_classes), np.nan)
        for number, (order, rows, before, upto) in enumerate(self._rankings):
            if 0 < true[number] < total:
                called, found = _running(weights[order]), _running(weights[rows])
                misses = called[upto[0]] - found[upto[1]] + called[before[0]] - found[before[1]]  # a tie counts half
                areas[0, number] = 1 - weights[rows] @ misses / (2 * true[number] * (total - true[number]))
                precision = found[upto[1]] / np.maximum(called[upto[0]], 1e-300)
                areas[1, number] = weights[rows] @ precision / true[number]
        return areas


def overall(labels: np.ndarray, probabilities: np.ndarray) -> Figures:
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
        `num_samples`; `accuracy`; `balanced_accuracy`, the mean recall; `macro_f1` and `weighted_f1`, the means of the
        classes' F1, each class counting the same or by its rows (0 for a class never predicted); `mcc`, Matthews'
        correlation (Gorodkin 2004 for several classes); `roc_auc` and `pr_auc`, the area under the ROC curve and the
        average precision, each the mean over the classes against the rest; `loss`, the mean cross-entropy in nats;
        `ece`, the expected calibration error over 15 bins of confidence (Guo et al. 2017). A mean is over the classes
        for which it is defined; a figure defined for none is left out.
    """
    return Measured(labels, probabilities).overall()


def per_class(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, Figures]:
    """By class name: `num_samples` (true rows), `precision`, `recall`, `f1`, `roc_auc`, `pr_auc`; as in `overall`."""
    measured = Measured(labels, probabilities)
    weights = np.ones(len(labels))
    confusion = measured.confusion(weights)
    true = confusion.sum(axis=1)
    columns = {key: np.nan_to_num(values) for key, values in _by_class(confusion).items()}
    columns |= dict(zip(RANKINGS, measured.areas(weights, true), strict=True))
    return {
        name: {"num_samples": int(true[i])} | _rounded({key: values[i] for key, values in columns.items()})
        for i, name in enumerate(classes)
    }


def _by_class(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, shape (n_classes,); NaN where a class is never called, or has no rows."""
    true, called, hits = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    return {"precision": _ratio(hits, called), "recall": _ratio(hits, true), "f1": _ratio(2 * hits, true + called)}


def slices(labels: np.ndarray, probabilities: np.ndarray, members: Mapping[str, np.ndarray]) -> dict[str, Figures]:
    """`num_samples`, `accuracy`, `balanced_accuracy` and `macro_f1` of each named part of the rows.

    The two means are over the classes that occur in the part: read them beside its number of rows.

    Parameters
    ----------
    labels, probabilities
        As in `overall`.
    members : mapping of str to ndarray of shape (n_rows,), bool
        Which rows belong to each slice. A slice with no rows is left out, and one with all rows: it says nothing new.
    """
    measured = Measured(labels, probabilities)
    figures = {}
    for name, rows in members.items():
        if rows.any() and not rows.all():
            of = measured(rows.astype(float), rankings=False)
            kept = {key: of[key] for key in ("accuracy", "balanced_accuracy", "macro_f1")}
            figures[name] = {"num_samples": int(rows.sum())} | _rounded(kept)
    return figures


def confidence_bins(confidence: np.ndarray) -> np.ndarray:
    """The bin of each confidence, shape (n_rows,): 0 to 14, bin b holding those above b/15 up to (b + 1)/15."""
    bins: np.ndarray = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return bins


def normalized(probabilities: np.ndarray) -> np.ndarray:
    """Rows that sum to 1 in double precision (those of a float32 softmax are off by 1e-7)."""
    exact = probabilities.astype(np.float64)
    rows: np.ndarray = exact / exact.sum(axis=1, keepdims=True)
    return rows


def flatten(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested figures as one level of names: {"overall": {"loss": 1}} becomes {"overall/loss": 1}."""
    flat: dict[str, float] = {}
    for key, value in figures.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}/") if isinstance(value, Mapping) else {name: value}
    return flat


def _ranked(scores: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, ...]:
    """What ranking by `scores` needs of one class; `right` says which rows are of it.

    Returns
    -------
    tuple of ndarray
        The rows by falling score, shape (n_rows,). Those of the class in the same order, shape (n_right,). For each of
        these, shape (2, n_right): how many rows, and how many of the class, have a higher score; then the same for
        higher or equal ones.
    """
    order = np.argsort(-scores, kind="stable")
    falling, hits = -scores[order], right[order]
    found = _running(hits)
    before, upto = (np.searchsorted(falling, falling[hits], side) for side in ("left", "right"))
    return order, order[hits], np.stack([before, found[before]]), np.stack([upto, found[upto]])


def _running(weights: np.ndarray) -> np.ndarray:
    """The sum of the first i weights, for i from 0."""
    sums = np.zeros(len(weights) + 1, dtype=np.int64 if weights.dtype == bool else np.float64)
    np.cumsum(weights, out=sums[1:])
    return sums


def _mcc(total: float, hits: float, true: np.ndarray, called: np.ndarray) -> float:
    spread = (total**2 - true @ true) * (total**2 - called @ called)
    return float((hits * total - true @ called) / np.sqrt(spread)) if spread > 0 else 0.0


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Share by class; NaN where there is nothing to take a share of."""
    shares: np.ndarray = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


def _rounded(figures: Mapping[str, float]) -> Figures:
    """Six decimals, more than any test set resolves; without the figures that are undefined."""
    return {key: round(float(value), 6) for key, value in figures.items() if not np.isnan(value)}
