"""Publish: show the state in MLflow, register its model, and decide which is the champion.

Not a stage: it reads what DVC's stages left and changes none of it. Publishing a state twice changes nothing.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .base import command, params, paths, versioning
from .base.errors import PipelineError
from .base.files import read_json, read_table, sha256, write_json, write_text
from .base.state import DVC_FILE, state_id
from .data.settings import FILE_DEFAULTS, Clean, Ingest, Validate
from .evaluation.settings import Evaluate
from .inference.manifest import MANIFEST, read_manifest
from .registry import packaging, probe, promotion, tracking
from .registry.gate import Decision
from .registry.judge import is_given, judge, test_rows
from .registry.settings import Gate, Publish, model_name
from .registry.store import PUBLISHED
from .reports import card, summary
from .reports.figures import draw_figures
from .text.processor import Tokenizer
from .text.settings import Tokenize
from .training import rebalancing
from .training.settings import Train

FOR_FILES = {f"ingest.{key}" for key in FILE_DEFAULTS}  # parameters that other data sets do not have


def publish() -> str:
    """Publish what `data/` holds; give the sentence that says what was done.

    Raises
    ------
    PipelineError
        The files are missing, or not of one state, or the store does not answer.
    """
    experiment, name = params.load(Publish).experiment, model_name()
    manifest = read_manifest(paths.TRAIN_MODEL)
    figures, intervals = read_json(paths.EVALUATE_METRICS), read_json(paths.EVALUATE_INTERVALS)
    measured, behaviour = read_json(paths.EVALUATE_MEASURED), read_json(paths.EVALUATE_BEHAVIOUR)
    _check_state(manifest, measured)
    digest, rules = packaging.digest(manifest), params.load(Gate).model_dump()
    content = hashlib.sha256(
        json.dumps([manifest["state"], experiment, name, figures, measured, rules]).encode()
    ).hexdigest()
    with probe.Processes() as processes:
        known = tracking.published(content=content, digest=digest)
        if not known:
            processes.start()  # it imports meanwhile
        pictures = draw_figures(paths.REPORTS / "evaluate")
        if known:
            return f"already published: model {name}, state {manifest['state'][:12]}"
        store = tracking.connect()
        with tracking.store_errors(store.address):
            with store.lock:
                run = store.open_run(manifest["state"])
                store.link_project_run(run)
                if run.data.tags.get(PUBLISHED) == content and store.find_version(name, digest):
                    return f"already published: model {name}, state {manifest['state'][:12]}"
                rows = test_rows()
                store.log_params(run, _parameters())
                store.log_epochs(run, read_table(paths.TRAIN_HISTORY).to_dict("records"))
                store.log_figures(run, summary.mlflow_metrics(figures, intervals, behaviour))
                store.log_datasets(run, params.load(Ingest).title, _datasets())
                store.log_files(run, {"plots": pictures, **_files()})
                version = store.register(run, name, paths.TRAIN_MODEL, digest, manifest["classes"])
                store.describe(name, summary.model_description(manifest["classes"]))
            decision = promotion.decide_and_promote(store, version, partial(judge, figures, rows, processes))
            report = _report(decision, f"{name} version {version.version}")
            cards = card.write_card(version=str(version.version), decision=decision.as_json(), **versioning.commit())
            with store.lock:
                store.log_files(run, {"": cards, "decision": report})
                store.annotate(version, _tags(figures, measured), summary.version_description(figures, decision.reason))
                first = f"{name} version {version.version}. {decision.verdict()}"
                note = summary.run_description(figures, intervals, first, decision.table())
                store.finish(run, {"mlflow.note.content": note, **versioning.dvc_tags(), PUBLISHED: content})
    verdict = "champion" if decision.promote else "not the champion"
    return f"published: run {run.info.run_name}, model {name} version {version.version}, {verdict}: {decision.reason}"


def _report(decision: Decision, title: str) -> list[Path]:
    """Write the decision to `reports/publish/`, for people and for programs."""
    place = paths.REPORTS / "publish"
    write_json(place / "decision.json", {"version": title} | decision.as_json())
    write_text(place / "decision.md", f"# {title}\n\n{decision.verdict()}\n\n{decision.table()}\n")
    return [place / "decision.md", place / "decision.json"]


def _tags(figures: dict[str, Any], measured: dict[str, Any]) -> dict[str, str]:
    return {"test": measured["test"], **{key: str(figures["overall"][key]) for key in summary.HEADLINES}}


def _check_state(manifest: dict[str, Any], measured: dict[str, Any]) -> None:
    """Fail unless data/ is what the code and the parameters say now."""
    # Not evaluate: its entry is written after its end, which calls this. Stages of the user's own do not matter.
    sections = (Ingest, Validate, Clean, Tokenize, rebalancing.Rebalance, Train)
    complete = (
        manifest["state"] == state_id()
        and measured["model"] == manifest["sha256"]
        and all(measured["sha256"][path.name] == sha256(path) for path in paths.EVALUATE_PUBLISHED)
        and measured["settings"] == params.load(Evaluate).model_dump()
        and not versioning.outdated(*sections)
    )
    if not complete:
        raise PipelineError(
            "data/ is not what the parameters and the code say now; run `dvc repro` first, with --force if a file was "
            "changed while it ran"
        )


def _parameters() -> dict[str, Any]:
    """Every parameter that shaped the model, with what the preset or the data chose where `params.yaml` says null."""
    shaping = (Ingest, Clean, Tokenize, rebalancing.Rebalance, Train)
    values = {f"{each.name}.{key}": value for each in shaping for key, value in params.load(each).model_dump().items()}
    tokenizer = Tokenizer.load(paths.TOKENIZE_TOKENIZER)
    chosen = {
        "tokenize.language": tokenizer.language,
        "tokenize.unit": tokenizer.unit,
        "tokenize.vocabulary_size": len(tokenizer.vocabulary),
        "tokenize.length": tokenizer.length,
    }
    chosen["rebalance.strategy"] = read_json(paths.REBALANCE_SUMMARY)["strategy"]
    values |= chosen | {f"train.{key}": value for key, value in read_json(paths.TRAIN_SETTINGS).items()}
    if values["ingest.dataset"] != "file":
        values = {key: value for key, value in values.items() if key not in FOR_FILES}
    return {key: value for key, value in values.items() if is_given(value)}


def _datasets() -> dict[str, tuple[Path, str, int]]:
    contexts = {"train": "training", "validation": "validation", "test": "test"}
    tables = {context: paths.CLEAN_TABLES[split] for split, context in contexts.items()}
    return {context: (path, sha256(path), len(read_table(path))) for context, path in tables.items()}


def _files() -> dict[str, list[Path]]:
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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("publish", __doc__, example="")
    parser.add_argument(
        "--after-evaluate",
        action="store_true",
        help="for dvc.yaml: warn where publishing fails, and leave it to the caller under PIPELINE_TRACKING=live",
    )
    options = parser.parse_args(arguments)
    if not options.after_evaluate:
        print(publish() if tracking.enabled() else "tracking is off (PIPELINE_TRACKING): nothing published")
    elif tracking.mode() == "on":
        try:
            print(publish())
        except PipelineError as error:  # the stage's own work is done
            print(f"publish: not published: {error}", file=sys.stderr)
