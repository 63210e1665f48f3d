"""Where the MLflow store is, and how to connect to it.

It is at `MLFLOW_TRACKING_URI` where that is set, otherwise a SQLite file at the root of the checkout.
`PIPELINE_TRACKING=off` turns tracking off, and `live` leaves publishing to the program that runs the pipeline; no
stage's output depends on it.
"""

import glob
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import params
from ..base.errors import PipelineError, without_credentials
from ..base.files import atomic
from ..base.versioning import root
from . import lazy_mlflow
from .lock import StoreLock
from .runs import PUBLISHED
from .settings import Publish
from .store import Store
from .versions import MODEL_DIGEST

if TYPE_CHECKING:
    from .lazy_mlflow import MlflowClient

MODE = "PIPELINE_TRACKING"
DATABASE = "mlflow.db"
# Without it, MLflow's UI asks whether an experiment is about prompts.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def mode() -> str:
    """`PIPELINE_TRACKING`: `on`; `live`, where training is logged and evaluate does not publish; or `off`."""
    value = os.environ.get(MODE, "on")
    if value not in {"on", "live", "off"}:
        raise PipelineError(f"the environment variable {MODE} must be on, live or off, got {value!r}")
    return value


def enabled() -> bool:
    """Whether anything is logged."""
    return mode() != "off"


def store_address() -> str:
    """`MLFLOW_TRACKING_URI`, otherwise the SQLite file at the root."""
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"
    if not address.startswith("sqlite:///"):
        return address
    # A relative path would name another file in an experiment's temporary folder.
    database = root() / address.removeprefix("sqlite:///")
    if set("%?") & set(str(database)):
        raise PipelineError(f"MLflow cannot open {database}, because its path has a % or a ?; move the project")
    return f"sqlite:///{database}"


def is_published(*, content: str, digest: str) -> bool:
    """Whether a local database holds this content and this model already.

    A shortcut through SQL, because importing MLflow takes longer than finding out that there is nothing to do. For any
    other kind of store, or in doubt, it is False, and MLflow has to be asked.
    """
    address = store_address()
    database = Path(address.removeprefix("sqlite:///"))
    linked = "MLFLOW_RUN_ID" in os.environ  # then there is a run to link, see Runs.link_project_run
    if linked or not address.startswith("sqlite:///") or not database.is_file():
        return False
    query = """
        SELECT EXISTS (SELECT * FROM tags JOIN runs USING (run_uuid)
                       WHERE key = ? AND value = ? AND lifecycle_stage = 'active')
           AND EXISTS (SELECT * FROM model_version_tags JOIN model_versions USING (name, version)
                       WHERE key = ? AND value = ? AND current_stage <> 'Deleted_Internal')
    """
    try:
        with closing(sqlite3.connect(database)) as connection:
            return bool(connection.execute(query, (PUBLISHED, content, MODEL_DIGEST, digest)).fetchone()[0])
    except sqlite3.Error:
        return False


def connect() -> Store:
    """Open the store and the experiment `publish.experiment`.

    Raises
    ------
    PipelineError
        The store does not answer.
    """
    experiment = params.load(Publish).experiment
    # A server that is down should cost seconds: by default, each call is tried seven times, for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from filelock import FileLock

    address = store_address()
    lazy_mlflow.set_tracking_uri(address)
    lazy_mlflow.set_registry_uri(address)
    for name in ("mlflow", "alembic"):  # they report the creation of every table; MLflow sets its level when imported
        logging.getLogger(name).setLevel(logging.WARNING)
    database = Path(address.removeprefix("sqlite:///")) if address.startswith("sqlite:") else None
    # Next to a database, because other checkouts may share it.
    lock = FileLock(f"{database}.lock" if database else root() / ".state/mlflow.lock", is_singleton=True)
    if not database:
        with suppress(OSError):  # in a read-only checkout: a command that only reads takes no lock
            (root() / ".state").mkdir(exist_ok=True)
    with store_errors(address), lock if database else nullcontext():
        if database:  # two processes that create the database at once break it
            create_database(database)
        client = lazy_mlflow.MlflowClient(address, address)
        artifacts = (root() / "mlruns").as_uri() if database else None  # a server has its own
        number = experiment_id(client, experiment, artifacts)
        return Store(address, client, number, StoreLock(client, lock, on_server=not database))


def experiment_id(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    """Return the id of an experiment; restore it if it was deleted, create it if there is none.

    Parameters
    ----------
    client : MlflowClient
        Client of the store.
    name : str
        The experiment's name.
    artifacts : str or None
        Address of the files of a new experiment; None for the server's own.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, artifacts, tags=EXPERIMENT_TAGS)
        except lazy_mlflow.MlflowException:
            experiment = client.get_experiment_by_name(name)  # another machine created it a moment ago
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def create_database(path: Path) -> None:
    """Create MLflow's SQLite file if there is none, atomically: MLflow cannot open one that a kill has cut short."""
    if path.exists():
        return
    with atomic(path) as temporary:
        lazy_mlflow.MlflowClient(f"sqlite:///{temporary}", f"sqlite:///{temporary}").search_experiments()
    for leftover in path.parent.glob(f".partial-????????{glob.escape(path.name)}-*"):  # SQLite's own, after a kill
        leftover.unlink(missing_ok=True)


def store_failures() -> tuple[type[Exception], ...]:
    """Return what MLflow raises when a store fails: its own errors, those of HTTP clients, those of a database."""
    from sqlalchemy.exc import SQLAlchemyError

    return lazy_mlflow.MlflowException, OSError, SQLAlchemyError


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Turn what MLflow raises into one sentence."""
    failures = store_failures()
    try:
        yield
    except failures as error:
        reason = without_credentials(" ".join(str(error).split()).partition(" failed with exception")[0])[:300]
        raise PipelineError(
            f"the MLflow store {without_credentials(address)} failed ({reason}); the pipeline's files are "
            "complete: once it answers, run `python -m pipeline publish`"
        ) from error
