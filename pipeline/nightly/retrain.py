"""Add new rows, train if there is a reason to, promote the model if it is better, deliver the results.

Examines incoming files, puts bad ones into quarantine, measures drift, decides whether to train, runs `dvc repro`,
publishes, and delivers: data to the DVC remote, then dvc.lock and a report to git. After a kill or an outage, the next
run continues from there.
"""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..base import checkout, command, params, paths, versioning
from ..base.errors import PipelineError
from ..base.files import read_json, read_table
from ..data import increments, tables
from ..data.settings import Ingest
from ..evaluation import drift, measures
from ..evaluation.drift_sample import DriftSample
from ..evaluation.settings import Drift
from ..inference.manifest import read_manifest
from ..inference.predictor import Predictor
from ..registry import tracking
from ..registry.models import open_model
from ..registry.packaging import digest
from ..registry.promotion import CHAMPION
from ..registry.settings import model_name
from ..registry.store import Store
from ..reports.drift import drift_report
from ..text.processor import Tokenizer
from . import recover, repository
from .agreement import Judge
from .examination import examine
from .incoming import put_into_quarantine, unseen_files
from .listing import IncomingFile
from .lock import remote_lock
from .overdue import record_end, refuse_overdue
from .reasons import reasons_to_train
from .report import RetrainOutcome, RetrainRun, as_markdown, write_report
from .settings import Retrain

if TYPE_CHECKING:
    from ..registry.lazy_mlflow import ModelVersion

EXIT_STATUSES = (
    "Exit status: 0 nothing to do, 10 promoted, 11 trained but not promoted, 12 another retraining is in progress, "
    "1 failed, 2 wrong usage."
)


@dataclass(frozen=True)
class Situation:
    """What a retraining starts from.

    Parameters
    ----------
    storage : bool
        Whether there is a DVC remote.
    stale : list of str
        Stages whose data, code or parameters differ from `dvc.lock`.
    store : Store
        The registry.
    champion : ModelVersion or None
        The version in service.
    """

    storage: bool
    stale: list[str]
    store: Store
    champion: "ModelVersion | None"


def retrain(run: RetrainRun) -> None:
    """Retrain if there is a reason to, deliver the results, and record them in `run`.

    Raises
    ------
    PipelineError
        Something failed; the next call continues from there.
    AlreadyRunningError
        Another retraining is in progress.
    """
    settings = _settings()
    with checkout.checkout_lock(), remote_lock(settings.max_hours), _restore_on_failure():
        branch = repository.start(settings.branch)
        recover.recover()
        situation = _situation(run, dry_run=False)
        with unseen_files(settings.incoming) as files:
            if files and ("ingest" in situation.stale or not paths.INGEST_TABLE.is_file()):
                versioning.dvc("repro", "ingest")
            _examine(run, files, situation, settings)
            _decide(run, situation, settings)
            stored = _store_files(run)
        if run.reasons:
            print("retrain: " + "; ".join(run.reasons))
            repository.reproduce(storage=situation.storage)
        # Before the registry names the model, and even if the registry is down: the next run continues from the remote.
        if situation.storage and (stored or run.reasons):
            repository.push_data()
        if run.reasons:
            versioning.python("pipeline", "publish")
            _read_decision(run, situation.store)
        _deliver(run, branch, changed=bool(stored or run.reasons))
        record_end(run, situation.store)
        checkout.mark_ended()


def plan(run: RetrainRun) -> None:
    """Examine incoming files and decide whether to train, as a dry run: the result is in `run`.

    Git, the registry and the lists of files stay as they are; only missing files come from the DVC remote.

    Raises
    ------
    PipelineError
        Something failed.
    """
    settings = _settings()
    repository.refuse_changed_data()
    situation = _situation(run, dry_run=True)
    with unseen_files(settings.incoming) as files:
        _examine(run, files, situation, settings)
    _decide(run, situation, settings)


def _settings() -> Retrain:
    if not tracking.enabled():
        raise PipelineError("retraining needs the MLflow store; unset PIPELINE_TRACKING")
    return params.load(Retrain)


@contextmanager
def _restore_on_failure() -> Iterator[None]:
    """Restore lists and lock file from git after a failure: people may change them before the next run."""
    try:
        yield
    except BaseException:
        with suppress(PipelineError):  # then the next run restores them
            checkout.restore()
        raise


def _situation(run: RetrainRun, *, dry_run: bool) -> Situation:
    """Pull the data, and look up what has changed and which model is in service."""
    storage = repository.set_up_storage()
    run.metrics_before = read_json(paths.EVALUATE_METRICS) if paths.EVALUATE_METRICS.is_file() else None
    if storage:
        repository.pull_data(force=not dry_run)
    stale, store = repository.stale_stages(), tracking.connect()
    with tracking.store_errors(store.address):
        champion = store.versions.alias(run.model, CHAMPION)
    if not champion and not stale and not dry_run:  # a new registry: new models are compared with the last state
        versioning.python("pipeline", "publish")
        with tracking.store_errors(store.address):
            champion = store.versions.alias(run.model, CHAMPION)
    return Situation(storage, stale, store, champion)


def _examine(run: RetrainRun, files: Sequence[IncomingFile], situation: Situation, settings: Retrain) -> None:
    """Check the incoming files, and measure the drift of their new rows."""
    if not files:
        return
    if not paths.INGEST_TABLE.is_file():
        raise PipelineError(f"{paths.INGEST_TABLE} is missing; run `dvc pull` or `dvc repro` first")
    table, ingest = read_table(paths.INGEST_TABLE), params.load(Ingest)
    with ExitStack() as stack:
        predictor = None
        if situation.champion:
            predictor = Predictor.load(stack.enter_context(open_model(CHAMPION, run.model)).folder)
        before = None
        if paths.TOKENIZE_TOKENIZER.is_file():
            tokenizer = Tokenizer.load(paths.TOKENIZE_TOKENIZER)
            before = drift.reference(predictor, tokenizer)
        run.files = examine(
            files,
            table,
            known=table if ingest.max_rows is None else tables.read_all(ingest),
            judge=_judge(predictor, before) if predictor and before else None,
            min_agreement=settings.min_agreement,
        )
        if run.n_new_rows and before:
            new_rows = pd.concat([file.new_rows for file in run.accepted], ignore_index=True)
            after = drift.draw_sample(drift.prepare(new_rows)[0], predictor, tokenizer)
            run.drift = drift_report(before, after, measures.measure_shifts(before, after, params.load(Drift)))


def _judge(predictor: Predictor, reference: DriftSample) -> Judge:
    """Return the champion with its predictions for the validation and test rows, which no earlier state trained on."""
    return Judge(
        predict=lambda texts: predictor.predict(texts)["predicted_label"].to_list(),
        labels=reference.labels,
        predicted=np.array(predictor.classes, dtype=object)[reference.probabilities.argmax(axis=1)],
    )


def _decide(run: RetrainRun, situation: Situation, settings: Retrain) -> None:
    champion = situation.champion
    age = run.started.timestamp() - champion.creation_timestamp / 1000 if champion else 0.0
    results = run.drift["measures"] if run.drift else []
    run.reasons = reasons_to_train(
        settings,
        has_champion=bool(champion),
        stale=situation.stale,
        n_new_rows=run.n_new_rows,
        drifted=[result["measure"] for result in results if result["drifted"]],
        champion_age=age / 86_400,
    )


def _store_files(run: RetrainRun) -> list[str]:
    """Put refused files into quarantine and, before a training, accepted ones into increments; return their paths."""
    stored = [put_into_quarantine(file, run.timestamp) for file in run.refused]
    if run.reasons:
        stored += [
            increments.add(file.increment(), source=file.name, file=file.sha256, taken=run.timestamp)
            for file in run.accepted
        ]
    names = [str(path) for path in stored]
    if names:
        versioning.dvc("add", "--quiet", *names)
    return names


def _read_decision(run: RetrainRun, store: Store) -> None:
    """Read from the registry what the gate decided about the new model."""
    with tracking.store_errors(store.address):
        version = store.versions.with_digest(run.model, digest(read_manifest(paths.TRAIN_MODEL)))
        champion = store.versions.alias(run.model, CHAMPION)
    if version is None or champion is None:
        raise PipelineError(f"after publishing, {run.model} has no version of this state, or no champion")
    promoted = version.version == champion.version
    run.outcome = RetrainOutcome.PROMOTED if promoted else RetrainOutcome.REJECTED
    run.metrics_after = read_json(paths.EVALUATE_METRICS)
    run.decision = f"Version {version.version}: {version.tags.get('promotion.reason', 'decided before')}."
    file = paths.REPORTS / "publish/decision.md"
    title, _, text = file.read_text(encoding="utf-8").partition("\n") if file.is_file() else ("", "", "")
    if title == f"# {run.model} version {version.version}":  # otherwise another state was published here last
        run.decision = text.strip()


def _deliver(run: RetrainRun, branch: str, *, changed: bool) -> None:
    """Write the report, and push it with all other changes; without changes, push what an earlier run could not."""
    if changed:
        write_report(run)
        print(repository.commit_and_push(branch, f"{run.sentence()} [skip ci]"))
    elif repository.has_unpushed_results(branch):
        print(f"results of an earlier retraining: {repository.push(branch)}")


def exit_on_sigterm() -> None:
    """Exit by an exception at SIGTERM, which a CI sends to a cancelled job, so that locks are released."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("retrain", __doc__, example="--dry-run", epilog=EXIT_STATUSES)
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would happen; only pull files that are missing here"
    )
    parser.add_argument(
        "--alarm", action="store_true", help="for CI: exit 0 unless the run failed or put a file into quarantine"
    )
    parser.add_argument("--branch", action="store_true", help="print retrain.branch, for a pull request")
    parser.add_argument("--overdue", type=float, metavar="HOURS", help="fail if none has ended within so many hours")
    options = parser.parse_args(arguments)
    if options.branch:
        print(params.load(Retrain).branch or "")
        return
    run = RetrainRun(model_name())
    if options.overdue is not None:
        print(refuse_overdue(run.model, options.overdue))
        return
    exit_on_sigterm()
    if options.dry_run:
        plan(run)
        print(as_markdown(run, "A dry run: nothing was changed"))
        print("would train: " + ("; ".join(run.reasons) or "no"))
        return
    try:
        retrain(run)
    except checkout.AlreadyRunningError as error:
        run.outcome = RetrainOutcome.BUSY
        print(f"retrain: {error}; nothing was done")
    print(run.sentence())
    if options.alarm and run.refused:
        raise PipelineError(f"{len(run.refused)} file(s) are in quarantine; see {checkout.RETRAIN_REPORT}")
    sys.exit(0 if options.alarm else run.outcome)
