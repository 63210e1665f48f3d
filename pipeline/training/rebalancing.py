"""Rebalancing: the parameters that choose a strategy, and what it makes of the training rows."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ..base.errors import PipelineError
from ..base.params import AnyLabel, Section, Seed
from .strategies import STRATEGIES, Imbalance, Plan

Target = float | Mapping[str, int] | None
NEARLY_EQUAL = 1.5  # largest class by smallest class, in rows, up to which "auto" leaves the classes unchanged

TargetSetting = Annotated[  # the type is chosen first, so that an error is about one of the two
    Annotated[float, Field(gt=0, le=1), Tag("as-ratio")]
    | Annotated[dict[AnyLabel, Annotated[int, Field(ge=1)]], Tag("as-rows")],
    Discriminator(lambda value: "as-rows" if isinstance(value, dict) else "as-ratio"),
]


class Rebalance(Section):
    name = "rebalance"
    strategy: str  # "auto" or a key of STRATEGIES
    target: TargetSetting | None
    strength: Annotated[float, Field(gt=0, le=10)] | None
    prior_correction: Annotated[float, Field(ge=0, le=1)]
    seed: Seed

    @field_validator("strategy", mode="before")
    @classmethod
    def _known_strategy(cls, value: Any) -> Any:
        name = re.sub(r"\W|_", "", str(value)).lower()
        if "smote" in name or name in {"adasyn", "rose", "mixup", "clustercentroids"}:
            raise ValueError(
                f"rebalance.strategy: {value} is not supported: it interpolates between samples, which is meaningless "
                "for token ids; use random_over"
            )
        *names, last = map(repr, ("auto", *STRATEGIES))
        if value not in ("auto", *STRATEGIES):
            raise ValueError(f"rebalance.strategy must be {', '.join(names)} or {last}, got {value!r}")
        return value

    @model_validator(mode="after")
    def _accepted_by_strategy(self) -> "Rebalance":
        with_target = [name for name, strategy in STRATEGIES.items() if strategy.has_target]
        with_strength = [name for name, strategy in STRATEGIES.items() if strategy.default_strength is not None]
        if self.target is not None and self.strategy not in with_target:
            raise ValueError(f"rebalance.target is for {', '.join(with_target)}; the strategy is {self.strategy}")
        if self.strength is not None and self.strategy not in with_strength:
            raise ValueError(f"rebalance.strength is for {', '.join(with_strength)}; the strategy is {self.strategy}")
        if self.strategy == "effective_number" and self.strength is not None and self.strength >= 1:
            raise ValueError(f"rebalance.strength of effective_number must be below 1, got {self.strength}")
        return self


def auto_strategy(counts: np.ndarray) -> str:
    """Return the strategy that "auto" stands for, by the training rows of each class; see docs/imbalance.md.

    >>> auto_strategy(np.array([150, 100])), auto_strategy(np.array([151, 100]))
    ('none', 'class_weight')
    """
    return "class_weight" if counts.max() > NEARLY_EQUAL * counts.min() else "none"


def target_counts(counts: np.ndarray, classes: Sequence[str], *, strategy: str, target: Target) -> np.ndarray:
    """Return the number of rows that each class should count for, of shape (n_classes,), float64.

    Parameters
    ----------
    counts : ndarray of shape (n_classes,), int
        Training rows of each class, 1 or more.
    classes : sequence of str
        Class names.
    strategy : str
        "random_under" lowers the larger classes; every other one raises the smaller ones.
    target : float, mapping of str to int, or None
        Minimum of smallest class by largest class, in rows; or rows by class name, the other classes staying as they
        are; None for equal classes.

    Raises
    ------
    PipelineError
        A class is unknown, or a sampler cannot reach its number of rows.

    Examples
    --------
    >>> target_counts(np.array([6, 3, 1]), ["a", "b", "c"], strategy="class_weight", target=0.5)
    array([6., 3., 3.])
    """
    if not isinstance(target, Mapping):
        ratio = 1.0 if target is None else target
        lowered, raised = np.ceil(counts.min() / ratio), np.ceil(counts.max() * ratio)
        limits = (0, lowered) if strategy == "random_under" else (raised, None)
        clipped: np.ndarray = np.clip(counts, *limits).astype(np.float64)
        return clipped
    goal = dict(zip(classes, counts.astype(np.float64), strict=True))
    for name, rows in target.items():
        if name not in goal:
            raise PipelineError(f"rebalance.target: unknown class {name!r}; classes: {', '.join(classes)}")
        available = int(goal[name])
        if (strategy == "random_over" and rows < available) or (strategy == "random_under" and rows > available):
            raise PipelineError(
                f"rebalance.target.{name} is {rows:,}, {'fewer' if rows < available else 'more'} than its "
                f"{available:,} training rows: {strategy} cannot reach that; class_weight can"
            )
        goal[name] = rows
    return np.array(list(goal.values()), dtype=np.float64)


def rebalance(
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    strategy: str,
    target: Target = None,
    strength: float | None = None,
    seed: int = 0,
) -> Plan:
    """Plan how training treats the imbalance of its rows.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        Class numbers of the training rows; each class has a row.
    classes : sequence of str
        Class names.
    strategy : str
        A key of `STRATEGIES`.
    target : float, mapping of str to int, or None
        See `target_counts`; ignored by strategies without a target.
    strength : float, optional
        None for the strategy's default.
    seed : int
        Decides which rows a sampler selects.

    Raises
    ------
    PipelineError
        The target cannot be reached.

    Examples
    --------
    >>> rebalance(np.array([0, 0, 1]), ["a", "b"], strategy="class_weight").weights
    array([0.75, 0.75, 1.5 ], dtype=float32)
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; expected one of {', '.join(STRATEGIES)}")
    chosen, counts = STRATEGIES[strategy], np.bincount(labels, minlength=len(classes))
    goal = target_counts(counts, classes, strategy=strategy, target=target) if chosen.has_target else counts
    strength = chosen.default_strength if strength is None else strength
    return chosen.plan(Imbalance(labels, counts, goal, strength or 0.0, seed))
