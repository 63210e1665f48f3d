"""What drift found, as JSON, Markdown and a page that needs no network, no script and no other file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import display_name
from ..base.files import write_json
from ..base.markdown import bullets, escaped, named, pipe_table
from ..evaluation.measures import MEASURES, Sample, Shift, class_counts, psi, term_counts
from . import page

TERMS = 10  # that are named


def report(reference: Sample, incoming: Sample, shifts: Sequence[Shift], **told: Any) -> dict[str, Any]:
    """What there is to report, for JSON: figures, class names and frequent terms of the reference.

    `told` is put in front, such as `file`, `model` and `left_out`.
    """
    names, terms = term_counts(reference, incoming)
    parts = psi(*terms)
    classes, counts = class_counts(reference, incoming)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    texts = terms / np.array([[max(len(reference), 1)], [max(len(incoming), 1)]])
    found = [shift.measure for shift in shifts if shift.drifted]
    verdict = f"drift in {', '.join(map(_words, found))}" if found else f"no drift in {len(shifts)} measures"
    rows = {"reference": len(reference), "incoming": len(incoming), "labelled": int(incoming.labelled.sum())}
    return {
        **told,
        "verdict": verdict if shifts else "not judged: too few rows (drift.min_incoming)",
        "drifted": bool(found),
        "rows": rows,
        "measures": [asdict(shift) | {"drifted": shift.drifted} for shift in shifts],
        "classes": [
            {"class": display_name(name), "reference": float(shares[0, each]), "incoming": float(shares[1, each])}
            for each, name in enumerate(classes)
            if rows["labelled"]
        ],
        "terms": [
            {"term": names[each], "reference": float(texts[0, each]), "incoming": float(texts[1, each])}
            | {"psi": float(parts[each])}
            for each in np.argsort(-parts, kind="stable")[:TERMS]
        ],
    }


def markdown(found: Mapping[str, Any]) -> str:
    """A report, as `report` gives it, in Markdown (CommonMark with tables), without HTML."""
    rows, measures = found["rows"], found["measures"]
    left = ", ".join(f"{number:,} {why}" for why, number in found.get("left_out", {}).items())
    facts = [
        ["incoming", f"{rows['incoming']:,} rows, {rows['labelled']:,} with a label"],
        *([["left out", left]] if left else []),
        ["reference", f"{rows['reference']:,} rows: the validation and test rows of the current state"],
        *([["model", named(found["model"])]] if "model" in found else []),
    ]
    verdict = found["verdict"][0].upper() + found["verdict"][1:]
    parts = [
        f"# Drift{': ' + named(found['file']) if 'file' in found else ''}",
        f"**{escaped(verdict)}.**",
        pipe_table(["", ""], facts),
    ]
    said = [f"**{_words(each['measure'])}**: {escaped(each['found'])}. {each['means']}" for each in measures]
    said = [line for line, each in zip(said, measures, strict=True) if each["drifted"]]
    if said:
        parts += ["## What drifted", bullets(said)]
    if measures:
        header = ["measure", "result", "effect", "limit", "p-value"]
        cells = [
            [
                _words(each["measure"]),
                "**drift**" if each["drifted"] else "no drift",
                in_short(each["effect"]),
                f"{each['limit']:g}",
                p_value(each["p_value"]),
            ]
            for each in measures
        ]
        parts += [
            "## Measures",
            pipe_table(header, cells, right=3),
            f"Drift: the effect is above its limit, and the p-value below {measures[0]['level']:.2g} "
            f"(`drift.significance` for {len(measures)} measures together).",
            bullets(
                f"**{_words(each['measure'])}**: {MEASURES[each['measure']].of} (`drift.{each['rule']}`)"
                f"{'' if each['drifted'] else '; ' + escaped(each['found'])}"
                for each in measures
            ),
        ]
    for title, first in (("Classes", "class"), ("Terms that differ most", "term")):
        of = found["classes" if first == "class" else "terms"]
        cells = [
            [named(each[first]), *(f"{100 * each[key]:.1f} %" for key in ("reference", "incoming"))] for each in of
        ]
        if cells:
            parts += [f"## {title}", pipe_table([first, "reference", "incoming"], cells, right=2)]
    return "\n\n".join(parts) + "\n"


def in_short(effect: float) -> str:
    return f"{effect:.3f}" if effect < 10 else f"{effect:,.0f}"


def p_value(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def _words(measure: str) -> str:
    return measure.replace("_", " ")


def write(folder: Path, found: Mapping[str, Any]) -> list[Path]:
    """Write a report, as `report` gives it, into `folder` as JSON, Markdown and HTML; give the three files."""
    write_json(folder / "drift.json", found)
    return [folder / "drift.json", *page.write(folder, "drift", markdown(found))]
