"""Selection on the validation rows, cross-fitted: what is chosen there is not measured on the rows that chose it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..evaluation import metrics
from ..evaluation.intervals import clusters
from ..inference import calibration
from ..inference.ngrams import Ngrams
from .export import TrainedNetwork
from .fit import Data, part_log_probabilities


def without_idle_lexicon(data: Data, network: TrainedNetwork, ngrams: Ngrams) -> Ngrams:
    """Leave out the lexicon unless it lowers the cross-fitted loss of the validation rows."""
    if not ngrams.lexicon:
        return ngrams
    parts, labels = part_log_probabilities(data, network, ngrams, "validation"), data.labels["validation"]
    losses = [
        metrics.Measured(labels, cross_fitted(data, some))(rankings=False)["loss"] for some in (parts, parts[:-1])
    ]
    return ngrams if losses[0] < losses[1] else replace(ngrams, lexicon=None)


def cross_fitted(data: Data, log_probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Combine the parts of a model, each half of the rows with the calibration fitted on the other half.

    Parameters
    ----------
    data : Data
        With the true class numbers, and the groups.
    log_probabilities : sequence of ndarray of shape (n_rows, n_classes), float64
        Of each part, for the validation rows.

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float64
        Probabilities.
    """
    probabilities = np.empty_like(log_probabilities[0])
    even = clusters(data.groups) % 2 == 0
    for half, other in ((even, ~even), (~even, even)):
        fitted = data.calibrate([part[other] for part in log_probabilities], other)
        probabilities[half] = calibration.combine([part[half] for part in log_probabilities], fitted)
    return probabilities
