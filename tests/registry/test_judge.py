"""A new version is probed and compared with the champion on the same test rows."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT

from pipeline.base import params, paths, versioning
from pipeline.base.files import read_table, read_yaml, write_json, write_table
from pipeline.data.split import moved
from pipeline.evaluation import metrics
from pipeline.evaluation.paired import paired_differences
from pipeline.registry import answers as cache
from pipeline.registry import judge as subject
from pipeline.registry import packaging
from pipeline.registry.gate import Decision
from pipeline.registry.judge import test_rows as rows_of_test
from pipeline.registry.probe import Answer
from pipeline.registry.versions import MODEL_DIGEST

LABELS = ["glad", "sad"] * 100

PARAMETERS = {"clean.split_seed": "0", "clean.test_share": "0.15"}  # of the champion's run, which split the rows
CHAMPIONS = {"1": PARAMETERS}

CORRECT = np.where(np.array(LABELS)[:, None] == np.array(["glad", "sad"]), 0.9, 0.1)


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """Write evaluate's outputs for 200 correctly predicted test rows; return the models' answers, by version."""
    for name in (params.PARAMS_FILE, packaging.RUNTIME_LOCK):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    ids = [f"{number:04}" for number in range(200)]
    table = pd.DataFrame(
        {"id": ids, "text": ["😀" if number % 2 else "so so" for number in range(200)], "label": LABELS}
    )
    write_table(paths.CLEAN_TABLES["test"], table)
    write_table(paths.INGEST_TABLE, table.assign(text="RAW " + table["text"]).iloc[::-1])
    write_json(paths.CLEAN_CLASSES, ["glad", "sad"])
    write_table(paths.EVALUATE_SLICES, pd.DataFrame({"with emoji": table["text"] == "😀"}))
    write_table(paths.EVALUATE_PREDICTIONS, table[["id"]].assign(p_glad=CORRECT[:, 0], p_sad=CORRECT[:, 1]))
    paths.TRAIN_MODEL.mkdir(parents=True)
    (paths.TRAIN_MODEL / "weights").write_bytes(b"0" * 1_000_000)
    answers = {"2": answer(CORRECT)}

    def ask(process: str, store: Any, version: Any, rows: dict[str, list[str]]) -> Any:
        assert process == "a process"
        assert rows["text"] == [f"RAW {text}" for text in table["text"]]
        return lambda: answers[version.version]

    monkeypatch.setattr(subject.promotion, "ask_version", ask)
    return answers


def answer(probabilities: np.ndarray, classes: tuple[str, str] = ("glad", "sad")) -> Answer:
    return Answer(dict(zip(classes, probabilities.T.tolist(), strict=True)), 1.0)


def test_rivals_that_were_asked_early_are_not_asked_again(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = answer(CORRECT)
    rival = SimpleNamespace(name="m", version="1", tags={})
    versions = SimpleNamespace(alias=lambda name, alias: rival if alias == "champion" else None)
    started: list[str] = []
    processes: Any = SimpleNamespace(new=lambda: started.append("a process") or "a process", asked={})
    store: Any = SimpleNamespace(versions=versions)
    subject.ask_rivals(store, "m", rows_of_test(), processes)
    wait = subject._ask_rival(rival, rows_of_test(), processes, store)  # type: ignore[arg-type]
    assert (wait().probabilities, started) == (evaluated["1"].probabilities, ["a process"])


def judge(champion: str | None, anchor: str | None = None, **tags: str) -> Decision:
    named = {"champion": champion, "anchor": anchor}
    rivals = {
        role: SimpleNamespace(name="m", version=version, tags={MODEL_DIGEST: role[0]})
        for role, version in named.items()
        if version
    }
    new = SimpleNamespace(name="m", version="2", tags={MODEL_DIGEST: "n", **tags})
    labels = np.array([0, 1] * 100)
    results = {
        "overall": metrics.overall(labels, CORRECT),
        "baselines": {"majority": {"macro_f1": 0.33}},
        "per_class": metrics.per_class(labels, CORRECT, ["glad", "sad"]),
        "slices": {},
    }
    processes = SimpleNamespace(new=lambda: "a process", asked={})
    store = SimpleNamespace(versions=SimpleNamespace(parameters=lambda version: CHAMPIONS[version.version]))
    intervals: dict[str, Any] = {"differences": {}, "reached": {}, "per_class": {}, "slices": {}, "overall": {}}
    return subject.judge(results, intervals, rows_of_test(), processes, store, new, rivals)  # type: ignore[arg-type]


def test_first_model_is_probed(evaluated: dict[str, Answer]) -> None:
    decision = judge(None)
    assert decision.promote, decision.reason
    results = {check.rule: check.found for check in decision.checks}
    assert (results["max_size"], results["max_latency"]) == ("1.0", "1.0")


@pytest.mark.parametrize(
    ("packaged", "reason"),
    [
        (Answer({}, failure="failed: no weights"), "in a separate process, failed: no weights"),
        (answer(CORRECT[:, ::-1]), "predicts differently from evaluate"),
        (answer(CORRECT, ("happy", "sad")), "predicts differently from evaluate"),
    ],
)
@pytest.mark.parametrize("champion", [None, "1"])
def test_package_with_other_predictions_is_refused(
    evaluated: dict[str, Answer], packaged: Answer, reason: str, champion: str | None
) -> None:
    evaluated["1"] = evaluated["2"]
    evaluated["2"] = packaged
    decision = judge(champion)
    assert not decision.promote
    assert reason in decision.reason


def test_champion_with_other_class_order_is_compared(evaluated: dict[str, Answer]) -> None:
    worse = CORRECT.copy()
    worse[::8] = worse[::8, ::-1]  # a quarter of the rows labelled glad
    evaluated["1"] = answer(worse[:, ::-1], ("sad", "glad"))
    decision = judge("1")
    assert decision.promote, decision.reason
    (recall,) = [check for check in decision.checks if check.rule == "max_class_drop"]
    assert recall.found.startswith("+0.0")
    assert "log-loss against the champion (version 1) on the same test rows -0." in decision.reason
    rules = {"max_loss_rise", "max_f1_drop", "max_class_drop", "max_slice_drop"}
    assert {check.rule for check in decision.checks} >= rules


def test_anchor_is_compared_too(evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    worse = CORRECT.copy()
    worse[::8] = worse[::8, ::-1]
    monkeypatch.setitem(CHAMPIONS, "7", PARAMETERS)
    evaluated["1"], evaluated["7"] = answer(worse), Answer({}, failure="is gone")
    assert judge("1", anchor="7").promote  # its place is free
    evaluated["7"] = answer(np.where(CORRECT > 0.5, 0.99, 0.01))
    decision = judge("1", anchor="7")
    assert not decision.promote
    assert decision.reason.startswith("log-loss against the anchor (version 7) on the same test rows +0.0953")


def test_rows_of_a_group_are_one_cluster(evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def compare(*arguments: Any, clusters: np.ndarray, **keywords: Any) -> Any:
        seen.append(clusters.tolist())
        return paired_differences(*arguments, clusters=clusters, **keywords)

    monkeypatch.setattr(subject, "paired_differences", compare)
    evaluated["1"] = evaluated["2"]
    judge("1")
    table = read_table(paths.CLEAN_TABLES["test"])
    write_table(paths.CLEAN_TABLES["test"], table.assign(group=["ann", "bob"] * 100))
    judge("1")
    assert seen == [list(range(200)), [0, 1] * 100]


def test_champion_with_other_classes_is_not_compared(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = Answer({"glad": [0.5] * 200, "mad": [0.3] * 200, "sad": [0.2] * 200}, 1.0)
    reason = judge("1").reason
    assert "the champion has other classes (glad, mad, sad)" in reason
    assert "choose another model name with publish.model" in reason


@pytest.mark.parametrize(
    ("logged", "changed"),
    [
        (PARAMETERS | {"clean.split_seed": "1"}, "clean.split_seed changed since"),
        (
            PARAMETERS | {"clean.test_share": "0.1", "ingest.test_path": "b.csv"},
            "clean.test_share and ingest.test_path",
        ),
        (PARAMETERS | {"ingest.time_column": "at"}, "ingest.time_column changed"),
        (PARAMETERS | {"ingest.group_column": "by", "train.units": "7"}, ": ingest.group_column changed"),
    ],
)
def test_champion_of_other_split_is_not_compared(
    evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch, logged: dict[str, str], changed: str
) -> None:
    evaluated["1"] = evaluated["2"]
    monkeypatch.setitem(CHAMPIONS, "1", logged)
    decision = judge("1")
    assert not decision.promote
    assert changed in decision.reason
    assert "promote by hand: python -m pipeline promote 2" in decision.reason
    monkeypatch.setitem(CHAMPIONS, "1", {})  # its run is gone
    assert judge("1").promote


def test_rows_that_the_champion_may_know_are_left_out(
    evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the test rows have a soft hyphen; the champion is right on these rows only."""
    table = read_table(paths.CLEAN_TABLES["test"])
    raw = [f"so{chr(0xAD) if number < 50 else ''} so {number}" for number in range(200)]
    write_table(paths.INGEST_TABLE, table.assign(text=raw))
    for version in ("1", "2"):
        evaluated[version] = answer(CORRECT)
    champion = CORRECT.copy()
    champion[50:] = champion[50:, ::-1]
    evaluated["1"] = answer(champion)
    monkeypatch.setattr(
        subject.promotion, "ask_version", lambda _, __, version, ___: lambda: evaluated[version.version]
    )
    known = moved(pd.Series(raw), pd.Series(raw), 1, test_share=0.15, seed=0)
    assert 30 < known.sum() < 50
    note = f"(without {known.sum()} that were in another split when it was trained)"

    (change,) = [check for check in judge("1").checks if check.rule == "max_loss_rise"]
    assert note in change.name
    with_seen = change.found
    monkeypatch.setitem(CHAMPIONS, "1", PARAMETERS | {subject.KEY_VERSION: "2"})
    (change,) = [check for check in judge("1").checks if check.rule == "max_loss_rise"]
    assert "without" not in change.name
    assert change.found != with_seen
    # A row of which only a dropped copy has the soft hyphen.
    copies = table.assign(id="copy " + table["id"], text=[text.replace("so ", f"s{chr(0xAD)}o ") for text in raw])
    write_table(paths.INGEST_TABLE, pd.concat([table.assign(text=raw), copies[100:]], ignore_index=True))
    monkeypatch.setitem(CHAMPIONS, "1", PARAMETERS)
    (change,) = [check for check in judge("1").checks if check.rule == "max_loss_rise"]
    assert 110 < int(re.search(r"without (\d+)", change.name)[1]) < 145  # type: ignore[index]
    monkeypatch.setitem(CHAMPIONS, "1", PARAMETERS)
    for column in ({"group": "film"}, {"split": "test"}, {"time": 1.0}):  # these decide, not the key
        write_table(paths.CLEAN_TABLES["test"], table.assign(**column))
        assert not [check for check in judge("1").checks if "without" in check.name]


def test_champion_that_may_know_all_rows_is_not_compared(
    evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated["1"] = evaluated["2"]
    monkeypatch.setattr(subject, "moved", lambda raw, *_, **__: np.ones(len(raw), dtype=bool))
    reason = judge("1").reason
    assert "every test row was in another split when the champion was trained; promote by hand" in reason


def test_champion_that_fails_stays(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = Answer({}, failure="failed: gone")
    decision = judge("1")
    assert not decision.promote
    assert "the champion failed: gone" in decision.reason


def test_champion_is_asked_once(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = Answer({}, failure="failed: for a moment")
    assert not judge("1").promote  # a failure is not cached
    worse = CORRECT.copy()
    worse[::8] = worse[::8, ::-1]
    evaluated["1"] = answer(worse[:, ::-1], ("sad", "glad"))
    first = judge("1")
    del evaluated["1"]
    assert judge("1") == first


def test_rolled_back_version_is_refused(evaluated: dict[str, Answer]) -> None:
    decision = judge(None, **{"rollback.time": "noon", "rollback.reason": "rude"})
    assert not decision.promote
    assert "was rolled back at noon: rude" in decision.reason


def test_probe_asks_a_sample_by_hash(evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"{number * 37 % 200:04}" for number in range(200)]
    table = pd.DataFrame({"id": ids, "text": [str(number) for number in range(200)], "label": LABELS})
    write_table(paths.CLEAN_TABLES["test"], table)
    write_table(paths.INGEST_TABLE, table)
    numbers: list[int] = []

    def ask(process: str, store: Any, version: Any, rows: dict[str, list[str]]) -> Any:
        numbers[:] = map(int, rows["text"])
        return lambda: answer(CORRECT[numbers])

    monkeypatch.setattr(subject, "PROBED_ROWS", 50)
    monkeypatch.setattr(subject.promotion, "ask_version", ask)
    assert judge(None).promote
    assert sorted(ids[row] for row in numbers) == [f"{number:04}" for number in range(50)]


@pytest.mark.parametrize(("error", "passes"), [(5e-5, True), (2e-4, False)])
def test_package_may_differ_by_rounding(evaluated: dict[str, Answer], error: float, passes: bool) -> None:
    probabilities = CORRECT.copy()
    probabilities[77] += [error, -error]
    evaluated["2"] = answer(probabilities)
    assert judge(None).promote is passes


def test_metrics_of_another_package_are_not_used(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = evaluated["2"]
    evaluated["2"] = answer(CORRECT[:, ::-1])
    (change,) = [check for check in judge("1").checks if check.rule == "change"]
    assert (change.passed, change.found) == (False, "predicts differently from evaluate")
    assert cache.find(versioning.root(), ["c", rows_of_test()])  # the champion's answer
    assert not cache.find(versioning.root(), ["n", rows_of_test()])


def test_comparison_uses_bootstrap_and_seed(evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated["1"] = evaluated["2"]
    document = read_yaml(params.PARAMS_FILE)
    document["evaluate"] |= {"bootstrap": 321, "seed": 9}
    params.PARAMS_FILE.write_text(json.dumps(document))  # JSON is YAML
    settings: list[dict[str, Any]] = []

    def compare(*arguments: Any, **keywords: Any) -> Any:
        settings.append(keywords)
        return paired_differences(*arguments, **keywords)

    monkeypatch.setattr(subject, "paired_differences", compare)
    judge("1")
    assert [(of["resamples"], of["seed"]) for of in settings] == [(321, 9)]
