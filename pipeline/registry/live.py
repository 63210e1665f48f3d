"""Logging to MLflow while training goes on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..base.errors import PipelineError, without_credentials
from ..evaluation.metrics import Metrics
from . import tracking


@contextmanager
def live_run(state: str) -> Iterator[Callable[[int, Metrics], None]]:
    """Open the run of `state`, and yield a function that logs an epoch's metrics to it.

    Training continues when the store does not answer, after one warning; `publish` logs what is missing.
    """
    lost = not tracking.enabled()
    failures: tuple[type[Exception], ...] = () if lost else (PipelineError, *tracking.store_failures())

    @contextmanager
    def unless_lost() -> Iterator[None]:
        nonlocal lost
        try:
            yield
        except failures as error:
            lost = True
            reason = without_credentials(str(error).partition(" failed with exception")[0])
            print(f"train: continues without logging to MLflow, which failed: {reason}", file=sys.stderr)

    def log_epoch(epoch: int, metrics: Metrics) -> None:
        if not lost:
            with unless_lost():
                store.runs.log_epochs(run, [metrics])

    if not lost:
        with unless_lost():
            store = tracking.connect()
            run = store.runs.open(state)
            if run.info.status in {"FAILED", "KILLED"}:
                store.client.update_run(run.info.run_id, "RUNNING")
    try:
        yield log_epoch
    except BaseException:
        if not lost:
            with unless_lost():
                store.client.set_terminated(run.info.run_id, "FAILED")
        raise
