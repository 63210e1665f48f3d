"""The gate: whether a new model may become the champion, by rules fixed in `params.yaml` beforehand.

Floors that every model must reach, and a comparison with the champion on the same test rows, as in TFX, whose evaluator
blesses a model by a value threshold and a change threshold (Baylor et al. 2017, "TFX").
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import display_name
from ..base.markdown import escaped, pipe_table
from ..evaluation.metrics import Metrics
from .settings import Gate

MACRO_F1 = "macro-F1"
ANSWERS = "answers as measured"


@dataclass(frozen=True)
class Challenger:
    """A new model's results on the test rows and in the probe.

    Parameters
    ----------
    overall, per_class, slices
        Metrics, as evaluate writes them.
    majority : float
        Macro-F1 of the most frequent class on the same rows.
    latency : float
        Milliseconds for one text, the median; NaN if the probe failed.
    size : float
        Megabytes of the model folder.
    failure : str
        Why the probe failed, such as that the model cannot be loaded; empty if it passed.
    withdrawn : str
        When and why a person rolled the version back; empty if nobody did.
    """

    overall: Metrics
    per_class: Mapping[str, Metrics]
    slices: Mapping[str, Metrics]
    majority: float
    latency: float
    size: float
    failure: str = ""
    withdrawn: str = ""


@dataclass(frozen=True)
class ChampionComparison:
    """A new model compared with the one in service, on the same test rows; see `paired_differences`.

    Parameters
    ----------
    version : str
        The champion's version.
    macro_f1 : dict of str to float
        `difference` (the new model's minus the champion's), and `low` and `high` of its 95 % interval.
    recalls, accuracies : mapping of str to dict of str to float
        The same for each class's recall and each slice's accuracy, with `num_samples`.
    failure : str
        Why the two cannot be compared; empty if they can.
    left_out : int
        Test rows that were not compared, because they were in another split when the champion was trained.
    """

    version: str
    macro_f1: Metrics = field(default_factory=dict)
    recalls: Mapping[str, Metrics] = field(default_factory=dict)
    accuracies: Mapping[str, Metrics] = field(default_factory=dict)
    failure: str = ""
    left_out: int = 0


class Check(NamedTuple):
    """The result of one rule."""

    name: str  # what is checked, in words
    rule: str  # its parameter under gate; empty for a rule that no parameter turns off
    found: str
    limit: str
    passed: bool


@dataclass(frozen=True)
class Decision:
    """Whether a new model becomes the champion, and why.

    >>> print(Decision(False, "size").verdict())
    **Not the champion**: size.
    """

    promote: bool
    reason: str
    checks: tuple[Check, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"checks": [check._asdict() for check in self.checks]}

    def verdict(self) -> str:
        """The decision in a line of Markdown."""
        return f"**{'Champion' if self.promote else 'Not the champion'}**: {escaped(self.reason)}."

    def table(self) -> str:
        """The checks as a Markdown table; empty if there are none."""
        rows = [
            (
                escaped(check.name),
                escaped(check.found),
                escaped(check.limit),
                "passed" if check.passed else "**failed**",
                f"`gate.{check.rule}`" if check.rule else "",
            )
            for check in self.checks
        ]
        return pipe_table(("check", "found", "wanted", "", "parameter"), rows) if rows else ""


def decide(challenger: Challenger, comparison: ChampionComparison | None, rules: Gate) -> Decision:
    """Judge a new model by the rules.

    Parameters
    ----------
    challenger : Challenger
        The new model.
    comparison : ChampionComparison or None
        Its comparison with the model in service; None if there is no champion.
    rules : Gate
        The section `gate` of the parameters.

    Returns
    -------
    Decision
        Promoted if every check passed; otherwise the reason names the failed checks.
    """
    checks = (*_floors(challenger, rules), *(_changes(comparison, rules) if comparison else ()))
    failed = [f"{check.name} {check.found}, wanted {check.limit}" for check in checks if not check.passed]
    if failed:
        return Decision(False, "; ".join(failed), checks)
    if comparison is None:
        return Decision(True, "the first model of this name, and it passed every check", checks)
    change = next(check for check in checks if check.rule == "change")
    return Decision(True, f"{change.name} {change.found}, wanted {change.limit}", checks)


def _floors(model: Challenger, rules: Gate) -> Iterator[Check]:
    name = "the packaged model, in a separate process,"
    yield Check(name, "", model.failure or ANSWERS, ANSWERS, not model.failure)
    if model.withdrawn:
        yield Check("this version", "", model.withdrawn, "a promotion by hand", False)
    overall, gain = model.overall, model.overall["macro_f1"] - model.majority
    yield _at_least("accuracy", "min_accuracy", overall["accuracy"], rules.min_accuracy)
    yield _at_least(MACRO_F1, "min_macro_f1", overall["macro_f1"], rules.min_macro_f1)
    yield _at_least(f"{MACRO_F1} above that of the most frequent class", "min_gain", gain, rules.min_gain)
    for title, metric, groups, rule, limit in (
        ("lowest recall of a class", "recall", model.per_class, "min_class_recall", rules.min_class_recall),
        ("lowest accuracy of a slice", "accuracy", model.slices, "min_slice_accuracy", rules.min_slice_accuracy),
    ):
        values = {name: m[metric] for name, m in groups.items() if m["num_samples"] >= rules.min_samples}
        if values:
            lowest = min(values, key=lambda name: values[name])
            yield _at_least(f"{title} ({display_name(lowest)})", rule, values[lowest], limit)
    yield _at_most("calibration error (ECE)", "max_ece", overall["ece"], rules.max_ece)
    if not np.isnan(model.latency):
        yield _at_most("milliseconds for one text", "max_latency", model.latency, rules.max_latency, ".1f")
    yield _at_most("megabytes of the model", "max_size", model.size, rules.max_size, ".1f")


def _changes(comparison: ChampionComparison, rules: Gate) -> Iterator[Check]:
    against = f"against the champion (version {comparison.version}) on the same test rows"
    if comparison.left_out:
        against += f" (without {comparison.left_out:,} that were in another split when it was trained)"
    if comparison.failure:
        yield Check(f"comparison {against}:", "change", comparison.failure, "comparable models", False)
        return
    low, better = comparison.macro_f1["low"], rules.change == "better"
    limit = f"the interval {'above 0' if better else f'at least {-100 * rules.margin:g}'}"
    passed = low > 0 if better else low >= -rules.margin
    yield Check(f"{MACRO_F1} in points {against}", "change", _points(comparison.macro_f1), limit, passed)
    for title, groups, rule, max_drop in (
        ("recall of", comparison.recalls, "max_class_drop", rules.max_class_drop),
        ("accuracy on", comparison.accuracies, "max_slice_drop", rules.max_slice_drop),
    ):
        known = {name: m for name, m in groups.items() if m["num_samples"] >= rules.min_samples and "low" in m}
        # A drop counts if it is statistically significant.
        drops = {name: m["difference"] for name, m in known.items() if m["high"] < 0}
        if known:
            name = min(drops or known, key=lambda name: known[name]["difference"])
            passed = drops.get(name, 0.0) >= -max_drop
            limit = f"no significant drop of more than {100 * max_drop:g}"
            yield Check(f"{title} {display_name(name)} in points {against}", rule, _points(known[name]), limit, passed)


def _at_least(name: str, rule: str, value: float, limit: float) -> Check:
    return Check(name, rule, f"{value:.4f}", f"at least {limit:g}", value >= limit)


def _at_most(name: str, rule: str, value: float, limit: float, form: str = ".4f") -> Check:
    return Check(name, rule, f"{value:{form}}", f"at most {limit:g}", value <= limit)


def _points(metrics: Metrics) -> str:
    return f"{100 * metrics['difference']:+.1f} [{100 * metrics['low']:+.1f}, {100 * metrics['high']:+.1f}]"
