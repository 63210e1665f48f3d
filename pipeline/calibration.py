"""Calibration: one temperature that makes the probabilities say how often the model is right."""

import numpy as np

BOUNDS = (0.05, 20.0)  # a temperature beyond these says that something else is wrong


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Find the temperature with the lowest log-loss (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers, of rows that the model was not trained on, in their natural shares.
    probabilities : ndarray of shape (n_rows, n_classes), float
        What the model gives for them.

    Returns
    -------
    float
        Between 0.05 and 20, to four decimals; above 1 where the model is too sure of itself.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def loss(inverse: float) -> float:  # convex in 1 / temperature, so that the search finds the one minimum
        right: np.ndarray = _log_softmax(probabilities, inverse)[rows, labels]
        return float(-right.mean())

    found = minimize_scalar(loss, bounds=(1 / BOUNDS[1], 1 / BOUNDS[0]), method="bounded", options={"xatol": 1e-6})
    return round(float(np.clip(1 / found.x, *BOUNDS)), 4)


def apply(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits behind probabilities by a temperature.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes), float
        What the model gives.
    temperature : float
        Above 0; 1 changes nothing.

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float64
        Calibrated probabilities, in the same order within each row. Double precision keeps it so: rounded to float32,
        two classes close to each other could become equal, and the label another one.
    """
    calibrated: np.ndarray = np.exp(_log_softmax(probabilities, 1 / temperature))
    return calibrated


def _log_softmax(probabilities: np.ndarray, inverse: float) -> np.ndarray:
    """Logarithms of the probabilities at a temperature of 1 / `inverse`."""
    # A float32 softmax gives 0 where the exact figure is below its smallest number.
    exact = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
    logits = inverse * (exact - exact.max(axis=1, keepdims=True))
    scaled: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return scaled
