"""Validation report: the results of the stage `validate` as an HTML page."""

from ..data.rules.summary import RuleSummary, ValidationSummary
from . import page

ORDER = ("stop", "warn", "follows", "pass")  # broken rules first, before those that follow from them
SIGNS = {"pass": "✓", "warn": "!", "stop": "✕", "follows": "↳"}
ADVICE = {
    "pass": "The table satisfies every rule.",
    "warn": "The pipeline continues. Look at the rules marked with a warning before you trust its results.",
    "stop": "The pipeline stops. Repair the data, or change the limit or validate.warn_only in params.yaml.",
}


def validation_page(results: ValidationSummary) -> str:
    """Return the page of the content of `results.json`, broken rules first."""
    from importlib.metadata import version

    outcomes = [_outcome(rule) for rule in results["rules"]]
    worst = next(outcome for outcome in ORDER if outcome in outcomes)
    verdict = _verdict(worst, outcomes.count(worst))
    rules = sorted(zip(outcomes, results["rules"], strict=True), key=lambda pair: ORDER.index(pair[0]))
    return page.fill(
        "validation.html",
        **{**results, "rules": rules},
        title=f"Validation: {verdict}",
        worst=worst,
        verdict=verdict,
        advice=ADVICE[worst],
        signs=SIGNS,
        library=version("great-expectations"),
    )


def _outcome(rule: RuleSummary) -> str:
    return "follows" if rule["follows_from"] else rule["outcome"]


def _verdict(outcome: str, count: int) -> str:
    plural = "s" if count > 1 else ""
    return {
        "pass": f"Passed: all {count} rule{plural} satisfied",
        "warn": f"Passed, with {count} warning{plural}",
        "stop": f"Stopped: {count} rule{plural} broken",
    }[outcome]
