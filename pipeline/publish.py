"""Publish: show the pipeline's state in MLflow, register its model, and decide which model is the champion.

No stage: it reads what DVC's stages left and changes none of it. Publishing a state twice changes nothing.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from . import metrics, packaging, params, paths, plots, revision, stage, summary, tracking
from .files import read_json, read_table, read_yaml, sha256
from .prediction import MANIFEST, read_manifest
from .stage import PipelineError
from .state import DVC_FILE, at, state_id
from .text import Tokenizer

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Decision:
    """Whether a new model becomes the champion, and why."""

    promote: bool
    reason: str


def decide(challenger: dict[str, str], champion: dict[str, str] | None) -> Decision:
    """Compare a new model with the one in service by macro-F1 on the same test rows.

    Parameters
    ----------
    challenger, champion : dict of str to str
        `test`: digest of the test rows; `macro_f1`: the figure on them; `classes` where they are others than the
        challenger's. None where no model is in service yet.
    """
    if champion is None:
        return Decision(True, "the first model of this name")
    if "classes" in champion:
        return Decision(
            False,
            "its classes are not the champion's: not comparable; name another model with publish.model, or predict "
            "with --model challenger",
        )
    if challenger["test"] != champion.get("test"):
        return Decision(False, "measured on other test rows than the champion: not comparable")
    new, old = float(challenger["macro_f1"]), float(champion["macro_f1"])
    if new > old:
        return Decision(True, f"macro-F1 {new:.4f} beats the champion's {old:.4f} on the same test rows")
    return Decision(False, f"macro-F1 {new:.4f} does not beat the champion's {old:.4f} on the same test rows")


def publish() -> str:
    """Publish what `data/` holds; give the sentence that says what was done.

    Raises
    ------
    PipelineError
        The files are missing, or not of one state, or the store does not answer.
    """
    experiment, name = params.load(params.Publish).experiment, params.model_name()
    manifest = read_manifest(paths.TRAIN_MODEL)
    figures, intervals = read_json(paths.EVALUATE_METRICS), read_json(paths.EVALUATE_INTERVALS)
    measured = read_json(paths.EVALUATE_MEASURED)
    _check_state(manifest, measured)
    pictures = plots.render(paths.REPORTS / "evaluate")
    digest = packaging.digest(manifest)
    content = hashlib.sha256(json.dumps([manifest["state"], experiment, name, figures, measured]).encode()).hexdigest()
    if tracking.published(content=content, digest=digest):
        return f"already published: model {name}, state {manifest['state'][:12]}"

    store = tracking.connect()
    with tracking.store_errors(store.address), store.lock:
        run = store.open_run(manifest["state"])
        store.link_project_run(run)
        if run.data.tags.get(tracking.PUBLISHED) == content and store.find_version(name, digest):
            return f"already published: model {name}, state {manifest['state'][:12]}"
        store.log_params(run, _parameters())
        store.log_epochs(run, read_table(paths.TRAIN_HISTORY).to_dict("records"))
        store.log_figures(run, summary.shown(figures, intervals))
        store.log_datasets(run, _datasets())
        store.log_files(run, {"plots": pictures, **_files()})
        version = store.register(run, name, paths.TRAIN_MODEL, digest, manifest["classes"])
        decision = _promote(store, version, {"test": measured["test"], "macro_f1": str(figures["overall"]["macro_f1"])})
        store.annotate(version, {}, summary.line(figures, decision.reason))
        promoted = "champion" if decision.promote else "not promoted"
        note = summary.note(figures, intervals, f"{name} version {version.version}, {promoted}: {decision.reason}.")
        store.finish(run, {"mlflow.note.content": note, **revision.dvc_tags(), tracking.PUBLISHED: content})
    verdict = "champion" if decision.promote else "not the champion"
    return f"published: run {run.info.run_name}, model {name} version {version.version}, {verdict}: {decision.reason}"


def _check_state(manifest: dict[str, Any], measured: dict[str, Any]) -> None:
    """Fail unless data/ is what the code and the parameters say now."""
    complete = (
        manifest["state"] == state_id(params.PARAMS_FILE)
        and measured["model"] == manifest["sha256"]
        and all(sha256(paths.EVALUATE_METRICS.with_name(name)) == digest for name, digest in measured["sha256"].items())
        and measured["settings"] == params.load(params.Evaluate).model_dump()
    )
    recorded = read_yaml(revision.DVC_LOCK)["stages"] if revision.DVC_LOCK.is_file() else {}
    now = read_yaml(params.PARAMS_FILE)
    # Not evaluate's: its entry is written after its end, which calls this. Stages of the user's own do not matter.
    for section in (params.Ingest, params.Validate, params.Clean, params.Tokenize, params.Rebalance, params.Train):
        values = recorded.get(section.name, {}).get("params", {}).get(str(params.PARAMS_FILE), {})
        complete &= all(at(now, key) == value for key, value in values.items())
    if not complete:
        raise PipelineError("data/ is not what the parameters and the code say now; run `dvc repro` first")


def after_evaluate() -> None:
    """Publish at the end of evaluate, whose own work is done: a store that does not answer is reported, no failure."""
    if not tracking.enabled():
        return
    try:
        print(publish())
    except PipelineError as error:
        print(f"evaluate: not published: {error}", file=sys.stderr)


def _promote(store: tracking.Store, version: "ModelVersion", measured: dict[str, str]) -> Decision:
    champion = store.alias(version.name, "champion")
    if champion is not None and str(champion.version) == str(version.version):
        store.annotate(version, measured)
        return Decision(True, champion.tags.get("promotion.reason", "it is the champion already"))
    known = champion.tags if champion else None
    if champion is not None and champion.tags.get("test") != measured["test"]:
        score = _macro_f1_on_test_rows(champion)
        known = {"test": measured["test"], "macro_f1": str(score)} if score is not None else {"classes": "others"}
    decision = decide(measured, known)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    store.annotate(version, measured | {"promotion.time": now, "promotion.reason": decision.reason})
    if decision.promote:
        if champion is not None:
            store.move_alias("previous", champion)
        store.drop_alias("challenger", version)
        store.move_alias("champion", version)
    else:
        store.move_alias("challenger", version)
    return decision


def _macro_f1_on_test_rows(champion: "ModelVersion") -> float | None:
    """Score a registered model on the test rows of today, from their raw texts; None if its classes are others."""
    classes = read_json(paths.CLEAN_CLASSES)
    test = read_table(paths.CLEAN_TABLES["test"])
    raw = read_table(paths.INGEST_TABLE).drop_duplicates("id").set_index("id").loc[test["id"], "text"]
    model = tracking.load_model(champion.name, str(champion.version))
    predicted: pd.DataFrame = model.predict(pd.DataFrame({"text": raw.to_list()}))
    probabilities = predicted.filter(regex="^p_")
    if set(probabilities.columns) != {f"p_{name}" for name in classes}:
        return None
    labels = test["label"].map({name: number for number, name in enumerate(classes)}).to_numpy()
    return metrics.overall(labels, probabilities[[f"p_{name}" for name in classes]].to_numpy())["macro_f1"]


def _parameters() -> dict[str, Any]:
    """Every parameter that shaped the model, with what the preset or the data chose where `params.yaml` says null."""
    shaping = (params.Ingest, params.Clean, params.Tokenize, params.Rebalance, params.Train)
    values = {f"{each.name}.{key}": value for each in shaping for key, value in params.load(each).model_dump().items()}
    tokenizer = Tokenizer.load(paths.TOKENIZE_TOKENIZER)
    chosen = {
        "tokenize.language": tokenizer.language,
        "tokenize.unit": tokenizer.unit,
        "tokenize.vocabulary_size": len(tokenizer.vocabulary),
        "tokenize.length": tokenizer.length,
    }
    chosen["rebalance.strategy"] = read_json(paths.REBALANCE_SUMMARY)["strategy"]
    return values | chosen | {f"train.{key}": value for key, value in read_json(paths.TRAIN_SETTINGS).items()}


def _datasets() -> dict[str, tuple[Path, str, int]]:
    contexts = {"train": "training", "validation": "validation", "test": "test"}
    tables = {context: paths.CLEAN_TABLES[split] for split, context in contexts.items()}
    return {context: (path, sha256(path), len(read_table(path))) for context, path in tables.items()}


def _files() -> dict[str, list[Path]]:
    return {
        "evaluation": [
            paths.EVALUATE_METRICS,
            paths.EVALUATE_INTERVALS,
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


def main() -> None:
    print(publish() if tracking.enabled() else "tracking is off (PIPELINE_TRACKING): nothing published")


if __name__ == "__main__":
    stage.run("publish", main)
