"""What publish writes first, and its exit status when it fails."""

from typing import Any

import pytest

from pipeline import publish
from pipeline.base.errors import PipelineError
from pipeline.reports import summary
from pipeline.reports.titles import BASELINES


def found(difference: float, low: float, high: float) -> tuple[dict[str, Any], dict[str, Any]]:
    of = {"num_samples": 10, "accuracy": 0.7, "macro_f1": 0.6, "mcc": 0.5, "loss": 0.4, "ece": 0.1}
    large = {"difference": difference, "low": low, "high": high}
    none = {"difference": 0.0, "low": 0.0, "high": 0.0}
    figures = {
        "overall": of | {"macro_f1": 0.65},
        "baselines": {"majority": of | {"macro_f1": 0.2}, "tfidf": of, "nb_ngrams": of | {"macro_f1": 0.59}},
        "uncalibrated": {"loss": 0.5, "ece": 0.2},
        "temperature": 1.5,
        "weights": {"lstm": 0.6, "tfidf": 0.4},
        "alone": {
            "lstm": {"accuracy": 0.55, "macro_f1": 0.45, "loss": 0.9},
            "without_lstm": {"accuracy": 0.6, "macro_f1": 0.5, "loss": 0.8},
        },
        "per_class": {"a$": {"num_samples": 3, "recall": 0.5}, "a%": {"num_samples": 7, "recall": 0.6}},
        "slices": {"with emoji": {"num_samples": 2, "accuracy": 0.5}},
        "conflicts": {"num_samples": 4},
        "near_copies": {"num_samples": 1, "share": 0.1},
    }
    intervals = {
        "overall": {key: {"low": 0.1, "high": 0.9} for key in of if key != "num_samples"},
        "differences": {
            name: {key: large if key == "macro_f1" and name == "tfidf" else none for key in of if key != "num_samples"}
            for name in ("majority", "tfidf", "nb_ngrams")
        },
        "alone": {name: dict.fromkeys(("accuracy", "macro_f1", "loss"), none) for name in ("lstm", "without_lstm")},
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
    assert summary.verdict(*found(*difference)) == f"{sentence[:-1]}, and level in log-loss (+0.000 [0.000, 0.000])."


@pytest.mark.parametrize(
    ("loss", "word"), [((-0.02, -0.03, -0.01), "ahead"), ((0.02, 0.01, 0.03), "behind"), ((0.0, -0.1, 0.1), "level")]
)
def test_the_verdict_on_log_loss(loss: tuple[float, float, float], word: str) -> None:
    figures, intervals = found(0.012, 0.003, 0.021)
    intervals["differences"]["tfidf"]["loss"] = dict(zip(("difference", "low", "high"), loss, strict=True))
    assert f"points of macro-F1 [0.3, 2.1], and {word} in log-loss ({loss[0]:+.3f} [" in summary.verdict(
        figures, intervals
    )
    intervals["differences"]["tfidf"]["loss"] = {"difference": 0.1}
    assert summary.verdict(figures, intervals).endswith("points of macro-F1 [0.3, 2.1].")


def test_last_lines_have_every_model_and_what_the_lstm_adds() -> None:
    figures, intervals = found(0.012, 0.003, 0.021)
    lines = summary.closing_lines(figures, intervals)
    assert lines[0] == "model: accuracy 0.7000, macro-F1 0.6500, log-loss 0.4000"
    assert [line.split(":")[0] for line in lines[1:6]] == ["LSTM only", "without the LSTM", *BASELINES.values()]
    assert lines[6].startswith("The model is ahead")
    assert lines[7].startswith("The LSTM adds +0.0 points of macro-F1 [0.0, 0.0] and +0.000 in log-loss")
    intervals["alone"] = {}
    assert "adds" not in " ".join(summary.closing_lines(figures | {"alone": {}}, intervals))


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
    assert table[5] == "| without the LSTM | 0.6000 | 0.5000 |  | 0.8000 |  |"
    assert "| difference to the model | 0.0000 [0.0000, 0.0000] | 0.0500 [0.0100, 0.0900] |" in note
    assert [line.split(" | ")[0] for line in table[7::2]] == [
        *("| most frequent class", "| TF-IDF + logistic regression", "| NB-weighted n-grams + logistic regression"),
    ]
    assert lines[-3].startswith("In brackets: 95 % intervals, Wilson's for the accuracy, and of the bootstrap over")
    assert lines[-1] == "The checks."


def test_the_line_names_the_best_baseline() -> None:
    line = summary.version_description(found(0.05, 0.01, 0.09)[0], "the first model of this name")
    assert line == "macro-F1 0.6500 (best baseline 0.6000) on 10 test rows; the first model of this name"


def test_a_registered_model_says_what_it_is_and_how_to_go_back() -> None:
    text = summary.model_description(["glad", "sad"])
    assert text.startswith('From a column `text` to one of 2 labels ("glad", "sad"), with the probability of each.')
    assert "python -m pipeline rollback" in text
    assert '"9" and 2 more)' in summary.model_description([str(number) for number in range(12)])


def test_what_mlflow_shows() -> None:
    typos = {"kind": "INV", "num_samples": 500, "pass_rate": 0.9, "mean_change": 0.05}
    shown = summary.mlflow_metrics(
        *found(0.05, 0.01, 0.09), {"tests": {"typos": typos}, "not_applicable": {"case": "why"}}
    )
    assert shown["test/macro_f1"] == 0.65
    assert shown["test/temperature"] == 1.5
    assert (shown["test/near_copies"], shown["test/conflicts"]) == (0.1, 4)
    assert shown["uncalibrated/ece"] == 0.2
    assert shown["alone/lstm/macro_f1"] == 0.45
    assert shown["weight/tfidf"] == 0.4
    assert shown["difference/without_lstm/loss_low"] == 0.0
    assert shown["baseline/tfidf/loss"] == 0.4
    assert shown["difference/tfidf/macro_f1"] == 0.05
    assert (shown["difference/tfidf/macro_f1_low"], shown["difference/tfidf/macro_f1_high"]) == (0.01, 0.09)
    assert shown["per_class/a$/recall"] == 0.5
    assert shown["slices/with emoji/accuracy"] == 0.5
    assert {key: value for key, value in shown.items() if "behaviour" in key} == {"behaviour/typos": 0.9}
    assert not [key for key in shown if "num_samples" in key]


def test_class_names_are_no_markdown_in_the_models_description() -> None:
    text = summary.model_description(["x` ![p](http://evil.example/p.png) `y", "b" * 500])
    assert "![p](" not in text
    assert len(text) < 700


def test_failure_after_evaluate_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> str:
        raise PipelineError("the store is down")

    monkeypatch.setattr(publish, "publish", fail)
    publish.main(["--after-evaluate"])
    assert capsys.readouterr().err == "publish: not published: the store is down\n"
    with pytest.raises(PipelineError, match="the store is down"):
        publish.main([])


@pytest.mark.parametrize(
    ("mode", "arguments"), [("off", []), ("off", ["--after-evaluate"]), ("live", ["--after-evaluate"])]
)
def test_tracking_mode_stops_publishing(monkeypatch: pytest.MonkeyPatch, mode: str, arguments: list[str]) -> None:
    monkeypatch.setenv("PIPELINE_TRACKING", mode)
    published: list[str] = []
    monkeypatch.setattr(publish, "publish", lambda: published.append("a state"))
    publish.main(arguments)
    assert not published
