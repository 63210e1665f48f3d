"""Compare: show what a change does to the model, on a sample, before and after it.

It runs in two checkouts of its own, and touches neither this one nor MLflow. For pull requests.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
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
from ..base.versioning import data_files, git, own_python
from ..reports import page
from ..reports.summary import format_interval
from ..reports.titles import METRICS

FOLDER = paths.REPORTS / "compare"
OF_CLASSES = ("precision", "recall", "f1")
MOST_CLASSES = 10  # whose confusion matrix is shown


@dataclass(frozen=True)
class Side:
    """What the pipeline made of one revision.

    Parameters
    ----------
    title : str
        The revision.
    figures, intervals : dict
        As evaluate writes them.
    predictions : DataFrame of shape (n_rows, >= 3)
        Has `id`, `actual` and `predicted`.
    history : DataFrame of shape (n_epochs, >= 3)
        The learning curve.
    """

    title: str
    figures: Mapping[str, Any]
    intervals: Mapping[str, Any]
    predictions: pd.DataFrame
    history: pd.DataFrame


def run(revision: str, folder: Path, max_rows: int) -> Side:
    """Check a revision out into `folder`, run its pipeline on a sample, and read what it made.

    Raises
    ------
    PipelineError
        There is no such revision, or its pipeline fails.
    """
    git("worktree", "add", "--quiet", "--detach", str(folder), revision)
    try:
        _set_sample(folder / params.PARAMS_FILE, max_rows)
        cache = _call(Path(git("rev-parse", "--show-toplevel")), "cache", "dir").strip()
        _call(folder, "config", "--local", "cache.dir", cache)
        tracked = data_files(folder)
        if tracked:  # the user's own file
            _call(folder, "pull" if _call(folder, "remote", "list").strip() else "checkout", *tracked)
        print(f"compare: running the pipeline of {revision}", flush=True)
        _call(folder, "repro")
        title = git("rev-parse", "--short", revision)
        return Side(
            title if revision == "HEAD" else f"{revision} ({title})",
            read_json(folder / paths.EVALUATE_METRICS),
            read_json(folder / paths.EVALUATE_INTERVALS),
            read_table(folder / paths.EVALUATE_PREDICTIONS, strings=("actual", "predicted")),
            read_table(folder / paths.TRAIN_HISTORY),
        )
    finally:
        git("worktree", "remove", "--force", str(folder), check=False)


def _set_sample(path: Path, max_rows: int) -> None:
    """Lower `ingest.max_rows` in a parameter file."""
    from ruamel.yaml import YAML

    yaml = YAML()
    document = yaml.load(path.read_text(encoding="utf-8"))
    document["ingest"]["max_rows"] = min(document["ingest"]["max_rows"] or max_rows, max_rows)
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)


def _call(folder: Path, *arguments: str) -> str:
    """Run DVC in a checkout."""
    kept = {key: value for key, value in own_python().items() if not key.startswith(("DVC_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=kept | {"PIPELINE_TRACKING": "off"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        said = [
            line for line in done.stderr.splitlines() if line.strip() and not line.startswith("ERROR: failed to re")
        ]
        raise PipelineError(f"`dvc {arguments[0]}` failed in the checkout: {' '.join(said[-3:])}")
    return done.stdout


def markdown(before: Side, after: Side, max_rows: int) -> str:
    """The comparison: figures, classes, confusion matrix and learning curve, each with its change."""
    a, b, ranges = before.figures["overall"], after.figures["overall"], after.intervals["overall"]
    same = before.predictions[["id", "actual"]].equals(after.predictions[["id", "actual"]])
    tested = f"{b['num_samples']:,} test rows" + (
        "" if same else f", which are not those before ({a['num_samples']:,})"
    )
    parts = [
        "# What this changes in the model",
        f"{after.title} beside {before.title}, each trained on a sample of at most {max_rows:,} rows; {tested}. A "
        "sample's figures are lower than those of all rows, and another seed moves them by a point.",
        "## Figures",
        pipe_table(
            ["", "before", "after", "change", "95 % interval after"],
            [
                [title, f"{a[key]:.4f}", f"{b[key]:.4f}", f"{b[key] - a[key]:+.4f}", format_interval(ranges.get(key))]
                for key, title in METRICS.items()
                if key in a and key in b
            ],
            right=4,
        ),
        "## Classes",
        pipe_table(
            ["class", "test rows", *OF_CLASSES],
            [
                [_title(name), f"{of['num_samples']:,}", *(_with_change(before, name, of, key) for key in OF_CLASSES)]
                for name, of in after.figures["per_class"].items()
            ],
            right=4,
        ),
    ]
    classes = list(after.figures["per_class"])
    if len(classes) <= MOST_CLASSES:
        counts = _confusion(after.predictions, classes)
        change = counts - _confusion(before.predictions, classes)
        rows = [
            [_title(name), *(f"{n:,} ({d:+,})" if d else f"{n:,}" for n, d in zip(*pair, strict=True))]
            for name, *pair in zip(classes, counts, change, strict=True)
        ]
        parts += ["## Confusion matrix", "Rows are the true classes, columns what the model says; changes in brackets."]
        parts.append(pipe_table(["", *map(_title, classes)], rows, right=len(classes)))
    curves = pipe_table(["epoch", "training", "validation", "before"], _curves(before, after), right=3)
    parts += ["## Learning curve", curves]
    return "\n\n".join(parts) + "\n"


def _title(name: str) -> str:
    """A class, as a cell shows it."""
    return escaped(display_name(name))


def _with_change(before: Side, name: str, of: Mapping[str, float], key: str) -> str:
    then = before.figures["per_class"].get(name, {}).get(key)
    return f"{of[key]:.3f}" + (f" ({of[key] - then:+.3f})" if then is not None else "")


def _confusion(predictions: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    counts = pd.crosstab(predictions["actual"], predictions["predicted"])
    found: np.ndarray = counts.reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    return found


def _curves(before: Side, after: Side) -> list[list[str]]:
    then = before.history.set_index("epoch")["validation_loss"]
    return [
        [
            str(epoch),
            f"{row['train_loss']:.4f}",
            f"{row['validation_loss']:.4f}",
            f"{then[epoch]:.4f}" if epoch in then.index else "",
        ]
        for epoch, row in after.history.set_index("epoch").iterrows()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("compare", __doc__, example="main --max-rows 2000")
    parser.add_argument("base", help="the revision to compare with, such as main")
    parser.add_argument("--revision", default="HEAD", help="the one to compare (default: %(default)s)")
    parser.add_argument("--max-rows", type=int, default=3_000, help="rows of the sample (default: %(default)s)")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        before = run(options.base, Path(temporary) / "before", options.max_rows)
        after = run(options.revision, Path(temporary) / "after", options.max_rows)
    text = markdown(before, after, options.max_rows)
    page.write(FOLDER, "comparison", text)
    print(text)
