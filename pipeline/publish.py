"""Publish: show the state in MLflow, register its model, and decide which is the champion.

Not a stage: it reads the outputs of DVC's stages and changes none of them. Publishing a state twice changes nothing.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .base import command, params, paths, versioning
from .base.errors import PipelineError
from .base.files import read_json, read_table, write_json, write_text
from .data.settings import Ingest
from .evaluation.metrics import HEADLINES
from .inference.manifest import modalities, read_manifest
from .registry import packaging, probe, promotion, record, tracking
from .registry.gate import Decision
from .registry.judge import ask_rivals, judge, test_rows
from .registry.runs import PUBLISHED
from .registry.settings import Gate, Publish, model_name
from .reports import card, summary
from .reports.figures import draw_figures


def publish() -> str:
    """Publish what `data/` holds; return a sentence for the user.

    Raises
    ------
    PipelineError
        The files are missing, or not of one state, or the store does not answer.
    """
    experiment, name = params.load(Publish).experiment, model_name()
    manifest = read_manifest(paths.TRAIN_MODEL)
    metrics, intervals = read_json(paths.EVALUATE_METRICS), read_json(paths.EVALUATE_INTERVALS)
    measured, behaviour = read_json(paths.EVALUATE_MEASURED), read_json(paths.EVALUATE_BEHAVIOUR)
    record.check_current(manifest, measured)
    digest, rules = packaging.digest(manifest), params.load(Gate).model_dump()
    content = hashlib.sha256(
        json.dumps([manifest["state"], experiment, name, metrics, measured, rules]).encode()
    ).hexdigest()
    unchanged = f"already published: model {name}, state {manifest['state'][:12]}"
    with probe.Processes() as processes:
        known = tracking.is_published(content=content, digest=digest)
        if not known:
            processes.start()  # so that it imports MLflow while the figures are drawn
        pictures = draw_figures(paths.REPORTS / "evaluate")
        if known:
            return unchanged
        store = tracking.connect()
        with tracking.store_errors(store.address):
            rows = test_rows()
            ask_rivals(store, name, rows, processes)
            with store.lock.file:
                run = store.runs.open(manifest["state"])
                store.runs.link_project_run(run)
                if run.data.tags.get(PUBLISHED) == content and store.versions.with_digest(name, digest):
                    return unchanged
                store.runs.log_params(run, record.parameters())
                store.runs.log_epochs(run, read_table(paths.TRAIN_HISTORY).to_dict("records"))
                store.runs.log_metrics(run, summary.mlflow_metrics(metrics, intervals, behaviour))
                store.runs.log_datasets(run, params.load(Ingest).title, record.tables())
                store.runs.log_files(run, {"plots": pictures, **record.files()})
                version = store.versions.register(run, name, paths.TRAIN_MODEL, digest, manifest)
                store.versions.describe_model(
                    name, summary.model_description(manifest["classes"], modalities(manifest))
                )
            decision = promotion.decide_and_promote(store, version, partial(judge, metrics, intervals, rows, processes))
            title = f"{name} version {version.version}"
            report = _write_decision(decision, title)
            cards = card.write_card(version=str(version.version), decision=decision.as_json(), **versioning.commit())
            with store.lock.file:
                store.runs.log_files(run, {"": cards, "decision": report})
                tags = {"test": measured["test"], **{key: str(metrics["overall"][key]) for key in HEADLINES}}
                store.versions.annotate(version, tags, summary.version_description(metrics, decision.reason))
                note = summary.run_description(metrics, intervals, f"{title}. {decision.verdict()}", decision.table())
                store.runs.finish(run, {"mlflow.note.content": note, **versioning.dvc_tags(), PUBLISHED: content})
    verdict = "champion" if decision.promote else "not the champion"
    return f"published: run {run.info.run_name}, model {title}, {verdict}: {decision.reason}"


def _write_decision(decision: Decision, title: str) -> list[Path]:
    """Write the decision to `reports/publish/`, as Markdown and JSON."""
    folder = paths.REPORTS / "publish"
    write_json(folder / "decision.json", {"version": title} | decision.as_json())
    write_text(folder / "decision.md", f"# {title}\n\n{decision.verdict()}\n\n{decision.table()}\n")
    return [folder / "decision.md", folder / "decision.json"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("publish", __doc__, example="")
    parser.add_argument(
        "--after-evaluate",
        action="store_true",
        help="for dvc.yaml: only warn if publishing fails; do nothing under PIPELINE_TRACKING=live",
    )
    options = parser.parse_args(arguments)
    if not options.after_evaluate:
        print(publish() if tracking.enabled() else "tracking is off (PIPELINE_TRACKING): nothing published")
    elif tracking.mode() == "on":
        try:
            print(publish())
        except PipelineError as error:  # evaluate has done its own work
            print(f"publish: not published: {error}", file=sys.stderr)
