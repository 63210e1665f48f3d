"""Calibration: how much each part of the model says, and what makes its probabilities honest."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .network import log_softmax

BOUNDS = (0.05, 20.0)  # a temperature beyond these says that something else is wrong
CHANCE = 0.001  # the shares of two sets of rows differ where chance explains it in fewer cases than this
MOST_STEPS, TOLERANCE = 1_000, 1e-6  # of the estimate of shares


class Calibration(NamedTuple):
    """How the probabilities are made of what the parts say."""

    shares: tuple[float, ...]  # one a part, 0 or more, summing to 1
    temperature: float  # above 1 where the shared model is too sure of itself
    offsets: tuple[float, ...]  # one a class, added to the logits

    @property
    def uncalibrated(self) -> "Calibration":
        """The same shares alone."""
        return Calibration(self.shares, 1.0, (0.0,) * len(self.offsets))


def prior_shift(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Logarithm of each class's share now by its share before, shape (n_classes,); 0 where chance explains all.

    Parameters
    ----------
    before, now : ndarray of shape (n_classes,), int
        Rows of each class, each with one before; they differ by the chi-squared test of Pearson (1900).
    """
    from scipy.stats import chi2_contingency

    if chi2_contingency([before, now]).pvalue > CHANCE:
        return np.zeros(len(now))
    shares = [(rows + 0.5) / (rows + 0.5).sum() for rows in (before, now)]  # of none, the logarithm has no bound
    shift: np.ndarray = np.log(shares[1]) - np.log(shares[0])
    return shift


def fit(
    labels: np.ndarray, parts: Sequence[np.ndarray], shift: np.ndarray, correction: float, prior: np.ndarray
) -> Calibration:
    """Find the shares of the parts, the temperature and the classes' offsets with the lowest log-loss.

    The probabilities are a product of the parts', each to a power of its own (Hinton 2002, "products of experts"). Of
    one part this is temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"). Training on
    rebalanced rows moved the probabilities by the ratio of the classes' shares before and after (Elkan 2001, "The
    Foundations of Cost-Sensitive Learning"), or less where the model did not follow: how much of it comes back is one
    more power. Rows with other shares than the training rows have moved them once more. So probabilities of the natural
    shares are found first, and then moved towards those that rebalancing asked for, whatever the model did of it.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers, of rows that the model was not trained on, in their natural shares.
    parts : sequence of ndarray of shape (n_rows, n_classes), float
        Logarithms of the probabilities that each part gives for them.
    shift : ndarray of shape (n_classes,), float
        Logarithm of each class's share of the training rows by its share after rebalancing.
    correction : float
        1 for the natural shares of these rows, 0 for those that rebalancing asked for; between them in logarithms.
    prior : ndarray of shape (n_classes,), float
        As `prior_shift` gives it, from the training rows to these: in a file that brings its own splits they may
        differ. What comes of it is one more power.

    Returns
    -------
    Calibration
        Numbers to four decimals; the temperature between 0.05 and 20.
    """
    ways = [np.broadcast_to(way, parts[0].shape) for way in (shift, prior)]
    *_, back, there = _powers(labels, np.stack([*parts, *ways]), np.zeros(len(shift)))
    natural = there * prior + min(back, 1.0) * shift
    powers = _powers(labels, np.stack(parts), natural)
    asked = shift + prior if shift.any() else shift  # these rows' shares by those that rebalancing asked for
    return of_powers(powers, natural - (1 - correction) * asked)


def of_powers(powers: np.ndarray, offsets: np.ndarray) -> Calibration:
    """The calibration that gives each part a power and each class an offset, rounded as `fit` says."""
    total = float(np.clip(powers.sum(), 1 / BOUNDS[1], 1 / BOUNDS[0]))
    shares = powers / powers.sum() if powers.sum() else np.full(len(powers), 1 / len(powers))
    rounded = [tuple(round(float(each), 4) for each in values) for values in (shares, offsets)]
    return Calibration(rounded[0], round(1 / total, 4), rounded[1])


def _powers(labels: np.ndarray, stacked: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The power of each of `stacked` that gives the lowest log-loss, the offsets added; shape (n_stacked,)."""
    from scipy.optimize import minimize

    rows = np.arange(len(labels))

    def loss(powers: np.ndarray) -> tuple[float, np.ndarray]:  # convex, so that the search finds the one minimum
        scaled = log_softmax(np.tensordot(powers, stacked, axes=1) + offsets)
        slopes = (stacked * np.exp(scaled)).sum(axis=2).mean(axis=1) - stacked[:, rows, labels].mean(axis=1)
        return float(-scaled[rows, labels].mean()), slopes

    start = np.full(len(stacked), 1 / len(stacked))
    options = {"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1_000}
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 1 / BOUNDS[0])] * len(stacked), options=options
    )
    powers: np.ndarray = found.x
    return powers


def combine(parts: Sequence[np.ndarray], calibration: Calibration) -> np.ndarray:
    """The model's class probabilities: the product of its parts', each to the power of share / temperature.

    Parameters
    ----------
    parts : sequence of ndarray of shape (n_rows, n_classes), float64
        Logarithms of the probabilities that each part gives.
    calibration : Calibration
        Shares, temperature and offsets.

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float64
        Probabilities; without offsets in the same order within each row whatever the temperature. Double precision
        keeps it so: rounded to float32, two classes close to each other could become equal, and the label another one.
    """
    powers = np.asarray(calibration.shares) / calibration.temperature
    logits = np.tensordot(powers, np.stack(parts), axes=1) + calibration.offsets
    probabilities: np.ndarray = np.exp(log_softmax(logits))
    return probabilities


def reweigh(probabilities: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Probabilities for texts whose classes have other shares (Saerens et al. 2002, equation 2.4).

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes), float64
        Those of a model.
    before, now : ndarray of shape (n_classes,), float64
        The shares that the model expects, all above 0, and those of the texts.
    """
    scaled = probabilities * (now / before)
    reweighed: np.ndarray = scaled / scaled.sum(axis=1, keepdims=True)
    return reweighed


def estimate_shares(probabilities: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The classes' shares among texts without labels, shape (n_classes,), float64.

    Expectation maximization: the mean of the probabilities, reweighed by the shares found so far, until it stays
    (Saerens et al. 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities"). It takes for granted
    that the texts of a class are what they were, and only their number changed.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes), float64
        Those of a model; a few hundred rows or more.
    before : ndarray of shape (n_classes,), float64
        The shares that the model expects.
    """
    now = before
    for _ in range(MOST_STEPS):
        last, now = now, reweigh(probabilities, before, now).mean(axis=0)
        if np.abs(now - last).max() < TOLERANCE:
            break
    return now
