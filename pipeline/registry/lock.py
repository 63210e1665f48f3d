"""Lock of the MLflow store: two processes that create the same run or version at once would create two."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..base.errors import PipelineError
from . import lazy_mlflow

if TYPE_CHECKING:
    from filelock import FileLock

    from .lazy_mlflow import MlflowClient

HOLDER = "pipeline.holder"  # tag of the registered model that holds a server
STALE_SECONDS = 60.0  # a server is held for a few seconds; a holder older than this was killed


@dataclass(frozen=True)
class StoreLock:
    """The lock of a store.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    file : FileLock
        Excludes the other processes of this machine.
    on_server : bool
        Whether other machines write to the store, too.
    """

    client: "MlflowClient"
    file: "FileLock"
    on_server: bool

    @contextmanager
    def hold(self, purpose: str) -> Iterator[None]:
        """Hold the store for a few seconds, alone.

        Processes that share a database file hold a file lock. On a server, they also register a model named after the
        purpose, which the server allows only once, and delete it afterwards, unless another machine has taken over.
        A server deletes models by name only: a takeover between that check and the deletion would be lost, but it can
        only happen in the few milliseconds after `STALE_SECONDS`.
        """
        with self.file:
            if not self.on_server:
                yield
                return
            name = f"{purpose} (in use)"
            holder = self._take(name)
            try:
                yield
            finally:
                self._release(name, holder)

    def _take(self, name: str) -> str:
        """Register the model that only one process can register; return the holder's id."""
        own_id, last_holder, since = secrets.token_hex(16), "", time.monotonic()
        while True:
            try:
                self.client.create_registered_model(
                    name, tags={HOLDER: own_id}, description="Held for seconds, while another run is published."
                )
                return own_id
            except lazy_mlflow.MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            holder = self._holder(name)
            if holder != last_holder:
                last_holder, since = holder, time.monotonic()
            elif time.monotonic() - since > 3 * STALE_SECONDS:  # such as where only another account may delete it
                raise PipelineError(f"the store holds a model called {name!r} for too long; delete it in MLflow")
            elif holder and time.monotonic() - since > STALE_SECONDS:
                self._release(name, holder)
            time.sleep(0.2)

    def _holder(self, name: str) -> str:
        """The id of the process that holds a name; empty if there is none."""
        models = self.client.search_registered_models(f"name = '{name}'")
        return models[0].tags.get(HOLDER, "unknown") if models else ""

    def _release(self, name: str, holder: str) -> None:
        """Delete the model that `holder` registered, unless it is gone or another process holds it by now."""
        with suppress(lazy_mlflow.MlflowException):
            if self._holder(name) == holder:
                self.client.delete_registered_model(name)
