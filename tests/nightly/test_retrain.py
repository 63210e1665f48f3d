"""Retrain: what is decided, and what may come in; the nights themselves are in test_nights.py."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from helpers.project import ROOT, set_params

from pipeline.base import checkout, params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import sha256, write_table
from pipeline.data import batches, forgotten, selection, tables
from pipeline.data.datasets import DATASETS
from pipeline.nightly import incoming, report, retrain
from pipeline.nightly.settings import Retrain

RULES = params.load(Retrain).model_copy(update={"min_new_rows": 100, "max_age": 30.0})

QUIET = {"champion": True, "stale": [], "new_rows": 0, "drifted": [], "age": 1.0}

SWAPPED = {"negative": "positive", "positive": "negative", "neutral": "neutral"}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({}, ""),
        ({"champion": False}, "there is no champion yet"),
        ({"stale": ["clean", "train"]}, "of clean, train have changed"),
        ({"new_rows": 99}, ""),
        ({"new_rows": 100}, "100 new rows"),
        ({"drifted": ["length"]}, ""),  # of what: there are no rows
        ({"new_rows": 60, "drifted": ["length", "terms"]}, "drift of length, terms in 60 new rows"),
        ({"new_rows": 1, "age": 31.0}, "the champion is 31 days old"),
        ({"age": 31.0}, ""),  # the same rows would give the same model
    ],
)
def test_reasons_to_train(told: dict[str, object], reason: str) -> None:
    found = retrain.decide(RULES, **(QUIET | told))  # type: ignore[arg-type]
    assert len(found) == bool(reason)
    assert reason in "".join(found)


def test_rules_that_are_off_give_no_reason() -> None:
    rules = RULES.model_copy(update={"on_drift": False, "max_age": None})
    told = QUIET | {"new_rows": 60, "drifted": ["length"], "age": 1e6}
    assert retrain.decide(rules, **told) == []  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tweets() -> pd.DataFrame:
    table = DATASETS["tweets"]()[["text", "label"]].drop_duplicates("text")
    return table.sample(n=2_000, random_state=0).reset_index(drop=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with parameters and empty lists."""
    for name in (str(params.PARAMS_FILE), *map(str, (paths.FORGOTTEN, paths.BATCHES, paths.QUARANTINE))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examine(
    files: Sequence[Path], table: pd.DataFrame, predict: incoming.Predict | None = None
) -> list[incoming.Arrival]:
    listed = [(file, file.name, sha256(file)) for file in files]
    known = tables.complete(table, source="tweets")
    return incoming.examine(listed, known, whole=known, predict=predict, min_agreement=0.1)


def test_every_kind_of_broken_file_is_refused(project: Path, tweets: pd.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def parquet(name: str, texts: pa.Array) -> None:
        pq.write_table(pa.table({"text": texts, "label": ["positive"] * len(texts)}), project / name)

    parquet(
        "bytes.parquet", pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    )
    parquet("time.parquet", pa.array([2**62], pa.timestamp("us")))
    (project / "sep.csv").write_bytes(b"sep=\xe9\ntext\xe9label\na\xe9positive\n")
    (project / "late.jsonl").write_text('{"text": "a", "label": "positive", "when": 1' + "0" * 400 + "}\n")
    text = Path("params.yaml").read_text(encoding="utf-8")
    changes = {"dataset": "file", "path": "a.csv", "time_column": "when"}
    for each in ("bytes.parquet", "time.parquet"):
        assert f"{each} holds what cannot be read" in examine([project / each], tweets)[0].refused
    assert examine([project / "sep.csv"], tweets)[0].refused
    Path("params.yaml").write_text(set_params(text, changes), encoding="utf-8")
    (late,) = examine([project / "late.jsonl"], tweets)
    assert "late.jsonl: column 'when' holds an integer that is no time" in late.refused
    odd = Path(os.fsdecode(b"\xff" * 100 + b".csv"))
    odd.write_text("text,mood\na,b\n")
    with incoming.fetched(str(project)) as files:
        (named,) = [file for file in files if "\ufffd" in file[1]]
    (arrival,) = incoming.examine(
        [named], tables.complete(tweets, source="x"), whole=tweets.assign(text=""), predict=None, min_agreement=0.1
    )
    folder = incoming.put_into_quarantine(arrival, "2026-01-01")
    assert [file.suffix for file in folder.iterdir() if "\ufffd" in file.name] == [".csv"]


def test_nothing_that_arrives_leads_out_of_its_folder(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "a.csv"
    elsewhere.write_text("text,label\nsecret,positive\n")
    (project / "in").mkdir()
    (project / "in/link.csv").symlink_to(elsewhere)
    (project / "in/own.csv").write_text("text,label\nmine,positive\n")
    with incoming.fetched("in") as files:
        assert [name for _, name, _ in files] == ["own.csv"]

    def get(command: list[str], **_: object) -> SimpleNamespace:
        """As DVC does with an object whose name holds "..", which S3 allows."""
        target = Path(command[-1])
        target.mkdir()
        (target / "ok.csv").write_text("text,label\nmine,positive\n")
        out = target.joinpath(*[".."] * 300, "a.csv")
        assert out.resolve().is_relative_to(tempfile.gettempdir())
        out.write_text("owned")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere.parent))
    monkeypatch.setattr(incoming.subprocess, "run", get)
    with incoming.fetched("s3://bucket/in") as files:
        assert [name for _, name, _ in files] == ["ok.csv"]
    assert "secret" in elsewhere.read_text()
    assert [file.name for file in elsewhere.parent.iterdir()] == ["a.csv"]


def test_known_rows_are_skipped_and_new_ones_are_not(project: Path, tweets: pd.DataFrame) -> None:
    known, new = tweets[:1_500], tweets[1_500:]
    again = known[:50].assign(text=known["text"].str.upper() + "  ")
    missing = pd.DataFrame({"text": ["", "no label"], "label": ["positive", ""]})
    file = project / "a.csv"
    pd.concat([new, again, new[:20], missing]).to_csv(file, index=False, quoting=1)
    (arrival,) = examine([file], known)
    assert arrival.refused == ""
    assert arrival.rows == 572
    assert arrival.new["text"].tolist() == new["text"].tolist()
    twice = examine([file, shutil.copy(file, project / "b.csv")], known)
    assert [len(each.new) for each in twice] == [500, 0]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda rows: rows.rename(columns={"label": "mood"}), "b.csv has no column 'label'"),
        (lambda rows: rows.assign(label="angry"), "labels: every label is one of the 3 allowed"),
        (lambda rows: rows.assign(text=""), "missing_texts"),
        (lambda rows: rows.assign(text="12345"), "numeric_texts"),
        (lambda rows: rows.assign(label=rows["label"].map(SWAPPED)), "min_agreement"),
    ],
)
def test_a_bad_file_is_refused_and_the_others_come_in(
    project: Path, tweets: pd.DataFrame, spoil: object, why: str
) -> None:
    known = tweets[:1_000]
    truth = dict(zip(tweets["text"], tweets["label"], strict=True))
    files = [project / "a.csv", project / "b.csv", project / "c.csv"]
    parts = [tweets[1_000:1_300], spoil(tweets[1_300:1_600]), tweets[1_600:]]  # type: ignore[operator]
    for file, rows in zip(files, parts, strict=True):
        rows.to_csv(file, index=False, quoting=1)
    good, bad, last = examine(files, known, lambda texts: [truth.get(text, "neutral") for text in texts])
    assert (good.refused, len(good.new), last.refused, len(last.new)) == ("", 300, "", 400)
    assert why in bad.refused
    assert str(project) not in bad.refused
    folder = incoming.put_into_quarantine(bad, "2026-01-01")
    assert (folder / "b.csv").read_bytes() == files[1].read_bytes()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert why.partition(":")[0].partition(" ")[0] in page or "readable" in page
    assert not any(text in page for text in parts[1]["text"] if len(text) > 20)
    with incoming.fetched(str(project)) as waiting:  # what is in quarantine is not looked at again
        assert {name for _, name, _ in waiting if name.endswith(".csv") and "/" not in name} == {"a.csv", "c.csv"}


@pytest.mark.parametrize("name", ["new.csv?signature=a/b", pytest.param("new.csv", marks=pytest.mark.slow)])
def test_files_come_from_an_address(project: Path, tweets: pd.DataFrame, name: str) -> None:
    (project / "there").mkdir()
    (project / ".state").mkdir()
    tweets[:30].to_csv(project / "there/new.csv", index=False, quoting=1)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=project / "there")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with incoming.fetched(f"{address}/{name}") as files:
            (arrival,) = examine([path for path, _, _ in files], tweets[100:])
        assert (arrival.refused, len(arrival.new)) == ("", 30)
        assert not files[0][0].exists()
        missing = f"{address}/none.csv".replace("//", "//jane:s3cret@")
        with (
            pytest.raises(PipelineError, match=r"retrain\.incoming http://\*\*\*@") as raised,
            incoming.fetched(missing),
        ):
            raise AssertionError
        assert "s3cret" not in str(raised.value)
        server.shutdown()


def test_a_folder_that_is_missing_is_told_and_an_empty_one_is_no_error(project: Path) -> None:
    with pytest.raises(PipelineError, match="which does not exist"), incoming.fetched("nowhere"):
        raise AssertionError
    (project / "empty").mkdir()
    for address in ("empty", "data/none"):
        (project / "data/none").touch()
        with incoming.fetched(address) as files:
            assert files == []


def test_names_of_every_kind_come_in(project: Path, tweets: pd.DataFrame) -> None:
    """Of other encodings, as from archives of Windows, and as long as a file system takes."""
    (project / "there").mkdir()
    names = [b"caf\xe9.csv", ("\u957f" * 80 + ".csv").encode(), b"bad.csv"]
    for number, name in enumerate(names):
        tweets[10 * number : 10 * number + 10].to_csv(project / "new.csv", index=False, quoting=1)
        (project / "new.csv").rename(os.fsdecode(os.fsencode(project / "there") + b"/" + name))
    with incoming.fetched("there") as files:
        arrivals = incoming.examine(
            files, tables.complete(tweets[500:], source="t"), whole=tweets[:0], predict=None, min_agreement=0.1
        )
        for arrival in arrivals:
            incoming.put_into_quarantine(arrival, "2026-01-01")
    listed = batches.read_list(paths.QUARANTINE, incoming.QUARANTINED)
    assert sorted(listed["name"]) == sorted(["caf\ufffd.csv", "\u957f" * 80 + ".csv", "bad.csv"])


def test_what_is_no_table_is_left_where_it_lies(project: Path) -> None:
    (project / "there").mkdir()
    for name in (".gitkeep", ".DS_Store", "README.md"):
        (project / "there" / name).write_text("x")
    with incoming.fetched("there") as files:
        assert files == []


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        ("my wife Anna left me,negative\nit rains,neutral\n", {}),
        (
            "label,text\nmy wife Anna left me,negative\n",
            {"label_map": "{negative: bad}", "dataset": "file", "path": "a.csv"},
        ),
    ],
)
def test_the_list_in_git_says_nothing_of_the_texts(
    project: Path, tweets: pd.DataFrame, content: str, changes: dict[str, str]
) -> None:
    """A file without a header, and one whose columns are swapped."""
    params.PARAMS_FILE.write_text(set_params(params.PARAMS_FILE.read_text(), changes))
    (project / "a.csv").write_text(content)
    (arrival,) = examine([project / "a.csv"], tweets[:100])
    assert "Anna" in "".join(pd.read_csv(project / "a.csv").to_csv())
    assert re.search("a.csv has no column 'text' among its 2|label_map lacks 1 of the labels", arrival.refused)
    folder = incoming.put_into_quarantine(arrival, "2026-01-01")
    kept = [paths.QUARANTINE, folder / "index.html", folder / "results.json"]
    assert not any("Anna" in file.read_text() for file in kept)


def test_rows_that_the_sample_leaves_out_are_known(project: Path, tweets: pd.DataFrame) -> None:
    whole = tables.complete(tweets, source="tweets")
    tweets.to_csv(project / "again.csv", index=False, quoting=1)
    files = [(project / "again.csv", "again.csv", "0" * 64)]
    table = selection.sample(whole, 500)
    (arrival,) = incoming.examine(files, table, whole=whole, predict=None, min_agreement=0.1)
    assert (arrival.refused, len(arrival.new)) == ("", 0)


def test_a_file_that_spoils_the_whole_table_is_refused(project: Path, tweets: pd.DataFrame) -> None:
    known = tweets[:600]
    file = project / "a.csv"
    known.assign(label=known["label"].map(SWAPPED)).to_csv(file, index=False, quoting=1)  # against what is known
    (arrival,) = examine([file], known)
    assert "with its rows the whole table breaks" in arrival.refused
    assert "max_conflicts" in arrival.refused


def test_labels_are_mapped_as_those_of_the_data_set(project: Path, tweets: pd.DataFrame) -> None:
    path = project / params.PARAMS_FILE
    text = (
        path.read_text(encoding="utf-8")
        .replace("dataset: tweets", "dataset: file")
        .replace("path: data/none", "path: x", 1)
    )
    path.write_text(
        text.replace("label_map: null", "label_map: {good: positive, bad: negative, so-so: neutral, spam: null}")
    )
    rows = tweets[1_500:1_600].assign(label=tweets["label"].map({"positive": "good", "negative": "bad"}).fillna("spam"))
    rows.to_csv(project / "a.csv", index=False, quoting=1)
    (arrival,) = examine([project / "a.csv"], tweets[:1_500])
    assert arrival.refused == ""
    assert set(arrival.new["label"]) == {"positive", "negative"}
    assert set(arrival.as_given()["label"]) == {"good", "bad"}


def test_batches_are_named_by_their_content_and_checked(project: Path, tweets: pd.DataFrame) -> None:
    rows = tables.complete(tweets[:30], source="a.csv")
    assert batches.read_rows().empty
    place = batches.add(rows, source="a.csv", file="f" * 64, taken="now")
    assert batches.add(rows, source="a.csv", file="f" * 64, taken="later") == place
    assert place.stem == sha256(place) == batches.read_list()["batch"].item()
    assert batches.read_rows()["text"].tolist() == rows["text"].tolist()
    whole = tables.with_rows(tweets[30:60], batches.read_rows(), source="tweets")
    assert tables.complete(whole, source="tweets")["source"].value_counts().to_dict() == {"tweets": 30, "a.csv": 30}
    write_table(place, rows[:3])
    with pytest.raises(PipelineError, match="was changed"):
        batches.read_rows()
    place.unlink()
    with pytest.raises(PipelineError, match="run `dvc pull`"):
        batches.read_rows()
    paths.BATCHES.write_text("batch\n")
    with pytest.raises(PipelineError, match="must have the columns batch, rows"):
        batches.read_list()


def test_the_report_shows_files_and_reasons(project: Path, tweets: pd.DataFrame) -> None:

    tweets[:300].to_csv(project / "a|b.csv", index=False, quoting=1)
    night = report.Night(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "m", examine([project / "a|b.csv"], tweets[500:]))
    night.reasons, night.outcome = ["300 new rows"], report.Outcome.REJECTED
    report.write(night)
    text = checkout.REPORT.read_text(encoding="utf-8")
    assert "**Retrained, not promoted.** Began 2026-01-02 03:04 UTC." in text
    assert "| a\\|b.csv | taken | 300 | 300 |" in text
    night.reasons = []
    assert "| a\\|b.csv | waits for more | 300 | 300 |" in report.markdown(night, "A dry run")
    assert "**A dry run.** Began" in report.markdown(night, "A dry run")
    assert json.loads((report.REPORTS / "report.json").read_text())["outcome"] == "rejected"
    assert "<script" not in (report.REPORTS / "report.html").read_text()
    assert not any(each in text for each in tweets["text"][:300] if len(each) > 20)


def judged(said: str, labels: str, least: float = 0.1) -> list[tuple[bool, float | None, str]]:
    """What agreement says of rows whose labels, and the champion's, are single letters."""
    rows = pd.DataFrame({"text": [f"text {number}" for number in range(len(labels))], "label": list(labels)})
    return [(each.kept, each.observed, each.found) for each in incoming.agreement(rows, lambda _: list(said), least)]


def test_agreement_by_hand() -> None:
    """The champion says a for 60 of 100 rows of a, and for 40 of 100 of b: 0.2, and up to 0.2 + 1.96 * 0.0693."""
    said, labels = "a" * 60 + "b" * 40 + "a" * 40 + "b" * 60, "a" * 100 + "b" * 100
    (found,) = judged(said, labels, 0.33)
    assert found == (True, pytest.approx(0.2), "0.20 (class 'a')")  # chance may explain what is missing
    assert judged(said, labels, 0.34)[0][0] is False


def test_the_worst_class_decides_and_what_says_nothing_does_not() -> None:
    swapped = judged("a" * 40 + "c" * 40 + "b" * 40, "a" * 40 + "b" * 40 + "c" * 40)
    assert swapped == [(False, pytest.approx(-0.5), "-0.50 (class 'b')")]
    assert judged("b" * 30 + "a" * 30, "a" * 30 + "b" * 30)[0][0] is False
    assert judged("b" * 29 + "a" * 200, "a" * 29 + "b" * 200) == []  # too few rows of the one, and beside the other
    assert judged("a" * 40 + "b" * 40, "a" * 40 + "n" * 40)[0][0]  # of a class that it never says
    assert incoming.agreement(pd.DataFrame({"text": [], "label": []}), lambda _: [], 0.1) == []


def test_only_the_new_rows_of_a_file_are_judged(project: Path, tweets: pd.DataFrame) -> None:
    truth = dict(zip(tweets["text"], tweets["label"], strict=True))
    new = tweets[1_000:1_300].assign(label=lambda rows: rows["label"].map(SWAPPED))
    pd.concat([tweets[:1_000], new]).to_csv(project / "a.csv", index=False, quoting=1)
    (arrival,) = examine([project / "a.csv"], tweets[:1_000], lambda texts: [truth[text] for text in texts])
    assert "min_agreement" in arrival.refused


def test_a_forgotten_text_does_not_come_in_again(project: Path, tweets: pd.DataFrame) -> None:
    paths.FORGOTTEN.write_text(f"{forgotten.text_digest(tweets['text'][1_000].upper())}\n")
    tweets[1_000:1_100].to_csv(project / "a.csv", index=False, quoting=1)
    (arrival,) = examine([project / "a.csv"], tweets[:1_000])
    assert (arrival.refused, len(arrival.new)) == ("", 99)
    assert tweets["text"][1_000] not in set(arrival.new["text"])


def test_a_file_that_came_in_and_a_copy_are_not_looked_at_again(project: Path, tweets: pd.DataFrame) -> None:
    (project / "there").mkdir()
    for name in ("a.csv", "b.csv", "copy.csv"):
        tweets[: 10 + 10 * (name == "a.csv")].to_csv(project / "there" / name, index=False, quoting=1)
    digest = sha256(project / "there/a.csv")
    batches.add(tables.complete(tweets[:20], source="a.csv"), source="a.csv", file=digest, taken="now")
    with incoming.fetched("there") as files:
        assert [name for _, name, _ in files] == ["b.csv"]


SOME = slice(0, 30)  # a tenth of a file's rows, and few of the table's


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("label", lambda rows: "", "missing_labels"),
        ("text", lambda rows: "caf\ufffd " + rows["text"], "max_undecodable"),
        ("label", lambda rows: rows["label"].map(SWAPPED | {"neutral": "positive"}), "max_conflicts"),
    ],
)
def test_what_a_large_table_would_hide_is_seen_in_the_file(
    project: Path, tweets: pd.DataFrame, column: str, values: Callable[[pd.DataFrame], object], why: str
) -> None:
    rows = tweets[1_700:].reset_index(drop=True)
    if why == "max_conflicts":  # the same texts once more, with another label
        more = rows[:100].assign(label=values(rows[:100]))
        rows = pd.concat([rows, more], ignore_index=True)
    else:
        rows.loc[rows.index[SOME], column] = values(rows[SOME])
    rows.to_csv(project / "a.csv", index=False, quoting=1)
    (arrival,) = examine([project / "a.csv"], tweets[:1_700])
    assert arrival.refused.startswith(f"{why}: ")


def test_files_that_are_good_alone_and_not_together_do_not_both_come_in(project: Path, tweets: pd.DataFrame) -> None:
    others = tweets[300:].assign(label=lambda rows: rows["label"].map(SWAPPED | {"neutral": "positive"}))
    for name, rows in {"a.csv": tweets[300:], "b.csv": others}.items():
        rows.to_csv(project / name, index=False, quoting=1)
    first, second = examine([project / "a.csv", project / "b.csv"], tweets[:300])
    assert first.refused == ""
    assert "with its rows the whole table breaks max_conflicts" in second.refused


def test_a_line_that_two_branches_brought_counts_once(project: Path, tweets: pd.DataFrame) -> None:
    batches.add(tables.complete(tweets[:30], source="a.csv"), source="a.csv", file="f" * 64, taken="now")
    header, line = paths.BATCHES.read_text().splitlines()
    paths.BATCHES.write_text(f"{header}\n{line}\n{line}\n")
    assert len(batches.read_rows()) == 30


def test_who_watches_is_told_how_long_ago_the_last_night_was(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = (datetime.now(UTC) - timedelta(hours=30)).isoformat(timespec="seconds")
    tags = {retrain.ENDED: ended, retrain.OUTCOME: "m: nothing to do"}
    store = SimpleNamespace(address="sqlite:///x", versions=SimpleNamespace(model_tags=lambda name: tags))
    monkeypatch.setattr(retrain.tracking, "connect", lambda: store)
    assert retrain.overdue("m", 31.0) == "30.0 hours ago: m: nothing to do"
    with pytest.raises(PipelineError, match=r"the last retraining of m ended 30\.0 hours ago"):
        retrain.overdue("m", 29.0)
    tags.clear()
    with pytest.raises(PipelineError, match="no retraining of m has ever ended"):
        retrain.overdue("m", 29.0)


def test_the_report_shows_the_figures_before_and_now() -> None:
    found = report.Night(datetime(2026, 1, 2, tzinfo=UTC), "m")
    old, new = ({"overall": {"num_samples": n, "accuracy": n / 8, "macro_f1": 0.5, "loss": 1.0}} for n in (4, 6))
    found.figures = [old, new]
    assert "| accuracy | 0.5 | 0.75 |" in report.markdown(found)
    found.figures = [None, new]
    assert "| accuracy |  | 0.75 |" in report.markdown(found)


def test_the_report_tells_files_apart(project: Path, tweets: pd.DataFrame) -> None:
    for name, rows in {"old.csv": tweets[:50], "bad.csv": tweets[50:90].assign(label="angry")}.items():
        rows.to_csv(project / name, index=False, quoting=1)
    arrivals = examine([project / "old.csv", project / "bad.csv"], tweets[:600])
    found = report.Night(datetime(2026, 1, 2, tzinfo=UTC), "m", arrivals)
    text = report.markdown(found)
    assert "| old.csv | nothing new | 50 | 0 |" in text
    assert re.search(r"\| bad\.csv \| \*\*in quarantine\*\*: labels.* \| 40 \| 40 \|", text)
    assert found.sentence() == "m: nothing to do; 2 new files with 0 new rows; 1 in quarantine"


@pytest.mark.parametrize(("options", "status"), [([], 10), (["--alarm"], 0)])
def test_the_exit_status_tells_the_outcome(
    project: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], status: int
) -> None:
    def promoted(night: report.Night, *, dry: bool) -> None:
        night.outcome = report.Outcome.PROMOTED

    monkeypatch.setattr(retrain, "retrain", promoted)
    monkeypatch.setattr(retrain, "let_go_when_stopped", lambda: None)
    monkeypatch.setattr(sys, "argv", ["retrain", *options])
    with pytest.raises(SystemExit) as ended:
        retrain.main()
    assert ended.value.code == status
