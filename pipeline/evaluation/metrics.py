"""Metrics of predicted probabilities: pure functions of labels and probabilities.

All metrics are computed for weighted rows. Weights of 1 give the plain metrics; the number of times that each row was
drawn gives the metrics of a bootstrap resample, without copying or sorting the rows again. scikit-learn's metrics,
which the tests compare with these, sort them on every call.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

BINS = 15  # of the calibration error, as in Guo et al. 2017
HEADLINES = ("accuracy", "macro_f1", "loss")  # of every table and summary
RANKINGS = ("roc_auc", "pr_auc")  # expensive: a pass over all rows for each class

Metrics = dict[str, float]  # value by name of the metric; undefined metrics are left out


class Measured:
    """Predictions of one model, sorted once and measured under any row weights.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Predicted probabilities; the predicted class is the most probable one.

    Examples
    --------
    >>> measured = Measured(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]))
    >>> float(measured()["accuracy"]), float(measured(np.array([2, 0]))["accuracy"])
    (0.5, 1.0)
    """

    def __init__(self, labels: np.ndarray, probabilities: np.ndarray) -> None:
        exact = normalized(probabilities)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.num_classes = exact.shape[1]
        self.predicted = probabilities.argmax(axis=1)
        self._cells = self.labels * self.num_classes + self.predicted
        # Clipped like scikit-learn's log loss, so that a single row of probability 0 does not make the mean infinite.
        epsilon = np.finfo(np.float64).eps
        self.losses = -np.log(np.clip(exact[np.arange(len(exact)), self.labels], epsilon, 1 - epsilon))
        confidence = exact.max(axis=1, initial=0)
        self._excess = (self.predicted == self.labels) - confidence
        self._bins = confidence_bins(confidence)
        # Ranked by the probabilities as given: normalising them could break ties.
        self._rankings = [_rank(probabilities[:, i], self.labels == i) for i in range(self.num_classes)]

    def __call__(self, weights: np.ndarray | None = None, *, rankings: bool = True) -> Metrics:
        """Return all metrics of `overall` except `num_samples`; NaN if undefined.

        Parameters
        ----------
        weights : ndarray of shape (n_rows,), optional
            Weight of each row; 1 by default.
        rankings : bool
            Whether to compute `roc_auc` and `pr_auc`.
        """
        weights = np.ones(len(self.labels)) if weights is None else weights
        confusion = self.confusion(weights)
        total, true, predicted = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
        if not total:
            return {}
        hits = np.diag(confusion)
        recalls, f1 = _ratio(hits, true), _ratio(2 * hits, true + predicted)
        gaps = np.bincount(self._bins, weights * self._excess, minlength=BINS)
        metrics = {
            "accuracy": hits.sum() / total,
            "balanced_accuracy": np.nanmean(recalls),
            "macro_f1": np.nanmean(f1),
            "weighted_f1": np.nansum(true * f1) / total,
            "mcc": _mcc(total, hits.sum(), true, predicted),
        }
        if rankings:
            metrics |= dict(zip(RANKINGS, (_mean(areas) for areas in self.areas(weights, true)), strict=True))
        return metrics | {"loss": weights @ self.losses / total, "ece": np.abs(gaps).sum() / total}

    def overall(self) -> Metrics:
        """Return the metrics over all rows, rounded; see the function `overall`."""
        return {"num_samples": len(self.labels)} | rounded(self())

    def confusion(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of weights by true and predicted class, shape (n_classes, n_classes)."""
        flat = np.bincount(self._cells, weights, minlength=self.num_classes**2)
        return flat.reshape(self.num_classes, self.num_classes)

    def areas(self, weights: np.ndarray, true: np.ndarray) -> np.ndarray:
        """Return ROC-AUC and average precision of each class against the rest, shape (2, n_classes).

        NaN for a class with no rows or all of them.

        Parameters
        ----------
        weights : ndarray of shape (n_rows,), float
            Weight of each row.
        true : ndarray of shape (n_classes,), float
            Sum of weights by true class.
        """
        total, areas = true.sum(), np.full((2, self.num_classes), np.nan)
        for number, (order, own, higher, not_lower) in enumerate(self._rankings):
            if 0 < true[number] < total:
                all_sums, own_sums = _running_sums(weights[order]), _running_sums(weights[own])
                # Rows of other classes that rank above each row of the class, twice; a tie counts half.
                misses = all_sums[not_lower[0]] - own_sums[not_lower[1]] + all_sums[higher[0]] - own_sums[higher[1]]
                areas[0, number] = 1 - weights[own] @ misses / (2 * true[number] * (total - true[number]))
                precision = own_sums[not_lower[1]] / np.maximum(all_sums[not_lower[0]], 1e-300)
                areas[1, number] = weights[own] @ precision / true[number]
        return areas


def overall(labels: np.ndarray, probabilities: np.ndarray) -> Metrics:
    """Return the metrics over all rows, rounded to six decimals.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float
        Predicted probabilities; the predicted class is the most probable one.

    Returns
    -------
    dict of str to float
        `num_samples`; `accuracy`; `balanced_accuracy`, the mean recall; `macro_f1` and `weighted_f1`, the mean F1 of
        the classes, each class weighted equally or by its rows (0 for a class that is never predicted); `mcc`,
        Matthews' correlation coefficient (Gorodkin 2004 for several classes); `roc_auc` and `pr_auc`, the area under
        the ROC curve and the average precision, each the mean over the classes against the rest; `loss`, the mean
        cross-entropy in nats; `ece`, the expected calibration error over 15 bins of confidence (Guo et al. 2017).
        Means are over the classes for which the metric is defined; a metric that is defined for none is left out.

    Examples
    --------
    >>> overall(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]))["macro_f1"]
    0.666667
    """
    return Measured(labels, probabilities).overall()


def per_class(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, Metrics]:
    """Return each class's metrics by its name; parameters as in `overall`.

    `num_samples` (rows of the true class), `precision`, `recall`, `f1`, `roc_auc` and `pr_auc`.
    """
    measured = Measured(labels, probabilities)
    weights = np.ones(len(labels))
    confusion = measured.confusion(weights)
    true = confusion.sum(axis=1)
    columns = {key: np.nan_to_num(values) for key, values in precision_recall_f1(confusion).items()}
    columns |= dict(zip(RANKINGS, measured.areas(weights, true), strict=True))
    return {
        name: {"num_samples": int(true[i])} | rounded({key: values[i] for key, values in columns.items()})
        for i, name in enumerate(classes)
    }


def precision_recall_f1(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Return precision, recall and F1 of each class, each of shape (n_classes,).

    NaN if undefined: precision of a class that is never predicted, recall of a class without rows.

    >>> precision_recall_f1(np.array([[2.0, 0.0], [2.0, 0.0]]))["precision"].tolist()
    [0.5, nan]
    """
    true, predicted, hits = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, true),
        "f1": _ratio(2 * hits, true + predicted),
    }


def slices(labels: np.ndarray, probabilities: np.ndarray, masks: Mapping[str, np.ndarray]) -> dict[str, Metrics]:
    """Return `num_samples`, `accuracy`, `balanced_accuracy` and `macro_f1` of each slice of the rows.

    The two means are over the classes that occur in the slice: consider them together with its number of rows.

    Parameters
    ----------
    labels, probabilities
        As in `overall`.
    masks : mapping of str to ndarray of shape (n_rows,), bool
        The rows of each slice. A slice with no rows or all of them is left out.
    """
    measured = Measured(labels, probabilities)
    metrics = {}
    for name, mask in masks.items():
        if mask.any() and not mask.all():
            of_slice = measured(mask.astype(float), rankings=False)
            selected = {key: of_slice[key] for key in ("accuracy", "balanced_accuracy", "macro_f1")}
            metrics[name] = {"num_samples": int(mask.sum())} | rounded(selected)
    return metrics


def confidence_bins(confidence: np.ndarray) -> np.ndarray:
    """Return the bin of each confidence, 0 to 14, shape (n_rows,); bin b is above b/15, up to (b + 1)/15.

    >>> confidence_bins(np.array([0.0, 1 / 15, 0.5, 1.0])).tolist()
    [0, 0, 7, 14]
    """
    bins: np.ndarray = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return bins


def normalized(probabilities: np.ndarray) -> np.ndarray:
    """Return rows that sum to 1 in float64; the sums of a float32 softmax are off by 1e-7."""
    exact = probabilities.astype(np.float64)
    rows: np.ndarray = exact / exact.sum(axis=1, keepdims=True)
    return rows


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested metrics to one level of names.

    >>> flatten({"overall": {"loss": 1}})
    {'overall/loss': 1}
    """
    flat: dict[str, float] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}/") if isinstance(value, Mapping) else {name: value}
    return flat


def rounded(metrics: Mapping[str, float]) -> Metrics:
    """Round to six decimals, finer than any test set resolves, and leave out undefined metrics.

    >>> rounded({"loss": 1 / 3, "roc_auc": np.nan})
    {'loss': 0.333333}
    """
    return {key: round(float(value), 6) for key, value in metrics.items() if not np.isnan(value)}


class _Ranking(NamedTuple):
    """The rows ranked by the probability of one class.

    Parameters
    ----------
    order : ndarray of shape (n_rows,), int
        Row numbers by descending probability.
    own : ndarray of shape (n_own,), int
        Row numbers of the class, in the same order.
    higher, not_lower : ndarray of shape (2, n_own), int
        For each row of the class: the number of rows, and of rows of the class, whose probability is higher (higher or
        equal).
    """

    order: np.ndarray
    own: np.ndarray
    higher: np.ndarray
    not_lower: np.ndarray


def _rank(scores: np.ndarray, is_own: np.ndarray) -> _Ranking:
    """Rank the rows by the scores of one class, both of shape (n_rows,)."""
    order = np.argsort(-scores, kind="stable")
    descending, own = -scores[order], is_own[order]
    own_counts = _running_sums(own)
    higher, not_lower = (np.searchsorted(descending, descending[own], side) for side in ("left", "right"))
    return _Ranking(
        order, order[own], np.stack([higher, own_counts[higher]]), np.stack([not_lower, own_counts[not_lower]])
    )


def _running_sums(weights: np.ndarray) -> np.ndarray:
    """Return the sums of the first 0, 1, ... weights, shape (n_weights + 1,)."""
    sums = np.zeros(len(weights) + 1, dtype=np.int64 if weights.dtype == bool else np.float64)
    np.cumsum(weights, out=sums[1:])
    return sums


def _mcc(total: float, hits: float, true: np.ndarray, predicted: np.ndarray) -> float:
    spread = (total**2 - true @ true) * (total**2 - predicted @ predicted)
    return float((hits * total - true @ predicted) / np.sqrt(spread)) if spread > 0 else 0.0


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide by class; NaN where the denominator is 0."""
    ratios: np.ndarray = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratios


def _mean(values: np.ndarray) -> float:
    """Return the mean of the defined values; NaN without any, and without a warning, unlike `np.nanmean`."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan
