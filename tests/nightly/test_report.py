"""The report of a retraining."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from helpers.nightly import examined, write_csv

from pipeline.base import checkout
from pipeline.nightly import report
from pipeline.nightly.report import RetrainOutcome, RetrainRun, as_markdown

STARTED = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def test_report_has_files_and_reasons(project: Path, tweets: pd.DataFrame) -> None:
    files = examined([write_csv(project / "a|b.csv", tweets[:300])], tweets[500:])
    run = RetrainRun("m", STARTED, files, reasons=["300 new rows"], outcome=RetrainOutcome.REJECTED)
    report.write_report(run)
    text = checkout.RETRAIN_REPORT.read_text(encoding="utf-8")
    assert "**Retrained, not promoted.** Started 2026-01-02 03:04 UTC." in text
    assert "| a\\|b.csv | added | 300 | 300 |" in text
    assert json.loads((report.FOLDER / "report.json").read_text())["outcome"] == "rejected"
    assert "<script" not in (report.FOLDER / "report.html").read_text()
    assert not any(tweet in text for tweet in tweets["text"][:300] if len(tweet) > 20)
    run.reasons = []
    assert "| a\\|b.csv | waits for more rows | 300 | 300 |" in as_markdown(run, "A dry run")
    assert "**A dry run.** Started" in as_markdown(run, "A dry run")


def test_report_compares_metrics() -> None:
    before, after = ({"overall": {"num_samples": n, "accuracy": n / 8, "macro_f1": 0.5, "loss": 1.0}} for n in (4, 6))
    run = RetrainRun("m", STARTED, metrics_before=before, metrics_after=after)
    assert "| accuracy | 0.5 | 0.75 |" in as_markdown(run)
    run.metrics_before = None
    assert "| accuracy |  | 0.75 |" in as_markdown(run)


def test_report_tells_known_and_refused_files_apart(project: Path, tweets: pd.DataFrame) -> None:
    parts = {"old.csv": tweets[:50], "bad.csv": tweets[50:90].assign(label="angry")}
    files = examined([write_csv(project / name, rows) for name, rows in parts.items()], tweets[:600])
    run = RetrainRun("m", STARTED, files)
    text = as_markdown(run)
    assert "| old.csv | no new rows | 50 | 0 |" in text
    assert re.search(r"\| bad\.csv \| \*\*in quarantine\*\*: labels.* \| 40 \| 40 \|", text)
    assert run.sentence() == "m: nothing to do; 2 new files with 0 new rows; 1 in quarantine"


def test_report_lists_few_of_many_files_and_the_refused_first(
    project: Path, tweets: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_LISTED", 2)
    files = [write_csv(project / f"{number}.csv", tweets[number : number + 1]) for number in range(3)]
    files.append(write_csv(project / "bad.csv", tweets[:9].assign(label="angry")))
    text = as_markdown(RetrainRun("m", STARTED, examined(files, tweets[500:])))
    assert text.count(".csv |") == 2
    assert text.index("| bad.csv | **in quarantine**") < text.index("| 0.csv |")
    assert "2 more are not listed; all are in `reports/retrain/report.json`." in text
