"""Calibration: combine the parts' probabilities, and make the result honest."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .network import log_softmax

TEMPERATURE_BOUNDS = (0.05, 20.0)  # a temperature outside them is a sign of another problem
SIGNIFICANCE = 0.001  # of the chi-squared test for different class priors


class Calibration(NamedTuple):
    """How the parts' probabilities are combined; see `combine`."""

    weights: tuple[float, ...]  # one for each part, 0 or more, summing to 1
    temperature: float  # above 1 if the combined model is overconfident
    offsets: tuple[float, ...]  # one for each class, added to the logits

    @property
    def uncalibrated(self) -> "Calibration":
        """The weights only, with a temperature of 1 and no offsets."""
        return Calibration(self.weights, 1.0, (0.0,) * len(self.offsets))

    @classmethod
    def from_powers(cls, powers: np.ndarray, offsets: np.ndarray) -> "Calibration":
        """Return the calibration that raises each part to a power and adds an offset to each class.

        Parameters
        ----------
        powers : ndarray of shape (n_parts,), float
            Powers of the parts, 0 or more: weight / temperature.
        offsets : ndarray of shape (n_classes,), float
            Offsets of the logits.

        Returns
        -------
        Calibration
            Numbers to four decimals, the temperature within `TEMPERATURE_BOUNDS`.

        Examples
        --------
        >>> Calibration.from_powers(np.array([0.375, 0.125]), np.zeros(2))
        Calibration(weights=(0.75, 0.25), temperature=2.0, offsets=(0.0, 0.0))
        """
        low, high = TEMPERATURE_BOUNDS
        total = float(np.clip(powers.sum(), 1 / high, 1 / low))
        weights = powers / powers.sum() if powers.sum() else np.full(len(powers), 1 / len(powers))
        return cls(_rounded(weights), round(1 / total, 4), _rounded(offsets))


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def prior_shift(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Return by how much the class priors differ between two sets of rows, as logarithms of their ratios.

    Parameters
    ----------
    before, now : ndarray of shape (n_classes,), int
        Rows of each class in the two sets; at least one each in `before`.

    Returns
    -------
    ndarray of shape (n_classes,), float64
        Logarithm of each class prior in `now` divided by that in `before`; 0 unless the difference is statistically
        significant (chi-squared test, Pearson 1900).

    Examples
    --------
    >>> prior_shift(np.array([500, 500]), np.array([510, 490]))
    array([0., 0.])
    >>> prior_shift(np.array([500, 500]), np.array([800, 200])).round(2)
    array([ 0.47, -0.91])
    """
    from scipy.stats import chi2_contingency

    if chi2_contingency([before, now]).pvalue > SIGNIFICANCE:
        return np.zeros(len(now))
    # Half a row more in each class: without any, the logarithm would be infinite.
    priors = [(rows + 0.5) / (rows + 0.5).sum() for rows in (before, now)]
    shift: np.ndarray = np.log(priors[1]) - np.log(priors[0])
    return shift


def fit(
    labels: np.ndarray, parts: Sequence[np.ndarray], shift: np.ndarray, correction: float, prior: np.ndarray
) -> Calibration:
    """Fit the parts' weights, the temperature and the classes' offsets, minimising the log-loss.

    The probabilities are a product of the parts', each raised to its own power (Hinton 2002, "products of experts").
    With one part this is temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"). Training on
    rebalanced rows shifted the probabilities by the ratio of the class priors before and after (Elkan 2001, "The
    Foundations of Cost-Sensitive Learning"), or by less if the model did not adapt fully: how much of the shift is
    undone is one more power. If the class priors of these rows differ from those of the training rows, that is one more
    shift. First the probabilities under the natural priors are found; then they are moved towards the priors that
    rebalancing aimed at, however far the model followed it.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers of rows that the model was not trained on, with their natural class priors.
    parts : sequence of ndarray of shape (n_rows, n_classes), float
        Log-probabilities of each part for these rows.
    shift : ndarray of shape (n_classes,), float
        Logarithm of each class prior in the training rows divided by that after rebalancing.
    correction : float
        1 for the natural class priors of these rows, 0 for those that rebalancing aimed at; values between are
        interpolated in logarithms.
    prior : ndarray of shape (n_classes,), float
        Result of `prior_shift` from the training rows to these; not 0 if a file with its own splits has different
        priors in them. How much of it applies is one more power.

    Returns
    -------
    Calibration
        Numbers to four decimals; the temperature between 0.05 and 20.

    Examples
    --------
    Two rows are right and one is wrong at odds of 4. Odds of 2 fit best, which is a temperature of 2:

    >>> log_probabilities = np.log([[0.8, 0.2]] * 3)
    >>> fit(np.array([0, 0, 1]), [log_probabilities], np.zeros(2), 1.0, np.zeros(2)).temperature
    2.0
    """
    shifts = [np.broadcast_to(values, parts[0].shape) for values in (shift, prior)]
    *_, undone, applied = _powers(labels, np.stack([*parts, *shifts]), np.zeros(len(shift)))
    natural = applied * prior + min(undone, 1.0) * shift
    powers = _powers(labels, np.stack(parts), natural)
    return Calibration.from_powers(powers, natural + towards_rebalanced(shift, correction, prior))


def towards_rebalanced(shift: np.ndarray, correction: float, prior: np.ndarray) -> np.ndarray:
    """Return the offsets that move natural probabilities towards the priors that rebalancing aimed at.

    Parameters are those of `fit`.

    >>> towards_rebalanced(np.array([1.0, -1.0]), 0.5, np.zeros(2)).tolist()
    [-0.5, 0.5]
    """
    aimed = shift + prior if shift.any() else shift
    offsets: np.ndarray = (correction - 1) * aimed
    return offsets


def _powers(labels: np.ndarray, stacked: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the powers that minimise the log-loss.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    stacked : ndarray of shape (n_powers, n_rows, n_classes), float
        Logarithms of what is raised to the powers.
    offsets : ndarray of shape (n_classes,), float
        Added to the logits.

    Returns
    -------
    ndarray of shape (n_powers,), float64
        From 0 to the inverse of the lowest temperature.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(labels))

    def loss(powers: np.ndarray) -> tuple[float, np.ndarray]:  # convex: there is one minimum
        scaled = log_softmax(np.tensordot(powers, stacked, axes=1) + offsets)
        gradient = (stacked * np.exp(scaled)).sum(axis=2).mean(axis=1) - stacked[:, rows, labels].mean(axis=1)
        return float(-scaled[rows, labels].mean()), gradient

    start = np.full(len(stacked), 1 / len(stacked))
    bounds = [(0, 1 / TEMPERATURE_BOUNDS[0])] * len(stacked)
    options = {"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1_000}
    powers: np.ndarray = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return powers


def combine(parts: Sequence[np.ndarray], calibration: Calibration) -> np.ndarray:
    """Combine the parts' probabilities as a product, each raised to the power of weight / temperature.

    Parameters
    ----------
    parts : sequence of ndarray of shape (n_rows, n_classes), float64
        Log-probabilities of each part.
    calibration : Calibration
        Weights, temperature and offsets.

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float64
        Class probabilities. Without offsets, the temperature does not change the order of the classes in a row. Double
        precision ensures it: in float32, two similar probabilities could become equal, and the label another one.

    Examples
    --------
    Odds of 16 and 1; the geometric mean is 4:

    >>> parts = [np.log([[16 / 17, 1 / 17]]), np.log([[0.5, 0.5]])]
    >>> combine(parts, Calibration((0.5, 0.5), 1.0, (0.0, 0.0))).round(2).tolist()
    [[0.8, 0.2]]
    """
    powers = np.asarray(calibration.weights) / calibration.temperature
    logits = np.tensordot(powers, np.stack(parts), axes=1) + calibration.offsets
    probabilities: np.ndarray = np.exp(log_softmax(logits))
    return probabilities
