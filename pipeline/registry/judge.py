"""Judge a new version: probe it, compare it with the champion on the same test rows, and apply the gate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..base import params, paths, versioning
from ..base.files import read_json, read_table
from ..base.modalities import modalities_of
from ..data.content import content
from ..data.settings import NO_FILE, Clean, Ingest
from ..data.split import SPLIT_KEY_VERSION, moved
from ..evaluation.intervals import clusters
from ..evaluation.paired import paired_differences
from ..evaluation.settings import Evaluate
from ..inference.part import Rows
from . import answers, gate, probe, promotion
from .gate import Challenger, Comparison, Decision
from .settings import Gate
from .store import Store
from .versions import MODEL_DIGEST

if TYPE_CHECKING:
    from .lazy_mlflow import ModelVersion


# Parameters that choose the test rows: after a change, these may be among the champion's training rows.
SPLITTING: dict[type[params.Section], tuple[str, ...]] = {
    Clean: ("split_seed", "test_share"),
    Ingest: ("test_path", "group_column", "split_column", "time_column"),
}

KEY_VERSION = "clean.split_key_version"  # what a run logs of the split's key; runs without it are of version 1
PROBED_ROWS = 1_000  # test rows on which the packaged model must predict the same as in evaluate
# Between probabilities of evaluate, written with six decimals, and those of the packaged model.
PROBABILITY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class EvaluatedRows:
    """The test rows as evaluate wrote them.

    Parameters
    ----------
    classes : list of str
        Class names.
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    probabilities : ndarray of shape (n_rows, n_classes), float64
        Of the new model.
    slices : dict of str to ndarray of shape (n_rows,), bool
        Mask of each slice.
    groups : ndarray of shape (n_rows,), str
        Their groups; "" for none.
    """

    classes: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    slices: dict[str, np.ndarray]
    groups: np.ndarray

    @classmethod
    def read(cls) -> "EvaluatedRows":
        """Read the outputs of clean and evaluate."""
        classes, table = read_json(paths.CLEAN_CLASSES), read_table(paths.CLEAN_TABLES["test"])
        numbers = {name: number for number, name in enumerate(classes)}
        groups = table["group"] if "group" in table else pd.Series("", table.index)
        return cls(
            classes,
            table["label"].map(numbers).to_numpy(),
            read_table(paths.EVALUATE_PREDICTIONS)[[f"p_{name}" for name in classes]].to_numpy(),
            {name: mask.to_numpy() for name, mask in read_table(paths.EVALUATE_SLICES).items()},
            groups.to_numpy(),
        )


def test_rows() -> Rows:
    """Return the raw cells of the test rows, by modality."""
    raw = read_table(paths.INGEST_TABLE).drop_duplicates("id").set_index("id")
    raw = raw.loc[read_table(paths.CLEAN_TABLES["test"])["id"]]
    return {name: raw[name].to_list() for name in modalities_of(raw)}


def judge(
    metrics: dict[str, Any],
    intervals: dict[str, Any],
    rows: Rows,
    processes: probe.Processes,
    store: Store,
    version: "ModelVersion",
    rivals: Mapping[str, "ModelVersion"],
) -> Decision:
    """Probe a registered model, compare it with those that serve or served, and decide.

    Parameters
    ----------
    metrics, intervals : dict
        Of the new model, as evaluate writes them.
    rows : dict of str to list of str
        Raw cells of the test rows, see `test_rows`.
    processes : Processes
        Starts a process for each model.
    store : Store
        The tracking store.
    version : ModelVersion
        The new version.
    rivals : mapping of str to ModelVersion
        The champion, and the anchor if it is another version, by role; empty if there is no champion.
    """
    sample = _sample()
    wait = promotion.ask_version(
        processes.new(), store, version, {name: [cells[row] for row in sample] for name, cells in rows.items()}
    )
    asked = {role: _ask_rival(rival, rows, processes, store) for role, rival in rivals.items()}
    evaluated = EvaluatedRows.read()  # while the models are loaded, and so are the comparisons
    comparisons = [
        _compare(role, rival, str(version.version), rows, evaluated, asked[role], store)
        for role, rival in rivals.items()
    ]
    answer = wait()
    failure = answer.failure or _mismatch(answer, evaluated, sample)
    if not failure:  # so the probabilities of evaluate are the version's answer for all rows
        columns = evaluated.probabilities.T.tolist()
        _store_answer(version, rows, probe.Answer(dict(zip(evaluated.classes, columns, strict=True))))
    else:  # the comparisons are of probabilities of evaluate
        comparisons = [
            comparison if comparison.failure else Comparison(comparison.role, comparison.version, failure=failure)
            for comparison in comparisons
        ]
    challenger = Challenger(
        overall=metrics["overall"],
        per_class=metrics["per_class"],
        slices=metrics["slices"],
        majority=metrics["baselines"]["majority"]["macro_f1"],
        latency=answer.latency,
        size=sum(file.stat().st_size for file in paths.TRAIN_MODEL.iterdir()) / 1e6,
        intervals=intervals,
        failure=failure,
        withdrawn=promotion.withdrawn(version),
    )
    return gate.decide(challenger, comparisons, params.load(Gate))


def _sample() -> np.ndarray:
    """Return the row numbers of a random sample of the test rows, ascending: ids are hashes."""
    ids = read_table(paths.CLEAN_TABLES["test"])["id"].to_numpy()
    return np.sort(np.argsort(ids, kind="stable")[:PROBED_ROWS])


def _mismatch(answer: probe.Answer, evaluated: EvaluatedRows, sample: np.ndarray) -> str:
    """Return in what an answer for a sample of the rows differs from evaluate's results; empty if they are equal."""
    probabilities = _in_order(answer, evaluated.classes)
    if probabilities is not None:
        error = np.abs(probabilities - evaluated.probabilities[sample]).max()
        if error <= PROBABILITY_TOLERANCE:
            return ""
    return "predicts differently from evaluate"


def _compare(
    role: str,
    rival: "ModelVersion",
    new: str,
    rows: Rows,
    evaluated: EvaluatedRows,
    wait: Callable[[], probe.Answer],
    store: Store,
) -> Comparison:
    """Compare the new version, whose number is `new`, with another one on the same rows."""
    number, by_hand = str(rival.version), f"promote by hand: python -m pipeline promote {new}"

    def incomparable(why: str) -> Comparison:
        return Comparison(role, number, failure=why)

    if changed := _changed_split(store, rival):
        return incomparable(
            f"{' and '.join(changed)} changed since the {role} was trained, so it may have been trained on these rows; "
            f"restore what changed, or {by_hand}"
        )
    answer = wait()
    _store_answer(rival, rows, answer)
    if answer.failure:
        return incomparable(f"the {role} {answer.failure}")
    probabilities = _in_order(answer, evaluated.classes)
    if probabilities is None:
        classes = ", ".join(sorted(answer.probabilities))
        return incomparable(
            f"the {role} has other classes ({classes}); choose another model name with publish.model, or {by_hand}"
        )
    unseen = ~_moved_rows(rows, int(store.versions.parameters(rival).get(KEY_VERSION, "1")))
    if not unseen.any():
        return incomparable(f"every test row was in another split when the {role} was trained; {by_hand}")
    settings = params.load(Evaluate)
    differences = paired_differences(
        evaluated.labels[unseen],
        evaluated.probabilities[unseen],
        probabilities[unseen],
        evaluated.classes,
        {name: mask[unseen] for name, mask in evaluated.slices.items()},
        clusters=clusters(evaluated.groups[unseen]),
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
    return Comparison(role, number, left_out=int((~unseen).sum()), **differences)


def _moved_rows(rows: Rows, version: int) -> np.ndarray:
    """Return which test rows, or copies of them, were in another split under a version of the key.

    The champion may have learned them.

    A row whose split its group, its time or the user decides is none of them.
    """
    table, settings = read_table(paths.CLEAN_TABLES["test"]), params.load(Clean)
    if version == SPLIT_KEY_VERSION:
        return np.zeros(len(table), dtype=bool)
    everything = content(read_table(paths.INGEST_TABLE))
    moved_rows = moved(
        content(pd.DataFrame(rows)), everything, version, test_share=settings.test_share, seed=settings.split_seed
    )
    for column in ("group", "split"):
        if column in table:
            moved_rows &= (table[column] == "").to_numpy()
    if "time" in table and table["time"].notna().any():
        moved_rows[:] = False
    return moved_rows


def _changed_split(store: Store, champion: "ModelVersion") -> list[str]:
    """Return the parameters of the split that have other values than in the champion's run; none if that is gone."""
    logged = store.versions.parameters(champion)
    values = {
        f"{section.name}.{key}": getattr(params.load(section), key)
        for section, keys in SPLITTING.items()
        for key in keys
    }
    expected = {key: str(value) if is_given(value) else None for key, value in values.items()}
    return [key for key, value in expected.items() if logged.get(key) != value] if logged else []


def ask_rivals(store: Store, name: str, rows: Rows, processes: probe.Processes) -> None:
    """Ask the champion and the anchor for all rows; they answer while the run is logged. Parameters as in `judge`."""
    for alias in (promotion.CHAMPION, promotion.ANCHOR):
        if rival := store.versions.alias(name, alias):
            _ask_rival(rival, rows, processes, store)


def _ask_rival(
    rival: "ModelVersion", rows: Rows, processes: probe.Processes, store: Store
) -> Callable[[], probe.Answer]:
    """Ask a version for all rows, unless it was asked; return a function that waits for the answer."""
    number = str(rival.version)
    if number not in processes.asked:
        processes.asked[number] = _ask(rival, rows, processes, store)
    return processes.asked[number]


def _ask(rival: "ModelVersion", rows: Rows, processes: probe.Processes, store: Store) -> Callable[[], probe.Answer]:
    """Ask a version for all rows, or look in the cache whether it was asked the same in an earlier publication."""
    digest = rival.tags.get(MODEL_DIGEST)
    cached = answers.find(versioning.root(), [digest, rows]) if digest else None
    if cached:
        return lambda: probe.Answer({name: column.tolist() for name, column in cached.items()})
    return promotion.ask_version(processes.new(), store, rival, rows)


def _store_answer(version: "ModelVersion", rows: Rows, answer: probe.Answer) -> None:
    """Add an answer to the cache, unless it is a failure."""
    digest = version.tags.get(MODEL_DIGEST)
    if digest and not answer.failure:
        columns = {name: np.array(column) for name, column in answer.probabilities.items()}
        answers.keep(versioning.root(), [digest, rows], columns)


def _in_order(answer: probe.Answer, classes: list[str]) -> np.ndarray | None:
    """Return an answer as (n_rows, n_classes), float64, in the order of `classes`; None if it has other classes."""
    if set(answer.probabilities) != set(classes):
        return None
    return np.array([answer.probabilities[name] for name in classes]).T


def is_given(value: Any) -> bool:
    """Return whether a parameter is set: neither null nor the file that stands for none.

    >>> is_given(None), is_given("data/none"), is_given(0)
    (False, False, True)
    """
    return value is not None and value != NO_FILE.as_posix()
