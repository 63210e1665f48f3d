"""Show what a change does to the model: train two revisions on a sample, and compare their metrics.

Runs in temporary checkouts; this checkout and MLflow stay unchanged. For pull requests.
"""

from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ..base import command, params, paths
from ..base.errors import PipelineError, display_name
from ..base.files import read_json, read_table
from ..base.markdown import escaped, pipe_table
from ..base.versioning import data_files, dvc, git
from ..evaluation.intervals import bootstrap, clusters, t_interval
from ..evaluation.metrics import Measured
from ..evaluation.rates import Interval
from ..reports import page
from ..reports.summary import format_interval
from ..reports.titles import METRICS

COMPARED_METRICS = ("precision", "recall", "f1")
MOST_CLASSES = 10  # a larger confusion matrix is not shown
RESAMPLES = 1_000


@dataclass(frozen=True)
class RevisionOutputs:
    """Outputs of the pipeline at one revision.

    Parameters
    ----------
    title : str
        The revision's name.
    metrics, intervals : mapping
        As written by evaluate.
    predictions : DataFrame of shape (n_rows, >= 3)
        Has `id`, `actual`, `predicted`, and `p_<class>` for each class.
    history : DataFrame of shape (n_epochs, >= 3)
        The learning curve.
    groups : sequence of str
        The group of each test row, such as its author, "" for none; empty if no row has one.
    """

    title: str
    metrics: Mapping[str, Any]
    intervals: Mapping[str, Any]
    predictions: pd.DataFrame
    history: pd.DataFrame
    groups: Sequence[str] = ()


def run_revision(revision: str, folder: Path, max_rows: int) -> RevisionOutputs:
    """Check a revision out into `folder`, run its pipeline on a sample, and read the outputs.

    Raises
    ------
    PipelineError
        The revision does not exist, its pipeline fails, or it lacks an output.
    """
    git("worktree", "add", "--quiet", "--detach", str(folder), revision)
    try:
        limit_rows(folder / params.PARAMS_FILE, max_rows)
        _dvc_in(folder, "config", "--local", "cache.dir", dvc("cache", "dir", capture=True).strip())
        tracked = data_files(folder)
        if tracked:  # the user's own data
            _dvc_in(folder, "pull" if _dvc_in(folder, "remote", "list").strip() else "checkout", *tracked)
        print(f"compare: running the pipeline of {revision}", flush=True)
        _dvc_in(folder, "repro")
        commit = git("rev-parse", "--short", revision)
        return read_outputs(folder, commit if revision == "HEAD" else f"{revision} ({commit})")
    finally:
        git("worktree", "remove", "--force", str(folder), check=False)


def limit_rows(path: Path, max_rows: int) -> None:
    """Lower `ingest.max_rows` in a parameter file to `max_rows`; a lower value stays."""
    from ruamel.yaml import YAML

    yaml = YAML()
    document = yaml.load(path.read_text(encoding="utf-8"))
    document["ingest"]["max_rows"] = min(document["ingest"]["max_rows"] or max_rows, max_rows)
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)


def _dvc_in(folder: Path, *arguments: str) -> str:
    """Run DVC in a checkout, without MLflow, and return its output."""
    environment = {"PIPELINE_TRACKING": "off", "DVC_ROOT": str(folder)}
    with chdir(folder):
        return dvc(*arguments, capture=True, environment=environment)


def read_outputs(folder: Path, title: str) -> RevisionOutputs:
    """Read the outputs of the pipeline in a checkout.

    Raises
    ------
    PipelineError
        An output is missing.
    """
    test = read_table(find_output(folder, paths.CLEAN_TABLES["test"]))
    return RevisionOutputs(
        title,
        read_json(find_output(folder, paths.EVALUATE_METRICS)),
        read_json(find_output(folder, paths.EVALUATE_INTERVALS)),
        read_table(find_output(folder, paths.EVALUATE_PREDICTIONS), strings=("actual", "predicted")),
        read_table(find_output(folder, paths.TRAIN_HISTORY)),
        test["group"].to_list() if "group" in test else (),
    )


def find_output(folder: Path, path: Path) -> Path:
    """Return where a checkout has an output: at `path`, or elsewhere in the stage's folder in older revisions.

    Parameters
    ----------
    folder : Path
        The checkout.
    path : Path
        Where this revision writes the output, such as `data/evaluate/rows/predictions.csv`.

    Raises
    ------
    PipelineError
        There is no file of this name in the stage's folder, or there are several.
    """
    if (folder / path).is_file():
        return folder / path
    stage = Path(*path.parts[:2])
    matches = sorted((folder / stage).rglob(path.name))
    if len(matches) != 1:
        number = f"{len(matches)} files" if matches else "no file"
        raise PipelineError(
            f"{number} named {path.name} in {stage} of a revision, expected one; compare other revisions"
        )
    return matches[0]


def comparison_report(before: RevisionOutputs, after: RevisionOutputs, max_rows: int) -> str:
    """Return the comparison in Markdown: metrics, classes, confusion matrix and learning curve, with the changes."""
    rows = f"{after.metrics['overall']['num_samples']:,} test rows"
    if not before.predictions[["id", "actual"]].equals(after.predictions[["id", "actual"]]):
        rows += f", not the same as before ({before.metrics['overall']['num_samples']:,})"
    parts = [
        "# What this changes in the model",
        f"{after.title} compared with {before.title}, each trained on a sample of at most {max_rows:,} rows; {rows}. "
        "On a sample the metrics are lower than on all rows, and another seed changes them by about a point. The "
        "intervals of changes are those of these test rows, or of their groups, for both models (paired bootstrap).",
        "## Metrics",
        _metrics_table(before, after),
        "## Classes",
        _classes_table(before, after),
    ]
    if len(after.metrics["per_class"]) <= MOST_CLASSES:
        caption = "Rows are true classes, columns are predicted classes; changes in parentheses."
        parts += ["## Confusion matrix", caption, _confusion_table(before, after)]
    parts += ["## Learning curve", _learning_curve(before, after)]
    return "\n\n".join(parts) + "\n"


def change_intervals(before: RevisionOutputs, after: RevisionOutputs) -> dict[str, Interval]:
    """Return the 95 % interval of the change of each metric, by a paired bootstrap over test rows or their groups.

    There are none for `roc_auc`, `pr_auc` and `classwise_ece`, which are slow to compute, and none at all if the
    revisions have other test rows or classes.
    """
    columns = [name for name in after.predictions if name.startswith("p_")]
    rows = ["id", "actual"]
    same_rows = before.predictions[rows].equals(after.predictions[rows])
    if not columns or not same_rows or not set(columns) <= set(before.predictions):
        return {}
    numbers = {name.removeprefix("p_"): number for number, name in enumerate(columns)}
    labels = after.predictions["actual"].map(numbers).to_numpy()
    models = {
        title: Measured(labels, outputs.predictions[columns].to_numpy())
        for title, outputs in (("before", before), ("after", after))
    }
    of_rows = clusters(after.groups or [""] * len(labels))
    drawn = bootstrap(models, resamples=RESAMPLES, seed=0, of_rows=of_rows)
    old, new = (model(rankings=False) for model in models.values())
    return {
        key: t_interval(
            new[key] - old[key],
            values - drawn["before"][key],
            of_rows,
            by_row=models["after"].by_row(key) - models["before"].by_row(key),
        )
        for key, values in drawn["after"].items()
        if key in new
    }


def _metrics_table(before: RevisionOutputs, after: RevisionOutputs) -> str:
    old, new, intervals = before.metrics["overall"], after.metrics["overall"], after.intervals["overall"]
    changes = change_intervals(before, after)
    rows = [
        [
            title,
            f"{old[key]:.4f}",
            f"{new[key]:.4f}",
            f"{new[key] - old[key]:+.4f} {format_interval(changes.get(key))}".rstrip(),
            format_interval(intervals.get(key)),
        ]
        for key, title in METRICS.items()
        if key in old and key in new
    ]
    return pipe_table(["", "before", "after", "change", "95 % interval after"], rows, right=4)


def _classes_table(before: RevisionOutputs, after: RevisionOutputs) -> str:
    rows = []
    for name, new in after.metrics["per_class"].items():
        old = before.metrics["per_class"].get(name, {})
        values = [
            f"{new[key]:.3f}" + (f" ({new[key] - old[key]:+.3f})" if key in old else "") for key in COMPARED_METRICS
        ]
        rows.append([_class_title(name), f"{new['num_samples']:,}", *values])
    return pipe_table(["class", "test rows", *COMPARED_METRICS], rows, right=4)


def _confusion_table(before: RevisionOutputs, after: RevisionOutputs) -> str:
    classes = list(after.metrics["per_class"])
    counts = _confusion(after.predictions, classes)
    changes = counts - _confusion(before.predictions, classes)
    cells = [
        [f"{count:,} ({change:+,})" if change else f"{count:,}" for count, change in zip(*row, strict=True)]
        for row in zip(counts, changes, strict=True)
    ]
    titles = [_class_title(name) for name in classes]
    rows = [[title, *row] for title, row in zip(titles, cells, strict=True)]
    return pipe_table(["", *titles], rows, right=len(classes))


def _confusion(predictions: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Rows by true and predicted class, shape (n_classes, n_classes)."""
    counts = pd.crosstab(predictions["actual"], predictions["predicted"])
    matrix: np.ndarray = counts.reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    return matrix


def _learning_curve(before: RevisionOutputs, after: RevisionOutputs) -> str:
    old = before.history.set_index("epoch")["validation_loss"]
    rows = [
        [
            str(epoch),
            f"{row['train_loss']:.4f}",
            f"{row['validation_loss']:.4f}",
            f"{old[epoch]:.4f}" if epoch in old.index else "",
        ]
        for epoch, row in after.history.set_index("epoch").iterrows()
    ]
    return pipe_table(["epoch", "training", "validation", "validation before"], rows, right=3)


def _class_title(name: str) -> str:
    """A class name in a table cell."""
    return escaped(display_name(name))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("compare", __doc__, example="main --max-rows 2000")
    parser.add_argument("base", help="git revision to compare with, such as main")
    parser.add_argument("--revision", default="HEAD", help="git revision with the change (default: %(default)s)")
    parser.add_argument("--max-rows", type=int, default=3_000, help="rows of the sample (default: %(default)s)")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        before = run_revision(options.base, Path(temporary) / "before", options.max_rows)
        after = run_revision(options.revision, Path(temporary) / "after", options.max_rows)
    text = comparison_report(before, after, options.max_rows)
    page.write(paths.REPORTS / "compare", "comparison", text)
    print(text)
