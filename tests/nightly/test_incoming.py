"""Which files come in, from where, and what becomes of those that are refused."""

import os
import re
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from helpers.nightly import examined, write_csv
from helpers.project import set_params

from pipeline.base import params, paths, versioning
from pipeline.base.errors import PipelineError
from pipeline.base.files import sha256, write_table
from pipeline.data import increments, tables
from pipeline.nightly import incoming
from pipeline.nightly.examination import examine
from pipeline.nightly.incoming import put_into_quarantine, unseen_files


@pytest.fixture
def inbox(project: Path) -> Path:
    """A folder for incoming files."""
    (project / "inbox").mkdir()
    return project / "inbox"


def names_at(address: str) -> list[str]:
    with unseen_files(address) as files:
        return [file.name for file in files]


def test_missing_folder_is_an_error_and_an_empty_one_is_not(project: Path, inbox: Path) -> None:
    with pytest.raises(PipelineError, match="nowhere does not exist"):
        names_at("nowhere")
    (project / "data/none").touch()
    assert names_at("inbox") == names_at("data/none") == []


def test_hidden_files_are_ignored(inbox: Path) -> None:
    for name in (".gitkeep", ".DS_Store", "_SUCCESS"):
        (inbox / name).write_text("x")
    assert names_at("inbox") == []


def test_files_of_an_unknown_kind_are_refused_once(inbox: Path, tweets: pd.DataFrame) -> None:
    for name in ("notes.docx", "README.md", "prose.txt"):
        (inbox / name).write_text(f"Just a text, {name}.")
    write_csv(inbox / "rows.csv", tweets[:10])
    table = tables.complete(tweets[500:], source="t")
    with unseen_files("inbox") as files:
        by_name = {file.name: file for file in examine(files, table, known=tweets[:0], judge=None, min_agreement=0.05)}
    for name in ("notes.docx", "README.md"):
        assert by_name[name].refusal.startswith(f"unsupported file extension: {name}; convert it to one of .csv")
    assert by_name["prose.txt"].refusal.startswith("prose.txt is a text, not a table")
    assert len(by_name) == 4
    for name in ("notes.docx", "README.md", "prose.txt"):
        put_into_quarantine(by_name[name], "2026-01-01")
    assert names_at("inbox") == ["rows.csv"]


def test_links_to_files_elsewhere_are_ignored(inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "a.csv"
    secret.write_text("text,label\nsecret,positive\n")
    (inbox / "link.csv").symlink_to(secret)
    (inbox / "own.csv").write_text("text,label\nmine,positive\n")
    assert names_at("inbox") == ["own.csv"]


def test_seen_files_and_copies_are_skipped(inbox: Path, tweets: pd.DataFrame) -> None:
    for name in ("a.csv", "b.csv", "copy.csv"):
        write_csv(inbox / name, tweets[: 10 + 10 * (name == "a.csv")])
    rows = tables.complete(tweets[:20], source="a.csv")
    increments.add(rows, source="a.csv", file=sha256(inbox / "a.csv"), taken="now")
    assert names_at("inbox") == ["b.csv"]


def test_file_names_may_be_long_and_of_any_encoding(inbox: Path, tweets: pd.DataFrame) -> None:
    names = [b"caf\xe9.csv", ("\u957f" * 80 + ".csv").encode(), b"bad.csv"]
    for number, name in enumerate(names):
        file = write_csv(inbox / "new.csv", tweets[10 * number : 10 * number + 10])
        file.rename(os.fsdecode(os.fsencode(inbox) + b"/" + name))
    table = tables.complete(tweets[500:], source="t")
    with unseen_files("inbox") as files:
        for file in examine(files, table, known=tweets[:0], judge=None, min_agreement=0.05):
            put_into_quarantine(file, "2026-01-01")
    listed = increments.read_list(paths.QUARANTINE, incoming.QUARANTINE_COLUMNS)
    assert sorted(listed["name"]) == sorted(["caf\ufffd.csv", "\u957f" * 80 + ".csv", "bad.csv"])


@pytest.mark.parametrize("mark", ["\r", "\n", "\x1b[2J", "\x85", "\u2028", '"\r'])
def test_line_breaks_in_file_names_break_no_list(project: Path, inbox: Path, tweets: pd.DataFrame, mark: str) -> None:
    write_csv(inbox / f"may{mark}.csv", tweets[:10])
    (inbox / f"odd{mark}.csv").write_text("text,mood\na,b\n")
    with unseen_files("inbox") as files:
        table = tables.complete(tweets[500:], source="t")
        for file in examine(files, table, known=tweets[:0], judge=None, min_agreement=0.05):
            if file.refusal:
                put_into_quarantine(file, "2026-01-01")
            else:
                increments.add(file.increment(), source=file.name, file=file.sha256, taken="2026-01-01")
    listed = [increments.read_list(), increments.read_list(paths.QUARANTINE, incoming.QUARANTINE_COLUMNS)]
    assert [len(table) for table in listed] == [1, 1]
    for name in (listed[0]["source"].item(), listed[1]["name"].item()):
        assert name.isprintable()
        assert name.endswith(".csv")
    assert all(len(path.read_text().splitlines()) == 2 for path in (paths.INCREMENTS, paths.QUARANTINE))
    with unseen_files("inbox") as files:
        assert not files


def test_list_keeps_its_lines_whatever_is_added(project: Path) -> None:
    line = {"batch": "a" * 64, "rows": "1", "source": "may\r,.csv", "file": "f" * 64, "taken": "now"}
    increments.append(line)
    increments.append(line | {"batch": "b" * 64})
    assert increments.read_list()["source"].tolist() == ["may\\r,.csv"] * 2


def test_quarantine_keeps_file_names_of_other_encodings(project: Path, tweets: pd.DataFrame) -> None:
    Path(os.fsdecode(b"\xff" * 100 + b".csv")).write_text("text,mood\na,b\n")
    with unseen_files(str(project)) as files:
        (odd,) = [file for file in files if "\ufffd" in file.name]
    table = tables.complete(tweets, source="x")
    (file,) = examine([odd], table, known=table, judge=None, min_agreement=0.05)
    folder = put_into_quarantine(file, "2026-01-01")
    assert [file.suffix for file in folder.iterdir() if "\ufffd" in file.name] == [".csv"]


@pytest.mark.parametrize("name", ["new.csv?signature=a/b", pytest.param("new.csv", marks=pytest.mark.slow)])
def test_files_are_downloaded_from_an_address(project: Path, inbox: Path, tweets: pd.DataFrame, name: str) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    (project / ".state").mkdir()
    write_csv(inbox / "new.csv", tweets[:30])
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=inbox)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with unseen_files(f"{address}/{name}") as files:
            (file,) = examined([file.path for file in files], tweets[100:])
        assert (file.refusal, len(file.new_rows)) == ("", 30)
        assert not file.path.exists()
        missing = f"{address}/none.csv".replace("//", "//jane:s3cret@")
        with pytest.raises(PipelineError, match=r"retrain\.incoming: cannot read http://\*\*\*@") as raised:
            names_at(missing)
        assert "s3cret" not in str(raised.value)
        server.shutdown()


def test_empty_folder_of_an_object_store_is_not_an_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: str, **__: bool) -> str:
        raise versioning.CommandError("dvc get-url", f"ERROR: the path {'x' * 300} does not exist")

    monkeypatch.setattr(incoming, "dvc", fail)
    assert names_at("s3://me:secret@bucket/in") == []
    assert "there are no files at s3://***@bucket/in" in capsys.readouterr().err
    with pytest.raises(PipelineError, match="cannot read https://host/in: ERROR: the path"):
        names_at("https://host/in")


def test_download_stays_in_its_folder(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 allows ".." in an object's name, and DVC follows it."""

    def get(*arguments: str, **_: bool) -> str:
        target = Path(arguments[-1])
        target.mkdir()
        (target / "ok.csv").write_text("text,label\nmine,positive\n")
        outside = target.joinpath(*[".."] * 300, "a.csv")
        assert outside.resolve().is_relative_to(tempfile.gettempdir())
        outside.write_text("overwritten")
        return ""

    secret = tmp_path_factory.mktemp("elsewhere") / "a.csv"
    secret.write_text("secret")
    monkeypatch.setattr(tempfile, "tempdir", str(secret.parent))
    monkeypatch.setattr(incoming, "dvc", get)
    assert names_at("s3://bucket/in") == ["ok.csv"]
    assert secret.read_text() == "secret"
    assert list(secret.parent.iterdir()) == [secret]


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        ("my wife Anna left me,negative\nit rains,neutral\n", {}),  # no header
        (
            "label,text\nmy wife Anna left me,negative\n",  # swapped columns
            {"label_map": "{negative: bad}", "dataset": "file", "path": "a.csv"},
        ),
    ],
)
def test_quarantine_reports_hold_no_text(
    project: Path, tweets: pd.DataFrame, content: str, changes: dict[str, str]
) -> None:
    params.PARAMS_FILE.write_text(set_params(params.PARAMS_FILE.read_text(), changes))
    (project / "a.csv").write_text(content)
    (file,) = examined([project / "a.csv"], tweets[:100])
    assert "Anna" in "".join(pd.read_csv(project / "a.csv").to_csv())
    assert re.search("a.csv has no column 'text' among its 2|every label is one of the 3 allowed", file.refusal)
    folder = put_into_quarantine(file, "2026-01-01")
    reports = [paths.QUARANTINE, folder / "index.html", folder / "results.json"]
    assert not any("Anna" in report.read_text() for report in reports)


def test_increments_are_named_by_their_content_and_checked(project: Path, tweets: pd.DataFrame) -> None:
    rows = tables.complete(tweets[:30], source="a.csv")
    assert increments.read_rows().empty
    path = increments.add(rows, source="a.csv", file="f" * 64, taken="now")
    assert increments.add(rows, source="a.csv", file="f" * 64, taken="later") == path
    assert path.stem == sha256(path) == increments.read_list()["batch"].item()
    assert increments.read_rows()["text"].tolist() == rows["text"].tolist()
    whole = tables.with_rows(tweets[30:60], increments.read_rows(), source="tweets")
    assert tables.complete(whole, source="tweets")["source"].value_counts().to_dict() == {"tweets": 30, "a.csv": 30}
    write_table(path, rows[:3])
    with pytest.raises(PipelineError, match="was changed"):
        increments.read_rows()
    path.unlink()
    with pytest.raises(PipelineError, match="run `dvc pull`"):
        increments.read_rows()
    paths.INCREMENTS.write_text("batch\n")
    with pytest.raises(PipelineError, match="must have the columns batch, rows"):
        increments.read_list()


def test_increment_listed_by_two_branches_counts_once(project: Path, tweets: pd.DataFrame) -> None:
    increments.add(tables.complete(tweets[:30], source="a.csv"), source="a.csv", file="f" * 64, taken="now")
    header, line = paths.INCREMENTS.read_text().splitlines()
    paths.INCREMENTS.write_text(f"{header}\n{line}\n{line}\n")
    assert len(increments.read_rows()) == 30
