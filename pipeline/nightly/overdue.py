"""When the last retraining ended, in tags of the registered model, for a monitor that checks it."""

from datetime import UTC, datetime

from ..base.errors import PipelineError
from ..registry import tracking
from ..registry.store import Store
from .report import RetrainRun

ENDED, OUTCOME = "retrain.ended", "retrain.outcome"  # tags of the registered model


def record_end(run: RetrainRun, store: Store) -> None:
    """Record in the registry that a retraining has ended now."""
    with tracking.store_errors(store.address):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        store.versions.tag_model(run.model, {ENDED: now, OUTCOME: run.sentence()})


def refuse_overdue(model: str, max_hours: float) -> str:
    """Return when the last retraining ended, and how.

    Raises
    ------
    PipelineError
        None has ended within `max_hours`.
    """
    store = tracking.connect()
    with tracking.store_errors(store.address):
        tags = store.versions.model_tags(model)
    if ENDED not in tags:
        raise PipelineError(f"no retraining of {model} has ever ended")
    hours = (datetime.now(UTC) - datetime.fromisoformat(tags[ENDED])).total_seconds() / 3600
    if hours > max_hours:
        raise PipelineError(f"the last retraining of {model} ended {hours:.1f} hours ago, at {tags[ENDED]}")
    return f"{hours:.1f} hours ago: {tags.get(OUTCOME, '')}"
