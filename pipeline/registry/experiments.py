"""Experiments."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..base import params
from ..base.errors import PipelineError
from . import tracking
from .settings import Publish
from .store import Store

EXPERIMENTS = {"ablation": "ablation", "search": "search", "imbalance": "imbalance", "adapt": "personal"}


def experiment_name(kind: str) -> str:
    """The experiment that a module's runs go to."""
    return f"{params.load(Publish).experiment}-{EXPERIMENTS[kind]}"


@contextmanager
def opened(kind: str) -> Iterator[Store]:
    """Hold the store for this process, at the experiment of `kind`; what it fails at is said with what to do."""
    try:
        store = tracking.connect()
        with tracking.store_errors(store.address), store.lock:
            own = store.client.get_experiment(store.experiment_id).artifact_location
            place = own if store.address.startswith("sqlite:") else None  # a server has its own
            yield replace(store, experiment_id=tracking.experiment_id(store.client, experiment_name(kind), place))
    except PipelineError as error:
        reason = str(error).partition(";")[0]
        raise PipelineError(
            f"the results are on disk, but not in MLflow: {reason}; once it answers, run the command again, "
            "which computes nothing twice"
        ) from error
