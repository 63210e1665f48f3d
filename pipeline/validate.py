"""Validate: the raw table must keep declared rules, or the pipeline stops here.

The rules are Great Expectations; the report for people is `reports/validate/index.html`.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import params, paths, stage
from .files import read_table, write_json
from .stage import PipelineError

REPORT = paths.REPORTS / "validate"

COLUMNS = ["id", "text", "label", "source", "group", "split"]


@dataclass(frozen=True)
class Rule:
    """One rule: the table it holds for, and the expectation (its Great Expectations class and arguments)."""

    name: str
    table: str  # "rows": the raw table; "classes": one row a label, with its rows and the imbalance against the largest
    expectation: str
    arguments: dict[str, Any]
    says: str


def rules(settings: params.Validate) -> list[Rule]:
    """All rules, in the order in which they are reported."""
    low, high, longest = settings.min_rows, settings.min_rows_per_class, settings.max_text_length
    # fmt: off
    return [
        Rule("columns", "rows", "ExpectTableColumnsToMatchSet", {"column_set": COLUMNS},
             f"the columns are {', '.join(COLUMNS)}"),
        Rule("enough_rows", "rows", "ExpectTableRowCountToBeBetween", {"min_value": low},
             f"there are {low} rows or more (validate.min_rows)"),
        Rule("text_present", "rows", "ExpectColumnValuesToNotBeNull", {"column": "text"},
             "every row has a text"),
        Rule("text_not_blank", "rows", "ExpectColumnValuesToMatchRegex", {"column": "text", "regex": r"\S"},
             "no text is blank"),
        Rule("text_length", "rows", "ExpectColumnValueLengthsToBeBetween", {"column": "text", "max_value": longest},
             f"no text is longer than {longest} characters (validate.max_text_length)"),
        Rule("label_present", "rows", "ExpectColumnValuesToNotBeNull", {"column": "label"},
             "every row has a label"),
        Rule("label_not_blank", "rows", "ExpectColumnValuesToMatchRegex", {"column": "label", "regex": r"\S"},
             "no label is blank"),
        Rule("number_of_classes", "classes", "ExpectTableRowCountToBeBetween", {"min_value": 2, "max_value": 50},
             "there are 2 to 50 classes"),
        Rule("rows_per_class", "classes", "ExpectColumnValuesToBeBetween", {"column": "rows", "min_value": high},
             f"every class has {high} rows or more (validate.min_rows_per_class)"),
        Rule("imbalance", "classes", "ExpectColumnValuesToBeBetween",
             {"column": "imbalance", "max_value": settings.max_imbalance},
             f"the largest class is at most {settings.max_imbalance:g} times any other (validate.max_imbalance)"),
    ]
    # fmt: on


def class_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row a label: `label`, `rows`, and `imbalance`, the largest class's rows per row of this one."""
    counts = table["label"].value_counts().sort_index() if "label" in table else pd.Series(dtype="int64")
    return pd.DataFrame(
        {"label": counts.index, "rows": counts.to_numpy(), "imbalance": counts.max() / counts.to_numpy()}
    )


def check(tables: dict[str, pd.DataFrame], declared: list[Rule], report: Path | None = None) -> dict[str, str]:
    """Check `tables` against `declared` rules.

    Parameters
    ----------
    tables : dict of str to DataFrame
        The tables by the name that rules use for them.
    declared : list of Rule
        What must hold.
    report : Path or None
        Folder for the HTML report, replaced; None for no report.

    Returns
    -------
    dict of str to str
        The rules that do not hold, each with where it fails (counts and row numbers, never a text).
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import: the library reports usage otherwise
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.checkpoint.actions import UpdateDataDocsAction

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    actions: list[Any] = []
    if report is not None:
        shutil.rmtree(report, ignore_errors=True)
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(report.absolute())}
        context.add_data_docs_site(
            "report",
            {
                "class_name": "SiteBuilder",
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                "store_backend": store,
            },
        )
        actions.append(UpdateDataDocsAction(name="report"))
    source = context.data_sources.add_pandas("ingest")
    failed: dict[str, str] = {}
    for name, table in tables.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        expectations = [
            getattr(gxe, rule.expectation)(**rule.arguments, meta={"rule": rule.name}, notes=rule.says)
            for rule in declared
            if rule.table == name
        ]
        suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        checkpoint = gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            actions=actions,
            # Row numbers, but no values: neither the report nor an error may show a user's text.
            result_format={"result_format": "COMPLETE", "exclude_unexpected_values": True},
        )
        outcome = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table})
        for result in next(iter(outcome.run_results.values())).results:
            if not result.success:
                config: Any = result.expectation_config
                failed[config.meta["rule"]] = _where(result.result, name)
    return {rule.name: failed[rule.name] for rule in declared if rule.name in failed}


def _where(result: dict[str, Any], table: str) -> str:
    if "unexpected_index_list" in result:
        rows = result["unexpected_index_list"]
        place = f", the first being row {rows[0] + 1}" if table == "rows" else ""
        return f"broken by {result['unexpected_count']} of {result['element_count']} {table}{place}"
    if "observed_value" in result:
        return f"found {result['observed_value']}"
    return "the column is missing"


def main() -> None:
    settings = params.load(params.Validate)
    table = read_table(paths.INGEST_TABLE)
    declared = rules(settings)
    failed = check({"rows": table, "classes": class_table(table)}, declared, REPORT)
    if failed:
        broken = "; ".join(f"{rule.says}: {failed[rule.name]}" for rule in declared if rule.name in failed)
        raise PipelineError(
            f"the raw table breaks {len(failed)} of {len(declared)} rules: {broken}. See {REPORT}/index.html"
        )
    write_json(paths.VALIDATE_PASSED, {"rows": len(table), "rules": [rule.name for rule in declared]})
    print(f"{len(table):,} rows keep all {len(declared)} rules; report: {REPORT}/index.html")


if __name__ == "__main__":
    stage.run("validate", main)
