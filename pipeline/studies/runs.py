"""Studies in MLflow: a parent run with a child run for each trained network, in an experiment for each kind of study.

Runs are found by their tags, so that a second call, or one after a kill, adds what is missing and duplicates nothing.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..base import versioning
from ..base.files import sha256_json
from ..evaluation.metrics import Metrics
from ..registry.experiments import experiment_name, open_experiment
from ..registry.runs import STATE
from ..registry.store import Store

if TYPE_CHECKING:
    from ..registry.lazy_mlflow import Run

STUDY, PART, CONTENT = "pipeline.study", "pipeline.part", "pipeline.content"
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"  # MLflow's own: they nest runs, and describe them
LONGEST_NOTE = 7_900  # characters; a little below MLflow's limit for a tag's value
MOST_COMPARED = 100  # runs in a link, the latest: each takes 42 characters of the note
MOST_RUNS = 50_000  # that MLflow returns for one search


@dataclass(frozen=True)
class StudyRun:
    """One trained network of a study: a child run.

    Parameters
    ----------
    name : str
        The run's name.
    params : mapping of str to Any
        What was trained. Name and parameters identify the run.
    metrics : mapping of str to float
        Final metrics; `seconds` among them becomes the run's duration.
    history : sequence of dict of str to float
        Metrics by epoch, with the key `epoch`.
    tags : mapping of str to str
        Further tags.
    compared : bool
        Whether the study's link "Compare the runs" includes it.
    """

    name: str
    params: Mapping[str, Any]
    metrics: Metrics
    history: Sequence[Metrics] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    compared: bool = True

    @property
    def key(self) -> str:
        """64 hexadecimal digits: equal for equal names and parameters."""
        return sha256_json([self.name, dict(self.params)])


@dataclass(frozen=True)
class ParentRun:
    """A study as a whole: the run that the others are nested in.

    Parameters
    ----------
    kind : str
        The command, a key of `EXPERIMENTS`: it chooses the MLflow experiment.
    study : str
        Identifies the study.
    name : str
        The run's name.
    state : str
        The pipeline state that the study belongs to.
    params : mapping of str to Any
        What all runs of the study have in common, now and later.
    metrics : mapping of str to float
        Metrics of the study.
    metrics_of : str
        What these metrics describe, in a few words.
    note : str
        Description in Markdown; a link that compares the runs replaces its heading.
    files : sequence of Path
        Uploaded whenever the note has changed.
    """

    kind: str
    study: str
    name: str
    state: str
    params: Mapping[str, Any]
    metrics: Metrics
    metrics_of: str
    note: str
    files: Sequence[Path]

    @property
    def tags(self) -> dict[str, str]:
        """Tags of all of the study's runs."""
        return {STATE: self.state, **versioning.tags(), "mlflow.source.name": f"python -m pipeline {self.kind}"}


def log_study(study: ParentRun, runs: Sequence[StudyRun]) -> tuple[str, int]:
    """Log the runs that are missing in MLflow, and update the parent run.

    Parameters
    ----------
    study : ParentRun
        The study.
    runs : sequence of StudyRun
        All runs so far; no two with the same name and parameters.

    Returns
    -------
    experiment : str
        The experiment's name.
    new : int
        Number of runs that were logged now.

    Raises
    ------
    PipelineError
        The store does not answer.
    """
    experiment, tags = experiment_name(study.kind), study.tags
    with open_experiment(study.kind) as store:
        parents = _find(store, STUDY, study.study)
        seconds = sum(run.metrics.get("seconds", 0.0) for run in runs)
        parent = parents[0] if parents else _create(store, study.name, tags | {STUDY: study.study}, seconds)
        store.runs.link_project_run(parent)
        ids, new = _log_missing(store, runs, parent, tags)
        compared = [ids[run.key] for run in runs if run.compared]
        _update_parent(store, parent, study, comparison_link(compared, store.experiment_id))
    print(f"{new} of {len(runs)} runs are new in MLflow's experiment {experiment}")
    return experiment, new


def _log_missing(
    store: Store, runs: Sequence[StudyRun], parent: "Run", tags: Mapping[str, str]
) -> tuple[dict[str, str], int]:
    """Log runs that are not finished in MLflow; return all run ids by key, and the number of new ones."""
    logged = {run.data.tags[PART]: run for run in _find(store, PARENT, parent.info.run_id)}
    finished = {key for key, run in logged.items() if run.info.status == "FINISHED"}  # the last step of logging
    missing = [run for run in runs if run.key not in finished]
    for run in missing:
        own = {**tags, PARENT: parent.info.run_id, PART: run.key}
        child = logged.get(run.key) or _create(store, run.name, own, run.metrics.get("seconds", 0.0))
        logged[run.key] = child
        store.runs.log_params(child, run.params)
        store.runs.log_metrics(child, run.metrics)  # before the epochs: MLflow's comparison draws the first metric
        store.runs.log_epochs(child, run.history)
        store.runs.finish(child, run.tags)
    return {key: run.info.run_id for key, run in logged.items()}, len(missing)


def _update_parent(store: Store, parent: "Run", study: ParentRun, link: str) -> None:
    """Log the study's metrics, files and description, unless the description is there already."""
    text = re.sub(r"\A# .*\n+", "", study.note)  # MLflow shows the run's name above it
    note = f"[Compare the runs]({link}). The metrics below are {study.metrics_of}.\n\n{text}"
    if len(note) > LONGEST_NOTE:  # MLflow would cut it within a line
        note = note[: note.rindex("\n", 0, LONGEST_NOTE)] + "\n\nThe rest is in the run's artifacts."
    content = sha256_json([note])
    if parent.data.tags.get(CONTENT) != content:
        store.runs.log_params(parent, study.params)
        store.runs.log_metrics(parent, study.metrics)
        store.runs.log_files(parent, {"": study.files})
        store.runs.finish(parent, {NOTE: note, CONTENT: content})


def comparison_link(run_ids: Sequence[str], experiment_id: str) -> str:
    """Return the address of MLflow's page that compares the latest of these runs, relative to any of its pages.

    >>> comparison_link(["a"], "1")
    '#/compare-runs?runs=%5B%22a%22%5D&experiments=%5B%221%22%5D'
    """
    runs, experiments = (quote(json.dumps(ids)) for ids in (run_ids[-MOST_COMPARED:], [experiment_id]))
    return f"#/compare-runs?runs={runs}&experiments={experiments}"


def _find(store: Store, tag: str, value: str) -> "list[Run]":
    return list(store.client.search_runs([store.experiment_id], f"tags.`{tag}` = '{value}'", max_results=MOST_RUNS))


def _create(store: Store, name: str, tags: Mapping[str, str], seconds: float) -> "Run":
    """Create a run whose start lies `seconds` back: its work is done by now."""
    start = int(1_000 * (time.time() - seconds))
    return store.client.create_run(store.experiment_id, start, dict(tags), name)
