"""Studies: what `ablate`, `search` and `imbalance` leave in MLflow, each in an experiment of its own.

A study is one parent run with a child run for each network that was trained. Runs are found by their tags, so that a
second call, or one after a kill, adds what is missing and doubles nothing.
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
from ..registry.experiments import experiment_name, open_experiment
from ..registry.runs import STATE
from ..registry.store import Store

if TYPE_CHECKING:
    from ..registry.lazy_mlflow import Run

STUDY, PART, CONTENT = "pipeline.study", "pipeline.part", "pipeline.content"
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"  # MLflow's own: they nest runs, and describe them
LONGEST_NOTE = 7_900  # characters of a tag's value that MLflow keeps, less a few
MOST_COMPARED = 100  # runs in a link, the latest: each takes 42 characters of the note
MOST_RUNS = 50_000  # that MLflow gives in one answer


@dataclass(frozen=True)
class Part:
    """One network of a study, as its run shows it.

    Parameters
    ----------
    name : str
        The run's name.
    params : mapping of str to Any
        What was trained; with the name, what the run is found by.
    figures : mapping of str to float
        Final figures.
    history : sequence of dict of str to float
        Figures by epoch, with `epoch` among them.
    tags : mapping of str to str
        Further tags.
    compared : bool
        Whether it is among those that the study's link compares.
    """

    name: str
    params: Mapping[str, Any]
    figures: Mapping[str, float]
    history: Sequence[Mapping[str, float]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    compared: bool = True

    @property
    def key(self) -> str:
        """64 hexadecimal digits: equal for equal names and parameters."""
        return sha256_json([self.name, dict(self.params)])


def log(
    kind: str,
    study: str,
    parts: Sequence[Part],
    *,
    name: str,
    state: str,
    given: Mapping[str, Any],
    note: str,
    figures: Mapping[str, float],
    shown: str,
    files: Sequence[Path],
) -> tuple[str, int]:
    """Log a study: the runs that are not there yet, and what changed of the parent's.

    Parameters
    ----------
    kind : str
        `ablate`, `search` or `imbalance`: the module; the experiment is named after `EXPERIMENTS`.
    study : str
        What the parent run is found by.
    parts : sequence of Part
        All parts so far; no two with the same name and parameters.
    name : str
        The parent run's name.
    state : str
        The pipeline state that the study belongs to.
    given : mapping of str to Any
        The parent run's parameters: what all parts have in common, now and later.
    note : str
        The parent run's description, in Markdown; a link that compares the runs takes the place of its heading.
    figures : mapping of str to float
        The parent run's figures.
    shown : str
        What those are of, in a few words.
    files : sequence of Path
        Uploaded to the parent run when the note has changed.

    Returns
    -------
    experiment : str
        The experiment's name.
    new : int
        How many parts were logged now.

    Raises
    ------
    PipelineError
        The store does not answer.
    """
    experiment = experiment_name(kind)
    with open_experiment(kind) as store:
        tags = {STATE: state, **versioning.tags(), "mlflow.source.name": f"python -m pipeline.{kind}"}
        found = _find(store, STUDY, study)
        took = [part.figures.get("seconds", 0.0) for part in parts]
        parent = found[0] if found else _create(store, name, tags | {STUDY: study}, sum(took))
        store.runs.link_project_run(parent)
        runs = {run.data.tags[PART]: run for run in _find(store, PARENT, parent.info.run_id)}
        new = 0
        for part, seconds in zip(parts, took, strict=True):
            run = runs.get(part.key)
            if run is not None and run.info.status == "FINISHED":  # which it becomes last
                continue
            run = run or _create(store, part.name, tags | {PARENT: parent.info.run_id, PART: part.key}, seconds)
            store.runs.log_params(run, part.params)
            store.runs.log_metrics(run, part.figures)  # before the epochs: MLflow's comparison draws the first figure
            store.runs.log_epochs(run, part.history)
            store.runs.finish(run, part.tags)
            runs[part.key] = run
            new += 1
        compared = [runs[part.key] for part in parts if part.compared]
        link = _comparison(store, compared[-MOST_COMPARED:])
        text = re.sub(r"\A# .*\n+", "", note)  # the run's name stands above it
        note = f"[Compare the runs]({link}). The metrics below are {shown}.\n\n{text}"
        if len(note) > LONGEST_NOTE:  # MLflow would cut it anywhere
            note = note[: note.rindex("\n", 0, LONGEST_NOTE)] + "\n\nThe rest is in the run's artifacts."
        content = sha256_json([note])
        if parent.data.tags.get(CONTENT) != content:
            store.runs.log_params(parent, given)
            store.runs.log_metrics(parent, figures)
            store.runs.log_files(parent, {"": files})
            store.runs.finish(parent, {NOTE: note, CONTENT: content})
        print(f"{new} of {len(parts)} runs are new in MLflow's experiment {experiment}")
        return experiment, new


def _comparison(store: Store, runs: "Sequence[Run]") -> str:
    """The address of MLflow's page that compares these runs, from any of its pages."""
    ids, experiments = (quote(json.dumps(each)) for each in ([r.info.run_id for r in runs], [store.experiment_id]))
    return f"#/compare-runs?runs={ids}&experiments={experiments}"


def _find(store: Store, tag: str, value: str) -> "list[Run]":
    return list(store.client.search_runs([store.experiment_id], f"tags.`{tag}` = '{value}'", max_results=MOST_RUNS))


def _create(store: Store, name: str, tags: Mapping[str, str], seconds: float) -> "Run":
    """A new run that shows as long as its work took, which is done by now."""
    began = int(1_000 * (time.time() - seconds))
    return store.client.create_run(store.experiment_id, began, dict(tags), name)
