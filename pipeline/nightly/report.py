"""Retrain report: what one retraining found and did, for people and for programs. It holds no text of a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from ..base import checkout, paths
from ..base.errors import display_name
from ..base.files import write_json, write_text
from ..base.markdown import bullets, escaped, pipe_table
from ..reports import drift, page, summary
from .incoming import Arrival

REPORTS = paths.REPORTS / "retrain"


class Outcome(IntEnum):
    """How a retraining ended, as exit status."""

    NOTHING = 0
    PROMOTED = 10
    REJECTED = 11
    BUSY = 12


WORDS = {
    Outcome.NOTHING: "nothing to do",
    Outcome.PROMOTED: "retrained and promoted",
    Outcome.REJECTED: "retrained, not promoted",
    Outcome.BUSY: "another retraining is in progress",
}


@dataclass
class Night:
    """What one retraining found and did, for the report."""

    began: datetime
    model: str
    arrivals: list[Arrival] = field(default_factory=list)
    drift: dict[str, Any] | None = None
    reasons: list[str] = field(default_factory=list)
    outcome: Outcome = Outcome.NOTHING
    decision: str = ""  # of the gate, in Markdown
    figures: list[Mapping[str, Any] | None] = field(default_factory=lambda: [None, None])  # before, after

    @property
    def taken(self) -> list[Arrival]:
        return [each for each in self.arrivals if not each.refused and len(each.new)]

    @property
    def quarantined(self) -> list[Arrival]:
        return [each for each in self.arrivals if each.refused]

    @property
    def new_rows(self) -> int:
        return sum(len(each.new) for each in self.taken)

    def sentence(self) -> str:
        """What happened, in a line."""
        parts = [f"{self.model}: {WORDS[self.outcome]}"]
        if self.arrivals:
            parts.append(f"{len(self.arrivals)} new files with {self.new_rows:,} new rows")
        if self.quarantined:
            parts.append(f"{len(self.quarantined)} in quarantine")
        return "; ".join(parts)


def markdown(night: Night, headline: str = "") -> str:
    """The report: what came in, what it differs in, what was decided.

    `headline` stands in the place of how the retraining ended.
    """
    lines = [
        f"# Retraining of {night.model}",
        f"**{headline or WORDS[night.outcome].capitalize()}.** Began {night.began:%Y-%m-%d %H:%M} UTC.",
    ]
    if night.reasons:
        lines += ["## Why", bullets(night.reasons)]
    if night.arrivals:
        rows = [_arrival(each, trained=bool(night.reasons)) for each in night.arrivals]
        lines += ["## What came in", pipe_table(["file", "result", "rows", "new"], rows, right=2)]
    if night.decision:
        lines += ["## The gate", night.decision]
    before, after = night.figures
    if after:
        lines += ["## Figures on the test rows", _figures(before, after)]
    if night.drift:
        lines += [
            "## Drift of the new rows",
            drift.drift_markdown(night.drift).partition("\n")[2].strip().replace("\n## ", "\n### "),
        ]
    return "\n\n".join(lines) + "\n"


def _arrival(each: Arrival, *, trained: bool) -> list[str]:
    good = "nothing new" if each.new.empty else "taken" if trained else "waits for more"
    said = f"**in quarantine**: {escaped(each.refused)}" if each.refused else good
    return [escaped(display_name(each.name)), said, f"{each.rows:,}", f"{len(each.new):,}"]


def _figures(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    rows = [
        [key, f"{before['overall'][key]:,}" if before else "", f"{after['overall'][key]:,}"]
        for key in ("num_samples", *summary.HEADLINES)
    ]
    note = "Each on the test rows of its time; the gate compares both models on the same rows."
    return f"{pipe_table(['', 'before', 'now'], rows, right=2)}\n\n{note}"


def as_json(night: Night) -> dict[str, Any]:
    """The same for programs."""
    return {
        "model": night.model,
        "began": night.began.isoformat(timespec="seconds"),
        "outcome": night.outcome.name.lower(),
        "reasons": night.reasons,
        "new_rows": night.new_rows,
        "files": [
            {"name": each.name, "sha256": each.file, "rows": each.rows, "new": len(each.new), "refused": each.refused}
            for each in night.arrivals
        ],
        "drift": night.drift,
    }


def write(night: Night) -> None:
    """Write the report to `reports/retrain/`, and where git takes it from."""
    text = markdown(night)
    write_text(checkout.REPORT, text)
    page.write(REPORTS, "report", text)
    write_json(REPORTS / "report.json", as_json(night))
