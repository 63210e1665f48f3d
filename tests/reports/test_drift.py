"""The drift report: its contents, and what it must not contain."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.drift import SETTINGS, RealSamples, real_samples

from pipeline.evaluation import drift
from pipeline.evaluation.drift_sample import frequent_terms
from pipeline.evaluation.measures import measure_shifts
from pipeline.reports.drift import drift_markdown, drift_report, write_drift_report
from pipeline.text.processor import Tokenizer


@pytest.fixture(scope="module")
def samples() -> RealSamples:
    return real_samples()


def test_report_contains_no_text_and_no_unknown_word(samples: RealSamples, tmp_path: Path) -> None:
    secret = pd.DataFrame({"text": ["zyxomma told mr. qwfp of flight delays"] * 300, "label": "neutral"})
    secret["text"] += [f" zyxomma{number}" for number in range(300)]
    incoming = drift.draw_sample(secret, samples.predictor, samples.tokenizer)
    shifts = measure_shifts(samples.reference, incoming, SETTINGS)
    report = drift_report(samples.reference, incoming, shifts, file="a|b <c>.csv")
    files = write_drift_report(tmp_path, report)
    assert [file.name for file in files] == ["drift.json", "drift.md", "drift.html"]
    for file in files:
        content = file.read_text(encoding="utf-8")
        assert "zyxomma" not in content
        assert "qwfp" not in content
        assert "told mr" not in content
    assert json.loads(files[0].read_text()) == report
    frequent = {samples.reference.vocabulary[column] for column in frequent_terms(samples.reference)}
    assert {term["term"] for term in report["terms"]} <= frequent
    page = files[2].read_text(encoding="utf-8")
    assert "a|b &lt;c&gt;.csv" in page
    assert "http" not in page.replace("http-equiv", "")
    assert report["verdict"].startswith("drift in labels, classes, length, unknown words, terms, scores")
    assert {"class": "neutral", "reference": pytest.approx(0.38, abs=0.02), "incoming": 1.0} in report["classes"]


def test_class_names_are_escaped_and_long_ones_hidden(samples: RealSamples, tmp_path: Path) -> None:
    names = np.array(["<b>|new*", "a text that came into the column of labels by mistake " * 3], dtype=object)
    incoming = replace(samples.draw(200, 0), labels=names[np.arange(200) % 2])
    report = drift_report(samples.reference, incoming, measure_shifts(samples.reference, incoming, SETTINGS))
    page = write_drift_report(tmp_path, report)[2].read_text(encoding="utf-8")
    assert "by mistake" not in page
    assert "&lt;b&gt;|new*" in page
    assert "(a name of 162 characters)" in page


@pytest.mark.parametrize("rows", [0, 10])
def test_few_rows_are_not_judged(samples: RealSamples, tmp_path: Path, rows: int) -> None:
    report = drift_report(samples.reference, samples.draw(rows, 0), [])
    assert report["verdict"] == "not judged: too few rows (drift.min_incoming)"
    assert not report["drifted"]
    assert "Not judged" in write_drift_report(tmp_path, report)[1].read_text()


def test_report_distinguishes_before_from_after() -> None:
    tokenizer = Tokenizer(("old", "new", "same"), length=4)
    old, new = ["old same"] * 90 + ["new same"] * 10, ["old same"] * 10 + ["new same"] * 90
    before, after = (
        drift.draw_sample(pd.DataFrame({"text": texts, "label": "x"}), None, tokenizer) for texts in (old, new)
    )
    report = drift_report(before, after, measure_shifts(before, after, SETTINGS))
    (first, second, last) = report["terms"]
    assert {first["term"], second["term"]} == {"old", "new"}
    assert last == {"term": "same", "reference": 1.0, "incoming": 1.0, "psi": pytest.approx(0)}
    shares = {term["term"]: (term["reference"], term["incoming"]) for term in report["terms"]}
    assert shares["old"] == (0.9, 0.1)
    drifted, _, measures = drift_markdown(report).partition("## What drifted")[2].partition("## Measures")
    assert "**terms**" in drifted
    assert "**length**" not in drifted
    assert "| terms | **drift** |" in measures
    assert "| length | no drift |" in measures
