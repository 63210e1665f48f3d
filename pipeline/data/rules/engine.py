"""Check rules of a table with Great Expectations, and describe the results without showing any text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ...base import paths
from ...base.errors import PipelineError, display_name
from ..labels import unknown_labels
from ..spellings import label_map_line, merged_labels, shown_spellings
from .rule import Rule, RuleResult, number, percent, with_causes

MAX_CLASSES = 50  # a table with more labels may have texts in its column of labels


@dataclass(frozen=True)
class RuleTables:
    """A raw table and what rules need to know of it, see `table.rule_tables`.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, n_columns)
        The raw table.
    rows : DataFrame of shape (n_rows, n_facts)
        For each row: its label (null where missing or blank), source and row number, what the rules of its kinds of
        input need, and for each share whether the row counts.
    shares : DataFrame of shape (1, n_shares)
        Shares of all rows.
    classes : DataFrame of shape (n_classes, 6)
        For each label, the most frequent first: `label`, `rows`, `imbalance` (rows of the largest class per row of this
        one), `spellings` (number of other labels that look alike or differ only in case, character width and spaces),
        `mixed` (1 if look-alike letters of two scripts stand in one word) and `doubtful` (1 for the name of a missing
        value).
    reading : DataFrame of shape (1, 5)
        What was done when the files were read, see `table.rule_tables`.
    done : mapping of str to mapping of str to int
        The same by rule, and by what was done.
    label_map : mapping or None
        The `ingest.label_map` that gave the labels their names.
    """

    table: pd.DataFrame
    rows: pd.DataFrame
    shares: pd.DataFrame
    classes: pd.DataFrame
    reading: pd.DataFrame
    done: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    label_map: Mapping[Any, str | None] | None = None

    @property
    def n_with_invisible(self) -> int:
        """Number of texts with characters that nobody sees."""
        return int(self.rows["invisible_characters"].sum()) if "invisible_characters" in self.rows else 0


def check_rules(tables: RuleTables, rules: Sequence[Rule]) -> list[RuleResult]:
    """Check rules.

    Parameters
    ----------
    tables : RuleTables
        The tables that the rules are about.
    rules : sequence of Rule
        What must be true.

    Returns
    -------
    list of RuleResult
        One for each rule, in their order; each broken one with its cause.

    Raises
    ------
    PipelineError
        A rule cannot be computed although all columns are there.
    """
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    source = context.data_sources.add_pandas("ingest")
    expected: list[str] = next((rule.arguments["column_set"] for rule in rules if rule.name == "columns"), [])
    results: dict[str, RuleResult] = {}
    for name in ("table", "rows", "shares", "classes", "reading"):
        selected = {rule.name: rule for rule in rules if rule.table == name}
        for rule_name, success, outcome in _validate(source, name, getattr(tables, name), list(selected.values())):
            results[rule_name] = _result(selected[rule_name], success, outcome, tables, expected)
    return with_causes([results[rule.name] for rule in rules])


def _validate(
    source: Any, name: str, table: pd.DataFrame, rules: Sequence[Rule]
) -> list[tuple[str, bool, dict[str, Any]]]:
    """Return the name of each rule of a table, whether it is satisfied, and what Great Expectations observed."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    expectations = [getattr(gxe, rule.expectation)(**rule.arguments, meta={"rule": rule.name}) for rule in rules]
    definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
    validation = definition.get_batch(batch_parameters={"dataframe": table}).validate(
        gx.ExpectationSuite(name=name, expectations=expectations),
        # Positions, but no values: neither the report nor an error may show a user's text.
        result_format={
            "result_format": "SUMMARY",
            "exclude_unexpected_values": True,
            "partial_unexpected_count": 1,
        },
    )
    return [
        (result.expectation_config.meta["rule"], bool(result.success), result.result) for result in validation.results
    ]


def _result(
    rule: Rule, success: bool, outcome: dict[str, Any], tables: RuleTables, expected: Sequence[str]
) -> RuleResult:
    """Return the result of a rule from what Great Expectations observed; `expected` are the raw table's columns."""
    if not outcome:  # the expectation could not be computed
        absent = ", ".join(name for name in expected if name not in tables.table)
        if not absent:
            raise PipelineError(f"the rule {rule.name} could not be computed; check {paths.INGEST_TABLE}")
        return RuleResult(rule, False, None, f"no column {absent}", cause="columns")
    if rule.name == "columns":
        return RuleResult(rule, success, len(tables.table.columns), _column_difference(tables.table, outcome))
    if "unexpected_count" in outcome:
        count, first = outcome["unexpected_count"], outcome.get("partial_unexpected_index_list") or []
        described = _rows(count, tables.rows, first)
        if rule.name == "labels" and count:
            described += f": {unknown_labels(tables.rows['label'].dropna(), rule.arguments['value_set'])}"
        return RuleResult(rule, success, count, described)
    observed = outcome["observed_value"]
    if observed is None:  # there is no class at all, which the rule number_of_classes reports
        return RuleResult(rule, True, None, "no class")
    observed = observed.item() if isinstance(observed, np.generic) else observed
    found = _describe(rule, success, observed, tables)
    return RuleResult(rule, success, observed, found, "" if success else _remedy(rule, tables))


def _remedy(rule: Rule, tables: RuleTables) -> str:
    """Return the `ingest.label_map` that merges spellings, unless there are so many labels that they may be texts."""
    if rule.parameter != "ingest.label_map" or len(tables.classes) > MAX_CLASSES:
        return ""
    return label_map_line(merged_labels(tables.classes["label"].to_list()), tables.label_map)


def _describe(rule: Rule, success: bool, observed: float, tables: RuleTables) -> str:
    """Return the observed number in words, with the row or class that breaks the rule."""
    column, rows = rule.arguments.get("column"), tables.rows
    if rule.table == "shares":
        first = [] if success else [int(rows[column].to_numpy().argmax())]
        return _rows(round(observed * len(rows)), rows, first)
    if success or not column:
        return number(observed)
    if rule.table == "reading":
        return ", ".join(f"{count:,} {what}" for what, count in tables.done[rule.name].items())
    if column in ("spellings", "mixed"):
        labels = tables.classes.loc[tables.classes[column] > 0, "label"].to_list()
        return number(len(labels)) if len(tables.classes) > MAX_CLASSES else shown_spellings(labels)
    table: pd.DataFrame = getattr(tables, rule.table)
    culprit = table.iloc[int((table[column] == observed).to_numpy().argmax())]
    if column == "doubtful":
        return f"{_class(culprit, len(table)).strip(' ()') or 'one'}, {culprit['rows']:,} rows"
    return number(observed) + (f" in {_row(culprit)}" if rule.table == "rows" else _class(culprit, len(table)))


def _column_difference(table: pd.DataFrame, outcome: dict[str, Any]) -> str:
    differences = outcome.get("details", {}).get("mismatched", {})
    words = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in sorted(differences.items()) if names)
    return f"{len(table.columns)}" + (f" ({words})" if words else "")


def _rows(count: int, rows: pd.DataFrame, first: Sequence[int]) -> str:
    """Return a number of rows with their share, and the first of them if its position is given."""
    place = f", the first being {_row(rows.iloc[first[0]])}" if first else ""
    return f"{count:,} of {len(rows):,} rows ({percent(count / max(len(rows), 1))}){place}"


def _row(row: "pd.Series[Any]") -> str:
    return f"row {row.get('row')} of {row.get('source')}"


def _class(row: "pd.Series[Any]", n_classes: int) -> str:
    """Return the name of a class, unless there are so many that the labels may be texts."""
    return f" (class {display_name(row['label'])!r})" if n_classes <= MAX_CLASSES else ""
