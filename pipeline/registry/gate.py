"""The gate: whether a new model may become the champion, by rules fixed in `params.yaml` beforehand.

Floors that every model must reach, and a comparison with the champion on the same test rows, as in TFX, whose evaluator
blesses a model by a value threshold and a change threshold (Baylor et al. 2017, "TFX").
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import display_name
from ..base.markdown import escaped, pipe_table
from ..evaluation.metrics import Metrics
from ..evaluation.paired import holm
from ..evaluation.rates import Interval, wilson_interval
from .settings import Gate

MACRO_F1 = "macro-F1"
ANSWERS = "answers as measured"
CHANCE = 0.75  # standard errors, beyond the rise that is allowed; chosen by benchmarks.gate
CLEARLY = 3  # standard errors: so rare by chance that the anchor is not drawn away by luck on fixed test rows
SIGNIFICANT = 0.05  # of all drops of classes and slices together


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
    intervals : mapping
        Content of `intervals.json`; a rate without an interval gets Wilson's by rows.
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
    intervals: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""
    withdrawn: str = ""


@dataclass(frozen=True)
class Comparison:
    """A new model compared with one that serves or served, on the same test rows; see `paired_differences`.

    Parameters
    ----------
    role : {"champion", "anchor"}
        The champion is the model in service, the anchor the best one that ever was.
    version : str
        Its version.
    loss, macro_f1 : dict of str to float
        `difference` (the new model's minus the other's), and `low` and `high` of its 95 % interval; of the loss, also
        its standard `error`.
    recalls, accuracies : mapping of str to dict of str to float
        The same for each class's recall and each slice's accuracy, with `num_samples` and `p_drop`.
    failure : str
        Why the two cannot be compared; empty if they can.
    left_out : int
        Test rows that were not compared, because they were in another split when the other model was trained.
    """

    role: str
    version: str
    loss: Metrics = field(default_factory=dict)
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
    is_anchor: bool = False  # whether the new model also takes the place of the anchor

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


def decide(challenger: Challenger, comparisons: Sequence[Comparison], rules: Gate) -> Decision:
    """Judge a new model by the rules.

    Parameters
    ----------
    challenger : Challenger
        The new model.
    comparisons : sequence of Comparison
        With the champion, and with the anchor if it is another one; none if there is no champion.
    rules : Gate
        The section `gate` of the parameters.

    Returns
    -------
    Decision
        Promoted if every check passed; otherwise the reason names the failed checks.
    """
    changes = [check for comparison in comparisons for check in _changes(comparison, rules)]
    checks = (*_floors(challenger, rules), *changes)
    failed = [f"{check.name} {check.found}, wanted {check.limit}" for check in checks if not check.passed]
    if failed:
        return Decision(False, "; ".join(failed), checks)
    if not comparisons:
        return Decision(True, "the first model of this name, and it passed every check", checks, is_anchor=True)
    change = next(check for check in changes if check.rule in ("max_loss_rise", "change"))
    anchor = comparisons[-1]  # the champion, if that is the anchor
    is_anchor = bool(anchor.failure) or anchor.loss["difference"] < -CLEARLY * anchor.loss["error"]
    return Decision(True, f"{change.name} {change.found}, wanted {change.limit}", checks, is_anchor)


def _floors(model: Challenger, rules: Gate) -> Iterator[Check]:
    name = "the packaged model, in a separate process,"
    yield Check(name, "", model.failure or ANSWERS, ANSWERS, not model.failure)
    if model.withdrawn:
        yield Check("this version", "", model.withdrawn, "a promotion by hand", False)
    overall, gain = model.overall, model.overall["macro_f1"] - model.majority
    yield _at_least("accuracy", "min_accuracy", overall["accuracy"], rules.min_accuracy)
    yield _at_least(MACRO_F1, "min_macro_f1", overall["macro_f1"], rules.min_macro_f1)
    yield _at_least(f"{MACRO_F1} above that of the most frequent class", "min_gain", gain, rules.min_gain)
    # A class that no baseline finds either is hard to find, and no fault of the model.
    bounds, reached = model.intervals, model.intervals.get("reached", {})
    recall_floors = {name: min(rules.min_class_recall, reached.get(name, 1.0)) for name in model.per_class}
    slice_floors = dict.fromkeys(model.slices, rules.min_slice_accuracy)
    classes = model.per_class, bounds.get("per_class", {})
    slices = model.slices, bounds.get("slices", {})
    yield from _group_floor("recall of class", "recall", *classes, "min_class_recall", recall_floors, rules)
    yield from _group_floor("accuracy of slice", "accuracy", *slices, "min_slice_accuracy", slice_floors, rules)
    yield _at_most("calibration error (ECE)", "max_ece", overall["ece"], rules.max_ece)
    yield from _classwise_error(model, rules)
    if rules.not_behind:
        yield from _behind(bounds.get("differences", {}))
    if not np.isnan(model.latency):
        yield _at_most("milliseconds for one text", "max_latency", model.latency, rules.max_latency, ".1f")
    yield _at_most("megabytes of the model", "max_size", model.size, rules.max_size, ".1f")


def _group_floor(
    title: str,
    metric: str,
    groups: Mapping[str, Metrics],
    bounds: Mapping[str, Mapping[str, Interval]],
    rule: str,
    floors: Mapping[str, float],
    rules: Gate,
) -> Iterator[Check]:
    """Check the group whose rate lies furthest below its floor, as far as its number of rows tells."""
    rates = {name: m for name, m in groups.items() if m["num_samples"] >= rules.min_samples}
    intervals = {
        name: bounds.get(name, {}).get(metric) or wilson_interval(m[metric], int(m["num_samples"]))
        for name, m in rates.items()
    }
    if intervals:
        name = min(intervals, key=lambda name: intervals[name]["high"] - floors[name])
        high, floor = intervals[name]["high"], floors[name]
        found = f"{rates[name][metric]:.4f} [{intervals[name]['low']:.4f}, {high:.4f}]"
        yield Check(f"{title} {display_name(name)}", rule, found, f"an interval that reaches {floor:g}", high >= floor)


def _classwise_error(model: Challenger, rules: Gate) -> Iterator[Check]:
    """Check the class-wise calibration error, times half the number of classes, as far as it exceeds chance."""
    if "noise" in model.intervals:
        half = len(model.per_class) / 2  # so that a limit means the same for two classes and for 13
        value, noise = (half * error for error in (model.overall["classwise_ece"], model.intervals["noise"]))
        found = f"{value:.4f}, of which chance may be {noise:.4f}"
        limit = f"at most {rules.max_classwise_ece:g} above it"
        yield Check("class-wise ECE", "max_classwise_ece", found, limit, value - noise <= rules.max_classwise_ece)


def _behind(differences: Mapping[str, Mapping[str, Interval]]) -> Iterator[Check]:
    """Check that no baseline is better in macro-F1 or log-loss, by the whole interval."""
    for metric, title, sign in (("macro_f1", f"{MACRO_F1} in points", 1), ("loss", "log-loss", -1)):
        gains = {
            name: {"difference": of[metric]["difference"]} | {key: of[metric][key] for key in ("low", "high")}
            for name, of in differences.items()
            if "low" in of.get(metric, {})
        }
        if gains:
            worst = min(gains, key=lambda name: sign * gains[name]["difference"])
            best_case = gains[worst]["high" if sign > 0 else "low"]
            form = _points if sign > 0 else _nats
            name = f"{title} against the baseline {display_name(worst)}"
            limit = "an interval that is not wholly behind it (or a promotion by hand)"
            yield Check(name, "not_behind", form(gains[worst]), limit, sign * best_case >= 0)


def _changes(comparison: Comparison, rules: Gate) -> Iterator[Check]:
    against = f"against the {comparison.role} (version {comparison.version}) on the same test rows"
    if comparison.left_out:
        against += f" (without {comparison.left_out:,} that were in another split when it was trained)"
    if comparison.failure:  # an anchor that cannot be compared any more gives its place to the new model
        passed = comparison.role == "anchor"
        yield Check(f"comparison {against}:", "change", comparison.failure, "comparable models", passed)
        return
    loss, f1 = comparison.loss, comparison.macro_f1
    name = f"log-loss {against}"
    if rules.change == "better":
        yield Check(name, "change", _nats(loss), "the interval below 0", loss["high"] < 0)
    else:
        # Few test rows must not keep equal models out: chance adds to the rise.
        allowed = rules.max_loss_rise + CHANCE * loss["error"]
        limit = f"a rise of at most {allowed:.4f}"
        yield Check(name, "max_loss_rise", _nats(loss), limit, loss["difference"] <= allowed)
    limit = f"no significant drop of more than {100 * rules.max_f1_drop:g}"
    passed = f1["high"] >= 0 or f1["difference"] >= -rules.max_f1_drop
    yield Check(f"{MACRO_F1} in points {against}", "max_f1_drop", _points(f1), limit, passed)
    yield from _drops(comparison, against, rules)


def _drops(comparison: Comparison, against: str, rules: Gate) -> Iterator[Check]:
    """Check the class and the slice that lost most, among those whose loss is significant for so many at once."""
    judged = {
        (rule, name): m
        for rule, groups in (("max_class_drop", comparison.recalls), ("max_slice_drop", comparison.accuracies))
        for name, m in groups.items()
        if m["num_samples"] >= rules.min_samples
    }
    adjusted = holm({key: m["p_drop"] for key, m in judged.items()})
    for rule, title, max_drop in (
        ("max_class_drop", "recall of", rules.max_class_drop),
        ("max_slice_drop", "accuracy on", rules.max_slice_drop),
    ):
        known = {name: m for (of_rule, name), m in judged.items() if of_rule == rule}
        drops = {name: m["difference"] for name, m in known.items() if adjusted[rule, name] < SIGNIFICANT}
        if known:
            name = min(drops or known, key=lambda name: known[name]["difference"])
            limit = f"no significant drop of more than {100 * max_drop:g}"
            passed = drops.get(name, 0.0) >= -max_drop
            yield Check(f"{title} {display_name(name)} in points {against}", rule, _points(known[name]), limit, passed)


def _at_least(name: str, rule: str, value: float, limit: float) -> Check:
    return Check(name, rule, f"{value:.4f}", f"at least {limit:g}", value >= limit)


def _at_most(name: str, rule: str, value: float, limit: float, form: str = ".4f") -> Check:
    return Check(name, rule, f"{value:{form}}", f"at most {limit:g}", value <= limit)


def _nats(metrics: Metrics) -> str:
    return f"{metrics['difference']:+.4f} [{metrics['low']:+.4f}, {metrics['high']:+.4f}]"


def _points(metrics: Metrics) -> str:
    return f"{100 * metrics['difference']:+.1f} [{100 * metrics['low']:+.1f}, {100 * metrics['high']:+.1f}]"
