"""Report of one retraining, for people and for programs. It holds no text of a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from ..base import checkout, paths
from ..base.errors import display_name
from ..base.files import write_json, write_text
from ..base.markdown import bullets, escaped, pipe_table
from ..evaluation.metrics import HEADLINES
from ..reports import drift, page
from .incoming import ExaminedFile

MAX_LISTED = 50  # files in the report; those in quarantine first
FOLDER = paths.REPORTS / "retrain"


class RetrainOutcome(IntEnum):
    """How a retraining ended, as exit status."""

    NOTHING = 0
    PROMOTED = 10
    REJECTED = 11
    BUSY = 12


OUTCOME_TITLES = {
    RetrainOutcome.NOTHING: "nothing to do",
    RetrainOutcome.PROMOTED: "retrained and promoted",
    RetrainOutcome.REJECTED: "retrained, not promoted",
    RetrainOutcome.BUSY: "another retraining is in progress",
}


@dataclass
class RetrainRun:
    """Record of one retraining: what it found, decided and did.

    Parameters
    ----------
    model : str
        Name of the registered model.
    started : datetime
        In UTC.
    files : list of ExaminedFile
        The incoming files.
    drift : dict or None
        Of the new rows, see `reports.drift.report`; None if it was not measured.
    reasons : list of str
        Why to train; empty for not.
    outcome : RetrainOutcome
        How it ended.
    decision : str
        Of the gate, in Markdown.
    metrics_before, metrics_after : dict or None
        On the test rows, as evaluate writes them.
    """

    model: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    files: list[ExaminedFile] = field(default_factory=list)
    drift: dict[str, Any] | None = None
    reasons: list[str] = field(default_factory=list)
    outcome: RetrainOutcome = RetrainOutcome.NOTHING
    decision: str = ""
    metrics_before: Mapping[str, Any] | None = None
    metrics_after: Mapping[str, Any] | None = None

    @property
    def accepted(self) -> list[ExaminedFile]:
        """The files that passed all checks and have new rows."""
        return [file for file in self.files if not file.refusal and len(file.new_rows)]

    @property
    def refused(self) -> list[ExaminedFile]:
        """The files for quarantine."""
        return [file for file in self.files if file.refusal]

    @property
    def n_new_rows(self) -> int:
        """Number of new rows in the accepted files."""
        return sum(len(file.new_rows) for file in self.accepted)

    @property
    def timestamp(self) -> str:
        """Start of the run in ISO format."""
        return self.started.isoformat(timespec="seconds")

    def sentence(self) -> str:
        """Return what happened, in one line."""
        parts = [f"{self.model}: {OUTCOME_TITLES[self.outcome]}"]
        if self.files:
            parts.append(f"{len(self.files)} new files with {self.n_new_rows:,} new rows")
        if self.refused:
            parts.append(f"{len(self.refused)} in quarantine")
        return "; ".join(parts)


def as_markdown(run: RetrainRun, headline: str = "") -> str:
    """Return the report as Markdown; `headline` replaces the outcome."""
    lines = [
        f"# Retraining of {run.model}",
        f"**{headline or OUTCOME_TITLES[run.outcome].capitalize()}.** Started {run.started:%Y-%m-%d %H:%M} UTC.",
    ]
    if run.reasons:
        lines += ["## Reasons to train", bullets(run.reasons)]
    if run.files:
        listed = sorted(run.files, key=lambda file: not file.refusal)[:MAX_LISTED]
        rows = [_file_cells(file, trained=bool(run.reasons)) for file in listed]
        lines += ["## Incoming files", pipe_table(["file", "result", "rows", "new"], rows, right=2)]
        if len(run.files) > MAX_LISTED:
            all_files = "" if headline else f"; all are in `{FOLDER}/report.json`"  # which a dry run does not write
            lines.append(f"{len(run.files) - MAX_LISTED:,} more are not listed{all_files}.")
    if run.decision:
        lines += ["## Decision of the gate", run.decision]
    if run.metrics_after:
        lines += ["## Metrics on the test rows", _metrics_table(run.metrics_before, run.metrics_after)]
    if run.drift:
        body = drift.drift_markdown(run.drift).partition("\n")[2].strip()
        lines += ["## Drift of the new rows", body.replace("\n## ", "\n### ")]
    return "\n\n".join(lines) + "\n"


def _file_cells(file: ExaminedFile, *, trained: bool) -> list[str]:
    if file.refusal:
        result = f"**in quarantine**: {escaped(file.refusal)}"
    elif file.new_rows.empty:
        result = "no new rows"
    else:
        result = "added" if trained else "waits for more rows"
    return [escaped(display_name(file.name)), result, f"{file.n_rows:,}", f"{len(file.new_rows):,}"]


def _metrics_table(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    rows = [
        [key, f"{before['overall'][key]:,}" if before else "", f"{after['overall'][key]:,}"]
        for key in ("num_samples", *HEADLINES)
    ]
    note = "Each on the test rows of its time; the gate compares both models on the same rows."
    return f"{pipe_table(['', 'before', 'now'], rows, right=2)}\n\n{note}"


def as_json(run: RetrainRun) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "model": run.model,
        "began": run.timestamp,
        "outcome": run.outcome.name.lower(),
        "reasons": run.reasons,
        "new_rows": run.n_new_rows,
        "files": [
            {
                "name": file.name,
                "sha256": file.sha256,
                "rows": file.n_rows,
                "new": len(file.new_rows),
                "refused": file.refusal,
            }
            for file in run.files
        ],
        "drift": run.drift,
    }


def write_report(run: RetrainRun) -> None:
    """Write the report to `data/retrain.md`, for git, and to `reports/retrain/`."""
    text = as_markdown(run)
    write_text(checkout.RETRAIN_REPORT, text)
    page.write(FOLDER, "report", text)
    write_json(FOLDER / "report.json", as_json(run))
