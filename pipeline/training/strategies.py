"""Strategies against class imbalance: what each does with the training rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Plan(NamedTuple):
    """How training treats the classes.

    Parameters
    ----------
    rows : ndarray of shape (n_selected,), int64
        Row numbers, ascending; with repetitions under "random_over".
    weights : ndarray of shape (n_selected,), float32
        Weight of each selected row in the loss, 1 on average.
    draw : ndarray of shape (n_classes,), int64
        Number of rows of each class that every epoch draws; 0 to use each selected row once.
    margins : ndarray of shape (n_classes,), float32
        Added to the logits in the loss, but not in prediction.
    gamma : float
        The loss of a row is scaled by (1 - the probability of its class) to this power.
    counts_as : ndarray of shape (n_classes,), float64
        Effective number of rows of each class; their sum is the number of training rows.
    shift : ndarray of shape (n_classes,), float64
        Logarithm of each class's natural share divided by its effective share: what calibration may add to the logits
        (Elkan 2001, "The Foundations of Cost-Sensitive Learning").
    """

    rows: np.ndarray
    weights: np.ndarray
    draw: np.ndarray
    margins: np.ndarray
    gamma: float
    counts_as: np.ndarray
    shift: np.ndarray


class Imbalance(NamedTuple):
    """What a strategy plans from.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        Class numbers of the training rows.
    counts : ndarray of shape (n_classes,), int
        Training rows of each class, 1 or more.
    goal : ndarray of shape (n_classes,), float64
        Number of rows that each class should count for, by `rebalance.target`; `counts` if the strategy has no target.
    strength : float
        `rebalance.strength`; 0 if the strategy has none.
    seed : int
        For strategies that sample.
    """

    labels: np.ndarray
    counts: np.ndarray
    goal: np.ndarray
    strength: float
    seed: int

    def plan(self, counts_as: np.ndarray) -> Plan:
        """Use every row once, with weight 1; each strategy replaces what it does differently.

        `counts_as`, of shape (n_classes,), is the effective number of rows of each class, up to a common factor.
        """
        counts_as = counts_as / counts_as.sum() * len(self.labels)
        return Plan(
            rows=np.arange(len(self.labels), dtype=np.int64),
            weights=np.ones(len(self.labels), dtype=np.float32),
            draw=np.zeros(len(self.counts), dtype=np.int64),
            margins=np.zeros(len(self.counts), dtype=np.float32),
            gamma=0.0,
            counts_as=counts_as,
            shift=np.log(self.counts / counts_as),
        )

    def sampled(self, sampler: type[Any]) -> Plan:
        """Resample the rows to the goal with a sampler of imbalanced-learn, which gets row numbers, not token ids."""
        goal = {number: int(rows) for number, rows in enumerate(self.goal)}
        numbers = np.arange(len(self.labels), dtype=np.int64).reshape(-1, 1)
        sampled, _ = sampler(sampling_strategy=goal, random_state=self.seed).fit_resample(numbers, self.labels)
        rows = np.sort(sampled.ravel())
        return self.plan(self.goal)._replace(rows=rows, weights=np.ones(len(rows), dtype=np.float32))

    def weighted(self, counts_as: np.ndarray) -> Plan:
        """Weight the rows of each class so that it counts as so many rows."""
        plan = self.plan(counts_as)
        return plan._replace(weights=(plan.counts_as / self.counts)[self.labels].astype(np.float32))


def _none(data: Imbalance) -> Plan:
    return data.plan(data.counts)


def _random_over(data: Imbalance) -> Plan:
    from imblearn.over_sampling import RandomOverSampler

    return data.sampled(RandomOverSampler)


def _random_under(data: Imbalance) -> Plan:
    from imblearn.under_sampling import RandomUnderSampler

    return data.sampled(RandomUnderSampler)


def _class_weight(data: Imbalance) -> Plan:
    """King and Zeng 2001, "Logistic Regression in Rare Events Data"; for equal classes scikit-learn's "balanced"."""
    return data.weighted(data.goal)


def _effective_number(data: Imbalance) -> Plan:
    """Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples"; the strength is beta."""
    beta = data.strength  # n rows count as (1 - beta^n) / (1 - beta)
    return data.weighted(data.counts * (1 - beta) / (1 - beta**data.counts))


def _focal(data: Imbalance) -> Plan:
    """Lin et al. 2017, "Focal Loss for Dense Object Detection"; the strength is gamma."""
    return data.plan(data.counts)._replace(gamma=data.strength)


def _balanced_batches(data: Imbalance) -> Plan:
    """Kang et al. 2020, "Decoupling Representation and Classifier for Long-Tailed Recognition"."""
    plan = data.plan(data.goal)
    return plan._replace(draw=np.maximum(np.round(plan.counts_as), 1).astype(np.int64))


def _logit_adjustment(data: Imbalance) -> Plan:
    """Menon et al. 2021, "Long-Tail Learning via Logit Adjustment"; the strength is tau."""
    plan = data.plan(data.counts * (data.goal / data.counts) ** data.strength)
    return plan._replace(margins=(plan.shift - plan.shift.mean()).astype(np.float32))


class Strategy(NamedTuple):
    """One strategy: what it does, and which parameters it accepts."""

    plan: Callable[[Imbalance], Plan]
    description: str  # for the model card
    has_target: bool = False  # whether it accepts `rebalance.target`
    default_strength: float | None = None  # of `rebalance.strength`; None if it has no strength


# By the names of `rebalance.strategy`.
STRATEGIES = {
    "none": Strategy(_none, "every row has the same weight"),
    "random_over": Strategy(_random_over, "rows of smaller classes are repeated at random", has_target=True),
    "random_under": Strategy(_random_under, "rows of larger classes are left out at random", has_target=True),
    "class_weight": Strategy(
        _class_weight, "rows of smaller classes have a larger weight in the loss", has_target=True
    ),
    "effective_number": Strategy(
        _effective_number,
        "classes are weighted by their effective number of rows (Cui et al. 2019)",
        default_strength=0.9999,
    ),
    "focal": Strategy(
        _focal,
        "rows that the model gets right have a smaller weight (focal loss, Lin et al. 2017)",
        default_strength=2.0,
    ),
    "balanced_batches": Strategy(
        _balanced_batches, "each epoch draws the same number of rows of each class", has_target=True
    ),
    "logit_adjustment": Strategy(
        _logit_adjustment,
        "margins in the loss favour smaller classes (Menon et al. 2021)",
        has_target=True,
        default_strength=1.0,
    ),
}
