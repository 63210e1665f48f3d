"""Metrics of predicted probabilities: pure functions of labels and probabilities.

All metrics are computed for weighted rows. Weights of 1 give the plain metrics; the number of times that each row was
drawn gives the metrics of a bootstrap resample, without copying or sorting the rows again. scikit-learn's metrics,
which the tests compare with these, sort them on every call.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .rankings import areas_under_curves, rank

BINS = 15  # of the calibration error, as in Guo et al. 2017
HEADLINES = ("accuracy", "macro_f1", "loss")  # of every table and summary
PREDICTED = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "mcc")  # of the predicted classes alone
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
        self.losses: np.ndarray = -np.log(np.clip(exact[np.arange(len(exact)), self.labels], epsilon, 1 - epsilon))
        confidence = exact.max(axis=1, initial=0)
        self._excess = (self.predicted == self.labels) - confidence
        self._bins = confidence_bins(confidence)
        # Ranked by the probabilities as given: normalising them could break ties.
        self._rankings = [rank(probabilities[:, i], self.labels == i) for i in range(self.num_classes)]
        # Of each class, the bins of its probability, as one column of bins of all classes.
        self._class_bins = (confidence_bins(exact) + BINS * np.arange(self.num_classes)).ravel()
        self._class_excess = np.eye(self.num_classes)[self.labels] - exact

    def __call__(
        self, weights: np.ndarray | None = None, *, rankings: bool = True, pseudo: np.ndarray | None = None
    ) -> Metrics:
        """Return all metrics of `overall` except `num_samples`; NaN if undefined.

        Parameters
        ----------
        weights : ndarray of shape (n_rows,), optional
            Weight of each row; 1 by default.
        rankings : bool
            Whether to compute `roc_auc`, `pr_auc` and `classwise_ece`, which take a pass over all rows for each class.
        pseudo : ndarray of shape (n_classes, n_classes), optional
            Added to the confusion matrix for the metrics of the predicted classes, see `pseudo_rows`.
        """
        weights = np.ones(len(self.labels)) if weights is None else weights
        confusion = self.confusion(weights)
        total = confusion.sum()
        if not total:
            return {}
        gaps = np.bincount(self._bins, weights * self._excess, minlength=BINS)
        metrics = _of_confusion(confusion if pseudo is None else confusion + pseudo)
        if rankings:
            areas = self.areas(weights, confusion.sum(axis=1))
            metrics |= dict(zip(RANKINGS, map(_mean, areas), strict=True))
        metrics |= {"loss": weights @ self.losses / total, "ece": np.abs(gaps).sum() / total}
        if rankings:
            metrics["classwise_ece"] = self.classwise_gap(weights) / total
        return metrics

    def by_row(self, key: str) -> np.ndarray:
        """Return what each row adds to a metric, shape (n_rows,), but for a factor.

        Its loss, or whether it is a hit; of metrics other than the accuracy, divided by the rows of its class.
        """
        if key == "loss":
            return self.losses
        of_class = np.bincount(self.labels) if key != "accuracy" else np.ones(self.num_classes)
        added: np.ndarray = (self.predicted == self.labels) / of_class[self.labels]
        return added

    def areas(self, weights: np.ndarray, true: np.ndarray) -> np.ndarray:
        """Return `areas_under_curves` of the classes, shape (2, n_classes); parameters as there."""
        return areas_under_curves(self._rankings, weights, true)

    def overall(self) -> Metrics:
        """Return the metrics over all rows, rounded; see the function `overall`."""
        return {"num_samples": len(self.labels)} | rounded(self())

    def classwise_gap(self, weights: np.ndarray) -> float:
        """Return the class-wise calibration error times the number of rows; weights may be negative."""
        excess = (weights[:, None] * self._class_excess).ravel()
        gaps = np.bincount(self._class_bins, excess, minlength=BINS * self.num_classes)
        gap: float = np.abs(gaps).sum() / self.num_classes
        return gap

    def confusion(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of weights by true and predicted class, shape (n_classes, n_classes)."""
        flat = np.bincount(self._cells, weights, minlength=self.num_classes**2)
        return flat.reshape(self.num_classes, self.num_classes)

    def pseudo_rows(self, hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
        """Return the confusion matrices, shape (..., n_classes, n_classes), of rows that nobody observed.

        Parameters
        ----------
        hits, misses : ndarray of shape (..., n_classes)
            Number of pseudo rows of each true class that are predicted as it, and as others, as often as the model
            predicts each of these.
        """
        spread = np.tile(np.bincount(self.predicted, minlength=self.num_classes) + 1e-9, (self.num_classes, 1))
        np.fill_diagonal(spread, 0)
        spread /= spread.sum(axis=1, keepdims=True)
        pseudo: np.ndarray = hits[..., None] * np.eye(self.num_classes) + misses[..., None] * spread
        return pseudo


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
        cross-entropy in nats; `ece`, the expected calibration error over 15 bins of confidence (Guo et al. 2017);
        `classwise_ece`, the mean over the classes of that of the class's probability (Kull et al. 2019).
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


def _of_confusion(confusion: np.ndarray) -> Metrics:
    """Return the metrics in `PREDICTED` of a confusion matrix, (n_classes, n_classes) by true and predicted class."""
    total, true, predicted = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
    hits = np.diag(confusion)
    recalls, f1 = _ratio(hits, true), _ratio(2 * hits, true + predicted)
    values = (
        hits.sum() / total,
        np.nanmean(recalls),
        np.nanmean(f1),
        np.nansum(true * f1) / total,
        _mcc(total, hits.sum(), true, predicted),
    )
    return dict(zip(PREDICTED, values, strict=True))


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
