"""Paired comparison of two models on the same rows."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from . import intervals, metrics


class PairedDifferences(TypedDict):
    """Differences of a new model to an old one: `difference`, and `low` and `high` of its 95 % interval.

    `recalls` (by class) and `accuracies` (by slice) also have `num_samples`. Classes and slices without rows are left
    out.
    """

    macro_f1: dict[str, float]
    recalls: dict[str, dict[str, float]]
    accuracies: dict[str, dict[str, float]]


def paired_differences(
    labels: np.ndarray,
    new: np.ndarray,
    old: np.ndarray,
    classes: Sequence[str],
    slices: Mapping[str, np.ndarray],
    *,
    resamples: int,
    seed: int,
) -> PairedDifferences:
    """Measure two models on the same resamples of the same rows (paired bootstrap, Efron 1979).

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    new, old : ndarray of shape (n_rows, n_classes), float
        Probabilities of the two models, in the same order of the classes.
    classes : sequence of str
        Class names.
    slices : mapping of str to ndarray of shape (n_rows,), bool
        Masks of the rows, by name of the slice.
    resamples, seed : int
        As in `intervals.bootstrap`.

    Examples
    --------
    >>> new, old = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.9, 0.1], [0.7, 0.3]])
    >>> differences = paired_differences(np.array([0, 1]), new, old, ["glad", "sad"], {}, resamples=100, seed=0)
    >>> differences["recalls"]["sad"]["difference"]
    1.0
    """
    models = [metrics.Measured(labels, probabilities) for probabilities in (new, old)]
    gains = (models[0].predicted == labels) - 1.0 * (models[1].predicted == labels)  # 1, 0 or -1 for each row
    class_masks = {name: labels == number for number, name in enumerate(classes)}
    groups = [{name: mask for name, mask in masks.items() if mask.any()} for masks in (class_masks, slices)]
    masks = [mask for group in groups for mask in group.values()]
    mask_columns = np.stack(masks, axis=1).astype(float)
    drawn_f1, drawn_gains = [], []
    for weights in intervals.resampled(len(labels), resamples, seed):
        new_f1, old_f1 = (model(weights, rankings=False)["macro_f1"] for model in models)
        drawn_f1.append(new_f1 - old_f1)
        with np.errstate(invalid="ignore"):  # a resample may hold no row of a class or slice
            drawn_gains.append((weights * gains) @ mask_columns / (weights @ mask_columns))
    new_f1, old_f1 = (model(rankings=False)["macro_f1"] for model in models)
    measured = iter(
        {"num_samples": int(mask.sum()), "difference": float(gains[mask].mean()), **intervals.interval(values)}
        for mask, values in zip(masks, np.stack(drawn_gains).T, strict=True)
    )
    recalls, accuracies = ({name: next(measured) for name in group} for group in groups)
    macro_f1 = {"difference": new_f1 - old_f1, **intervals.interval(np.array(drawn_f1))}
    return {"macro_f1": macro_f1, "recalls": recalls, "accuracies": accuracies}
