"""Retrain: take in new rows, train if it is worth it, promote if it is better, deliver.

Brings in new files, puts bad ones into quarantine, measures drift, decides whether to train, runs `dvc repro`,
publishes, and delivers: data to the DVC remote, then dvc.lock and a report to git. Run again after a kill or an outage,
it goes on from there. Exit status: 0 nothing to do, 10 promoted, 11 trained but not promoted, 12 another retraining is
in progress, 1 failed, 2 wrong usage.
"""

import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ..base import checkout, command, params, paths, versioning
from ..base.checkout import BusyError
from ..base.errors import PipelineError
from ..base.files import read_json, read_table
from ..data import batches, tables
from ..data.settings import Ingest
from ..evaluation import drift, measures
from ..evaluation.settings import Drift
from ..inference.manifest import read_manifest
from ..inference.predictor import Predictor
from ..registry import tracking
from ..registry.models import open_model
from ..registry.packaging import digest
from ..registry.promotion import CHAMPION
from ..registry.settings import model_name
from ..reports.drift import report
from ..text.processor import Tokenizer
from . import incoming, lock, recover, repository
from .report import Night, Outcome, markdown, write
from .settings import Retrain

if TYPE_CHECKING:
    from ..registry.store import Store

EXIT_STATUSES = (
    "Exit status: 0 nothing to do, 10 promoted, 11 trained but not promoted, 12 another retraining is in progress, "
    "1 failed, 2 wrong usage."
)
ENDED, OUTCOME = "retrain.ended", "retrain.outcome"  # tags of the registered model


def decide(
    settings: Retrain,
    *,
    champion: bool,
    stale: Sequence[str],
    new_rows: int,
    drifted: Sequence[str],
    age: float,
) -> list[str]:
    """The reasons to train now; none where there is nothing to do.

    Parameters
    ----------
    settings : params.Retrain
        The rules.
    champion : bool
        Whether there is one.
    stale : sequence of str
        Stages whose data, code or parameters were changed.
    new_rows : int
        Rows that came in.
    drifted : sequence of str
        In what they differ from the rows before.
    age : float
        Days since the champion was registered.
    """
    reasons = [] if champion else ["there is no champion yet"]
    if stale:
        reasons.append(f"data, code or parameters of {', '.join(stale)} have changed")
    if new_rows >= settings.min_new_rows:
        reasons.append(f"{new_rows:,} new rows (retrain.min_new_rows: {settings.min_new_rows:,})")
    if new_rows and drifted and settings.on_drift:
        reasons.append(f"drift of {', '.join(drifted).replace('_', ' ')} in {new_rows:,} new rows (retrain.on_drift)")
    if new_rows and settings.max_age is not None and age > settings.max_age:
        reasons.append(
            f"the champion is {age:.0f} days old, and there are new rows (retrain.max_age: {settings.max_age:g})"
        )
    return reasons


def retrain(night: Night, *, dry: bool) -> None:
    """Do the whole job, and tell `night` what happened.

    Parameters
    ----------
    night : Night
        New.
    dry : bool
        Look at what came in and decide, and change neither git nor the registry nor the lists of batches; only what is
        missing here of DVC's files comes from the remote.

    Raises
    ------
    PipelineError
        Something failed; the next call goes on from there.
    BusyError
        Another one is at it.
    """
    settings = params.load(Retrain)
    if not tracking.enabled():
        raise PipelineError("retraining needs the MLflow store; unset PIPELINE_TRACKING")
    with ExitStack() as stack:
        branch = ""
        if not dry:
            stack.enter_context(checkout.alone_here())
            stack.enter_context(lock.alone(settings.max_hours))
            stack.push(_put_back)
            branch = repository.start(settings.branch)
            recover.recover()
        else:
            repository.refuse_changed_data()
        storage = repository.has_storage()
        night.figures[0] = read_json(paths.EVALUATE_METRICS) if paths.EVALUATE_METRICS.is_file() else None
        if storage:
            repository.pull(force=not dry)
        stale = repository.stale()
        store = tracking.connect()
        with tracking.store_errors(store.address):
            champion = store.versions.alias(night.model, CHAMPION)
        if not champion and not stale and not dry:  # a new registry: what new models are compared with comes first
            versioning.python("pipeline", "publish")
            champion = store.versions.alias(night.model, CHAMPION)
        files = stack.enter_context(incoming.fetched(settings.incoming))
        if not files and not stale and champion:
            if branch and repository.waits(branch):
                print(f"what an earlier night could not push: {repository.push(branch)}")
            if not dry:
                _end(night, store)
                checkout.done()
            return
        if not dry and (not paths.INGEST_TABLE.is_file() or "ingest" in stale):
            versioning.dvc("repro", "ingest")
        predictor = None
        if files and champion:
            predictor = Predictor.load(stack.enter_context(open_model(CHAMPION, night.model)).folder)
        if files:
            _look(night, files, predictor, settings)
        age = (night.began.timestamp() - champion.creation_timestamp / 1000) / 86_400 if champion else 0.0
        drifted = [each["measure"] for each in (night.drift or {}).get("measures", []) if each["drifted"]]
        night.reasons = decide(
            settings, champion=bool(champion), stale=stale, new_rows=night.new_rows, drifted=drifted, age=age
        )
        if dry:
            return
        moment = night.began.isoformat(timespec="seconds")
        kept = [incoming.put_into_quarantine(each, moment) for each in night.quarantined]
        if night.reasons:
            kept += [
                batches.add(each.as_given(), source=each.name, file=each.file, taken=moment) for each in night.taken
            ]
        if kept:
            versioning.dvc("add", "--quiet", *map(str, kept))
        if night.reasons:
            print("retrain: " + "; ".join(night.reasons))
            repository.reproduce(storage=storage)
        # Before the registry knows of it, and where it does not answer: the next night goes on from the remote.
        if storage and (kept or night.reasons):
            repository.deliver_data()
        if night.reasons:
            versioning.python("pipeline", "publish")
            _judge(night, store)
        if kept or night.reasons:
            write(night)
            print(repository.deliver_code(branch, f"{night.sentence()} [skip ci]"))
        _end(night, store)
        checkout.done()


def _put_back(error: type[BaseException] | None, *_: object) -> None:
    """After a failure, leave lists and lock as git has them: people may change them before the next night."""
    if error:
        with suppress(PipelineError):  # then the next one does so
            checkout.put_back()


def _look(night: Night, files: Sequence[tuple[Path, str, str]], predictor: Predictor | None, settings: Retrain) -> None:
    """Examine the files, and measure how far their new rows differ from the rows before."""
    if not paths.INGEST_TABLE.is_file():
        raise PipelineError(f"{paths.INGEST_TABLE} is missing; run `dvc pull` or `dvc repro` first")

    table, source = read_table(paths.INGEST_TABLE), params.load(Ingest)
    night.arrivals = incoming.examine(
        files,
        table,
        whole=table if source.max_rows is None else tables.read_all(source),
        predict=_labels(predictor) if predictor else None,
        min_agreement=settings.min_agreement,
    )
    if night.new_rows and paths.TOKENIZE_TOKENIZER.is_file():
        new = pd.concat([each.new for each in night.taken], ignore_index=True)
        tokenizer = Tokenizer.load(paths.TOKENIZE_TOKENIZER)
        before = drift.reference(predictor, tokenizer)
        after = drift.sample(drift.prepare(new)[0], predictor, tokenizer)
        night.drift = report(before, after, measures.measure(before, after, params.load(Drift)))


def _labels(predictor: Predictor) -> incoming.Predict:
    return lambda texts: predictor.predict(texts)["predicted_label"].to_list()


def _judge(night: Night, store: "Store") -> None:
    """Read from the registry what the gate decided."""
    with tracking.store_errors(store.address):
        version = store.versions.with_digest(night.model, digest(read_manifest(paths.TRAIN_MODEL)))
        champion = store.versions.alias(night.model, CHAMPION)
    if version is None or champion is None:
        raise PipelineError(f"{night.model} has no version of this state, or no champion, after it was published")
    night.outcome = Outcome.PROMOTED if version.version == champion.version else Outcome.REJECTED
    night.figures[1] = read_json(paths.EVALUATE_METRICS)
    decided = paths.REPORTS / "publish/decision.md"
    current = decided.is_file() and decided.read_text(encoding="utf-8").startswith(
        f"# {night.model} version {version.version}\n"
    )
    night.decision = (
        decided.read_text(encoding="utf-8").partition("\n")[2].strip()
        if current
        else f"Version {version.version}: {version.tags.get('promotion.reason', 'decided before')}."
    )


def _end(night: Night, store: "Store") -> None:
    """Say in the registry when a retraining ended last, for whoever watches over it."""
    with tracking.store_errors(store.address):
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        store.versions.tag_model(night.model, {ENDED: moment, OUTCOME: night.sentence()})


def overdue(model: str, hours: float) -> str:
    """When a retraining ended last, and how.

    Raises
    ------
    PipelineError
        That is longer ago than so many hours, or never was.
    """
    store = tracking.connect()
    with tracking.store_errors(store.address):
        tags = store.versions.model_tags(model)
    if ENDED not in tags:
        raise PipelineError(f"no retraining of {model} has ever ended")
    ago = (datetime.now(UTC) - datetime.fromisoformat(tags[ENDED])).total_seconds() / 3600
    if ago > hours:
        raise PipelineError(f"the last retraining of {model} ended {ago:.1f} hours ago, at {tags[ENDED]}")
    return f"{ago:.1f} hours ago: {tags.get(OUTCOME, '')}"


def let_go_when_stopped() -> None:
    """End by an exception at SIGTERM, which a CI sends to what it cancels: then the lock in the remote is released."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("retrain", __doc__, example="--dry-run", epilog=EXIT_STATUSES)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would happen; only brings what is missing of DVC's files"
    )
    parser.add_argument(
        "--alarm", action="store_true", help="for CI: exit 0 unless a person should look, at a failure or a quarantine"
    )
    parser.add_argument("--branch", action="store_true", help="print retrain.branch, for a pull request")
    parser.add_argument("--overdue", type=float, metavar="HOURS", help="fail if none has ended within so many hours")
    options = parser.parse_args(arguments)
    if options.branch:
        print(params.load(Retrain).branch or "")
        return
    night = Night(datetime.now(UTC), model_name())
    if options.overdue is not None:
        print(overdue(night.model, options.overdue))
        return
    let_go_when_stopped()
    try:
        retrain(night, dry=options.dry_run)
    except BusyError as busy:
        night.outcome = Outcome.BUSY
        print(f"retrain: {busy}; this one leaves")
    if options.dry_run:
        print(markdown(night, "A dry run: nothing was changed"))
        print("would train: " + ("; ".join(night.reasons) or "no"))
        return
    print(night.sentence())
    if options.alarm and night.quarantined:
        raise PipelineError(f"{len(night.quarantined)} file(s) are in quarantine; see {checkout.REPORT}")
    sys.exit(0 if options.alarm else night.outcome)
