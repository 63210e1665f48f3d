"""What was measured: metrics, calibration, behaviour tests and the decision on promotion."""

from collections.abc import Mapping
from typing import Any

from ...base.markdown import escaped, named, pipe_table
from ...evaluation.metrics import HEADLINES
from ..facts import Facts
from ..summary import format_interval, format_metric
from ..titles import BASELINES, CLASS_METRICS, METRICS, SHORT_METRICS, alone_title
from .formats import format_metrics, format_share, format_value

# The kinds of behaviour tests, by their keys in behaviour.json.
KINDS = {"INV": "invariance", "DIR": "directional", "MFT": "minimum functionality"}


def metrics(facts: Facts) -> list[str]:
    """Return the metrics over all test rows, of simpler models, by class and by slice."""
    overall, intervals = facts.metrics["overall"], facts.intervals["overall"]
    rows = [
        (title, f"{overall[key]:.4f}", format_interval(intervals.get(key)))
        for key, title in METRICS.items()
        if key in overall
    ]
    return [
        f"On the {overall['num_samples']:,} test rows, which were not used in training. Intervals are "
        "Wilson's for rates, and of the bootstrap over test rows, or their groups, for the others; those of the "
        "calibration errors are too high, because each resample adds noise.",
        pipe_table(("metric", "value", "95 % interval"), rows, right=2),
        *_baselines(facts),
        *_per_class(facts),
        *_slices(facts),
    ]


def _baselines(facts: Facts) -> list[str]:
    columns = {key: SHORT_METRICS[key] for key in HEADLINES}
    rows = [("the model", *format_metrics(facts.metrics["overall"], columns))]
    alone = {name: alone_title(name) for name in facts.metrics.get("alone", {})}
    rows += [(title, *format_metrics(facts.metrics["alone"][name], columns)) for name, title in alone.items()]
    rows += [(BASELINES[name], *format_metrics(values, columns)) for name, values in facts.metrics["baselines"].items()]
    differences = [
        (title, *(f"{values[key]['difference']:+.4f} {format_interval(values[key])}" for key in columns))
        for title, values in [
            *((title, facts.intervals["alone"][name]) for name, title in alone.items()),
            *((BASELINES[name], values) for name, values in facts.intervals["differences"].items()),
        ]
    ]
    return [
        "### Comparison with simpler models",
        "The baselines were trained on the same training rows, or on a sample of them (`evaluate.baseline_rows`). "
        "They, and the parts of the model alone, are calibrated on the validation rows as the model is.",
        pipe_table(("", *columns.values()), rows, right=3),
        "Differences of the model to each (model minus the other one), on the same resamples of the test rows: a "
        "difference is statistically significant if its 95 % interval excludes 0.",
        pipe_table(("difference to", *columns.values()), differences, right=3),
    ]


def _per_class(facts: Facts) -> list[str]:
    rows = [
        (
            named(name),
            f"{values['num_samples']:,}",
            *format_metrics(values, CLASS_METRICS, facts.intervals["per_class"].get(name)),
        )
        for name, values in facts.metrics["per_class"].items()
    ]
    return [
        "### By class",
        pipe_table(("class", "rows", *CLASS_METRICS.values()), rows, right=6),
        "![Confusion matrix of the test rows](../evaluate/confusion_matrix.png)",
    ]


def _slices(facts: Facts) -> list[str]:
    rows = [
        (
            named(name),
            f"{values['num_samples']:,}",
            format_metric(values["accuracy"], facts.intervals["slices"][name]["accuracy"]),
            *format_metrics(values, ("balanced_accuracy", "macro_f1")),
        )
        for name, values in facts.metrics["slices"].items()
    ]
    if not rows:
        return []
    return [
        "### By slice of the test rows",
        "Balanced accuracy and macro-F1 are means over the classes that occur in the slice. Intervals are Wilson's "
        "(1927), with the effective number of rows where rows have groups; among many slices, some look weak or strong "
        "by chance.",
        pipe_table(("slice", "rows", "accuracy", "balanced accuracy", "macro-F1"), rows, right=4),
    ]


def calibration(facts: Facts) -> list[str]:
    """Return temperature, offsets and class priors, and the metrics before and after."""
    manifest, before, after = facts.manifest, facts.metrics["uncalibrated"], facts.metrics["overall"]
    rows = [
        (METRICS[key], f"{before[key]:.4f}", format_metric(after[key], facts.intervals["overall"].get(key)))
        for key in ("ece", "classwise_ece", "loss", "accuracy")
    ]
    known = manifest.get("class_priors")
    priors = known["implied"] if known else manifest["class_shares"]
    classes = [
        (named(name), f"{offset:+.4f}", f"{prior:.4f}")
        for name, offset, prior in zip(manifest["classes"], manifest["offsets"], priors, strict=True)
    ]
    return [
        f"The logits are divided by a temperature of {facts.metrics['temperature']:.4f} (Guo et al. 2017) and shifted "
        "by an offset for each class, all fitted on the validation rows. About 80 % of the texts with a probability "
        "of 80 % should have that label; the calibration error is the mean difference.",
        pipe_table(("on the test rows", "before", "after"), rows, right=2),
        "The probabilities assume these class priors. If yours differ, pass them (`--class-shares`); otherwise rare "
        "classes are predicted too rarely or too often. The priors are "
        f"{facts.rebalance['prior_correction']:.0%} of the way from those after rebalancing to the natural ones "
        "(`rebalance.prior_correction`).",
        pipe_table(("class", "offset", "class prior"), classes, right=2),
        "![Accuracy by confidence](../evaluate/reliability.png)",
    ]


def behaviour_tests(facts: Facts) -> list[str]:
    """Return the pass rate of each behaviour test."""
    if not facts.behaviour:
        return ["None were run for this state."]
    rows = [
        (
            named(name.replace("_", " ")),
            KINDS.get(test["kind"], escaped(test["kind"])),
            f"{test['num_samples']:,}",
            format_share(test["pass_rate"], test["num_samples"]),
        )
        for name, test in facts.behaviour.items()
    ]
    return [
        "As in CheckList (Ribeiro et al. 2020). *Invariance*: a change that should not matter keeps the label. "
        "*Directional*: a change moves the probabilities in the expected direction. *Minimum functionality*: simple "
        "cases get the right label. Intervals are Wilson's (1927), by samples.",
        pipe_table(("test", "kind", "samples", "pass rate"), rows, right=2),
    ]


def promotion(decision: Mapping[str, Any] | None) -> list[str]:
    """Return the decision with its reason and checks."""
    if decision is None:
        return ["Not decided, or decided elsewhere: see the tags of the version in the registry."]
    verdict = "Promoted to champion" if decision["promote"] else "Not promoted"
    rows = [
        (
            named(str(check["name"])),
            "passed" if check["passed"] else "**failed**",
            format_value(check["found"]),
            format_value(check["limit"]),
        )
        for check in decision.get("checks", ())
    ]
    blocks = [f"**{verdict}**: {escaped(decision['reason'])}"]
    return blocks + ([pipe_table(("check", "result", "value", "limit"), rows)] if rows else [])
