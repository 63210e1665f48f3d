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

from . import metrics, params, paths, plots, stage, tracking
from .files import read_json, read_table, read_yaml, sha256
from .prediction import MANIFEST, read_manifest
from .stage import PipelineError
from .state import DVC_FILE, state_id

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


DVC_LOCK = Path("dvc.lock")


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
        `test`: digest of the test rows; `macro_f1`: the figure on them. None where no model is in service yet.
    """
    if champion is None:
        return Decision(True, "the first model of this name")
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
    settings = params.load(params.Publish)
    manifest = read_manifest(paths.TRAIN_MODEL)
    figures, measured = read_json(paths.EVALUATE_METRICS), read_json(paths.EVALUATE_MEASURED)
    if manifest["state"] != state_id(params.PARAMS_FILE) or measured["model"] != manifest["sha256"]:
        raise PipelineError("data/ is not what the parameters and the code say now; run `dvc repro` first")
    name = params.model_name()
    digest = hashlib.sha256(json.dumps(manifest["sha256"], sort_keys=True).encode()).hexdigest()
    parts = [manifest["state"], settings.experiment, name, figures, measured]
    content = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    if tracking.published(content=content, digest=digest):
        return f"already published: model {name}, state {manifest['state'][:12]}"

    store = tracking.connect()
    with tracking.store_errors(store.address):
        run = store.open_run(manifest["state"])
        store.link_project_run(run)
        if run.data.tags.get(tracking.PUBLISHED) == content and store.find_version(name, digest):
            return f"already published: model {name}, state {manifest['state'][:12]}"
        store.log_params(run, _parameters())
        store.log_epochs(run, read_table(paths.TRAIN_HISTORY).to_dict("records"))
        store.log_figures(run, _shown(figures))
        store.log_datasets(run, _datasets())
        store.log_files(run, _files())
        version = store.register(run, name, paths.TRAIN_MODEL, digest, manifest["classes"])
        decision = _promote(store, version, {"test": measured["test"], "macro_f1": str(figures["overall"]["macro_f1"])})
        note = _description(figures, version, decision)
        store.annotate(version, {}, note)
        store.finish(run, {"mlflow.note.content": note, **_dvc_revision(), tracking.PUBLISHED: content})
    verdict = "champion" if decision.promote else "not the champion"
    return f"published: run {run.info.run_name}, model {name} version {version.version}, {verdict}: {decision.reason}"


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
        return Decision(True, champion.tags.get("promotion.reason", "it is the champion already"))
    decision = decide(measured, champion.tags if champion else None)
    store.annotate(version, measured)
    if not decision.promote:
        store.move_alias("challenger", version)
        return decision
    if champion is not None:
        store.move_alias("previous", champion)
    store.drop_alias("challenger", version)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    store.annotate(version, {"promotion.time": now, "promotion.reason": decision.reason})
    store.move_alias("champion", version)
    return decision


def _parameters() -> dict[str, Any]:
    """Every parameter that shaped the model, with the preset's values where `params.yaml` says null."""
    shaping = [each for each in params.SECTIONS if each is not params.Publish]
    return {f"{each.name}.{key}": value for each in shaping for key, value in params.load(each).model_dump().items()}


def _shown(figures: dict[str, Any]) -> dict[str, float]:
    """The figures under names that MLflow's UI groups: `test/macro_f1`, `per_class/<class>/recall`."""
    groups = {"test": figures["overall"], **{group: figures[group] for group in ("baseline", "per_class", "slices")}}
    return {key: value for key, value in metrics.flatten(groups).items() if not key.endswith("num_samples")}


def _datasets() -> dict[str, tuple[Path, str, int]]:
    contexts = {"train": "training", "validation": "validation", "test": "test"}
    tables = {context: paths.CLEAN_TABLES[split] for split, context in contexts.items()}
    return {context: (path, sha256(path), len(read_table(path))) for context, path in tables.items()}


def _files() -> dict[str, list[Path]]:
    return {
        "plots": plots.render(paths.REPORTS / "evaluate"),
        "evaluation": [paths.EVALUATE_METRICS, paths.TRAIN_HISTORY, paths.CLEAN_COUNTS],
        "pipeline": [params.PARAMS_FILE, DVC_FILE, paths.TRAIN_MODEL / MANIFEST],
    }


def _dvc_revision() -> dict[str, str]:
    """DVC's digest of the model, by which its cache knows it; none where dvc.lock is of another state."""
    if not DVC_LOCK.is_file():
        return {}
    outs = {out["path"]: out["md5"] for out in read_yaml(DVC_LOCK)["stages"].get("train", {}).get("outs", [])}
    history = hashlib.md5(paths.TRAIN_HISTORY.read_bytes(), usedforsecurity=False).hexdigest()
    return {"dvc.model": outs[str(paths.TRAIN_MODEL)]} if outs.get(str(paths.TRAIN_HISTORY)) == history else {}


def _description(figures: dict[str, Any], version: "ModelVersion", decision: Decision) -> str:
    model, baseline = figures["overall"], figures["baseline"]
    rows = [
        f"| {title} | {of['accuracy']:.4f} | {of['macro_f1']:.4f} | {of['loss']:.4f} |"
        for title, of in (("LSTM", model), ("TF-IDF + logistic regression", baseline))
    ]
    header = f"| {model['num_samples']:,} test rows | accuracy | macro-F1 | loss |\n| --- | --- | --- | --- |"
    verdict = "champion" if decision.promote else "not promoted"
    return "\n".join([header, *rows, "", f"{version.name} version {version.version}, {verdict}: {decision.reason}."])


def main() -> None:
    if not tracking.enabled():
        raise PipelineError("tracking is off; unset the environment variable PIPELINE_TRACKING to publish")
    print(publish())


if __name__ == "__main__":
    stage.run("publish", main)
