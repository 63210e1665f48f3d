"""MLflow experiments of the commands that log runs of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..base import params
from ..base.errors import PipelineError
from . import tracking
from .settings import Publish
from .store import Store

EXPERIMENTS = {"ablation": "ablation", "search": "search", "imbalance": "imbalance", "adapt": "personal"}


def experiment_name(command: str) -> str:
    """Return the name of the experiment that a command logs to."""
    return f"{params.load(Publish).experiment}-{EXPERIMENTS[command]}"


@contextmanager
def open_experiment(command: str) -> Iterator[Store]:
    """Open the store at a command's experiment, and lock it for this process.

    Raises
    ------
    PipelineError
        The store does not answer; the results on disk are complete.
    """
    try:
        store = tracking.connect()
        with tracking.store_errors(store.address), store.lock.file:
            own = store.client.get_experiment(store.experiment_id).artifact_location
            artifacts = None if store.lock.on_server else own
            number = tracking.experiment_id(store.client, experiment_name(command), artifacts)
            yield replace(store, experiment_id=number)
    except PipelineError as error:
        reason = str(error).partition(";")[0]
        raise PipelineError(
            f"the results are on disk, but not in MLflow: {reason}; once it answers, run the command again: "
            "it computes nothing twice"
        ) from error
