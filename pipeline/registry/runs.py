"""MLflow runs: one for each pipeline state, found by its tag.

So a second `dvc repro`, a crash or a fresh clone never creates a second one.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import params, paths, versioning
from ..base.files import read_json
from ..data.settings import Ingest
from ..evaluation.metrics import Metrics
from ..training.settings import Train
from . import lazy_mlflow
from .lock import StoreLock

if TYPE_CHECKING:
    from .lazy_mlflow import MlflowClient, Run

STATE, PUBLISHED = "pipeline.state", "pipeline.published"  # tags of runs
MAX_METRICS = 1_000  # a server refuses more in one request


def run_name() -> str:
    """Name of a new run; what differs between runs comes first, because MLflow's UI cuts long names at the end."""
    strategy, preset = read_json(paths.REBALANCE_SUMMARY)["strategy"], params.load(Train).preset
    parts = [os.environ.get("DVC_EXP_NAME"), strategy, preset, params.load(Ingest).title]
    return " · ".join(dict.fromkeys(filter(None, parts)))


def metric_name(name: str) -> str:
    """Group a name as MLflow's UI does, and replace what MLflow refuses, with a digest so that names stay distinct.

    >>> metric_name("train_loss")
    'train/loss'
    >>> metric_name("per_class/a$/recall")
    'per_class/a_/recall_bbd7e532'
    """
    grouped = re.sub(r"^(train|validation)_", r"\1/", name)
    accepted = re.sub(r"[^\w/.\- :]|(?<=/)\.*(?=/)", "_", grouped)[:240]  # also parts that are empty or only dots
    if accepted != grouped:
        accepted += "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return accepted


@dataclass(frozen=True)
class Runs:
    """The runs of one experiment."""

    client: "MlflowClient"
    experiment_id: str
    lock: StoreLock

    def find(self, state: str) -> "Run | None":
        """Return the run of a pipeline state, if there is one."""
        runs = self.client.search_runs([self.experiment_id], f"tags.`{STATE}` = '{state}'", max_results=1)
        return runs[0] if runs else None

    def open(self, state: str) -> "Run":
        """Return the run of a pipeline state, created if there is none."""
        run = self.find(state)
        if run:
            return run
        with self.lock.hold(f"run {state[:16]}"):
            return self.find(state) or self.client.create_run(
                self.experiment_id, run_name=run_name(), tags={STATE: state, **versioning.tags()}
            )

    def log_epochs(self, run: "Run", history: Sequence[Metrics]) -> None:
        """Log metrics by epoch, at timestamps counted from the run's start: logging them again changes nothing."""
        start = run.info.start_time
        points = [
            lazy_mlflow.Metric(metric_name(key), value, start + 1_000 * int(metrics["epoch"]), int(metrics["epoch"]))
            for metrics in history
            for key, value in metrics.items()
            if key != "epoch"
        ]
        self.client.log_batch(run.info.run_id, metrics=points)

    def log_metrics(self, run: "Run", metrics: Metrics) -> None:
        """Log final metrics that the run does not have yet, at timestamps on which two processes at once agree."""
        logged = {point.key: point for point in run.data.to_proto().metrics}  # run.data.metrics has no timestamps
        points = []
        for name, value in metrics.items():
            key = metric_name(name)
            last = logged.get(key)
            if last is None or last.value != value:
                timestamp = last.timestamp + 1 if last else run.info.start_time
                points.append(lazy_mlflow.Metric(key, value, timestamp, 0))
        for start in range(0, len(points), MAX_METRICS):
            self.client.log_batch(run.info.run_id, metrics=points[start : start + MAX_METRICS])

    def log_params(self, run: "Run", values: Mapping[str, Any]) -> None:
        """Log parameters that the run does not have yet; MLflow refuses to change one."""
        new = [lazy_mlflow.Param(key, str(value)) for key, value in values.items() if key not in run.data.params]
        self.client.log_batch(run.info.run_id, params=new)

    def log_datasets(self, run: "Run", title: str, tables: Mapping[str, tuple[Path, str, int]]) -> None:
        """Log the tables of the data set called `title`, by context: file, SHA-256 and number of rows."""
        inputs = [
            lazy_mlflow.DatasetInput(
                lazy_mlflow.Dataset(
                    name=f"{title} · {path.stem}",
                    digest=digest[:36],
                    source_type="local",
                    source=json.dumps({"uri": path.as_posix()}),
                    profile=json.dumps({"num_rows": rows, "sha256": digest}),
                ),
                [lazy_mlflow.InputTag("mlflow.data.context", context)],
            )
            for context, (path, digest, rows) in tables.items()
        ]
        self.client.log_inputs(run.info.run_id, datasets=inputs)

    def log_files(self, run: "Run", files: Mapping[str, Sequence[Path]]) -> None:
        """Upload files, by their folder in the run."""
        for folder, sources in files.items():
            for path in sources:
                self.client.log_artifact(run.info.run_id, str(path), folder or None)

    def link_project_run(self, run: "Run") -> None:
        """Where `mlflow run` started the pipeline: note in the run that it created which run holds the results."""
        project_run = os.environ.get("MLFLOW_RUN_ID")
        if project_run:
            self.client.set_tag(project_run, "pipeline.run", run.info.run_id)
            note = f"Started the pipeline; results: run `{run.info.run_name}` ({run.info.run_id})."
            self.client.set_tag(project_run, "mlflow.note.content", note)

    def finish(self, run: "Run", tags: Mapping[str, str]) -> None:
        """Close a run and tag it; the last tag marks it as complete."""
        if run.info.status != "FINISHED":
            self.client.set_terminated(run.info.run_id, "FINISHED")
        for key, value in tags.items():
            self.client.set_tag(run.info.run_id, key, value)
