"""The MLflow store: its runs, its registered versions and its lock."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .lock import StoreLock
from .runs import Runs
from .versions import Versions

if TYPE_CHECKING:
    from .lazy_mlflow import MlflowClient


@dataclass(frozen=True)
class Store:
    """A store, and the experiment in it that holds the pipeline's runs; `tracking.connect` opens it."""

    address: str
    client: "MlflowClient"
    experiment_id: str
    lock: StoreLock

    @property
    def runs(self) -> Runs:
        return Runs(self.client, self.experiment_id, self.lock)

    @property
    def versions(self) -> Versions:
        return Versions(self.address, self.client, self.experiment_id, self.lock)
