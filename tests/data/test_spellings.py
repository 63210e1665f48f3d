"""Labels that look alike: which are found, and a line for params.yaml that merges them."""

import re
from pathlib import Path

import pandas as pd
import pytest
from helpers.project import ROOT, set_params
from ruamel.yaml import YAML

from pipeline import ingest, validate
from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_table
from pipeline.data.spellings import label_map_line, merged_labels, spelling_keys, unmixed

CYRILLIC_E, GREEK_O, CYRILLIC_A = "\u0435", "\u03bf", "\u0430"


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("negative", f"n{CYRILLIC_E}gative"),
        ("positive", f"p{GREEK_O}sitive"),
        ("HAPPY", "\u041d\u0410\u0420\u0420\u0423"),  # Cyrillic throughout
        ("Happy", "\u041dappy"),
        (
            "\u0440\u0430\u0434\u043e\u0441\u0442\u044c",
            "\u0440a\u0434\u043e\u0441\u0442\u044c",
        ),  # a Latin a in Cyrillic
        ("caf\u00e9", f"c{CYRILLIC_A}f\u00e9"),
        ("na\u00efve", "na\u0457ve"),  # a letter with an accent
        ("sad", "\uff53\uff41\uff44"),
        ("Sad", "s\u0430d"),
        ("so sad", "SO  SAD"),
    ],
)
def test_labels_that_look_alike_have_one_key(label: str, other: str) -> None:
    assert len({*spelling_keys([label, other, "fear"])}) == 2
    assert len({*spelling_keys([other, label, "fear"])}) == 2
    assert list(merged_labels([label, other, "fear"]).values()) == [label]


@pytest.mark.parametrize(
    "labels",
    [
        ["\u0440\u0430\u0434\u043e\u0441\u0442\u044c", "\u0433\u043d\u0435\u0432", "\u0441\u0442\u0440\u0430\u0445"],
        ["\u03c7\u03b1\u03c1\u03ac", "\u03bb\u03cd\u03c0\u03b7", "\u03b8\u03c5\u03bc\u03cc\u03c2"],
        ["VIP-\u043a\u043b\u0438\u0435\u043d\u0442", "B2B \u043e\u0442\u0437\u044b\u0432"],
        ["\u559c\u3073", "\u6012\u308a", "\u0916\u0941\u0936\u0940", "\u0641\u0631\u062d"],
        ["\u03b2-carotene", "\u03bcSv", "caf\u00e9", "cafe", "1", "l", "I", "O", "0"],
    ],
)
def test_labels_of_every_script_stay(labels: list[str]) -> None:
    assert len({*spelling_keys(labels)}) == len({*map(str.casefold, labels)})
    assert [unmixed(label) for label in labels] == labels
    assert merged_labels([label for label in labels if label != "I"]) == {}


def test_both_cases_of_a_cyrillic_label_have_one_key() -> None:
    assert len({*spelling_keys(["\u041d\u0435\u0442", "\u043d\u0435\u0442"])}) == 1


def test_target_is_the_most_frequent_spelling_that_mixes_no_scripts() -> None:
    assert merged_labels(["Joy", "joy", "JOY"]) == {"joy": "Joy", "JOY": "Joy"}
    mixed = f"n{CYRILLIC_E}gative"
    assert merged_labels([mixed, "negative", "Negative"]) == {mixed: "negative", "Negative": "negative"}
    assert merged_labels([mixed, "positive"]) == {mixed: "negative"}


@pytest.mark.parametrize(
    "label",
    [
        *('say "no"', "back\\slash", "yes", "null", "1.0", "# x", "a: b", "{}", "'", "\u00a0", "\U000e0041x"),
        *("\u2764\ufe0f", "so\u200dso", "\U0001f468\u200d\U0001f469", f"n{CYRILLIC_E}gative"),
        *("\u0440a\u0434\u043e\u0441\u0442\u044c", "\u0916\u0941"),
    ],
)
def test_line_is_read_back_as_it_is(label: str) -> None:
    for changes in ({label: "negative"}, {"negative": label}):
        line = label_map_line(changes, None)
        assert "\n" not in line
        assert YAML(typ="safe").load(line) == {"label_map": changes}
        assert YAML(typ="safe").load(f"ingest:\n  {line}\n  a: 1")["ingest"]["label_map"] == changes


def test_only_what_cannot_be_told_apart_is_escaped() -> None:
    assert label_map_line({"\u0420\u0430": "\u0440\u0430"}, None) == 'label_map: {"\u0420\u0430": "\u0440\u0430"}'
    assert label_map_line({"\u0440a\u0434": "\u0440\u0430\u0434"}, None) == (
        'label_map: {"\u0440\\u0061\u0434": "\u0440\u0430\u0434"}'
    )


def test_characters_that_nobody_sees_are_escaped() -> None:
    assert label_map_line({"\u2764\ufe0f": "so\u200dso"}, None) == 'label_map: {"\u2764\\ufe0f": "so\\u200dso"}'


def test_line_includes_the_present_map() -> None:
    present = {1: "Joy", 2: None, "bad": "sad"}
    assert YAML(typ="safe").load(label_map_line({"Joy": "joy", "SAD": "sad"}, present))["label_map"] == {
        "1": "joy", "2": None, "bad": "sad", "SAD": "sad",
    }  # fmt: skip


def test_labels_that_may_be_texts_are_left_out() -> None:
    assert label_map_line({"A" * 61: "a" * 61}, None) == ""
    assert label_map_line({}, {1: "joy"}) == ""


def test_line_of_the_message_repairs_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paste the line as it stands, run ingest and validate again, and the labels are merged."""
    monkeypatch.chdir(tmp_path)
    for path in (paths.INCREMENTS, paths.FORGOTTEN):
        path.parent.mkdir(exist_ok=True)
        path.write_text((ROOT / path).read_text(encoding="utf-8"), encoding="utf-8")
    labels = [
        "negative",
        "Negative",
        f"n{CYRILLIC_E}gative",
        "positive",
        f"p{GREEK_O}sitive",
        "\u2764\ufe0f!",
        "\u2764\ufe0f\uff01",
    ]
    names = [labels[number % 7] for number in range(420)] + ["negative"] * 9 + ["positive"] * 9 + ["\u2764\ufe0f!"] * 9
    table = pd.DataFrame({"text": [f"a text, number {number}" for number in range(len(names))], "label": names})
    table.to_csv("a.csv", index=False)
    text = set_params((ROOT / "params.yaml").read_text(encoding="utf-8"), {"dataset": "file"})
    text = text.replace("path: data/none", "path: a.csv", 1)
    params.PARAMS_FILE.write_text(text, encoding="utf-8")
    ingest.main()
    with pytest.raises(PipelineError) as error:
        validate.main()
    heading, rule, line = str(error.value).splitlines()
    assert heading.startswith("the raw table breaks 1 of ")
    assert rule.startswith("spellings: ")
    page = (validate.REPORT / "index.html").read_text(encoding="utf-8")
    assert "<pre>label_map: {&#34;Negative&#34;: &#34;negative&#34;, " in page
    params.PARAMS_FILE.write_text(re.sub(r"(?m)^  label_map: null.*$", lambda _: line, text), encoding="utf-8")
    ingest.main()
    validate.main()
    counts = read_table(paths.INGEST_TABLE)["label"].value_counts()
    assert counts.to_dict() == {"negative": 189, "positive": 129, "\u2764\ufe0f!": 129}
