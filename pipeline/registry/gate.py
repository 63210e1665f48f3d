"""Gate: whether a new model may become the champion, by rules that stand in `params.yaml` before anybody sees it.

Floors that every model must reach, and a comparison with the champion on the same test rows, as in TFX, whose evaluator
blesses a model by a value threshold and a change threshold (Baylor et al. 2017, "TFX").
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..base.errors import display_name
from ..base.markdown import escaped, pipe_table
from ..evaluation import intervals, metrics
from .settings import Gate

Figures = Mapping[str, float]
MACRO_F1 = "macro-F1"


@dataclass(frozen=True)
class Candidate:
    """What a model shows on the test rows, and in a process of its own.

    Parameters
    ----------
    overall, per_class, slices
        As evaluate gives them.
    majority : float
        Macro-F1 of the most frequent class on the same rows.
    latency : float
        Milliseconds for one text, the median; NaN where it does not answer.
    size : float
        Megabytes of the model folder.
    failure : str
        Why it does not load, or not answer as it was measured; empty if it does.
    withdrawn : str
        When and why a person rolled it back; empty if nobody did.
    """

    overall: Figures
    per_class: Mapping[str, Figures]
    slices: Mapping[str, Figures]
    majority: float
    latency: float
    size: float
    failure: str = ""
    withdrawn: str = ""


@dataclass(frozen=True)
class Champion:
    """The model in service, beside the new one on the same test rows.

    Parameters
    ----------
    version : str
        Its version.
    macro_f1 : dict of str to float
        `difference` (the new model's minus its), and the 95 % interval's `low` and `high`.
    recalls, accuracies : mapping of str to dict of str to float
        The same for each class's recall and each slice's accuracy, with `num_samples`.
    failure : str
        Why the two cannot be compared; empty if they can.
    """

    version: str
    macro_f1: Figures = field(default_factory=dict)
    recalls: Mapping[str, Figures] = field(default_factory=dict)
    accuracies: Mapping[str, Figures] = field(default_factory=dict)
    failure: str = ""


class Check(NamedTuple):
    """One rule, and what came of it."""

    name: str  # what is checked, in words
    rule: str  # its parameter under gate; empty for what no parameter can turn off
    found: str
    limit: str
    passed: bool


@dataclass(frozen=True)
class Decision:
    """Whether a new model becomes the champion, and why."""

    promote: bool
    reason: str
    checks: tuple[Check, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"checks": [check._asdict() for check in self.checks]}

    def verdict(self) -> str:
        """The decision in a line of Markdown."""
        return f"**{'Champion' if self.promote else 'Not the champion'}**: {escaped(self.reason)}."

    def table(self) -> str:
        """The checks as a table in Markdown; empty where nothing was checked."""
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


def decide(challenger: Candidate, champion: Champion | None, rules: Gate) -> Decision:
    """Judge a new model by the rules.

    Parameters
    ----------
    challenger : Candidate
        The new model.
    champion : Champion or None
        The model in service beside it; None where none is.
    rules : params.Gate
        The section `gate` of the parameters.

    Returns
    -------
    Decision
        Promoted if every check passed; the reason names those that failed.
    """
    checks = (*_floors(challenger, rules), *(_changes(champion, rules) if champion else ()))
    failed = [f"{check.name} {check.found}, wanted {check.limit}" for check in checks if not check.passed]
    if failed:
        return Decision(False, "; ".join(failed), checks)
    if champion is None:
        return Decision(True, "the first model of this name, and it passed every check", checks)
    change = next(check for check in checks if check.rule == "change")
    return Decision(True, f"{change.name} {change.found}, wanted {change.limit}", checks)


def _floors(model: Candidate, rules: Gate) -> Iterator[Check]:
    answers = "answers as measured"
    asked = "the packaged model, in a process of its own,"
    yield Check(asked, "", model.failure or answers, answers, not model.failure)
    if model.withdrawn:
        yield Check("this version", "", model.withdrawn, "a promotion by hand", False)
    gain = model.overall["macro_f1"] - model.majority
    yield _at_least("accuracy", "min_accuracy", model.overall["accuracy"], rules.min_accuracy)
    yield _at_least(MACRO_F1, "min_macro_f1", model.overall["macro_f1"], rules.min_macro_f1)
    yield _at_least(f"{MACRO_F1} above that of the most frequent class", "min_gain", gain, rules.min_gain)
    recalls = {name: of["recall"] for name, of in model.per_class.items() if of["num_samples"] >= rules.min_samples}
    if recalls:
        name = min(recalls, key=lambda each: recalls[each])
        yield _at_least(
            f"lowest recall of a class ({display_name(name)})",
            "min_class_recall",
            recalls[name],
            rules.min_class_recall,
        )
    parts = {name: of["accuracy"] for name, of in model.slices.items() if of["num_samples"] >= rules.min_samples}
    if parts:
        name = min(parts, key=lambda each: parts[each])
        yield _at_least(
            f"lowest accuracy of a slice ({display_name(name)})",
            "min_slice_accuracy",
            parts[name],
            rules.min_slice_accuracy,
        )
    yield _at_most("calibration error (ECE)", "max_ece", model.overall["ece"], rules.max_ece)
    if not np.isnan(model.latency):
        yield _at_most("milliseconds for one text", "max_latency", model.latency, rules.max_latency, ".1f")
    yield _at_most("megabytes of the model", "max_size", model.size, rules.max_size, ".1f")


def _changes(champion: Champion, rules: Gate) -> Iterator[Check]:
    against = f"against the champion (version {champion.version}) on the same test rows"
    if champion.failure:
        yield Check(f"a comparison {against}:", "change", champion.failure, "one", False)
        return
    low, better = champion.macro_f1["low"], rules.change == "better"
    wanted = "above 0" if better else f"at least {-100 * rules.margin:g}"
    passed = low > 0 if better else low >= -rules.margin
    yield Check(
        f"{MACRO_F1} in points {against}", "change", _points(champion.macro_f1), f"the interval {wanted}", passed
    )
    for what, parts, rule, most in (
        ("recall of", champion.recalls, "max_class_drop", rules.max_class_drop),
        ("accuracy on", champion.accuracies, "max_slice_drop", rules.max_slice_drop),
    ):
        known = {name: of for name, of in parts.items() if of["num_samples"] >= rules.min_samples and "low" in of}
        # A fall counts where chance does not explain it.
        fallen = {name: of["difference"] for name, of in known.items() if of["high"] < 0}
        if known:
            name = min(fallen or known, key=lambda each: known[each]["difference"])
            passed = fallen.get(name, 0.0) >= -most
            limit = f"no clear fall by more than {100 * most:g}"
            yield Check(f"{what} {display_name(name)} in points {against}", rule, _points(known[name]), limit, passed)


def _at_least(name: str, rule: str, found: float, limit: float) -> Check:
    return Check(name, rule, f"{found:.4f}", f"at least {limit:g}", found >= limit)


def _at_most(name: str, rule: str, found: float, limit: float, form: str = ".4f") -> Check:
    return Check(name, rule, f"{found:{form}}", f"at most {limit:g}", found <= limit)


def _points(of: Figures) -> str:
    return f"{100 * of['difference']:+.1f} [{100 * of['low']:+.1f}, {100 * of['high']:+.1f}]"


def compare(
    labels: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray,
    classes: Sequence[str],
    slices: Mapping[str, np.ndarray],
    *,
    version: str,
    resamples: int,
    seed: int,
) -> Champion:
    """Measure two models on the same rows, with paired 95 % intervals.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    challenger, champion : ndarray of shape (n_rows, n_classes), float
        Probabilities, in the same order of the classes.
    classes : sequence of str
        Class names.
    slices : mapping of str to ndarray of shape (n_rows,), bool
        As `slices.members` gives them.
    version : str
        The champion's.
    resamples, seed : int
        As in `metrics.bootstrap`.
    """
    measured = [metrics.Measured(labels, each) for each in (challenger, champion)]
    won = (measured[0].predicted == labels) - 1.0 * (measured[1].predicted == labels)
    named = {name: labels == number for number, name in enumerate(classes)}
    groups = [{name: rows for name, rows in of.items() if rows.any()} for of in (named, slices)]
    masks = [rows for of in groups for rows in of.values()]
    members = np.stack(masks, axis=1).astype(float)
    drawn, parts = [], []
    for weights in intervals.resampled(len(labels), resamples, seed):
        new, old = (each(weights, rankings=False)["macro_f1"] for each in measured)
        drawn.append(new - old)
        with np.errstate(invalid="ignore"):  # a resample may hold no row of a part
            parts.append((weights * won) @ members / (weights @ members))
    new, old = (each(rankings=False)["macro_f1"] for each in measured)
    found = iter(
        {"num_samples": int(rows.sum()), "difference": float(won[rows].mean()), **intervals.interval(values)}
        for rows, values in zip(masks, np.stack(parts).T, strict=True)
    )
    recalls, accuracies = ({name: next(found) for name in of} for of in groups)
    return Champion(version, {"difference": new - old, **intervals.interval(np.array(drawn))}, recalls, accuracies)
