"""Which incoming files are accepted, and which of their rows are new."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from helpers.nightly import SWAPPED, examined, incoming_file, write_csv
from helpers.project import set_params

from pipeline.base import params, paths
from pipeline.data import forgotten, selection, tables
from pipeline.nightly.examination import examine
from pipeline.nightly.incoming import put_into_quarantine, unseen_files

Rows = pd.DataFrame


def test_unreadable_files_are_refused(project: Path, tweets: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    undecodable = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    for name, texts in {
        "bytes.parquet": undecodable,
        "time.parquet": pa.array([2**62], pa.timestamp("us")),
    }.items():
        pq.write_table(pa.table({"text": texts, "label": ["positive"]}), project / name)
        assert f"{name} holds cells that cannot be read" in examined([project / name], tweets)[0].refusal
    (project / "sep.csv").write_bytes(b"sep=\xe9\ntext\xe9label\na\xe9positive\n")
    assert examined([project / "sep.csv"], tweets)[0].refusal
    (project / "late.jsonl").write_text('{"text": "a", "label": "positive", "when": 1' + "0" * 400 + "}\n")
    changes = {"dataset": "file", "path": "a.csv", "time_column": "when"}
    params.PARAMS_FILE.write_text(set_params(params.PARAMS_FILE.read_text(encoding="utf-8"), changes), encoding="utf-8")
    (late,) = examined([project / "late.jsonl"], tweets)
    assert "late.jsonl: column 'when' holds an integer that is not a time" in late.refusal


def test_known_rows_are_skipped(project: Path, tweets: Rows) -> None:
    known, new = tweets[:1_500], tweets[1_500:]
    again = known[:50].assign(text=known["text"].str.upper() + "  ")
    missing = pd.DataFrame({"text": ["", "no label"], "label": ["positive", ""]})
    path = write_csv(project / "a.csv", pd.concat([new, again, new[:20], missing]))
    (file,) = examined([path], known)
    assert file.refusal == ""
    assert file.n_rows == 572
    assert file.new_rows["text"].tolist() == new["text"].tolist()
    both = examined([path, shutil.copy(path, project / "b.csv")], known)
    assert [len(file.new_rows) for file in both] == [500, 0]


def test_rows_left_out_by_max_rows_are_known(project: Path, tweets: Rows) -> None:
    known = tables.complete(tweets, source="tweets")
    files = [incoming_file(write_csv(project / "again.csv", tweets))]
    (file,) = examine(files, selection.sample(known, 500), known=known, judge=None, min_agreement=0.05)
    assert (file.refusal, len(file.new_rows)) == ("", 0)


def test_forgotten_texts_are_skipped(project: Path, tweets: Rows) -> None:
    paths.FORGOTTEN.write_text(f"{forgotten.text_digest(tweets['text'][1_000].upper())}\n")
    (file,) = examined([write_csv(project / "a.csv", tweets[1_000:1_100])], tweets[:1_000])
    assert (file.refusal, len(file.new_rows)) == ("", 99)
    assert tweets["text"][1_000] not in set(file.new_rows["text"])


def test_labels_are_mapped(project: Path, tweets: Rows) -> None:
    text = params.PARAMS_FILE.read_text(encoding="utf-8")
    text = text.replace("dataset: tweets", "dataset: file").replace("path: data/none", "path: x", 1)
    text = text.replace("label_map: null", "label_map: {good: positive, bad: negative, so-so: neutral, spam: null}")
    params.PARAMS_FILE.write_text(text, encoding="utf-8")
    labels = tweets["label"].map({"positive": "good", "negative": "bad"}).fillna("spam")
    path = write_csv(project / "a.csv", tweets[1_500:1_600].assign(label=labels))
    (file,) = examined([path], tweets[:1_500])
    assert file.refusal == ""
    assert set(file.new_rows["label"]) == {"positive", "negative"}
    assert set(file.increment()["label"]) == {"good", "bad"}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda rows: rows.rename(columns={"label": "mood"}), "b.csv has no column 'label'"),
        (lambda rows: rows.assign(label="angry"), "labels: every label is one of the 3 allowed"),
        (lambda rows: rows.assign(text=""), "missing_texts"),
        (lambda rows: rows.assign(text="12345"), "numeric_texts"),
        (lambda rows: rows.assign(label=rows["label"].map(SWAPPED)), "min_agreement"),
    ],
)
def test_a_bad_file_is_refused_and_others_are_accepted(
    project: Path, tweets: Rows, spoil: Callable[[Rows], Rows], reason: str
) -> None:
    labels = dict(zip(tweets["text"], tweets["label"], strict=True))
    parts = {"a.csv": tweets[1_000:1_300], "b.csv": spoil(tweets[1_300:1_600]), "c.csv": tweets[1_600:]}
    files = [write_csv(project / name, rows) for name, rows in parts.items()]
    first, bad, last = examined(files, tweets[:1_000], lambda texts: [labels.get(text, "neutral") for text in texts])
    assert (first.refusal, len(first.new_rows), last.refusal, len(last.new_rows)) == ("", 300, "", 400)
    assert reason in bad.refusal
    assert str(project) not in bad.refusal
    folder = put_into_quarantine(bad, "2026-01-01")
    assert (folder / "b.csv").read_bytes() == files[1].read_bytes()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert reason.partition(":")[0].partition(" ")[0] in page or "readable" in page
    assert not any(text in page for text in parts["b.csv"]["text"] if len(text) > 20)
    with unseen_files(str(project)) as unseen:
        assert {file.name for file in unseen if file.name.endswith(".csv") and "/" not in file.name} == {
            "a.csv",
            "c.csv",
        }


@pytest.mark.parametrize(
    ("column", "values", "rule"),
    [
        ("label", lambda rows: "", "missing_labels"),
        ("text", lambda rows: "caf\ufffd " + rows["text"], "max_undecodable"),
        ("label", lambda rows: rows["label"].map(SWAPPED | {"neutral": "positive"}), "max_conflicts"),
    ],
)
def test_faults_that_a_large_table_would_hide_are_found(
    project: Path, tweets: Rows, column: str, values: Callable[[Rows], object], rule: str
) -> None:
    rows = tweets[1_700:].reset_index(drop=True)
    if rule == "max_conflicts":  # the same texts again, with another label
        rows = pd.concat([rows, rows[:100].assign(label=values(rows[:100]))], ignore_index=True)
    else:
        rows.loc[:29, column] = values(rows[:30])
    (file,) = examined([write_csv(project / "a.csv", rows)], tweets[:1_700])
    assert file.refusal.startswith(f"{rule}: ")


def test_a_file_that_contradicts_the_table_is_refused(project: Path, tweets: Rows) -> None:
    known = tweets[:600]
    path = write_csv(project / "a.csv", known.assign(label=known["label"].map(SWAPPED)))
    (file,) = examined([path], known)
    assert "with its rows the whole table breaks" in file.refusal
    assert "max_conflicts" in file.refusal


def test_of_two_files_that_contradict_each_other_the_second_is_refused(project: Path, tweets: Rows) -> None:
    others = tweets[300:].assign(label=lambda rows: rows["label"].map(SWAPPED | {"neutral": "positive"}))
    files = [write_csv(project / "a.csv", tweets[300:]), write_csv(project / "b.csv", others)]
    first, second = examined(files, tweets[:300])
    assert first.refusal == ""
    assert "with its rows the whole table breaks max_conflicts" in second.refusal


def test_agreement_counts_only_new_rows(project: Path, tweets: Rows) -> None:
    labels = dict(zip(tweets["text"], tweets["label"], strict=True))
    new = tweets[1_000:1_300].assign(label=lambda rows: rows["label"].map(SWAPPED))
    path = write_csv(project / "a.csv", pd.concat([tweets[:1_000], new]))
    (file,) = examined([path], tweets[:1_000], lambda texts: [labels[text] for text in texts])
    assert "min_agreement" in file.refusal


def test_quarantine_shows_how_the_file_was_read(project: Path, tweets: Rows) -> None:
    text = "très bien, ça marche déjà; c'est l'été, où la forêt est à côté"
    rows = pd.DataFrame({"text": [f"{number}: {text}" for number in range(60)], "label": ["positive", "NA"] * 30})
    rows.loc[9] = ["", ""]
    rows.to_csv(project / "a.csv", index=False, sep=";", encoding="cp1252")
    (file,) = examined([project / "a.csv"], tweets[500:])
    assert file.refusal.startswith("missing_labels: ")
    folder = put_into_quarantine(file, "2026-01-01")
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "How the files were read" in page
    for line in ("semicolon; cells may be quoted", "encoding cp1252, detected, ", "29 labels NA read as missing"):
        assert f"<div>{line}" in page
    assert "<div>1 blank row skipped: 10</div>" in page
    assert "Stopped: 1 rule broken" in page


def test_a_rule_named_in_stop_on_refuses_a_file(project: Path, tweets: Rows) -> None:
    path = write_csv(project / "a.csv", tweets[:60])
    path.write_text(path.read_text(encoding="utf-8") + ",\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert examined([path], tweets[500:])[0].refusal == ""
    text = set_params(params.PARAMS_FILE.read_text(encoding="utf-8"), {"stop_on": "[skipped_rows]"})
    params.PARAMS_FILE.write_text(text, encoding="utf-8")
    (file,) = examined([path], tweets[500:])
    assert file.refusal.endswith("but found 1 blank, 1 repeated header")
    assert file.refusal.startswith("skipped_rows: ")


def test_refusal_names_the_cause_only(project: Path, tweets: Rows) -> None:
    rows = tweets[:90].assign(text=[str(number % 5) for number in range(90)])
    (file,) = examined([write_csv(project / "a.csv", rows)], tweets[500:])
    assert file.refusal.startswith("numeric_texts: ")
    assert "max_conflicts" not in file.refusal
    assert {result.rule.name: result.cause for result in file.results if not result.passed} == {
        "numeric_texts": "", "max_conflicts": "numeric_texts",
    }  # fmt: skip


def test_look_alike_letters_of_a_label_are_named(project: Path, tweets: Rows) -> None:
    rows = tweets[:60].assign(label=tweets["label"].str.replace("e", "\u0435"))
    (file,) = examined([write_csv(project / "a.csv", rows)], tweets[500:])
    assert "'n\\u0435gativ\\u0435' (did you mean 'negative'?)" in file.refusal
