"""Rules of a table: what a rule is, how Great Expectations checks it, and what came of it."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from ...base import paths
from ...base.errors import PipelineError, display_name
from ..split import split_key

MAX_CLASSES = 50


@dataclass(frozen=True)
class Rule:
    """One rule: the table it holds for (see `measure`), and its Great Expectations class and arguments."""

    name: str
    table: Literal["table", "rows", "shares", "classes"]
    expectation: str
    arguments: dict[str, Any]
    says: str
    parameter: str = ""
    severity: Literal["warn", "stop"] = "stop"

    @property
    def limit(self) -> str:
        """The least and the most that is allowed, in short; empty where that is no number."""
        if self.arguments.get("max_value") == 0:
            return "none"
        form = percent if self.table == "shares" else number
        low, high = (self.arguments.get(key) for key in ("min_value", "max_value"))
        if low is not None and high is not None:
            return f"{form(low)} to {form(high)}"
        return f"≥ {form(low)}" if low is not None else f"≤ {form(high)}" if high is not None else ""


@dataclass(frozen=True)
class RuleResult:
    """What came of a rule: the figure observed, and the same in words (counts, row numbers, class names; no text)."""

    rule: Rule
    kept: bool
    observed: int | float | None
    found: str

    @property
    def verdict(self) -> str:
        return "pass" if self.kept else self.rule.severity

    @property
    def sentence(self) -> str:
        parameter = f" ({self.rule.parameter})" if self.rule.parameter else ""
        return f"{self.rule.name}: {self.rule.says}{parameter}, but found {self.found}"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def check(tables: dict[str, pd.DataFrame], declared: list[Rule]) -> list[RuleResult]:
    """Check the tables of `measure` against `declared` rules.

    Parameters
    ----------
    tables : dict of str to DataFrame
        The tables by the name that rules use for them.
    declared : list of Rule
        What must hold.

    Returns
    -------
    list of RuleResult
        One for each rule, in their order.
    """
    import great_expectations as gx
    import great_expectations.expectations as gxe

    expected: list[str] = next((rule.arguments["column_set"] for rule in declared if rule.name == "columns"), [])
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    source = context.data_sources.add_pandas("ingest")
    outcomes: dict[str, RuleResult] = {}
    for name, table in tables.items():
        here = {rule.name: rule for rule in declared if rule.table == name}
        expectations = [
            getattr(gxe, rule.expectation)(**rule.arguments, meta={"rule": rule.name}) for rule in here.values()
        ]
        definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        results = definition.get_batch(batch_parameters={"dataframe": table}).validate(
            gx.ExpectationSuite(name=name, expectations=expectations),
            # Positions, but no values: neither the report nor an error may show a user's text.
            result_format={
                "result_format": "SUMMARY",
                "exclude_unexpected_values": True,
                "partial_unexpected_count": 1,
            },
        )
        for result in results.results:
            config: Any = result.expectation_config
            rule = here[config.meta["rule"]]
            outcomes[rule.name] = _result(rule, bool(result.success), result.result, tables, expected)
    return [outcomes[rule.name] for rule in declared]


def _result(
    rule: Rule, success: bool, result: dict[str, Any], tables: dict[str, pd.DataFrame], expected: list[str]
) -> RuleResult:
    raw, table, rows = tables["table"], tables[rule.table], tables["rows"]
    if not result:  # the expectation could not be computed
        absent = ", ".join(name for name in expected if name not in raw)
        if not absent:
            raise PipelineError(f"the rule {rule.name} could not be computed; check {paths.INGEST_TABLE}")
        return RuleResult(rule, False, None, f"no column {absent}")
    if rule.name == "columns":
        differences = result.get("details", {}).get("mismatched", {})
        words = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in sorted(differences.items()) if names)
        return RuleResult(rule, success, len(raw.columns), f"{len(raw.columns)}" + (f" ({words})" if words else ""))
    if "unexpected_count" in result:
        first = result.get("partial_unexpected_index_list") or []
        return RuleResult(rule, success, result["unexpected_count"], _rows(result["unexpected_count"], rows, first))
    observed = result["observed_value"]
    if observed is None:  # no class at all: number_of_classes says so
        return RuleResult(rule, True, None, "no class")
    observed = observed.item() if isinstance(observed, np.generic) else observed
    column = rule.arguments.get("column")
    if column == "spellings":
        return RuleResult(rule, success, observed, number(observed) if success else _spellings(table))
    if rule.table == "shares":
        first = [] if success else [int(rows[column].to_numpy().argmax())]
        return RuleResult(rule, success, observed, _rows(round(observed * len(rows)), rows, first))
    place = ""
    if column and not success:
        culprit = table.iloc[int((table[column] == observed).to_numpy().argmax())]
        place = f" in {_row(culprit)}" if rule.table == "rows" else _class(culprit, len(table))
    return RuleResult(rule, success, observed, number(observed) + place)


def _rows(count: int, rows: pd.DataFrame, first: list[int]) -> str:
    """Rows that count against a rule, with their share and the first of them (its position; none if not wanted)."""
    place = f", the first being {_row(rows.iloc[first[0]])}" if first else ""
    return f"{count:,} of {len(rows):,} rows ({percent(count / max(len(rows), 1))}){place}"


def _row(row: "pd.Series[Any]") -> str:
    return f"row {row.get('row')} of {row.get('source')}"


def _class(row: "pd.Series[Any]", classes: int) -> str:
    """The class by its name, unless there are so many that the labels may be texts."""
    return f" (class {display_name(row['label'])!r})" if classes <= MAX_CLASSES else ""


def _spellings(classes: pd.DataFrame) -> str:
    """The classes whose names are the same but for case, width and spaces, each by its names."""
    same = classes.loc[classes["spellings"] > 0, "label"]
    if len(classes) > MAX_CLASSES:
        return number(len(same))
    return "; ".join(
        " and ".join(repr(display_name(name)) for name in names) for _, names in same.groupby(same.map(split_key))
    )


def results(outcomes: list[RuleResult], tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """What `results.json` and the page show: figures, source names and class names, never a text."""
    classes = tables["classes"]
    named = zip(classes["label"].map(display_name), classes["rows"].tolist(), strict=True)
    return {
        "rows": len(tables["table"]),
        "sources": sorted(tables["table"]["source"].unique()) if "source" in tables["table"] else [],
        "number_of_classes": len(classes),
        # So many may be texts, read from a wrong column.
        "classes": [list(each) for each in named] if len(classes) <= MAX_CLASSES else [],
        "rules": [
            {
                "name": o.rule.name,
                "says": o.rule.says,
                "parameter": o.rule.parameter,
                "limit": o.rule.limit,
                "severity": o.rule.severity,
                "outcome": o.verdict,
                "observed": o.observed,
                "found": o.found,
            }
            for o in outcomes
        ],
    }
