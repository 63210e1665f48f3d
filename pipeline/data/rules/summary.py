"""Summary of checked rules: the content of `results.json` and of the validation report."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import pandas as pd

from ..readers.reading import Reading
from ..spellings import shown_label
from .engine import MAX_CLASSES
from .rule import RuleResult


class RuleSummary(TypedDict):
    """A rule and its result in `results.json`."""

    name: str
    says: str
    parameter: str
    limit: str
    severity: Literal["warn", "stop"]
    outcome: Literal["pass", "warn", "stop"]
    observed: int | float | None
    found: str
    follows_from: str  # the broken rule that is the cause of this one; "" for none
    remedy: str  # a line for section ingest of params.yaml; "" for none


class ValidationSummary(TypedDict):
    """The content of `results.json`: numbers, names of sources and of classes, but no text."""

    rows: int
    sources: list[str]
    number_of_classes: int
    classes: list[list[Any]]  # name and number of rows; empty if there are so many that the labels may be texts
    rules: list[RuleSummary]
    readings: list[tuple[str, list[str]]]  # of each file that was not read plainly: what was done


def summarise(
    results: Sequence[RuleResult],
    table: pd.DataFrame,
    classes: pd.DataFrame,
    readings: Mapping[str, Reading] | None = None,
) -> ValidationSummary:
    """Return the content of `results.json` and of the report.

    Parameters
    ----------
    results : sequence of RuleResult
        As returned by `check_rules`.
    table : DataFrame of shape (n_rows, n_columns)
        The raw table.
    classes : DataFrame of shape (n_classes, >= 2)
        Its classes, with `label` and `rows`.
    readings : mapping of str to Reading, or None
        How the files were read, by source.
    """
    class_rows = zip(classes["label"].map(shown_label), classes["rows"].tolist(), strict=True)
    return {
        "rows": len(table),
        "sources": sorted(table["source"].unique()) if "source" in table else [],
        "number_of_classes": len(classes),
        "classes": [list(pair) for pair in class_rows] if len(classes) <= MAX_CLASSES else [],
        "rules": [
            {
                "name": result.rule.name,
                "says": result.rule.description,
                "parameter": result.rule.parameter,
                "limit": result.rule.limit,
                "severity": result.rule.severity,
                "outcome": result.verdict,
                "observed": result.observed,
                "found": result.found,
                "follows_from": result.cause,
                "remedy": result.remedy,
            }
            for result in results
        ],
        "readings": [(source, lines) for source, reading in (readings or {}).items() if (lines := reading.lines())],
    }
