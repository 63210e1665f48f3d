"""Adapt: fine-tune the champion to one user's labelled texts, if that is better for them."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..base import command, paths, versioning
from ..base.errors import PipelineError, display_name
from ..base.files import sha256_json
from ..data import columns, readers, selection, tables
from ..data.split import assign_split
from ..evaluation import metrics
from ..inference.manifest import read_manifest
from ..registry import experiments, packaging, tracking
from ..registry.models import open_model
from ..registry.runs import STATE
from ..registry.settings import model_name
from ..text.cleaning import clean_text
from ..training import loop
from .personal import Comparison, adapt

ROWS = (50, 5_000)  # that a personal file may have: fewer show nothing, more can train a model of their own
FEWEST = 5  # rows of a class: some to learn from, some to measure on
TEST, VALIDATION = 0.3, 0.2  # shares of the rows
SPLIT_SEED = 73  # not clean.split_seed: rows of one of its splits shall fall into all parts here

USER = re.compile(r"[\w.-]{1,60}", re.ASCII)


def read_rows(path: Path, text_column: str, label_column: str, classes: Sequence[str]) -> pd.DataFrame:
    """A user's labelled texts, cleaned, each once, split by hash.

    Parameters
    ----------
    path : Path
        A table as `reading.read` takes it.
    text_column, label_column : str
        Its columns.
    classes : sequence of str
        Those of the model; the file may lack some of them.

    Returns
    -------
    DataFrame of shape (n_rows, >= 4)
        `id`, `text`, `label`, `split`: train, validation or test, the last held out; every class is in each.

    Raises
    ------
    PipelineError
        The file cannot be read, has other classes, or too few or too many rows.
    """
    cells = readers.read(path, [text_column, label_column])
    found = {"text": columns.texts(cells[text_column], path), "label": columns.names(cells[label_column], path)}
    table = tables.complete(pd.DataFrame(found), source="personal").rename(columns={"text": "raw"})
    table["label"] = found["label"]
    others = sorted(set(table["label"].dropna()) - set(classes))
    if others:
        raise PipelineError(
            f"{path}: column {label_column!r} has the class {display_name(others[0])!r}, which the model does "
            f"not know; its classes are {', '.join(map(display_name, classes))}"
        )
    table["raw"] = table["raw"].fillna("")
    table.insert(1, "text", pd.Series([clean_text(text) for text in table["raw"]], dtype="str"))
    table = table[~np.logical_or.reduce(list(selection.unusable(table).values()))].reset_index(drop=True)
    if not ROWS[0] <= len(table) <= ROWS[1]:
        raise PipelineError(
            f"{path} has {len(table):,} usable rows (labelled, not empty, each text once); a personal model takes "
            f"{ROWS[0]} to {ROWS[1]:,}"
        )
    counts = table["label"].value_counts()
    if len(counts) < 2:
        raise PipelineError(f"{path}: all rows have the label {display_name(counts.index[0])!r}; there must be two")
    if counts.min() < FEWEST:
        raise PipelineError(
            f"{path}: class {display_name(counts.idxmin())!r} has {counts.min()} usable row(s); give it {FEWEST} or "
            "more, or leave it out"
        )
    table["split"] = assign_split(table, validation_share=VALIDATION, test_share=TEST, seed=SPLIT_SEED)
    return table[["id", "text", "label", "split"]]


def publish(
    user: str, which: str, base: Path, folder: Path, table: pd.DataFrame, told: tuple[Comparison, list[loop.Figures]]
) -> str:
    """Log the comparison, and register the model if it is better; give the sentence that says what was done."""
    comparison, history = told
    manifest = read_manifest(folder)
    name = f"{model_name()}-{user}"
    given = {"user": user, "base": which, "base_model": packaging.digest(read_manifest(base))[:16]}
    given |= {f"rows.{split}": str((table["split"] == split).sum()) for split in paths.SPLITS}
    key = sha256_json([given, table["id"].to_list(), packaging.digest(manifest)])
    with experiments.open_experiment("adapt") as store:
        tags = {STATE: key, **versioning.tags(), "mlflow.source.name": "python -m pipeline adapt"}
        run = store.runs.find(key) or store.client.create_run(store.experiment_id, run_name=user, tags=tags)
        store.runs.log_params(run, given)
        store.runs.log_epochs(run, history)
        store.runs.log_metrics(run, metrics.flatten({"test": comparison.figures, "gain": comparison.gains}))
        if comparison.better:
            version = store.versions.register(run, name, folder, packaging.digest(manifest), manifest["classes"])
            champion = store.versions.alias(name, "champion")
            if champion is not None and champion.version != version.version:
                store.versions.move_alias("previous", champion)
            store.versions.move_alias("champion", version)
            store.versions.annotate(version, {"promotion.reason": comparison.sentence(), "personal.user": user})
        verdict = f"{name} version {version.version}" if comparison.better else "not registered"
        store.runs.finish(run, {"mlflow.note.content": f"{verdict}: {comparison.sentence()}"})
    return f"registered as {verdict}, champion" if comparison.better else verdict


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("adapt", __doc__, example="own.csv --user eve")
    parser.add_argument("file", type=command.path, help="the user's labelled texts: CSV, TSV, JSON lines or Parquet")
    parser.add_argument("--user", required=True, help="registers the model as <model>-<user>")
    parser.add_argument(
        "--model", type=command.model, default="champion", help="alias, version or folder (default: champion)"
    )
    parser.add_argument("--text-column", default="text", help="column of the texts (default: text)")
    parser.add_argument("--label-column", default="label", help="column of the classes (default: label)")
    options = parser.parse_args(arguments)
    if not USER.fullmatch(options.user):
        raise PipelineError(f"--user must be of letters, digits and . _ -, 60 at most, got {options.user!r}")
    with tempfile.TemporaryDirectory() as temporary, open_model(options.model) as model:
        base = model.folder
        table = read_rows(options.file, options.text_column, options.label_column, read_manifest(base)["classes"])
        folder = Path(temporary) / "personal"
        told = adapt(base, table, folder)
        if tracking.enabled():
            verdict = publish(options.user, options.model, base, folder, table, told)
        else:
            verdict = "tracking is off (PIPELINE_TRACKING), nothing registered"
    better = "better than" if told[0].better else "no clear gain over"
    print(f"{options.user}: {better} {options.model} {told[0].sentence()}; {verdict}")
