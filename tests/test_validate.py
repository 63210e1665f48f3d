"""Stage validate: a good table passes, each rule has a table that breaks only it, and no report shows a text."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.project import ROOT, set_params

from pipeline import validate
from pipeline.base import paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json, write_json, write_table
from pipeline.data.readers.reading import Reading
from pipeline.data.rules import text
from pipeline.data.rules.engine import check_rules
from pipeline.data.rules.rule import RuleResult
from pipeline.data.rules.summary import ValidationSummary, summarise
from pipeline.data.rules.table import OF_READING, declared_rules, rule_tables
from pipeline.data.settings import Validate
from pipeline.reports import validation

SETTINGS = Validate(
    min_rows=20,
    min_rows_per_class=5,
    max_imbalance=4.0,
    max_text_length=50,
    max_missing=0.1,
    max_undecodable=0.1,
    max_duplicates=0.5,
    max_conflicts=0.2,
    labels=["negative", "positive"],
    warn_only=[],
    stop_on=[],
)

PRIVATE = "a secret sentence of user"


def good(negative: int = 20, positive: int = 10) -> pd.DataFrame:
    n = negative + positive
    table = pd.DataFrame({"id": [f"{i:016x}" for i in range(n)]}, dtype="str")
    table["text"] = [f"{PRIVATE} {i}" for i in range(n)]
    table["label"] = ["negative"] * negative + ["positive"] * positive
    return table.assign(source="reviews.csv", group="", split="", time="", row=range(1, n + 1))


def put(column: str, cells: dict[int, str | None]) -> pd.DataFrame:
    """Return the good table with other cells in a column, by position."""
    table = good()
    table[column] = [cells.get(i, value) for i, value in enumerate(table[column])]
    return table


def repeat(first: int, rows: int) -> pd.DataFrame:
    """Return the good table with texts of its first rows repeated, in other case, width and spaces."""
    return put("text", {first + i: f" {PRIVATE.upper()}   {chr(ord('０') + i)}" for i in range(rows)})


def check(table: pd.DataFrame, settings: Validate = SETTINGS) -> list[RuleResult]:
    return check_rules(rule_tables(table), declared_rules(settings))


def broken(table: pd.DataFrame, settings: Validate = SETTINGS) -> dict[str, str]:
    return {result.rule.name: result.found for result in check(table, settings) if not result.passed}


def verdicts(table: pd.DataFrame, settings: Validate = SETTINGS) -> dict[str, str]:
    return {result.rule.name: result.verdict for result in check(table, settings) if not result.passed}


def summary(table: pd.DataFrame, settings: Validate = SETTINGS) -> ValidationSummary:
    return summarise(check(table, settings), table, rule_tables(table).classes)


BREAKS: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "columns": (lambda: good().drop(columns="group"), "7 (missing: group)"),
    "min_rows": (lambda: good(12, 7), "19"),
    "missing_texts": (
        lambda: put("text", {4: None, 5: " \n", 6: "\u3000", 7: ""}),
        "4 of 30 rows (13.3 %), the first being row 5 of reviews.csv",
    ),
    "missing_labels": (
        lambda: put("label", {2: None, 3: " ", 4: "", 5: None}),
        "4 of 30 rows (13.3 %), the first being row 3 of reviews.csv",
    ),
    "numeric_texts": (
        lambda: put("text", {i: f"{i}.5 / 10" for i in range(16)}),
        "16 of 30 rows (53.3 %), the first being row 1 of reviews.csv",
    ),
    "max_text_length": (lambda: put("text", {16: "字" * 51}), "51 in row 17 of reviews.csv"),
    "undecodable": (
        lambda: put("text", {16: "caf\ufffd"}),
        "1 of 30 rows (3.33 %), the first being row 17 of reviews.csv",
    ),
    "max_undecodable": (
        lambda: put("text", {i: f"caf\ufffd {i}" for i in range(4)}),
        "4 of 30 rows (13.3 %), the first being row 1 of reviews.csv",
    ),
    "invisible_characters": (
        lambda: put(
            "text", {16: "ter\u00adrible", 17: "so\u200b so", 18: "\u2764\ufe0f", 19: "\u0645\u06cc\u200c\u062e"}
        ),
        "2 of 30 rows (6.67 %), the first being row 17 of reviews.csv",
    ),
    "duplicates": (lambda: repeat(10, 10), "10 of 30 rows (33.3 %), the first being row 11 of reviews.csv"),
    "max_duplicates": (
        lambda: put("text", dict.fromkeys(range(17), PRIVATE)),
        "16 of 30 rows (53.3 %), the first being row 2 of reviews.csv",
    ),
    "max_conflicts": (lambda: repeat(20, 4), "8 of 30 rows (26.7 %), the first being row 1 of reviews.csv"),
    "number_of_classes": (lambda: good(30, 0), "1"),
    "max_classes": (
        lambda: good(300, 60).assign(label=[f"class {i % 60}" for i in range(360)]),
        "60",
    ),
    "spellings": (
        lambda: put("label", dict.fromkeys(range(9), "n\u0435gative")),
        "'negative' and 'n\\u0435gative' (\\u0435 is Cyrillic small letter ie)",
    ),
    "mixed_scripts": (
        lambda: good().assign(label=lambda t: t["label"].replace("negative", "n\u0435gative")),
        "'n\\u0435gative' (\\u0435 is Cyrillic small letter ie)",
    ),
    "doubtful_labels": (lambda: put("label", dict.fromkeys(range(9), "None")), "class 'None', 9 rows"),
    "min_rows_per_class": (lambda: good(16, 4), "4 (class 'positive')"),
    "max_imbalance": (lambda: good(41, 10), "4.10 (class 'positive')"),
    "labels": (
        lambda: put("label", dict.fromkeys(range(20, 25), "postive")),
        "5 of 30 rows (16.7 %), the first being row 21 of reviews.csv: 'postive' (did you mean 'positive'?)",
    ),
}

IMPLIED = {  # a limit that stops is above one that warns; another spelling is not an allowed label
    "max_undecodable": {"undecodable"},
    "max_duplicates": {"duplicates"},
    "max_classes": {"labels"},
    "spellings": {"labels", "mixed_scripts"},
    "mixed_scripts": {"labels"},
    "doubtful_labels": {"labels"},
}


def test_every_rule_has_a_breaking_table() -> None:
    assert list(BREAKS) == [rule.name for rule in declared_rules(SETTINGS) if rule.table != "reading"]
    assert broken(good()) == {}


@pytest.mark.parametrize("name", BREAKS)
def test_only_the_broken_rule_is_reported(name: str) -> None:
    table, found = BREAKS[name]
    failed = broken(table())
    assert failed.pop(name) == found
    assert set(failed) == IMPLIED.get(name, set())


@pytest.mark.parametrize(
    ("table", "settings"),
    [
        (put("text", {4: None, 5: " ", 6: "None"}), {}),
        (put("text", {4: "12", 5: "=1+1", 6: "@user", 7: "10/10"}), {}),
        (put("label", {4: None, 5: " ", 6: ""}), {}),  # 3 of 30 rows: at the limit, and a blank label is no class
        (repeat(10, 9), {}),
        (good(40, 10), {}),
        (put("text", dict.fromkeys(range(15), PRIVATE)), {"warn_only": ["duplicates"]}),
        (
            put("label", dict.fromkeys(range(3), "other")),
            {"labels": None, "min_rows_per_class": 3, "max_imbalance": 9.0},
        ),
    ],
)
def test_dirty_table_within_limits_passes(table: pd.DataFrame, settings: dict[str, object]) -> None:
    assert "stop" not in verdicts(table, SETTINGS.model_copy(update=settings)).values()


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (put("label", dict.fromkeys(range(30))), {"missing_labels", "number_of_classes"}),
        (put("text", dict.fromkeys(range(30), " ")), {"missing_texts"}),
        (put("text", dict.fromkeys(range(30), PRIVATE)), {"max_duplicates", "max_conflicts", "duplicates"}),
        (put("text", {3: "x" * 50_000}), {"max_text_length"}),
    ],
)
def test_hopeless_tables_break_the_right_rules(table: pd.DataFrame, names: set[str]) -> None:
    assert set(broken(table)) == names


def test_spellings_of_a_class_are_listed() -> None:
    names = ["A  b", "a b", "Ａ B", "c", "C", "d"]
    table = good(60, 0).assign(label=[names[i % 6] for i in range(60)])
    assert broken(table, SETTINGS.model_copy(update={"labels": None})) == {
        "spellings": "'A  b' and 'a b' and 'Ａ B'; 'C' and 'c'"
    }


def test_names_of_sixty_classes_are_not_shown() -> None:
    table = good(300, 60).assign(label=[f"{PRIVATE} {i % 60}" for i in range(360)])
    settings = SETTINGS.model_copy(update={"min_rows_per_class": 9})
    failed = broken(table, settings)
    assert (failed["max_classes"], failed["min_rows_per_class"]) == ("60", "6")
    results = summary(table, settings)
    assert PRIVATE not in f"{results} {validation.validation_page(results)}"


def test_long_class_name_is_not_shown() -> None:
    table = good().assign(label=["negative"] * 26 + [PRIVATE * 3] * 4)
    assert broken(table)["min_rows_per_class"] == "4 (class '(a name of 75 characters)')"
    results = summary(table)
    assert PRIVATE not in f"{results} {validation.validation_page(results)}"


def test_missing_column_is_named() -> None:
    failed = broken(good().drop(columns="text"))
    assert failed.pop("columns") == "7 (missing: text)"
    on_texts = [rule.name for rule in text.rules(SETTINGS)]
    assert failed == dict.fromkeys([*on_texts, "duplicates", "max_duplicates", "max_conflicts"], "no column text")


def test_rule_that_cannot_be_computed() -> None:
    wrong = dataclasses.replace(declared_rules(SETTINGS)[2], arguments={"column": "missing_txts", "max_value": 0.1})
    with pytest.raises(PipelineError, match=r"the rule missing_texts could not be computed"):
        check_rules(rule_tables(good()), [wrong])


def test_warn_only() -> None:
    table = BREAKS["max_text_length"][0]()
    settings = SETTINGS.model_copy(update={"warn_only": ["max_text_length"]})
    assert verdicts(table) == {"max_text_length": "stop"}
    assert verdicts(table, settings) == {"max_text_length": "warn"}


def test_warn_only_refuses_unknown_rules() -> None:
    with pytest.raises(PipelineError, match=r"validate.warn_only: unknown rule 'max_dupes'; known: colu"):
        declared_rules(SETTINGS.model_copy(update={"warn_only": ["max_dupes"]}))


def test_stop_on() -> None:
    table = BREAKS["invisible_characters"][0]()
    settings = SETTINGS.model_copy(update={"stop_on": ["invisible_characters", "max_duplicates"]})
    assert verdicts(table) == {"invisible_characters": "warn"}
    assert verdicts(table, settings) == {"invisible_characters": "stop"}
    with pytest.raises(PipelineError, match=r"validate.stop_on: unknown rule 'skipped'; known: colu.* skipped_rows"):
        declared_rules(SETTINGS.model_copy(update={"stop_on": ["skipped"]}))
    both = {"warn_only": ["spellings"], "stop_on": ["spellings"]}
    with pytest.raises(PipelineError, match=r"warn_only and validate.stop_on both name 'spellings'; name it in one"):
        declared_rules(SETTINGS.model_copy(update=both))


def causes(table: pd.DataFrame, **settings: object) -> dict[str, str]:
    results = check(table, SETTINGS.model_copy(update=settings))
    return {result.rule.name: result.cause for result in results if not result.passed}


@pytest.mark.parametrize(
    ("table", "settings", "expected"),
    [
        (good(9, 4), {}, {"min_rows": "", "min_rows_per_class": "min_rows"}),
        (
            good(300, 60).assign(label=[f"text {i}" for i in range(360)]),
            {},
            {"max_classes": "", "min_rows_per_class": "max_classes", "labels": "max_classes"},
        ),
        (
            put("label", dict.fromkeys(range(30))),
            {},
            {"missing_labels": "", "number_of_classes": "missing_labels"},
        ),
        (
            put("label", dict.fromkeys(range(3), "Negative")),
            {},
            dict.fromkeys(["min_rows_per_class", "max_imbalance", "labels"], "spellings") | {"spellings": ""},
        ),
        (
            put("label", dict.fromkeys(range(3), "angry")),
            {},
            {"labels": "", "min_rows_per_class": "labels", "max_imbalance": "labels"},
        ),
        (
            put("label", dict.fromkeys(range(3), "Negative")),
            {"warn_only": ["spellings"], "labels": None},  # a warning is no cause of a stop
            dict.fromkeys(["min_rows_per_class", "max_imbalance", "spellings"], ""),
        ),
        (
            put("text", {i: f"{i % 5}" for i in range(30)}),
            {},
            dict.fromkeys(["duplicates", "max_duplicates", "max_conflicts"], "numeric_texts") | {"numeric_texts": ""},
        ),
        (
            good().drop(columns="label"),
            {},
            {"columns": ""}
            | dict.fromkeys(["missing_labels", "max_conflicts", "number_of_classes", "labels"], "columns"),
        ),
        (
            put("text", {i: f"caf\ufffd {i}" for i in range(4)}),
            {},
            {"undecodable": "max_undecodable", "max_undecodable": ""},
        ),
    ],
)
def test_consequences_name_their_cause(
    table: pd.DataFrame, settings: dict[str, object], expected: dict[str, str]
) -> None:
    assert causes(table, **settings) == expected


def test_every_consequence_is_a_rule() -> None:
    names = {rule.name for rule in declared_rules(SETTINGS)}
    for rule in declared_rules(SETTINGS):
        assert {*rule.consequences} <= names - {rule.name}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run the stage on a table, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(table: pd.DataFrame, readings: dict[str, Any] | None = None, **values: str) -> None:
        values = {"min_rows": "20", "min_rows_per_class": "5", "max_text_length": "50"} | values
        parameters = set_params((ROOT / "params.yaml").read_text(encoding="utf-8"), values)
        Path("params.yaml").write_text(parameters, encoding="utf-8")
        write_table(paths.INGEST_TABLE, table)
        write_json(paths.INGEST_READING, readings or {})
        validate.main()

    return run


def test_passed_json_is_deterministic(start: Callable[..., None]) -> None:
    start(repeat(10, 9))
    first = paths.VALIDATE_PASSED.read_bytes()
    start(repeat(10, 9))
    assert paths.VALIDATE_PASSED.read_bytes() == first
    passed = read_json(paths.VALIDATE_PASSED)
    assert passed["rows"] == 30
    assert {"name": "duplicates", "severity": "warn", "outcome": "pass", "observed": 0.3} in passed["rules"]
    assert {tuple(rule) for rule in passed["rules"]} == {("name", "severity", "outcome", "observed")}
    names = [*list(BREAKS)[:-1], *(name for name, *_ in OF_READING)]  # no labels are named in params.yaml
    assert [rule["name"] for rule in passed["rules"]] == names


def test_warnings_do_not_stop(start: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    start(put("text", {16: "x" * 51, 17: "caf\ufffd"}), warn_only="[max_text_length, max_undecodable]")
    lines = capsys.readouterr().err.splitlines()
    names = ("max_text_length", "max_undecodable")  # from which undecodable follows
    assert [line.split(": ")[:3] for line in lines] == [["validate", "warning", name] for name in names]
    assert "(validate.max_text_length), but found 51 in row 17 of reviews.csv" in lines[0]
    assert all("but found 1 of 30 rows (3.33 %), the first being row 18 of reviews.csv" in line for line in lines[1:])
    assert {rule["outcome"] for rule in read_json(paths.VALIDATE_PASSED)["rules"]} == {"pass", "warn"}
    assert "Passed, with 2 warnings" in (validate.REPORT / "index.html").read_text(encoding="utf-8")


def test_broken_table_stops_with_a_report(start: Callable[..., None]) -> None:
    names = ["max_text_length", "min_rows_per_class", "max_imbalance"]
    with pytest.raises(PipelineError) as error:
        start(put("text", {16: PRIVATE * 3}).iloc[:24], max_imbalance="2.0")
    heading, *broken_rules = str(error.value).splitlines()
    assert re.fullmatch(r"the raw table breaks 3 of \d+ rules; see reports/validate/index.html", heading)
    assert [rule.partition(": ")[0] for rule in broken_rules] == names
    assert broken_rules[0].endswith("50 characters (validate.max_text_length), but found 75 in row 17 of reviews.csv")
    assert broken_rules[1].endswith("(validate.min_rows_per_class), but found 4 (class 'positive')")
    assert broken_rules[2].endswith("(validate.max_imbalance), but found 5 (class 'positive')")
    assert not paths.VALIDATE_PASSED.exists()
    results = read_json(validate.REPORT / "results.json")
    assert [rule["name"] for rule in results["rules"] if rule["outcome"] == "stop"] == names
    assert results["classes"] == [["negative", 20], ["positive", 4]]
    assert "Stopped: 3 rules broken" in (validate.REPORT / "index.html").read_text(encoding="utf-8")


def test_message_has_the_cause_without_its_consequences(start: Callable[..., None]) -> None:
    table = good(300, 60).assign(label=[f"{PRIVATE} {i}" for i in range(360)])
    with pytest.raises(PipelineError) as error:
        start(table)
    heading, *lines = str(error.value).splitlines()
    assert heading.startswith("the raw table breaks 1 of ")
    assert lines == ["max_classes: there are at most 50 classes (ingest.label_column), but found 360"]
    rules = {rule["name"]: rule for rule in read_json(validate.REPORT / "results.json")["rules"]}
    assert rules["min_rows_per_class"]["follows_from"] == "max_classes"
    page = (validate.REPORT / "index.html").read_text(encoding="utf-8")
    assert "Stopped: 1 rule broken" in page
    assert "↳ follows from max_classes" in page
    assert PRIVATE not in f"{error.value} {rules} {page}"


def test_warnings_that_follow_from_a_stop_are_not_printed(
    start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PipelineError, match="max_duplicates"):
        start(put("text", dict.fromkeys(range(25), PRIVATE)))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", BREAKS)
def test_report_has_no_texts_and_no_links(
    name: str, start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    table = BREAKS[name][0]().assign(label=lambda t: t["label"].replace("negative", "消极<b>"))
    with pytest.raises(PipelineError) as error:
        start(table, labels="[negative, positive]")
    files = {file.name: file.read_text(encoding="utf-8") for file in validate.REPORT.iterdir()}
    assert set(files) == {"index.html", "results.json"}
    everything = " ".join([str(error.value), *capsys.readouterr(), *files.values()]).casefold()
    assert not any(text.casefold() in everything for text in ["secret", "字字", "caf\ufffd", ".5 / 10"])
    page = files["index.html"]
    assert not re.search(
        r"(?i)https?:|//\w|\b(src|href|action)\s*=|url\(|@import|<(script|link|iframe|img|object)", page
    )
    assert "prefers-color-scheme: dark" in page
    assert "消极&lt;b&gt;" in page or name in ("max_classes", "mixed_scripts")  # which have no such class


def test_report_shows_how_files_were_read(start: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    reading = Reading(
        "tab; quotes are characters",
        "cp1254",
        guessed=True,
        letters="ş ı",
        changed={"rows whose quotes are characters": 5},
        folded={"labels in another spelling": 2},
        missing={"NA": 3},
        skipped={"blank": [4, 9], "broken": [7]},
    )
    start(put("text", {3: "so\u00ad glad"}), {"reviews.csv": reading.as_json()})
    page = (validate.REPORT / "index.html").read_text(encoding="utf-8")
    lines = [
        *("tab; quotes are characters", "encoding cp1254, detected, with the letters ş ı"),
        *("5 rows whose quotes are characters", "2 labels in another spelling", "3 labels NA read as missing"),
        *("2 blank rows skipped: 4, 9", "1 broken row skipped: 7"),
        "1 texts with characters that nobody sees, which clean drops",
    ]
    assert [line for line in lines if f"<div>{line}</div>" not in page] == []
    assert "Passed, with 6 warnings" in page
    warnings = dict(line.split(": ")[2::] for line in capsys.readouterr().err.splitlines())
    assert {name: warning.rpartition(", but found ")[2] for name, warning in warnings.items()} == {
        "invisible_characters": "1 of 30 rows (3.33 %), the first being row 4 of reviews.csv",
        "skipped_rows": "2 blank, 1 broken",
        "changed_cells": "5 rows whose quotes are characters",
        "guessed_encodings": "1 in cp1254",
        "folded_labels": "2 labels in another spelling",
        "missing_markers": "3 labels NA",
    }


def test_each_rule_about_reading_can_stop_by_itself(start: Callable[..., None]) -> None:
    reading = Reading(folded={"labels": 1}, missing={"NA": 1}, skipped={"blank": [4]}, changed={"rows": 1}).as_json()
    for name in ("skipped_rows", "folded_labels", "missing_markers", "changed_cells"):
        with pytest.raises(PipelineError, match=f"breaks 1 of .*\n{name}: "):
            start(good(), {"reviews.csv": reading}, stop_on=f"[{name}]")
        page = (validate.REPORT / "index.html").read_text(encoding="utf-8")
        assert "Stopped: 1 rule broken" in page


def test_report_lists_broken_rules_first() -> None:
    page = validation.validation_page(summary(BREAKS["max_imbalance"][0]()))
    assert page.index("<code>max_imbalance") < page.index("<code>columns")
    assert "Stopped: 1 rule broken" in page
    assert re.search(r"The largest class has at most 4 times the rows of any other\.", page)
    assert re.search(r'width: 24\.39%"></i></span>\s*<span class="number">10 \(19\.6 %\)', page)
    assert f"Passed: all {len(BREAKS) + len(OF_READING)} rules satisfied" in validation.validation_page(summary(good()))
