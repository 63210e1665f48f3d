"""What MLflow shows of a state: parameters, data sets and files, all of them from DVC's outputs."""

from pathlib import Path
from typing import Any

from ..base import params, paths, versioning
from ..base.errors import PipelineError
from ..base.files import read_json, read_table, sha256
from ..base.state import DVC_FILE, state_id
from ..data.settings import FILE_DEFAULTS, Clean, Ingest, Validate
from ..evaluation.settings import Evaluate
from ..inference.manifest import MANIFEST, Manifest
from ..text.processor import Tokenizer
from ..text.settings import Tokenize
from ..training.rebalancing import Rebalance
from ..training.settings import Train
from .judge import KEY_VERSION, is_given

FILE_PARAMETERS = {f"ingest.{key}" for key in FILE_DEFAULTS}  # packaged data sets do not have them


def check_current(manifest: Manifest, measured: dict[str, Any]) -> None:
    """Check that `data/` holds the outputs of the current code and parameters.

    Parameters
    ----------
    manifest, measured : dict
        Content of `model.json`, and of the file in which evaluate notes what it measured.

    Raises
    ------
    PipelineError
        They are out of date.
    """
    # Without evaluate, whose entry in dvc.lock is written after it has called publish. Other stages do not matter.
    sections = (Ingest, Validate, Clean, Tokenize, Rebalance, Train)
    current = (
        manifest["state"] == state_id()
        and measured["model"] == manifest["sha256"]
        and all(measured["sha256"][path.name] == sha256(path) for path in paths.EVALUATE_PUBLISHED)
        and measured["settings"] == params.load(Evaluate).model_dump()
        and not versioning.outdated(*sections)
    )
    if not current:
        raise PipelineError(
            "outputs in data/ are out of date; run `dvc repro` (add --force if a file changed while it was running)"
        )


def parameters() -> dict[str, Any]:
    """Return every parameter that shaped the model, with the value in force where `params.yaml` has null."""
    sections = (Ingest, Clean, Tokenize, Rebalance, Train)
    values = {
        f"{section.name}.{key}": value
        for section in sections
        for key, value in params.load(section).model_dump().items()
    }
    if paths.TOKENIZE_TOKENIZER.is_file():  # the rows have texts
        tokenizer = Tokenizer.load(paths.TOKENIZE_TOKENIZER)
        values |= {
            "tokenize.language": tokenizer.language,
            "tokenize.unit": tokenizer.unit,
            "tokenize.vocabulary_size": len(tokenizer.vocabulary),
            "tokenize.length": tokenizer.length,
        }
    values |= {
        KEY_VERSION: read_json(paths.CLEAN_SUMMARY).get("split_key_version", 1),
        "rebalance.strategy": read_json(paths.REBALANCE_SUMMARY)["strategy"],
        **{f"train.{key}": value for key, value in read_json(paths.TRAIN_SETTINGS).items()},
    }
    if values["ingest.dataset"] != "file":
        values = {key: value for key, value in values.items() if key not in FILE_PARAMETERS}
    return {key: value for key, value in values.items() if is_given(value)}


def tables() -> dict[str, tuple[Path, str, int]]:
    """Return the tables of the splits by MLflow's context: file, SHA-256 and number of rows."""
    contexts = {"train": "training", "validation": "validation", "test": "test"}
    files = {context: paths.CLEAN_TABLES[split] for split, context in contexts.items()}
    return {context: (path, sha256(path), len(read_table(path))) for context, path in files.items()}


def files() -> dict[str, list[Path]]:
    """Return the files to upload, by their folder in the run."""
    return {
        "evaluation": [
            paths.EVALUATE_METRICS,
            paths.EVALUATE_INTERVALS,
            paths.EVALUATE_BEHAVIOUR,
            paths.EVALUATE_MISTAKES,
            paths.EVALUATE_WORDS,
            paths.EVALUATE_ROC,
            paths.EVALUATE_PR,
            paths.EVALUATE_RELIABILITY,
            paths.TRAIN_HISTORY,
            paths.CLEAN_COUNTS,
        ],
        "pipeline": [params.PARAMS_FILE, DVC_FILE, paths.TRAIN_MODEL / MANIFEST],
    }
