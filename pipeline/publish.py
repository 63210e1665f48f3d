"""Publish: show the pipeline's state in MLflow, register its model, and decide which model is the champion.

No stage: it reads what DVC's stages left and changes none of it. Publishing a state twice changes nothing.
"""

import hashlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import (
    card,
    gate,
    kept,
    packaging,
    params,
    paths,
    plots,
    promote,
    revision,
    smoke,
    stage,
    summary,
    tracking,
)
from .files import read_json, read_table, sha256, write_json, write_text
from .gate import Candidate, Champion, Decision
from .prediction import MANIFEST, read_manifest
from .stage import PipelineError
from .state import DVC_FILE, state_id
from .store import MODEL_DIGEST, PUBLISHED, Store
from .text import Tokenizer

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

# Parameters that choose the test rows: under other ones, yesterday's training rows may be today's test rows.
SPLITTING: dict[type[params.Section], tuple[str, ...]] = {
    params.Clean: ("split_seed", "test_share"),
    params.Ingest: ("test_path", "group_column", "split_column", "time_column"),
}
FOR_FILES = {f"ingest.{key}" for key in params.FILE_DEFAULTS}  # parameters that other data sets do not have
CHECKED = 1_000  # test rows, drawn by hash, that the packaged model is asked: it answers as evaluate measured, or not
TOLERANCE = 1e-4  # between the probabilities that evaluate wrote, to six decimals, and those of the packaged model


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
    measured, behaviour = read_json(paths.EVALUATE_MEASURED), read_json(paths.EVALUATE_BEHAVIOUR)
    _check_state(manifest, measured)
    digest, rules = packaging.digest(manifest), params.load(params.Gate).model_dump()
    content = hashlib.sha256(
        json.dumps([manifest["state"], experiment, name, figures, measured, rules]).encode()
    ).hexdigest()
    with smoke.Processes() as processes:
        known = tracking.published(content=content, digest=digest)
        if not known:
            processes.start()  # it imports meanwhile
        pictures = plots.render(paths.REPORTS / "evaluate")
        if known:
            return f"already published: model {name}, state {manifest['state'][:12]}"
        store = tracking.connect()
        with tracking.store_errors(store.address):
            with store.lock:
                run = store.open_run(manifest["state"])
                store.link_project_run(run)
                if run.data.tags.get(PUBLISHED) == content and store.find_version(name, digest):
                    return f"already published: model {name}, state {manifest['state'][:12]}"
                texts = _test_texts()
                store.log_params(run, _parameters())
                store.log_epochs(run, read_table(paths.TRAIN_HISTORY).to_dict("records"))
                store.log_figures(run, summary.shown(figures, intervals, behaviour))
                store.log_datasets(run, params.load(params.Ingest).title, _datasets())
                store.log_files(run, {"plots": pictures, **_files()})
                version = store.register(run, name, paths.TRAIN_MODEL, digest, manifest["classes"])
                store.describe(name, summary.registered(manifest["classes"]))
            decision = promote.decide_and_promote(store, version, partial(_judge, figures, texts, processes))
            report = _report(decision, f"{name} version {version.version}")
            cards = card.write(version=str(version.version), decision=decision.as_json(), **revision.commit())
            with store.lock:
                store.log_files(run, {"": cards, "decision": report})
                store.annotate(version, _tags(figures, measured), summary.line(figures, decision.reason))
                first = f"{name} version {version.version}. {decision.verdict()}"
                note = summary.note(figures, intervals, first, decision.table())
                store.finish(run, {"mlflow.note.content": note, **revision.dvc_tags(), PUBLISHED: content})
    verdict = "champion" if decision.promote else "not the champion"
    return f"published: run {run.info.run_name}, model {name} version {version.version}, {verdict}: {decision.reason}"


def _test_texts() -> list[str]:
    """The raw texts of the test rows."""
    raw = read_table(paths.INGEST_TABLE).drop_duplicates("id").set_index("id")["text"]
    texts: list[str] = raw.loc[read_table(paths.CLEAN_TABLES["test"])["id"]].to_list()
    return texts


def _known(version: "ModelVersion", texts: list[str]) -> smoke.Answer | None:
    """What a registered model said of these texts when it was asked here before; None where it was not."""
    digest = version.tags.get(MODEL_DIGEST)
    found = kept.find(tracking.root(), [digest, texts]) if digest else None
    return smoke.Answer({name: column.tolist() for name, column in found.items()}) if found else None


def _keep(version: "ModelVersion", texts: list[str], answer: smoke.Answer) -> None:
    digest = version.tags.get(MODEL_DIGEST)
    if digest and not answer.failure:
        kept.keep(tracking.root(), [digest, texts], {name: np.array(of) for name, of in answer.probabilities.items()})


def _judge(
    figures: dict[str, Any],
    texts: list[str],
    processes: smoke.Processes,
    store: Store,
    version: "ModelVersion",
    champion: "ModelVersion | None",
) -> Decision:
    """Ask a registered model, and the champion, the test rows in processes of their own, and decide between them."""
    classes, test = read_json(paths.CLEAN_CLASSES), read_table(paths.CLEAN_TABLES["test"])
    asked = np.sort(np.argsort(test["id"].to_numpy(), kind="stable")[:CHECKED])  # ids are hashes
    beside = None if champion is None else _resplit(store, champion, new=str(version.version))
    if beside is not None:
        champion = None
    answer = promote.ask(processes.new(), store, version, [texts[row] for row in asked])
    known = None if champion is None else _known(champion, texts)
    others = [] if champion is None or known else [promote.ask(processes.new(), store, champion, texts)]
    # While they are at work:
    measured = read_table(paths.EVALUATE_PREDICTIONS)[[f"p_{name}" for name in classes]].to_numpy()
    if champion is not None:
        parts, theirs = read_table(paths.EVALUATE_SLICES), known or others[0]()
        if known is None:
            _keep(champion, texts, theirs)
        beside = _beside(str(champion.version), theirs, measured, test, classes, parts, new=str(version.version))

    said = answer()
    found, failure = _in_order(said, classes), said.failure
    if not failure and (found is None or np.abs(found - measured[asked]).max() > TOLERANCE):
        failure = "answers otherwise than evaluate measured"
    if not failure:  # then what evaluate measured is what it would say of all rows
        _keep(version, texts, smoke.Answer(dict(zip(classes, measured.T.tolist(), strict=True))))
    candidate = Candidate(
        overall=figures["overall"],
        per_class=figures["per_class"],
        slices=figures["slices"],
        majority=figures["baselines"]["majority"]["macro_f1"],
        latency=said.latency,
        size=sum(file.stat().st_size for file in paths.TRAIN_MODEL.iterdir()) / 1e6,
        failure=failure,
        withdrawn=promote.withdrawn(version),
    )
    if beside is not None and failure and not beside.failure:  # what evaluate measured is not this package's
        beside = Champion(beside.version, failure=failure)
    return gate.decide(candidate, beside, params.load(params.Gate))


def _resplit(store: Store, champion: "ModelVersion", *, new: str) -> Champion | None:
    """The champion as one that cannot be compared, where its test rows were chosen otherwise; else None."""
    theirs = store.parameters(champion)
    ours = {f"{each.name}.{key}": getattr(params.load(each), key) for each, keys in SPLITTING.items() for key in keys}
    changed = [key for key, value in ours.items() if theirs.get(key) != (str(value) if _given(value) else None)]
    if not theirs or not changed:
        return None
    return Champion(
        str(champion.version),
        failure=f"{' and '.join(changed)} changed since, so that it may have learnt from these rows; put back what "
        f"changed, or promote by hand: python -m pipeline.promote {new}",
    )


def _beside(
    version: str,
    champion: smoke.Answer,
    measured: np.ndarray,
    test: "pd.DataFrame",
    classes: list[str],
    parts: "pd.DataFrame",
    *,
    new: str,
) -> Champion:
    """The champion beside what evaluate measured, on the same rows."""
    if champion.failure:
        return Champion(version, failure=f"the champion {champion.failure}")
    probabilities = _in_order(champion, classes)
    if probabilities is None:
        others = ", ".join(sorted(champion.probabilities))
        return Champion(
            version,
            failure=f"its classes are others ({others}); name another model with publish.model, or promote by hand: "
            f"python -m pipeline.promote {new}",
        )
    evaluated = params.load(params.Evaluate)
    return gate.compare(
        test["label"].map({name: number for number, name in enumerate(classes)}).to_numpy(),
        measured,
        probabilities,
        classes,
        {name: members.to_numpy() for name, members in parts.items()},
        version=version,
        resamples=evaluated.bootstrap,
        seed=evaluated.seed,
    )


def _in_order(answer: smoke.Answer, classes: list[str]) -> np.ndarray | None:
    """The probabilities, shape (n_rows, n_classes), in the order of `classes`; None if the model knows others."""
    if set(answer.probabilities) != set(classes):
        return None
    return np.array([answer.probabilities[name] for name in classes]).T


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
    sections = (params.Ingest, params.Validate, params.Clean, params.Tokenize, params.Rebalance, params.Train)
    complete = (
        manifest["state"] == state_id()
        and measured["model"] == manifest["sha256"]
        and all(sha256(paths.EVALUATE_METRICS.with_name(name)) == digest for name, digest in measured["sha256"].items())
        and measured["settings"] == params.load(params.Evaluate).model_dump()
        and not revision.outdated(*sections)
    )
    if not complete:
        raise PipelineError(
            "data/ is not what the parameters and the code say now; run `dvc repro` first, with --force if a file was "
            "changed while it ran"
        )


def after_evaluate() -> None:
    """Publish at the end of evaluate, whose own work is done: a store that does not answer is reported, no failure."""
    if tracking.mode() != "on":
        return
    try:
        print(publish())
    except PipelineError as error:
        print(f"evaluate: not published: {error}", file=sys.stderr)


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
    values |= chosen | {f"train.{key}": value for key, value in read_json(paths.TRAIN_SETTINGS).items()}
    if values["ingest.dataset"] != "file":
        values = {key: value for key, value in values.items() if key not in FOR_FILES}
    return {key: value for key, value in values.items() if _given(value)}


def _given(value: Any) -> bool:
    return value is not None and value != params.NO_FILE.as_posix()


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


def main() -> None:
    print(publish() if tracking.enabled() else "tracking is off (PIPELINE_TRACKING): nothing published")


if __name__ == "__main__":
    stage.run("publish", main)
