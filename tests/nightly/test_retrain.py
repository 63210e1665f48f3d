"""When a retraining trains, how it ends, and what it leaves after a failure; whole nights are in test_nights.py."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.nightly import git, push_as_colleague

from pipeline.base import params, versioning
from pipeline.base.checkout import STARTED
from pipeline.base.errors import PipelineError
from pipeline.nightly import overdue, retrain
from pipeline.nightly.reasons import reasons_to_train
from pipeline.nightly.report import RetrainOutcome, RetrainRun
from pipeline.nightly.settings import Retrain

SETTINGS = params.load(Retrain).model_copy(update={"min_new_rows": 100, "max_age": 30.0})

QUIET = {"has_champion": True, "stale": [], "n_new_rows": 0, "drifted": [], "champion_age": 1.0}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"has_champion": False}, "there is no champion yet"),
        ({"stale": ["clean", "train"]}, "of clean, train have changed"),
        ({"n_new_rows": 99}, ""),
        ({"n_new_rows": 100}, "100 new rows"),
        ({"drifted": ["length"]}, ""),  # of no rows
        ({"n_new_rows": 60, "drifted": ["length", "terms"]}, "drift of length, terms in 60 new rows"),
        ({"n_new_rows": 1, "champion_age": 31.0}, "the champion is 31 days old"),
        ({"champion_age": 31.0}, ""),  # the same rows would give the same model
    ],
)
def test_reasons_to_train(changes: dict[str, object], reason: str) -> None:
    reasons = reasons_to_train(SETTINGS, **(QUIET | changes))  # type: ignore[arg-type]
    assert len(reasons) == bool(reason)
    assert reason in "".join(reasons)


def test_disabled_rules_give_no_reason() -> None:
    settings = SETTINGS.model_copy(update={"on_drift": False, "max_age": None})
    changes = {"n_new_rows": 60, "drifted": ["length"], "champion_age": 1e6}
    assert reasons_to_train(settings, **(QUIET | changes)) == []  # type: ignore[arg-type]


def test_overdue_fails_after_too_many_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = (datetime.now(UTC) - timedelta(hours=30)).isoformat(timespec="seconds")
    tags = {overdue.ENDED: ended, overdue.OUTCOME: "m: nothing to do"}
    store = SimpleNamespace(address="sqlite:///x", versions=SimpleNamespace(model_tags=lambda name: tags))
    monkeypatch.setattr(overdue.tracking, "connect", lambda: store)
    assert overdue.refuse_overdue("m", 31.0) == "30.0 hours ago: m: nothing to do"
    with pytest.raises(PipelineError, match=r"the last retraining of m ended 30\.0 hours ago"):
        overdue.refuse_overdue("m", 29.0)
    tags.clear()
    with pytest.raises(PipelineError, match="no retraining of m has ever ended"):
        overdue.refuse_overdue("m", 29.0)


@pytest.mark.parametrize(("options", "status"), [([], 10), (["--alarm"], 0)])
def test_exit_status_is_the_outcome(
    project: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], status: int
) -> None:
    def promoted(run: RetrainRun) -> None:
        run.outcome = RetrainOutcome.PROMOTED

    monkeypatch.setattr(retrain, "retrain", promoted)
    monkeypatch.setattr(retrain, "exit_on_sigterm", lambda: None)
    with pytest.raises(SystemExit) as ended:
        retrain.main(options)
    assert ended.value.code == status


def test_dry_run_refuses_changed_data(checkout: Path) -> None:
    versioning.dvc("init", "-q")
    reviews = Path("data/reviews.csv")
    reviews.write_text("text,label\n")
    versioning.dvc("add", "-q", str(reviews))
    git("add", "-A")
    reviews.write_text("text,label\nmine,x\n")
    with pytest.raises(PipelineError, match=r"data/reviews\.csv differs from the version that DVC tracks"):
        retrain.plan(RetrainRun("m"))
    assert "mine" in reviews.read_text()


def test_failure_restores_the_lists_and_keeps_later_changes(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        Path("data/batches.csv").write_text("batch\na\nhalf\n")
        raise PipelineError("the store is down")

    monkeypatch.setattr(retrain.recover, "recover", fail)
    with pytest.raises(PipelineError, match="the store is down"):
        retrain.retrain(RetrainRun("m"))
    output = capsys.readouterr().out
    assert "restored these files from git" in output
    assert output.endswith(": data/batches.csv\n")
    assert Path("data/batches.csv").read_text() == "batch\na\n"
    Path("data/batches.csv").write_text("batch\n")
    with pytest.raises(PipelineError, match=r"not committed: data/batches\.csv"):
        retrain.retrain(RetrainRun("m"))
    assert Path("data/batches.csv").read_text() == "batch\n"


def test_failed_start_leaves_no_marker(checkout: Path) -> None:
    colleague = push_as_colleague(checkout, code_py="y\n")
    (colleague / "new.txt").write_text("theirs")
    git("add", "-A", folder=colleague)
    git("commit", "-qm", "new", folder=colleague)
    git("push", "-q", "origin", "main", folder=colleague)
    Path("new.txt").write_text("mine")  # in the way of the merge
    with pytest.raises(PipelineError, match="cannot merge the remote's branch main"):
        retrain.retrain(RetrainRun("m"))
    assert not STARTED.exists()
