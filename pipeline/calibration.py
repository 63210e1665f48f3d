"""Calibration: how much each part of the model says, and one temperature that makes its probabilities honest."""

from collections.abc import Sequence

import numpy as np

from .model import log_softmax

BOUNDS = (0.05, 20.0)  # a temperature beyond these says that something else is wrong


def fit(labels: np.ndarray, parts: Sequence[np.ndarray]) -> tuple[list[float], float]:
    """Find the shares of the parts and the temperature with the lowest log-loss.

    The probabilities are a product of the parts', each to a power of its own (Hinton 2002, "products of experts"). Of
    one part this is temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers, of rows that the model was not trained on, in their natural shares.
    parts : sequence of ndarray of shape (n_rows, n_classes), float
        Logarithms of the probabilities that each part gives for them.

    Returns
    -------
    shares : list of float
        One a part, 0 or more, summing to 1, to four decimals.
    temperature : float
        Between 0.05 and 20, to four decimals; above 1 where the shared model is too sure of itself.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(labels))
    stacked = np.stack(parts)  # (n_parts, n_rows, n_classes)

    def loss(powers: np.ndarray) -> tuple[float, np.ndarray]:  # convex, so that the search finds the one minimum
        scaled = log_softmax(np.tensordot(powers, stacked, axes=1))
        slopes = (stacked * np.exp(scaled)).sum(axis=2).mean(axis=1) - stacked[:, rows, labels].mean(axis=1)
        return float(-scaled[rows, labels].mean()), slopes

    start = np.full(len(parts), 1 / len(parts))
    options = {"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1_000}
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 1 / BOUNDS[0])] * len(parts), options=options
    )
    total = float(np.clip(found.x.sum(), 1 / BOUNDS[1], 1 / BOUNDS[0]))
    shares = found.x / found.x.sum() if found.x.sum() else start
    rounded = [round(float(share), 4) for share in shares]
    return rounded, round(1 / total, 4)


def combine(parts: Sequence[np.ndarray], shares: Sequence[float], temperature: float = 1.0) -> np.ndarray:
    """The model's class probabilities: the product of its parts', each to the power of share / temperature.

    Parameters
    ----------
    parts : sequence of ndarray of shape (n_rows, n_classes), float64
        Logarithms of the probabilities that each part gives.
    shares : sequence of float
        One a part.
    temperature : float
        Above 0; 1 for the uncalibrated model.

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float64
        Probabilities; in the same order within each row whatever the temperature. Double precision keeps it so:
        rounded to float32, two classes close to each other could become equal, and the label another one.
    """
    powers = np.asarray(shares) / temperature
    probabilities: np.ndarray = np.exp(log_softmax(np.tensordot(powers, np.stack(parts), axes=1)))
    return probabilities
