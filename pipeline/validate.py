"""Check the raw table against rules; warn, or stop the pipeline.

The rules are expectations of Great Expectations; the report is `reports/validate/index.html`.
"""

import shutil
import sys

from .base import command, params, paths
from .base.errors import PipelineError
from .base.files import read_json, read_table, write_json, write_text
from .base.modalities import modalities_of
from .data.readers.reading import ALL_FILES, Reading
from .data.rules.engine import check_rules
from .data.rules.rule import select
from .data.rules.summary import summarise
from .data.rules.table import declared_rules, rule_tables
from .data.settings import Ingest, Validate
from .reports import validation

REPORT = paths.REPORTS / "validate"


def main() -> None:
    table = read_table(paths.INGEST_TABLE)
    readings = {source: Reading(**reading) for source, reading in read_json(paths.INGEST_READING).items()}
    tables = rule_tables(table, readings, params.load(Ingest).label_map)
    results = check_rules(tables, declared_rules(params.load(Validate), modalities_of(table) or ["text"]))
    if dropped := tables.n_with_invisible:
        readings.setdefault(ALL_FILES, Reading()).dropped = dropped
    summary = summarise(results, table, tables.classes, readings)
    shutil.rmtree(REPORT, ignore_errors=True)
    write_json(REPORT / "results.json", summary)
    write_text(REPORT / "index.html", validation.validation_page(summary))
    warnings, broken = ([result.message for result in select(results, verdict)] for verdict in ("warn", "stop"))
    for message in warnings:
        print(f"validate: warning: {message}", file=sys.stderr)
    if broken:
        heading = f"the raw table breaks {len(broken)} of {len(results)} rules; see {REPORT}/index.html"
        raise PipelineError("\n".join([heading, *broken]))
    keys = ("name", "severity", "outcome", "observed")
    passed = [{key: value for key, value in rule.items() if key in keys} for rule in summary["rules"]]
    write_json(paths.VALIDATE_PASSED, {"rows": len(table), "rules": passed})
    suffix = f", {len(warnings)} of them with a warning" if warnings else ""
    print(f"{len(table):,} rows pass {len(results)} rules{suffix}; report: {REPORT}/index.html")


if __name__ == "__main__":
    command.run_stage("validate", __doc__, main)
