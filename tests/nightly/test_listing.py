"""What lies in a folder of incoming data: tables one by one, texts by class together, and many other files together."""

from pathlib import Path

import pandas as pd
import pytest
from helpers.nightly import write_csv
from helpers.project import set_params

from pipeline.base import params, paths
from pipeline.data import increments, tables
from pipeline.nightly.examination import examine
from pipeline.nightly.incoming import ExaminedFile, put_into_quarantine, unseen_files
from pipeline.nightly.listing import FEW, incoming_files


@pytest.fixture
def inbox(project: Path) -> Path:
    """A folder for incoming files."""
    (project / "inbox").mkdir()
    return project / "inbox"


def write_texts(folder: Path, rows: pd.DataFrame) -> None:
    """Write one text file a row, in a folder of its label."""
    for number, text, label in rows[["text", "label"]].itertuples():
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}.txt").write_text(text, encoding="utf-8")


def names(place: Path) -> list[str]:
    return [file.name for file in incoming_files(place)]


def night(inbox: Path, known: pd.DataFrame) -> list[ExaminedFile]:
    """Examine what is new; add what is accepted, and put the others into quarantine."""
    table = tables.complete(known, source="tweets")
    with unseen_files(str(inbox)) as files:
        examined = examine(files, table, known=table, judge=None, min_agreement=0.05)
        for file in examined:
            if file.refusal:
                put_into_quarantine(file, "2026-01-01")
            elif len(file.new_rows):
                increments.add(file.increment(), source=file.name, file=file.sha256, taken="2026-01-01")
    return examined


def test_texts_by_class_are_taken_in_once_and_new_ones_the_next_night(inbox: Path, tweets: pd.DataFrame) -> None:
    known = tweets[500:]
    write_texts(inbox, tweets[:60])
    (first,) = night(inbox, known)
    assert (first.name, first.refusal, first.n_rows, len(first.new_rows)) == ("inbox/", "", 60, 60)
    assert first.new_rows["source"].str.fullmatch(r"inbox/(negative|neutral|positive)/\d+\.txt").all()
    assert set(zip(first.new_rows["text"], first.new_rows["label"], strict=True)) == set(
        zip(tweets["text"][:60].str.rstrip("\n"), tweets["label"][:60], strict=True)
    )
    assert night(inbox, pd.concat([known, tweets[:60]])) == []
    write_texts(inbox, tweets[60:75])
    (second,) = night(inbox, pd.concat([known, tweets[:60]]))
    assert (second.n_rows, len(second.new_rows)) == (75, 15)
    assert increments.read_list()["rows"].tolist() == ["60", "15"]


def test_a_refused_folder_is_one_entry_of_the_quarantine(inbox: Path, tweets: pd.DataFrame) -> None:
    write_texts(inbox / "late", tweets[:30].assign(label=[f"mood {number % 3}" for number in range(30)]))
    (file,) = night(inbox, tweets[500:])
    assert file.refusal.startswith("labels: every label is one of the 3 allowed")
    assert night(inbox, tweets[500:]) == []
    folder = paths.QUARANTINE_FILES / file.sha256[:16]
    assert len([*(folder / "late").rglob("*.txt")]) == 30
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "How the files were read" in page
    assert "<div>encoding utf-8</div>" in page
    assert "30 files" not in page
    assert not any(text in page for text in tweets["text"][:30] if len(text) > 20)


def test_digest_depends_on_texts_and_classes_only(inbox: Path) -> None:
    for name in ("neg/1.txt", "pos/1.txt", "pos/2.txt"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_text(f"Text {name}.")
    (before,) = incoming_files(inbox)
    (inbox / "pos/2.txt").rename(inbox / "pos/3.txt")
    assert [file.sha256 for file in incoming_files(inbox)] == [before.sha256]
    (inbox / "pos/3.txt").rename(inbox / "neg/3.txt")
    (moved,) = incoming_files(inbox)
    assert moved.sha256 != before.sha256


def test_tables_and_folders_of_texts_lie_side_by_side(inbox: Path, tweets: pd.DataFrame) -> None:
    write_csv(inbox / "a.csv", tweets[:20])
    (inbox / "tables").mkdir()
    (inbox / "tables/b.txt").write_text("text\tlabel\nso glad\tpositive\n")
    (inbox / "README.md").write_text("Read me.")
    write_texts(inbox / "january", tweets[:30])
    assert names(inbox) == ["README.md", "a.csv", "january/", "tables/b.txt"]
    write_texts(inbox / "february", tweets[:30])
    (inbox / "january/unsup").mkdir()
    (inbox / "january/unsup/1.txt").write_text("Who knows?")
    assert names(inbox) == ["README.md", "a.csv", "february/", "january/", "tables/b.txt"]


def test_a_table_is_no_text_of_a_class(inbox: Path) -> None:
    for name, content in {"new/a.txt": "text\tlabel\nso glad\tpositive\n", "old/b.txt": "Just a text."}.items():
        (inbox / name).parent.mkdir()
        (inbox / name).write_text(content)
    assert names(inbox) == ["new/a.txt", "old/b.txt"]


def test_many_files_that_are_not_tables_are_one_entry(inbox: Path, tweets: pd.DataFrame) -> None:
    (inbox / "scans").mkdir()
    for number in range(FEW):
        (inbox / f"scans/{number}.txt").write_text(f"Just a text, number {number}.")
    assert len(names(inbox)) == FEW
    (inbox / "scans/more.docx").write_text("And another one.")
    (inbox / "scans/table.txt").write_text("text\tlabel\nso glad\tpositive\n")
    assert names(inbox) == ["scans/", "scans/table.txt"]
    files = {file.name: file for file in night(inbox, tweets)}
    assert files["scans/"].refusal.startswith("scans/ has 11 files that are not tables; texts need a folder for each ")
    assert files["scans/table.txt"].refusal == ""


def test_columns_do_not_apply_to_texts_by_class(inbox: Path, tweets: pd.DataFrame) -> None:
    text = set_params(params.PARAMS_FILE.read_text(encoding="utf-8"), {"dataset": "file", "group_column": "author"})
    params.PARAMS_FILE.write_text(text.replace("path: data/none", "path: a.csv", 1), encoding="utf-8")
    write_texts(inbox, tweets[:30])
    (file,) = night(inbox, tweets[500:])
    assert file.refusal.startswith("inbox/ holds text files by class, which have no columns; set ingest.group_column")


def test_links_are_named_in_one_line(
    inbox: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "a.csv"
    secret.write_text("text,label\nsecret,positive\n")
    for number in range(30):
        (inbox / f"{number:02}.csv").symlink_to(secret)
    assert names(inbox) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("retrain: left out, since links to files elsewhere: 00.csv, ")
    assert line.endswith(" and 20 more")
