"""Class priors: which ones a model's probabilities imply, and how to adapt them to rows that have others."""

import math
from typing import NamedTuple, TypedDict

import numpy as np

SIGNIFICANCE = 0.001  # of the likelihood-ratio test for other class priors
PSEUDO_ROWS = 3.0  # rows of each class that are added to those of an estimate
MAX_ITERATIONS, TOLERANCE = 1_000, 1e-6
MAX_LOSS_RISE = 0.01  # of the log-loss of validation rows; a significantly larger one forbids estimates


class ClassPriors(TypedDict):
    """What a model knows of its class priors, measured on the validation rows.

    Calibration moves the probabilities towards rare classes, so that what they imply differs from what the rows have.
    """

    natural: list[float]  # shares of the classes among the validation rows
    implied: list[float]  # priors under which the probabilities are right; see `implied_priors`
    rows: int  # number of validation rows
    estimable: bool  # whether estimates do no harm on validation rows; see `estimates_help`


class PriorEstimate(NamedTuple):
    """Class priors estimated from rows without labels; see `estimate_class_priors`."""

    priors: np.ndarray
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether they differ from the natural ones by more than chance explains; otherwise they mean nothing."""
        return self.p_value < SIGNIFICANCE


def reweigh(probabilities: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Adapt probabilities to other class priors (Saerens et al. 2002, equation 2.4).

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes), float64
        Class probabilities of a model.
    before, now : ndarray of shape (n_classes,), float64
        Class priors that the probabilities imply, all above 0, and those of the rows.

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float64
        Class probabilities under the priors `now`.

    Examples
    --------
    >>> reweigh(np.array([[0.5, 0.5]]), np.array([0.5, 0.5]), np.array([0.2, 0.8])).tolist()
    [[0.2, 0.8]]
    """
    scaled = probabilities * (now / before)
    reweighed: np.ndarray = scaled / scaled.sum(axis=1, keepdims=True)
    return reweighed


def measure_priors(labels: np.ndarray, probabilities: np.ndarray) -> ClassPriors:
    """Measure the class priors of validation rows, and those that a model's probabilities for them imply.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers. A class without rows counts as half a row.
    probabilities : ndarray of shape (n_rows, n_classes), float64
        Calibrated class probabilities.
    """
    estimable = estimates_help(labels, probabilities)
    return _measured(labels, probabilities) | {"estimable": estimable}


def _measured(labels: np.ndarray, probabilities: np.ndarray) -> ClassPriors:
    counts = np.maximum(np.bincount(labels, minlength=probabilities.shape[1]), 0.5)
    natural = counts / counts.sum()
    implied = np.maximum(implied_priors(natural, probabilities), 1e-8)
    return ClassPriors(
        natural=natural.round(8).tolist(), implied=implied.round(8).tolist(), rows=len(labels), estimable=True
    )


def estimates_help(labels: np.ndarray, probabilities: np.ndarray) -> bool:
    """Return whether estimated class priors do no harm on validation rows: one half is measured, the other adapted.

    The other half is adapted as it is, and drawn again with equal classes. Harm is a rise of the log-loss of which the
    lower end of the one-sided 95 % interval is above `MAX_LOSS_RISE`.

    Parameters
    ----------
    labels, probabilities : ndarray
        As in `measure_priors`.
    """
    order = np.argsort(labels, kind="stable")
    measured, others = order[::2], order[1::2]
    known = _measured(labels[measured], probabilities[measured])
    weights = 1 / np.bincount(labels)[labels[others]]
    drawn = np.random.default_rng(0).choice(others, len(others), p=weights / weights.sum()) if len(others) else others
    for rows in (others, drawn):
        own = np.arange(len(rows)), labels[rows]
        rises = np.log(probabilities[rows][own]) - np.log(adapted(probabilities[rows], known)[0][own])
        if len(rows) > 1 and rises.mean() - 1.645 * rises.std() / np.sqrt(len(rows)) > MAX_LOSS_RISE:
            return False
    return True


def implied_priors(natural: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the class priors that probabilities imply, from rows with known priors.

    Reweighed from them to the natural priors, the probabilities have the natural priors as their mean, which is what
    the offsets of highest likelihood achieve. They are found by scaling columns and rows in turn (Sinkhorn and Knopp
    1967, "Concerning nonnegative matrices and doubly stochastic matrices"). The mean of the probabilities is something
    else: in it, each row weighs by its natural prior.

    Parameters
    ----------
    natural : ndarray of shape (n_classes,), float64
        Shares of the classes among the rows, all above 0.
    probabilities : ndarray of shape (n_rows, n_classes), float64
        Class probabilities of a model.

    Returns
    -------
    ndarray of shape (n_classes,), float64
        They sum to 1.

    Examples
    --------
    Nine rows of ten are of the first class, but the odds are those of equal classes:

    >>> probabilities = np.array([[0.8, 0.2]] * 74 + [[0.2, 0.8]] * 26)
    >>> implied_priors(np.array([0.9, 0.1]), probabilities).round(2).tolist()
    [0.5, 0.5]
    """
    ratios = np.ones(len(natural))
    for _ in range(MAX_ITERATIONS):
        means = reweigh(probabilities, np.ones(len(natural)), ratios).mean(axis=0)
        ratios *= natural / means
        if np.abs(means - natural).max() < TOLERANCE * natural.min():
            break
    implied: np.ndarray = natural / ratios / (natural / ratios).sum()
    return implied


def estimate_class_priors(probabilities: np.ndarray, known: ClassPriors) -> PriorEstimate:
    """Estimate the class priors of rows without labels, by expectation maximisation.

    Repeats until convergence: the mean of the probabilities, reweighed by the last estimate (Saerens et al. 2002,
    "Adjusting the Outputs of a Classifier to New a Priori Probabilities"), to which a few rows of each class are added
    (a Dirichlet prior), so that no class gets none. It assumes that the inputs of a class are distributed as in
    training, and only the number of rows changed.

    A likelihood-ratio test with `n_classes - 1` degrees of freedom tells whether these rows have other priors than the
    natural ones (Wilks 1938). The ratio is lowered by the share of the validation rows among both, because what the
    probabilities imply was itself measured on so many rows.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes), float64
        Class probabilities of a model, for a few hundred rows or more.
    known : ClassPriors
        The model's, see `measure_priors`.

    Examples
    --------
    >>> known = ClassPriors(natural=[0.5, 0.5], implied=[0.5, 0.5], rows=1_000, estimable=True)
    >>> rows = np.array([[0.9, 0.1]] * 300 + [[0.1, 0.9]] * 100)
    >>> estimate = estimate_class_priors(rows, known)
    >>> estimate.priors.round(2).tolist(), estimate.significant
    ([0.8, 0.2], True)
    >>> estimate_class_priors(rows[200:], known).significant
    False
    """
    natural, implied = np.array(known["natural"]), np.array(known["implied"])
    now, rows = natural, len(probabilities)
    for _ in range(MAX_ITERATIONS):
        sums = reweigh(probabilities, implied, now).sum(axis=0) + PSEUDO_ROWS
        last, now = now, sums / (rows + PSEUDO_ROWS * len(natural))
        if np.abs(now - last).max() < TOLERANCE:
            break
    likelihoods = [probabilities @ (priors / implied) for priors in (now, natural)]
    ratio = 2 * np.log(likelihoods[0] / likelihoods[1]).sum() * known["rows"] / (known["rows"] + rows)
    return PriorEstimate(now, chi_squared_p_value(float(ratio), len(natural) - 1))


def chi_squared_p_value(value: float, freedom: int) -> float:
    """Return the chance that a chi-squared variable is above a value, as `scipy.stats.chi2.sf`, which servers lack.

    By the recurrence of the incomplete gamma function (Abramowitz and Stegun 1964, 6.5.21).

    Parameters
    ----------
    value : float
        1 is returned if it is 0 or less.
    freedom : int
        Degrees of freedom, 1 or more.

    Examples
    --------
    >>> round(chi_squared_p_value(10.828, 1), 4), round(chi_squared_p_value(18.467, 4), 4)
    (0.001, 0.001)
    """
    if value <= 0:
        return 1.0
    half, order = value / 2, 0.5 if freedom % 2 else 1.0
    chance = math.erfc(math.sqrt(half)) if freedom % 2 else math.exp(-half)
    while order < freedom / 2:
        chance += math.exp(order * math.log(half) - half - math.lgamma(order + 1))
        order += 1
    return chance


def adapted(probabilities: np.ndarray, known: ClassPriors) -> tuple[np.ndarray, PriorEstimate]:
    """Return probabilities under the class priors estimated from them, unchanged if those are not significant."""
    estimate = estimate_class_priors(probabilities, known)
    if not (known["estimable"] and estimate.significant):
        return probabilities, estimate
    return reweigh(probabilities, np.array(known["implied"]), estimate.priors), estimate
