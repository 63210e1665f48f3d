"""Tracking: where the MLflow store is, and how it is reached.

It is at `MLFLOW_TRACKING_URI` where that is set, else a SQLite file at the root of the checkout.
`PIPELINE_TRACKING=off` turns tracking off, and `live` leaves publishing to whoever runs the pipeline; no stage's output
depends on it.
"""

import glob
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import params
from ..base.errors import PipelineError, without_credentials
from ..base.files import atomic
from ..base.versioning import root
from .settings import Publish
from .store import MODEL_DIGEST, PUBLISHED, Figures, Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODE = "PIPELINE_TRACKING"
DATABASE = "mlflow.db"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # or MLflow's UI asks whether it is about prompts


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
    """Where the runs and models are: `MLFLOW_TRACKING_URI`, else the SQLite file at the root."""
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"
    if not address.startswith("sqlite:///"):
        return address
    # A relative path would name another file in an experiment's temporary folder.
    database = root() / address.removeprefix("sqlite:///")
    if set("%?") & set(str(database)):
        raise PipelineError(f"MLflow cannot open {database}, because its path has a % or a ?; move the project")
    return f"sqlite:///{database}"


def published(*, content: str, digest: str) -> bool:
    """Whether a local database shows this content and this model already.

    A short cut by SQL, because importing MLflow takes longer than finding out that there is nothing to do. Any other
    kind of store, or any doubt, gives False: then the long way decides.
    """
    address = store_address()
    database = Path(address.removeprefix("sqlite:///"))
    linked = "MLFLOW_RUN_ID" in os.environ  # then there is a run to link, see link_project_run
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
    # A server that is down shall cost seconds: the default is seven tries, minutes a call.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow
    from filelock import FileLock
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # they report the creation of every table
        logging.getLogger(name).setLevel(logging.WARNING)

    address = store_address()
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    # Beside a database, because other checkouts may share it.
    beside = Path(f"{address.removeprefix('sqlite:///')}.lock") if address.startswith("sqlite:") else None
    lock = FileLock(beside or root() / ".state/mlflow.lock", is_singleton=True)
    if not beside:
        with suppress(OSError):  # who only reads may do so where nothing may be written, and takes no lock
            (root() / ".state").mkdir(exist_ok=True)
    with store_errors(address), lock if beside else nullcontext():
        if beside:  # two processes that create the database at once break it
            _create_database(Path(address.removeprefix("sqlite:///")))
        client = MlflowClient(address, address)
        place = (root() / "mlruns").as_uri() if beside else None  # a server has its own
        return Store(address, client, experiment_id(client, experiment, place), lock)


def experiment_id(client: "MlflowClient", name: str, place: str | None) -> str:
    """That of an experiment, brought back where it was deleted, and made, its files at `place`, where there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, place, tags=KIND)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # of another machine, a moment ago
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _create_database(path: Path) -> None:
    """Make MLflow's SQLite file where there is none, whole or not at all: it opens none that a kill has cut short."""
    from mlflow import MlflowClient

    if path.exists():
        return
    with atomic(path) as temporary:
        MlflowClient(f"sqlite:///{temporary}", f"sqlite:///{temporary}").search_experiments()
    for left in path.parent.glob(f".partial-????????{glob.escape(path.name)}-*"):  # SQLite's own, after a kill
        left.unlink(missing_ok=True)


def _failures() -> tuple[type[Exception], ...]:
    """What MLflow raises of a store: its own, what HTTP clients raise, and what a database does."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, OSError, SQLAlchemyError


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Turn what MLflow raises into one sentence."""
    failures = _failures()
    try:
        yield
    except failures as error:
        reason = without_credentials(" ".join(str(error).split()).partition(" failed with exception")[0])[:300]
        raise PipelineError(
            f"the MLflow store {without_credentials(address)} failed ({reason}); the pipeline's files are "
            "complete: once it answers, run `python -m pipeline publish`"
        ) from error


@contextmanager
def live_run(state: str) -> Iterator[Callable[[int, Figures], None]]:
    """Give a function that logs an epoch's figures to the run of `state` while training goes on.

    Training goes on without a store that does not answer: the user is told once, and `publish` logs what is missing.
    """
    lost = not enabled()
    failures: tuple[type[Exception], ...] = () if lost else (PipelineError, *_failures())

    @contextmanager
    def unless_lost() -> Iterator[None]:
        nonlocal lost
        try:
            yield
        except failures as error:
            lost = True
            reason = without_credentials(str(error).partition(" failed with exception")[0])
            print(f"train: goes on without logging to MLflow, which failed: {reason}", file=sys.stderr)

    def log_epoch(epoch: int, figures: Figures) -> None:
        if not lost:
            with unless_lost():
                store.log_epochs(run, [figures])

    if not lost:
        with unless_lost():
            store = connect()
            run = store.open_run(state)
            if run.info.status in {"FAILED", "KILLED"}:
                store.client.update_run(run.info.run_id, "RUNNING")
    try:
        yield log_epoch
    except BaseException:
        if not lost:
            with unless_lost():
                store.client.set_terminated(run.info.run_id, "FAILED")
        raise
