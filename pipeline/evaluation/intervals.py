"""Intervals."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .metrics import Measured, _by_class, _rounded

RANKING_BUDGET = 250_000_000  # rows x classes x resamples that they may pass over for each model: some seconds
MIN_RESAMPLES = 100


def bootstrap(
    models: Mapping[str, Measured], *, resamples: int, seed: int, rankings: bool = True
) -> dict[str, dict[str, np.ndarray]]:
    """Measure models of the same rows on the same resamples of them (Efron 1979).

    Parameters
    ----------
    models : mapping of str to Measured
        By name; all of the same rows.
    resamples : int
        How often as many rows as there are get drawn with replacement. For `roc_auc` and `pr_auc` it is fewer, though
        no less than 100, where rows times classes times resamples exceed `RANKING_BUDGET`.
    seed : int
        Which rows are drawn.
    rankings : bool
        Whether to measure `roc_auc` and `pr_auc` as well.

    Returns
    -------
    dict of str to dict of str to ndarray of shape (n_resamples,)
        By model and figure: its values; NaN where a resample leaves one undefined. The n-th values of all models are
        of the same resample, and so can be paired.
    """

    drawn: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    first = next(iter(models.values()))
    rows = len(first.labels)
    ranked = max(MIN_RESAMPLES, RANKING_BUDGET // max(1, rows * first.num_classes))
    for number, weights in enumerate(resampled(rows, resamples, seed)):
        for name, model in models.items():
            for key, value in model(weights, rankings=rankings and number < ranked).items():
                drawn[name].setdefault(key, []).append(value)
    return {name: {key: np.array(values) for key, values in of.items()} for name, of in drawn.items()}


def per_class_intervals(
    measured: Measured, classes: Sequence[str], *, resamples: int, seed: int
) -> dict[str, dict[str, dict[str, float]]]:
    """By class name: the 95 % intervals of `precision`, `recall` and `f1`, on the resamples of `bootstrap`."""
    drawn = [_by_class(measured.confusion(weights)) for weights in resampled(len(measured.labels), resamples, seed)]
    return {
        name: {key: interval(np.array([of[key][number] for of in drawn])) for key in drawn[0]}
        for number, name in enumerate(classes)
    }


def resampled(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row gets drawn, shape (rows,), for each resample."""
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(rows, size=rows), minlength=rows).astype(float)


def interval(values: np.ndarray) -> dict[str, float]:
    """The 95 % percentile interval of a figure's bootstrap values, without those that are undefined."""
    defined = values[~np.isnan(values)]
    return (
        _rounded(dict(zip(("low", "high"), np.percentile(defined, [2.5, 97.5]), strict=True))) if len(defined) else {}
    )
