"""Validate: check the raw table against declared rules; warn, or stop the pipeline.

The rules are Great Expectations; the report for people is `reports/validate/index.html`.
"""

import shutil
import sys

from .base import command, params, paths
from .base.errors import PipelineError
from .base.files import read_table, write_json, write_text
from .base.modalities import modalities_of
from .data.rules.engine import check, results
from .data.rules.table import measure, rules
from .data.settings import Validate
from .reports import validation

REPORT = paths.REPORTS / "validate"


def main() -> None:
    table = read_table(paths.INGEST_TABLE)
    declared = rules(params.load(Validate), modalities_of(table) or ["text"])
    tables = measure(table)
    outcomes = check(tables, declared)
    found = results(outcomes, tables)
    broken = [outcome for outcome in outcomes if outcome.verdict == "stop"]
    warned = [outcome for outcome in outcomes if outcome.verdict == "warn"]
    shutil.rmtree(REPORT, ignore_errors=True)
    write_json(REPORT / "results.json", found)
    write_text(REPORT / "index.html", validation.render(found))
    for outcome in warned:
        print(f"validate: warning: {outcome.sentence}", file=sys.stderr)
    if broken:
        raise PipelineError(
            f"the raw table breaks {len(broken)} of {len(declared)} rules: "
            f"{'; '.join(outcome.sentence for outcome in broken)}. See {REPORT}/index.html"
        )
    keys = ("name", "severity", "outcome", "observed")
    passed = [{key: rule[key] for key in keys} for rule in found["rules"]]
    write_json(paths.VALIDATE_PASSED, {"rows": len(table), "rules": passed})
    warnings = f", {len(warned)} of them with a warning" if warned else ""
    print(f"{len(table):,} rows pass {len(declared)} rules{warnings}; report: {REPORT}/index.html")


if __name__ == "__main__":
    command.run_stage("validate", __doc__, main)
