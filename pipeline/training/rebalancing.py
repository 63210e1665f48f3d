"""Rebalancing: what each strategy against imbalance makes of the training rows."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ..base.errors import PipelineError
from ..base.params import AnyLabel, Section, Seed

Target = float | Mapping[str, int] | None
# Strategies of rebalance that aim at a number of rows for each class, and those with a strength, by its default.
AIMED = ("random_over", "random_under", "class_weight", "balanced_batches", "logit_adjustment")
STRENGTHS = {"effective_number": 0.9999, "focal": 2.0, "logit_adjustment": 1.0}

TargetSetting = Annotated[  # told apart first, so that an error is of one of them
    Annotated[float, Field(gt=0, le=1), Tag("as-ratio")]
    | Annotated[dict[AnyLabel, Annotated[int, Field(ge=1)]], Tag("as-rows")],
    Discriminator(lambda value: "as-rows" if isinstance(value, dict) else "as-ratio"),
]


class Rebalance(Section):
    name = "rebalance"
    strategy: Literal[
        "auto",
        "none",
        "random_over",
        "random_under",
        "class_weight",
        "effective_number",
        "focal",
        "balanced_batches",
        "logit_adjustment",
    ]
    target: TargetSetting | None
    strength: Annotated[float, Field(gt=0, le=10)] | None
    prior_correction: Annotated[float, Field(ge=0, le=1)]
    seed: Seed

    @field_validator("strategy", mode="before")
    @classmethod
    def _no_mixture(cls, value: Any) -> Any:
        name = re.sub(r"\W|_", "", str(value)).lower()
        if "smote" in name or name in {"adasyn", "rose", "mixup", "clustercentroids"}:
            raise ValueError(
                f"rebalance.strategy {value} makes rows between rows, but between the ids of two words there is no "
                "word; random_over repeats whole texts"
            )
        return value

    @model_validator(mode="after")
    def _of_the_strategy(self) -> "Rebalance":
        if self.target is not None and self.strategy not in AIMED:
            raise ValueError(f"rebalance.target is for {', '.join(AIMED)}; the strategy is {self.strategy}")
        if self.strength is not None and self.strategy not in STRENGTHS:
            raise ValueError(f"rebalance.strength is for {', '.join(STRENGTHS)}; the strategy is {self.strategy}")
        if self.strategy == "effective_number" and self.strength is not None and self.strength >= 1:
            raise ValueError(f"rebalance.strength of effective_number must be below 1, got {self.strength}")
        return self


EQUAL = 1.5  # rows of the largest class by those of the smallest, up to which "auto" leaves the classes alone


class Plan(NamedTuple):
    """What training is told to do about the classes.

    Parameters
    ----------
    rows : ndarray of shape (n_chosen,), int64
        Row numbers, ascending; with repetitions under "random_over".
    weights : ndarray of shape (n_chosen,), float32
        Weight of each chosen row in the loss, 1 on average.
    draw : ndarray of shape (n_classes,), int64
        How many rows of each class every epoch draws anew; 0 where each chosen row is taken once.
    margins : ndarray of shape (n_classes,), float32
        What is added to the logits in the loss, and nowhere else.
    gamma : float
        The loss of a row is scaled by (1 - the probability of its class) to this power.
    counts_as : ndarray of shape (n_classes,), float64
        Rows that each class counts for under all this, in total as many as there are.
    shift : ndarray of shape (n_classes,), float64
        Logarithm of each class's natural share by the share that it counts for: what calibration may add to the logits
        (Elkan 2001, "The Foundations of Cost-Sensitive Learning").
    """

    rows: np.ndarray
    weights: np.ndarray
    draw: np.ndarray
    margins: np.ndarray
    gamma: float
    counts_as: np.ndarray
    shift: np.ndarray


def choose(counts: np.ndarray) -> str:
    """The strategy that "auto" stands for, by the training rows of each class; docs/imbalance.md says why."""
    return "class_weight" if counts.max() > EQUAL * counts.min() else "none"


def aim(counts: np.ndarray, classes: Sequence[str], *, strategy: str, target: Target) -> np.ndarray:
    """Rows that each class should count for, shape (n_classes,), float64.

    Parameters
    ----------
    counts : ndarray of shape (n_classes,), int
        Training rows of each class, 1 or more.
    classes : sequence of str
        Their names.
    strategy : str
        "random_under" lowers the larger classes; every other raises the smaller ones.
    target : float, mapping of str to int, or None
        The smallest class's rows by the largest's, at least; or rows by class name, the others staying as they are;
        None for equal classes.

    Raises
    ------
    PipelineError
        A class is unknown, or its number cannot be reached by a sampler.
    """
    if not isinstance(target, Mapping):
        ratio = 1.0 if target is None else target
        lowered, raised = np.ceil(counts.min() / ratio), np.ceil(counts.max() * ratio)
        wanted: np.ndarray = np.clip(counts, *((0, lowered) if strategy == "random_under" else (raised, None)))
        return wanted
    found = dict(zip(classes, counts.astype(np.float64), strict=True))
    for name, rows in target.items():
        if name not in found:
            raise PipelineError(f"rebalance.target names {name!r}, which is no class; classes: {', '.join(classes)}")
        has = int(found[name])
        if (strategy == "random_over" and rows < has) or (strategy == "random_under" and rows > has):
            how = "fewer" if rows < has else "more"
            raise PipelineError(
                f"rebalance.target.{name} is {rows:,}, {how} than its {has:,} training rows: {strategy} cannot make "
                "that; class_weight can"
            )
        found[name] = rows
    return np.array(list(found.values()), dtype=np.float64)


def rebalance(
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    strategy: str,
    target: Target = None,
    strength: float | None = None,
    seed: int = 0,
) -> Plan:
    """Plan how training meets the imbalance of its rows.

    Samplers get row numbers, never token ids: a sampler that interpolates would invent ids without meaning.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        Class numbers of the training rows; no class without a row.
    classes : sequence of str
        Their names.
    strategy : str
        - "none": every row once.
        - "random_over": rows of smaller classes repeated (imbalanced-learn, `RandomOverSampler`).
        - "random_under": rows of larger classes left out (imbalanced-learn, `RandomUnderSampler`).
        - "class_weight": rows of smaller classes count more in the loss (King and Zeng 2001, "Logistic Regression in
          Rare Events Data"; of equal classes, scikit-learn's "balanced").
        - "effective_number": the same by the effective number of rows, (1 - beta^n) / (1 - beta) of n; `strength` is
          beta (Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples").
        - "focal": rows that the model is sure of count less; `strength` is gamma (Lin et al. 2017, "Focal Loss for
          Dense Object Detection").
        - "balanced_batches": every epoch draws as many rows anew, of smaller classes more often, and every batch has
          its part of each (Kang et al. 2020, "Decoupling Representation and Classifier for Long-Tailed Recognition").
        - "logit_adjustment": the logits of larger classes have a head start in the loss, and nowhere else; `strength`
          is tau (Menon et al. 2021, "Long-Tail Learning via Logit Adjustment").
    target : float, mapping of str to int, or None
        As in `aim`; "none", "effective_number" and "focal" have none.
    strength : float, optional
        Of the three that have one; None for `params.STRENGTHS`.
    seed : int
        Which rows a sampler draws.

    Raises
    ------
    PipelineError
        The target cannot be reached.
    """
    counts = np.bincount(labels, minlength=len(classes))
    strength = STRENGTHS.get(strategy, 0.0) if strength is None else strength
    wanted = aim(counts, classes, strategy=strategy, target=target) if strategy in AIMED else counts
    counts_as = wanted
    if strategy == "effective_number":
        counts_as = counts * (1 - strength) / (1 - strength**counts)
    if strategy == "logit_adjustment":
        counts_as = counts * (counts_as / counts) ** strength
    counts_as = counts_as / counts_as.sum() * len(labels)
    shift = np.log(counts / counts_as)

    rows, weights, draw = np.arange(len(labels), dtype=np.int64), np.ones(len(classes)), np.zeros(len(classes))
    margins, gamma = np.zeros(len(classes)), 0.0
    if strategy in {"random_over", "random_under"}:
        rows = _sample(labels, wanted, strategy, seed)
    elif strategy in {"class_weight", "effective_number"}:
        weights = counts_as / counts
    elif strategy == "balanced_batches":
        draw = np.maximum(np.round(counts_as), 1)
    elif strategy == "logit_adjustment":
        margins = shift - shift.mean()
    elif strategy == "focal":
        gamma = strength
    elif strategy != "none":
        raise ValueError(f"unknown strategy {strategy!r}")
    return Plan(
        rows,
        weights[labels[rows]].astype(np.float32),
        draw.astype(np.int64),
        margins.astype(np.float32),
        gamma,
        counts_as,
        shift,
    )


def _sample(labels: np.ndarray, wanted: np.ndarray, strategy: str, seed: int) -> np.ndarray:
    """Row numbers, ascending, with `wanted` rows of each class."""
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler

    sampler = RandomOverSampler if strategy == "random_over" else RandomUnderSampler
    of_each = {number: int(rows) for number, rows in enumerate(wanted)}
    rows = np.arange(len(labels), dtype=np.int64).reshape(-1, 1)
    sampled, _ = sampler(sampling_strategy=of_each, random_state=seed).fit_resample(rows, labels)
    return np.sort(sampled.ravel())
