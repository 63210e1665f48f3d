"""Judge."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import params, paths, versioning
from ..base.files import read_json, read_table
from ..base.modalities import modalities_of
from ..data.settings import NO_FILE, Clean, Ingest
from ..evaluation.paired import paired_differences
from ..evaluation.settings import Evaluate
from . import answers, gate, probe, promotion
from .gate import Challenger, ChampionComparison, Decision
from .settings import Gate
from .store import Store
from .versions import MODEL_DIGEST

if TYPE_CHECKING:
    import pandas as pd

    from .lazy_mlflow import ModelVersion

Cells = dict[str, list[str]]  # by kind of input

# Parameters that choose the test rows: under other ones, yesterday's training rows may be today's test rows.
SPLITTING: dict[type[params.Section], tuple[str, ...]] = {
    Clean: ("split_seed", "test_share"),
    Ingest: ("test_path", "group_column", "split_column", "time_column"),
}

CHECKED = 1_000  # test rows, drawn by hash, that the packaged model is asked: it answers as evaluate measured, or not
TOLERANCE = 1e-4  # between the probabilities that evaluate wrote, to six decimals, and those of the packaged model


def test_rows() -> Cells:
    """Return the raw cells of the test rows, by kind of input."""
    raw = read_table(paths.INGEST_TABLE).drop_duplicates("id").set_index("id")
    raw = raw.loc[read_table(paths.CLEAN_TABLES["test"])["id"]]
    return {name: raw[name].to_list() for name in modalities_of(raw)}


def _known(version: "ModelVersion", rows: Cells) -> probe.Answer | None:
    """What a registered model said of these texts when it was asked here before; None where it was not."""
    digest = version.tags.get(MODEL_DIGEST)
    found = answers.find(versioning.root(), [digest, rows]) if digest else None
    return probe.Answer({name: column.tolist() for name, column in found.items()}) if found else None


def _keep(version: "ModelVersion", rows: Cells, answer: probe.Answer) -> None:
    digest = version.tags.get(MODEL_DIGEST)
    if digest and not answer.failure:
        answers.keep(
            versioning.root(), [digest, rows], {name: np.array(of) for name, of in answer.probabilities.items()}
        )


def judge(
    figures: dict[str, Any],
    rows: Cells,
    processes: probe.Processes,
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
    answer = promotion.ask(
        processes.new(), store, version, {name: [cells[row] for row in asked] for name, cells in rows.items()}
    )
    known = None if champion is None else _known(champion, rows)
    others = [] if champion is None or known else [promotion.ask(processes.new(), store, champion, rows)]
    # While they are at work:
    measured = read_table(paths.EVALUATE_PREDICTIONS)[[f"p_{name}" for name in classes]].to_numpy()
    if champion is not None:
        parts, theirs = read_table(paths.EVALUATE_SLICES), known or others[0]()
        if known is None:
            _keep(champion, rows, theirs)
        beside = _beside(str(champion.version), theirs, measured, test, classes, parts, new=str(version.version))

    said = answer()
    found, failure = _in_order(said, classes), said.failure
    if not failure and (found is None or np.abs(found - measured[asked]).max() > TOLERANCE):
        failure = "answers otherwise than evaluate measured"
    if not failure:  # then what evaluate measured is what it would say of all rows
        _keep(version, rows, probe.Answer(dict(zip(classes, measured.T.tolist(), strict=True))))
    candidate = Challenger(
        overall=figures["overall"],
        per_class=figures["per_class"],
        slices=figures["slices"],
        majority=figures["baselines"]["majority"]["macro_f1"],
        latency=said.latency,
        size=sum(file.stat().st_size for file in paths.TRAIN_MODEL.iterdir()) / 1e6,
        failure=failure,
        withdrawn=promotion.withdrawn(version),
    )
    if beside is not None and failure and not beside.failure:  # what evaluate measured is not this package's
        beside = ChampionComparison(beside.version, failure=failure)
    return gate.decide(candidate, beside, params.load(Gate))


def _resplit(store: Store, champion: "ModelVersion", *, new: str) -> ChampionComparison | None:
    """The champion as one that cannot be compared, where its test rows were chosen otherwise; else None."""
    theirs = store.versions.parameters(champion)
    ours = {f"{each.name}.{key}": getattr(params.load(each), key) for each, keys in SPLITTING.items() for key in keys}
    changed = [key for key, value in ours.items() if theirs.get(key) != (str(value) if is_given(value) else None)]
    if not theirs or not changed:
        return None
    return ChampionComparison(
        str(champion.version),
        failure=f"{' and '.join(changed)} changed since, so that it may have learnt from these rows; put back what "
        f"changed, or promote by hand: python -m pipeline promote {new}",
    )


def _beside(
    version: str,
    champion: probe.Answer,
    measured: np.ndarray,
    test: "pd.DataFrame",
    classes: list[str],
    parts: "pd.DataFrame",
    *,
    new: str,
) -> ChampionComparison:
    """The champion beside what evaluate measured, on the same rows."""
    if champion.failure:
        return ChampionComparison(version, failure=f"the champion {champion.failure}")
    probabilities = _in_order(champion, classes)
    if probabilities is None:
        others = ", ".join(sorted(champion.probabilities))
        return ChampionComparison(
            version,
            failure=f"its classes are others ({others}); name another model with publish.model, or promote by hand: "
            f"python -m pipeline promote {new}",
        )
    evaluated = params.load(Evaluate)
    differences = paired_differences(
        test["label"].map({name: number for number, name in enumerate(classes)}).to_numpy(),
        measured,
        probabilities,
        classes,
        {name: members.to_numpy() for name, members in parts.items()},
        resamples=evaluated.bootstrap,
        seed=evaluated.seed,
    )
    return ChampionComparison(version, **differences)


def _in_order(answer: probe.Answer, classes: list[str]) -> np.ndarray | None:
    """The probabilities, shape (n_rows, n_classes), in the order of `classes`; None if the model knows others."""
    if set(answer.probabilities) != set(classes):
        return None
    return np.array([answer.probabilities[name] for name in classes]).T


def is_given(value: Any) -> bool:
    return value is not None and value != NO_FILE.as_posix()
