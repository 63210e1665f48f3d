"""Publish: what a person reads first of the figures; a new model beside the champion."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.base import params, paths
from pipeline.base.files import read_yaml, write_json, write_table
from pipeline.evaluation import metrics
from pipeline.registry import judge as subject
from pipeline.registry import packaging
from pipeline.registry.gate import Decision
from pipeline.registry.judge import _known, test_rows
from pipeline.registry.probe import Answer
from pipeline.registry.store import MODEL_DIGEST
from pipeline.reports import summary


def found(difference: float, low: float, high: float) -> tuple[dict[str, Any], dict[str, Any]]:
    of = {"num_samples": 10, "accuracy": 0.7, "macro_f1": 0.6, "mcc": 0.5, "loss": 0.4, "ece": 0.1}
    large = {"difference": difference, "low": low, "high": high}
    none = {"difference": 0.0, "low": 0.0, "high": 0.0}
    figures = {
        "overall": of | {"macro_f1": 0.65},
        "baselines": {"majority": of | {"macro_f1": 0.2}, "tfidf": of, "nb_ngrams": of | {"macro_f1": 0.59}},
        "uncalibrated": {"loss": 0.5, "ece": 0.2},
        "temperature": 1.5,
        "parts": {"lstm": {"accuracy": 0.55, "macro_f1": 0.45, "loss": 0.9}},
        "per_class": {"a$": {"num_samples": 3, "recall": 0.5}, "a%": {"num_samples": 7, "recall": 0.6}},
        "slices": {"with emoji": {"num_samples": 2, "accuracy": 0.5}},
    }
    intervals = {
        "overall": {key: {"low": 0.1, "high": 0.9} for key in of if key != "num_samples"},
        "differences": {
            name: {key: large if key == "macro_f1" and name == "tfidf" else none for key in of if key != "num_samples"}
            for name in ("majority", "tfidf", "nb_ngrams")
        },
    }
    return figures, intervals


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (
            (0.012, 0.003, 0.021),
            "The model is ahead of the best baseline (TF-IDF + logistic regression) by 1.2 points of macro-F1 "
            "[0.3, 2.1].",
        ),
        (
            (-0.028, -0.038, -0.018),
            "The model is behind the best baseline (TF-IDF + logistic regression) by 2.8 points of macro-F1 "
            "[1.8, 3.8].",
        ),
        (
            (0.004, -0.003, 0.011),
            "No clear difference from the best baseline (TF-IDF + logistic regression): +0.4 points of macro-F1 "
            "[-0.3, 1.1].",
        ),
        (
            (0.004, 0.0, 0.011),
            "No clear difference from the best baseline (TF-IDF + logistic regression): +0.4 points of macro-F1 "
            "[0.0, 1.1].",
        ),
        (
            (-0.004, -0.011, 0.0),
            "No clear difference from the best baseline (TF-IDF + logistic regression): -0.4 points of macro-F1 "
            "[-1.1, 0.0].",
        ),
    ],
)
def test_the_verdict_on_the_best_baseline(difference: tuple[float, float, float], sentence: str) -> None:
    assert summary.verdict(*found(*difference)) == sentence


def test_the_note_has_a_row_for_each_model_and_each_difference() -> None:
    note = summary.run_description(*found(0.05, 0.01, 0.09), "m version 3. Champion.", "The checks.")
    lines = note.splitlines()
    assert lines[0] == "m version 3. Champion."
    assert lines[2].startswith("The model is ahead of the best baseline")
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {7}
    assert table[0] == "| 10 test rows | accuracy | macro-F1 | MCC | loss (nats) | ECE |"
    assert table[2].startswith("| the model | 0.7000 [0.1000, 0.9000] | 0.6500 [0.1000, 0.9000] |")
    assert table[3] == "| LSTM only | 0.5500 | 0.4500 |  | 0.9000 |  |"
    assert "| difference to the model | 0.0000 [0.0000, 0.0000] | 0.0500 [0.0100, 0.0900] |" in note
    assert [line.split(" | ")[0] for line in table[4::2]] == [
        *("| most frequent class", "| TF-IDF + logistic regression", "| NB-weighted n-grams + logistic regression"),
    ]
    assert lines[-1] == "The checks."


def test_the_line_names_the_best_baseline() -> None:
    line = summary.version_description(found(0.05, 0.01, 0.09)[0], "the first model of this name")
    assert line == "macro-F1 0.6500 (best baseline 0.6000) on 10 test rows; the first model of this name"


def test_a_registered_model_says_what_it_is_and_how_to_go_back() -> None:
    said = summary.model_description(["glad", "sad"])
    assert said.startswith('From a column `text` to one of 2 labels ("glad", "sad"), with the probability of each.')
    assert "python -m pipeline rollback" in said
    assert '"9" and 2 more)' in summary.model_description([str(number) for number in range(12)])


def test_what_mlflow_shows() -> None:
    typos = {"kind": "INV", "num_samples": 500, "pass_rate": 0.9, "mean_change": 0.05}
    shown = summary.mlflow_metrics(
        *found(0.05, 0.01, 0.09), {"tests": {"typos": typos}, "not_applicable": {"case": "why"}}
    )
    assert shown["test/macro_f1"] == 0.65
    assert shown["test/temperature"] == 1.5
    assert shown["uncalibrated/ece"] == 0.2
    assert shown["part/lstm/macro_f1"] == 0.45
    assert shown["baseline/tfidf/loss"] == 0.4
    assert shown["difference/tfidf/macro_f1"] == 0.05
    assert (shown["difference/tfidf/macro_f1_low"], shown["difference/tfidf/macro_f1_high"]) == (0.01, 0.09)
    assert shown["per_class/a$/recall"] == 0.5
    assert shown["slices/with emoji/accuracy"] == 0.5
    assert {key: value for key, value in shown.items() if "behaviour" in key} == {"behaviour/typos": 0.9}
    assert not [key for key in shown if "num_samples" in key]


ROOT = Path(__file__).parents[1]

LABELS = ["glad", "sad"] * 100

PARAMETERS = {"clean.split_seed": "0", "clean.test_share": "0.15"}  # of the champion's run, of those that split rows
CHAMPIONS = {"1": PARAMETERS}

SURE = np.where(np.array(LABELS)[:, None] == np.array(["glad", "sad"]), 0.9, 0.1)


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What evaluate leaves of 200 test rows that a model calls right; gives the answers of models, by version."""
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
    write_table(paths.EVALUATE_PREDICTIONS, table[["id"]].assign(p_glad=SURE[:, 0], p_sad=SURE[:, 1]))
    paths.TRAIN_MODEL.mkdir(parents=True)
    (paths.TRAIN_MODEL / "weights").write_bytes(b"0" * 1_000_000)
    answers = {"2": Answer({"glad": SURE[:, 0].tolist(), "sad": SURE[:, 1].tolist()}, latency=1.0)}

    def ask(process: str, store: Any, version: Any, texts: dict[str, list[str]]) -> Any:
        assert process == "a process"
        assert texts["text"] == [f"RAW {text}" for text in table["text"]]
        return lambda: answers[version.version]

    monkeypatch.setattr(subject.promotion, "ask", ask)
    return answers


def judge(champion: str | None, **tags: str) -> Decision:
    old = SimpleNamespace(name="m", version=champion, tags={MODEL_DIGEST: "c"}) if champion else None
    new = SimpleNamespace(name="m", version="2", tags={MODEL_DIGEST: "n", **tags})
    labels = np.array([0, 1] * 100)
    figures = {
        "overall": metrics.overall(labels, SURE),
        "baselines": {"majority": {"macro_f1": 0.33}},
        "per_class": metrics.per_class(labels, SURE, ["glad", "sad"]),
        "slices": {},
    }
    processes = SimpleNamespace(new=lambda: "a process")
    store = SimpleNamespace(parameters=lambda version: CHAMPIONS[version.version])
    return subject.judge(figures, test_rows(), processes, store, new, old)  # type: ignore[arg-type]


def test_the_first_model_is_asked_and_weighed(evaluated: dict[str, Answer]) -> None:
    decision = judge(None)
    assert decision.promote, decision.reason
    found = {check.rule: check.found for check in decision.checks}
    assert (found["max_size"], found["max_latency"]) == ("1.0", "1.0")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer({}, failure="fails: no weights"), "in a process of its own, fails: no weights"),
        (Answer({"glad": SURE[:, 1].tolist(), "sad": SURE[:, 0].tolist()}, 1.0), "answers otherwise than evaluate"),
        (Answer({"happy": SURE[:, 0].tolist(), "sad": SURE[:, 1].tolist()}, 1.0), "answers otherwise than evaluate"),
    ],
)
@pytest.mark.parametrize("champion", [None, "1"])
def test_a_package_that_does_not_answer_as_measured_is_refused(
    evaluated: dict[str, Answer], answer: Answer, reason: str, champion: str | None
) -> None:
    evaluated["1"] = evaluated["2"]
    evaluated["2"] = answer
    decision = judge(champion)
    assert not decision.promote
    assert reason in decision.reason


def test_a_champion_with_its_classes_in_another_order_is_compared(evaluated: dict[str, Answer]) -> None:
    worse = SURE.copy()
    worse[::8] = worse[::8, ::-1]  # a quarter of the glad ones
    evaluated["1"] = Answer({"sad": worse[:, 1].tolist(), "glad": worse[:, 0].tolist()}, 1.0)
    decision = judge("1")
    assert decision.promote, decision.reason
    (recall,) = [check for check in decision.checks if check.rule == "max_class_drop"]
    assert recall.found.startswith("+0.0")
    assert "macro-F1 in points against the champion (version 1) on the same test rows +12." in decision.reason
    assert {check.rule for check in decision.checks} >= {"change", "max_class_drop", "max_slice_drop"}


def test_a_champion_of_other_classes_is_refused_with_what_to_do(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = Answer({"glad": [0.5] * 200, "mad": [0.3] * 200, "sad": [0.2] * 200}, 1.0)
    reason = judge("1").reason
    assert "its classes are others (glad, mad, sad)" in reason
    assert "name another model with publish.model" in reason


@pytest.mark.parametrize(
    ("theirs", "changed"),
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
def test_a_champion_that_may_have_learnt_from_these_rows_is_not_compared(
    evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch, theirs: dict[str, str], changed: str
) -> None:
    evaluated["1"] = evaluated["2"]
    monkeypatch.setitem(CHAMPIONS, "1", theirs)
    decision = judge("1")
    assert not decision.promote
    assert changed in decision.reason
    assert "promote by hand: python -m pipeline promote 2" in decision.reason
    monkeypatch.setitem(CHAMPIONS, "1", {})  # its run is gone
    assert judge("1").promote


def test_a_champion_that_does_not_answer_is_no_reason_to_replace_it(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = Answer({}, failure="fails: gone")
    decision = judge("1")
    assert not decision.promote
    assert "the champion fails: gone" in decision.reason


def test_a_champion_is_asked_the_same_rows_once(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = Answer({}, failure="fails: for a moment")
    assert not judge("1").promote  # what fails is not kept
    worse = SURE.copy()
    worse[::8] = worse[::8, ::-1]
    evaluated["1"] = Answer({"sad": worse[:, 1].tolist(), "glad": worse[:, 0].tolist()}, 1.0)
    first = judge("1")
    del evaluated["1"]
    assert judge("1") == first


def test_class_names_are_no_markdown_in_the_models_description() -> None:
    said = summary.model_description(["x` ![p](http://evil.example/p.png) `y", "b" * 500])
    assert "![p](" not in said
    assert len(said) < 700


def test_what_a_person_rolled_back_does_not_come_back_by_itself(evaluated: dict[str, Answer]) -> None:
    decision = judge(None, **{"rollback.time": "noon", "rollback.reason": "rude"})
    assert not decision.promote
    assert "was rolled back at noon: rude" in decision.reason


def test_a_sample_by_hash_is_asked_and_compared_with_its_own_rows(
    evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"{number * 37 % 200:04}" for number in range(200)]
    table = pd.DataFrame({"id": ids, "text": [str(number) for number in range(200)], "label": LABELS})
    write_table(paths.CLEAN_TABLES["test"], table)
    write_table(paths.INGEST_TABLE, table)
    asked: list[int] = []

    def ask(process: str, store: Any, version: Any, texts: list[str]) -> Any:
        asked[:] = map(int, texts["text"])
        return lambda: Answer({"glad": SURE[asked, 0].tolist(), "sad": SURE[asked, 1].tolist()}, 1.0)

    monkeypatch.setattr(subject, "CHECKED", 50)
    monkeypatch.setattr(subject.promotion, "ask", ask)
    assert judge(None).promote
    assert sorted(ids[row] for row in asked) == [f"{number:04}" for number in range(50)]


@pytest.mark.parametrize(("off", "passes"), [(5e-5, True), (2e-4, False)])
def test_the_package_may_differ_by_what_rounding_does(evaluated: dict[str, Answer], off: float, passes: bool) -> None:
    said = SURE.copy()
    said[77] += [off, -off]
    evaluated["2"] = Answer({"glad": said[:, 0].tolist(), "sad": said[:, 1].tolist()}, 1.0)
    assert judge(None).promote is passes


def test_what_evaluate_measured_of_another_package_is_neither_kept_nor_compared(evaluated: dict[str, Answer]) -> None:
    evaluated["1"] = evaluated["2"]
    evaluated["2"] = Answer({"glad": SURE[:, 1].tolist(), "sad": SURE[:, 0].tolist()}, 1.0)
    (change,) = [check for check in judge("1").checks if check.rule == "change"]
    assert (change.passed, change.found) == (False, "answers otherwise than evaluate measured")
    new = SimpleNamespace(tags={MODEL_DIGEST: "n"})
    assert _known(new, test_rows()) is None  # type: ignore[arg-type]


def test_the_comparison_is_made_as_the_parameters_say(
    evaluated: dict[str, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated["1"] = evaluated["2"]
    document = read_yaml(params.PARAMS_FILE)
    document["evaluate"] |= {"bootstrap": 321, "seed": 9}
    params.PARAMS_FILE.write_text(json.dumps(document))  # JSON is YAML
    told: list[dict[str, Any]] = []
    compare = subject.gate.compare
    monkeypatch.setattr(subject.gate, "compare", lambda *given, **how: told.append(how) or compare(*given, **how))
    judge("1")
    assert [(how["resamples"], how["seed"]) for how in told] == [(321, 9)]
