"""Fine-tune the champion to one user's labelled texts; register the result if it is better."""

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..base import command, params, paths, versioning
from ..base.errors import PipelineError, display_name
from ..base.files import sha256_json
from ..data import columns, selection, tables
from ..data.joined import with_joined
from ..data.labels import as_labels, map_labels
from ..data.readers import formats
from ..data.readers.reading import Reading
from ..data.settings import Ingest
from ..data.split import assign_split
from ..evaluation import metrics
from ..inference.manifest import Manifest, read_manifest, require_text
from ..inference.manifest import columns as of_training
from ..registry import experiments, packaging, tracking
from ..registry.models import open_model
from ..registry.runs import STATE
from ..registry.settings import model_name
from ..text.cleaning import clean_text
from ..training import loop
from .personal import PersonalComparison, fine_tune

ROWS = (50, 5_000)  # usable rows of a file: fewer show no gain, more can train a model of their own
MIN_CLASS_ROWS = 5  # some to train on, some to measure on
TEST, VALIDATION = 0.3, 0.2  # fractions of the rows
SPLIT_SEED = 73  # not clean.split_seed: rows from one split of the state must fall into all splits here

USER = re.compile(r"[\w.-]{1,60}", re.ASCII)


def read_personal_rows(
    path: Path, text_columns: Sequence[str | int], label_column: str | int, classes: Sequence[str]
) -> pd.DataFrame:
    """Read a user's labelled texts: cleaned, without repetitions, split by hash.

    Where the file has the column `ingest.group_column` with several groups, such as threads, no split separates them.

    Parameters
    ----------
    path : Path
        A table in a format that `readers.formats.read` reads.
    text_columns : sequence of str or int
        Names of its columns of texts, which are joined; or their numbers, from 1, if it has no header.
    label_column : str or int
        The same for its labels, which are renamed by `ingest.label_map`.
    classes : sequence of str
        Class names of the model; the file may lack some of them.

    Returns
    -------
    DataFrame of shape (n_rows, 5)
        `id`, `text`, `label`, `group` ("" for none), and `split`: train, validation or test, which is held out. Every
        class is in each split.

    Raises
    ------
    PipelineError
        The file cannot be read, has unknown classes, or too few or too many rows, or too few groups.
    """
    settings, column = params.load(Ingest), text_columns[0]
    wanted, reading = [*text_columns, label_column], Reading(max_broken=settings.max_broken)
    grouped = [key for key in (settings.group_column,) if isinstance(key, type(label_column))]  # both names or numbers
    cells = formats.read(path, wanted, optional=grouped, reading=reading)
    if len(text_columns) > 1:
        cells, column = with_joined(cells, text_columns, path)
    labels = as_labels(cells[label_column], path, settings.missing_labels)
    groups = columns.as_names(cells[grouped[0]], path).fillna("") if grouped else pd.Series("", cells.index)
    if groups.nunique() == 1:  # all rows of one author: they are what the model is for
        groups[:] = ""
    texts = pd.DataFrame({"text": columns.as_texts(cells[column], path), "label": labels, "group": groups})
    texts = texts.reset_index(drop=True)
    texts = map_labels(texts, settings.label_map, strict=False)
    table = tables.complete(texts, source="personal").assign(label=texts["label"])
    unknown = sorted(set(texts["label"].dropna()) - set(classes))
    if unknown:
        raise PipelineError(
            f"{path}: column {label_column!r} has the class {display_name(unknown[0])!r}, which the model does "
            f"not know; its classes are {', '.join(map(display_name, classes))}"
        )
    table["raw"] = table["text"].fillna("")  # by which the split is drawn
    table["text"] = pd.Series([clean_text(text) for text in table["raw"]], dtype="str")
    unusable = np.logical_or.reduce(list(selection.unusable(table).values()))
    table = table[~unusable].reset_index(drop=True)
    check_rows(table["label"], path)
    table["split"] = assign_split(table, validation_share=VALIDATION, test_share=TEST, seed=SPLIT_SEED)
    if (table.groupby("label")["split"].nunique() < len(paths.SPLITS)).any():
        raise PipelineError(
            f"{path}: the groups in column {grouped[0]!r} are too few to have every class in all three splits; add "
            "rows of more groups, or leave the column out of the file"
        )
    return table[["id", "text", "label", "group", "split"]]


def check_rows(labels: "pd.Series[str]", path: Path) -> None:
    """Fail unless a personal model can be trained and measured on usable rows of these labels."""
    if not ROWS[0] <= len(labels) <= ROWS[1]:
        raise PipelineError(
            f"{path} has {len(labels):,} usable rows (labelled, not empty, each text once); a personal model needs "
            f"{ROWS[0]} to {ROWS[1]:,}"
        )
    counts = labels.value_counts()
    if len(counts) < 2:
        raise PipelineError(
            f"{path}: all rows have the label {display_name(counts.index[0])!r}; add rows of another class"
        )
    if counts.min() < MIN_CLASS_ROWS:
        raise PipelineError(
            f"{path}: class {display_name(counts.idxmin())!r} has {counts.min()} usable row(s); add rows until it has "
            f"{MIN_CLASS_ROWS}, or remove the class from the file"
        )


def register_personal(
    user: str,
    which: str,
    base: Path,
    folder: Path,
    table: pd.DataFrame,
    comparison: PersonalComparison,
    history: Sequence[loop.EpochMetrics],
) -> str:
    """Log the comparison, and register the model if it is better; return a phrase that says what was done.

    Parameters
    ----------
    user : str
        Part of the registered model's name.
    which : str
        The model that was fine-tuned, as the user named it.
    base, folder : Path
        Folders of that model, and of the personal one.
    table : DataFrame
        The user's rows, as returned by `read_personal_rows`.
    comparison : PersonalComparison
        Of both models.
    history : sequence of dict
        Metrics by epoch.
    """
    manifest = read_manifest(folder)
    name, digest = f"{model_name()}-{user}", packaging.digest(manifest)
    given = {"user": user, "base": which, "base_model": packaging.digest(read_manifest(base))[:16]}
    given |= {f"rows.{split}": str((table["split"] == split).sum()) for split in paths.SPLITS}
    key = sha256_json([given, table["id"].to_list(), digest])
    with experiments.open_experiment("adapt") as store:
        tags = {STATE: key, **versioning.tags(), "mlflow.source.name": "python -m pipeline adapt"}
        run = store.runs.find(key) or store.client.create_run(store.experiment_id, run_name=user, tags=tags)
        store.runs.log_params(run, given)
        store.runs.log_epochs(run, history)
        store.runs.log_metrics(run, metrics.flatten({"test": comparison.overall, "gain": comparison.gains}))
        verdict = "not registered"
        if comparison.better:
            version = store.versions.register(run, name, folder, digest, manifest)
            champion = store.versions.alias(name, "champion")
            if champion is not None and champion.version != version.version:
                store.versions.move_alias("previous", champion)
            store.versions.move_alias("champion", version)
            store.versions.annotate(version, {"promotion.reason": comparison.sentence(), "personal.user": user})
            verdict = f"{name} version {version.version}"
        store.runs.finish(run, {"mlflow.note.content": f"{verdict}: {comparison.sentence()}"})
    return f"registered as {verdict}, champion" if comparison.better else verdict


def chosen_columns(options: argparse.Namespace, manifest: Manifest) -> tuple[list[str | int], str | int]:
    """Return the columns of texts and of labels: as the options name them, otherwise as in training.

    Raises
    ------
    PipelineError
        Some are numbers, others names.
    """
    parse = command.column_number if options.no_header else str
    texts = [parse(column) for column in options.text_column or ()] or of_training(manifest)["text"]
    label = parse(options.label_column) if options.label_column else params.load(Ingest).label_column
    command.check_columns([*texts, label], no_header=options.no_header)
    return texts, label


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("adapt", __doc__, example="own.csv --user eve")
    parser.add_argument(
        "file",
        type=command.path,
        help=f"the user's labelled texts, {ROWS[0]} to {ROWS[1]:,} rows: CSV, TSV, JSON, Parquet or Excel",
    )
    parser.add_argument("--user", required=True, help="the model is registered as <model>-<user>")
    parser.add_argument(
        "--model",
        type=command.model,
        default="champion",
        help="model to start from: alias, version or folder (default: %(default)s)",
    )
    parser.add_argument(
        "--text-column",
        action="append",
        metavar="COLUMN",
        help="column of the texts (default: that of the training file); give it again for each one to join",
    )
    parser.add_argument("--label-column", metavar="COLUMN", help="column of the classes (default: ingest.label_column)")
    parser.add_argument(
        "--no-header", action="store_true", help="the first line of the CSV is a row, and columns are named by number"
    )
    options = parser.parse_args(arguments)
    if not USER.fullmatch(options.user):
        raise PipelineError(
            f"--user must consist of ASCII letters, digits, '.', '_' and '-', at most 60, got {options.user!r}"
        )
    with tempfile.TemporaryDirectory() as temporary, open_model(options.model) as model:
        base, folder = model.folder, Path(temporary) / "personal"
        manifest = read_manifest(base)
        require_text(manifest, "adapt")
        text_columns, label_column = chosen_columns(options, manifest)
        table = read_personal_rows(options.file, text_columns, label_column, manifest["classes"])
        comparison, history = fine_tune(base, table, folder)
        verdict = "not registered: tracking is off (PIPELINE_TRACKING)"
        if tracking.enabled():
            verdict = register_personal(options.user, options.model, base, folder, table, comparison, history)
    result = "better than" if comparison.better else "no significant gain over"
    print(f"{options.user}: {result} {options.model} {comparison.sentence()}; {verdict}")
