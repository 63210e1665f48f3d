"""Drift report: the measured shifts as JSON, as Markdown and as an HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import display_name
from ..base.files import write_json
from ..base.markdown import bullets, escaped, named, pipe_table
from ..evaluation.drift_sample import DriftSample, class_counts, term_counts
from ..evaluation.measures import MEASURES, Shift
from ..evaluation.two_sample import psi
from . import page

SHOWN_TERMS = 10


def drift_report(
    reference: DriftSample, incoming: DriftSample, shifts: Sequence[Shift], **metadata: Any
) -> dict[str, Any]:
    """Return the report for JSON: measures, and the classes and frequent terms of the reference.

    It holds no text and no term that the reference lacks.

    Parameters
    ----------
    reference, incoming : DriftSample
        The rows compared.
    shifts : sequence of Shift
        As `evaluation.measures.measure_shifts` returns them; empty where there are too few rows.
    **metadata
        First entries of the report, such as `file`, `model` and `left_out`.
    """
    drifted = [_title(shift.measure) for shift in shifts if shift.drifted]
    verdict = f"drift in {', '.join(drifted)}" if drifted else f"no drift in {len(shifts)} measures"
    return {
        **metadata,
        "verdict": verdict if shifts else "not judged: too few rows (drift.min_incoming)",
        "drifted": bool(drifted),
        "rows": {
            "reference": len(reference),
            "incoming": len(incoming),
            "labelled": int(incoming.labelled.sum()),
        },
        "measures": [asdict(shift) | {"drifted": shift.drifted} for shift in shifts],
        "classes": _classes(reference, incoming) if incoming.labelled.any() else [],
        "terms": _terms(reference, incoming),
    }


def _classes(reference: DriftSample, incoming: DriftSample) -> list[dict[str, Any]]:
    names, counts = class_counts(reference, incoming)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return [
        {"class": display_name(name), "reference": float(before), "incoming": float(after)}
        for name, before, after in zip(names, *shares, strict=True)
    ]


def _terms(reference: DriftSample, incoming: DriftSample) -> list[dict[str, Any]]:
    """Return the frequent terms that differ most, with the share of the texts that hold them."""
    names, counts = term_counts(reference, incoming)
    contributions = psi(*counts)
    shares = counts / np.array([[max(len(reference), 1)], [max(len(incoming), 1)]])
    return [
        {
            "term": names[number],
            "reference": float(shares[0, number]),
            "incoming": float(shares[1, number]),
            "psi": float(contributions[number]),
        }
        for number in np.argsort(-contributions, kind="stable")[:SHOWN_TERMS]
    ]


def drift_markdown(report: Mapping[str, Any]) -> str:
    """Convert a report, as `drift_report` returns it, to Markdown (CommonMark with tables) without HTML."""
    rows, measures = report["rows"], report["measures"]
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in report.get("left_out", {}).items())
    overview = [
        ["incoming", f"{rows['incoming']:,} rows, {rows['labelled']:,} with a label"],
        *([["left out", left_out]] if left_out else []),
        ["reference", f"{rows['reference']:,} rows: the validation and test rows of the current state"],
        *([["model", named(report["model"])]] if "model" in report else []),
    ]
    verdict = report["verdict"][0].upper() + report["verdict"][1:]
    blocks = [
        f"# Drift{': ' + named(report['file']) if 'file' in report else ''}",
        f"**{escaped(verdict)}.**",
        pipe_table(["", ""], overview),
    ]
    drifted = [measure for measure in measures if measure["drifted"]]
    if drifted:
        points = (f"**{_title(m['measure'])}**: {escaped(m['found'])}. {m['means']}" for m in drifted)
        blocks += ["## What drifted", bullets(points)]
    if measures:
        blocks += _measures(measures)
    blocks += _shares("Classes", "class", report["classes"])
    blocks += _shares("Terms that differ most", "term", report["terms"])
    return "\n\n".join(blocks) + "\n"


def _measures(measures: Sequence[Mapping[str, Any]]) -> list[str]:
    header = ["measure", "result", "effect", "limit", "p-value"]
    rows = [
        [
            _title(measure["measure"]),
            "**drift**" if measure["drifted"] else "no drift",
            format_effect(measure["effect"]),
            f"{measure['limit']:g}",
            format_p_value(measure["p_value"]),
        ]
        for measure in measures
    ]
    definitions = (
        f"**{_title(measure['measure'])}**: {MEASURES[measure['measure']].definition} (`drift.{measure['rule']}`)"
        + ("" if measure["drifted"] else f"; {escaped(measure['found'])}")
        for measure in measures
    )
    return [
        "## Measures",
        pipe_table(header, rows, right=3),
        f"A measure has drifted if its effect is above the limit and its p-value is below {measures[0]['level']:.2g} "
        f"(`drift.significance`, corrected for {len(measures)} measures).",
        bullets(definitions),
    ]


def _shares(title: str, key: str, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [[named(e[key]), f"{100 * e['reference']:.1f} %", f"{100 * e['incoming']:.1f} %"] for e in entries]
    return [f"## {title}", pipe_table([key, "reference", "incoming"], rows, right=2)] if rows else []


def format_effect(effect: float) -> str:
    """Format the effect of a measure: a share, or a factor that may be large.

    >>> format_effect(0.0625), format_effect(1234.5)
    ('0.062', '1,234')
    """
    return f"{effect:.3f}" if effect < 10 else f"{effect:,.0f}"


def format_p_value(value: float) -> str:
    """Format a p-value.

    >>> format_p_value(0.002), format_p_value(1e-9)
    ('0.0020', '<0.0001')
    """
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def _title(measure: str) -> str:
    return measure.replace("_", " ")


def write_drift_report(folder: Path, report: Mapping[str, Any]) -> list[Path]:
    """Write a report, as `drift_report` returns it, to `folder` as JSON, Markdown and HTML; return the three paths."""
    write_json(folder / "drift.json", report)
    return [folder / "drift.json", *page.write(folder, "drift", drift_markdown(report))]
