"""Validate: a good table passes, and every rule has a table that breaks it alone."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline import params, validate

SETTINGS = params.Validate(min_rows=20, min_rows_per_class=5, max_imbalance=4.0, max_text_length=50)
PRIVATE = "a secret sentence of a user"


def good() -> pd.DataFrame:
    labels = ["negative"] * 20 + ["positive"] * 10
    table = pd.DataFrame({"id": [f"{i:016x}" for i in range(30)], "text": PRIVATE, "label": labels}, dtype="str")
    return table.assign(source="test", group="", split="")


def check(table: pd.DataFrame, report: Path | None = None) -> dict[str, str]:
    return validate.check({"rows": table, "classes": validate.class_table(table)}, validate.rules(SETTINGS), report)


def with_cell(column: str, value: str | None) -> pd.DataFrame:
    table = good()
    table.loc[16, column] = value
    return table


BREAKS: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "columns": (lambda: good().drop(columns="group"), "found"),
    "enough_rows": (lambda: pd.concat([good()[:7], good()[20:26]]), "found 13"),
    "text_present": (lambda: with_cell("text", None), "broken by 1 of 30 rows, the first being row 17"),
    "text_not_blank": (lambda: with_cell("text", " \n"), "broken by 1 of 30 rows, the first being row 17"),
    "text_length": (lambda: with_cell("text", "x" * 51), "broken by 1 of 30 rows, the first being row 17"),
    "label_present": (lambda: with_cell("label", None), "broken by 1 of 30 rows, the first being row 17"),
    "label_not_blank": (
        lambda: good().assign(label=lambda t: t["label"].replace("positive", " ")),
        "broken by 10 of 30 rows, the first being row 21",
    ),
    "number_of_classes": (lambda: good().assign(label="negative"), "found 1"),
    "rows_per_class": (lambda: good().drop(index=[*range(16, 20), *range(24, 30)]), "broken by 1 of 2 classes"),
    "imbalance": (lambda: pd.concat([good()] + [good()[:20]] * 2), "broken by 1 of 2 classes"),
}


def test_every_rule_has_a_table_that_breaks_it() -> None:
    assert list(BREAKS) == [rule.name for rule in validate.rules(SETTINGS)]


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_is_found_and_no_other(name: str) -> None:
    table, where = BREAKS[name]
    assert set(failed := check(table().reset_index(drop=True))) == {name}
    assert where in failed[name]


def test_a_table_without_text_column_breaks_every_rule_on_it() -> None:
    failed = check(good().drop(columns="text"))
    assert failed["text_present"] == "the column is missing"


def test_a_good_table_passes_and_the_report_shows_no_text(tmp_path: Path) -> None:
    assert check(good(), tmp_path) == {}
    broken = with_cell("text", PRIVATE + "!" * 50)
    assert set(check(broken, tmp_path)) == {"text_length"}
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    assert (tmp_path / "index.html").is_file()
    assert len(pages) >= 3
    assert not any(PRIVATE in page for page in pages)
