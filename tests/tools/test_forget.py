"""Excluding rows from later trainings, and finding the copies that remain."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from helpers.project import Project, clean_environment

from pipeline.base import checkout, paths, versioning
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_table, sha256, write_table
from pipeline.data import forgotten, increments, tables
from pipeline.tools import forget

TABLE = pd.DataFrame({"id": ["a", "b", "c"], "text": ["Hello  WORLD", None, "hello world!"]})


@pytest.fixture(autouse=True)
def _empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/forgotten.txt").write_text("")


def test_rows_match_by_id_and_by_text() -> None:
    assert forgotten.mask_listed(TABLE, []).tolist() == [False, False, False]
    assert forgotten.mask_listed(TABLE, [forgotten.text_digest(" hello world ")]).tolist() == [True, False, False]
    assert forgotten.mask_listed(TABLE, [forgotten.id_digest("b")]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "copy",
    [
        "<p>so  GLAD, @anna</p>",
        "so glad,&nbsp;@bob",
        "so\u00a0glad, @anna",
        "s\u00ado glad, @x_y",
        "ｓｏ glad, @anna<br>",
    ],
)
def test_copies_that_are_equal_once_cleaned_are_forgotten(copy: str) -> None:
    table = pd.DataFrame({"id": ["a", "b", "c", "d"], "text": [copy, "so sad, @anna", None, "<br>"]})
    for text in ("so glad, @anna", copy):
        assert forgotten.mask_listed(table, forgotten.text_digests(text)).tolist() == [True, False, False, False]
    assert forgotten.mask_listed(table, forgotten.text_digests("<hr>")).tolist() == [False] * 4


def test_no_copy_takes_the_place_of_a_forgotten_row(searches: list[tuple[set[str], set[str]]]) -> None:
    table = tables.complete(
        pd.DataFrame({"text": ["<b>good</b>", "good", "bad"], "label": ["a", "a", "b"]}), source="s"
    )
    write_table(paths.INGEST_TABLE, table)
    forget.forget_rows([], {table["id"][0]})
    assert forgotten.mask_listed(table, forgotten.read_forgotten()).tolist() == [True, True, False]
    assert searches == [({*table["id"][:2]}, {"good"})]


def test_list_holds_unique_digests_only() -> None:
    digests = [forgotten.text_digest("my secret"), forgotten.id_digest("b")]
    assert forget.add_digests(digests) == 2
    assert forget.add_digests([forgotten.text_digest("MY  secret")]) == 0
    assert re.fullmatch(r"([0-9a-f]{64}\n){2}", Path("data/forgotten.txt").read_text())
    assert forgotten.read_forgotten() == set(digests)


def test_damaged_list_is_an_error() -> None:
    Path("data/forgotten.txt").write_text("my secret\n")
    with pytest.raises(PipelineError, match="line 1 is not a SHA-256 digest") as raised:
        forgotten.read_forgotten()
    assert "secret" not in str(raised.value)
    Path("data/forgotten.txt").unlink()
    with pytest.raises(PipelineError, match="cannot be read"):
        forgotten.read_forgotten()


def test_increments_are_replaced_without_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(versioning, "dvc", lambda *arguments, **_: calls.append(arguments))
    paths.INCREMENTS.write_text(",".join(increments.LIST_COLUMNS) + "\n")
    rows = tables.complete(
        pd.DataFrame({"text": ["Hello  WORLD", "good", "bad"], "label": ["a", "a", "b"]}), source="x.csv"
    )
    old = increments.add(rows, source="x.csv", file="f" * 64, taken="now")
    old.with_name(f"{old.name}.dvc").write_text("")
    other = increments.add(rows[1:2], source="y.csv", file="e" * 64, taken="now")
    (line,) = forget.remove_from_increments([forgotten.text_digest("hello world")])
    assert "1 rows removed" in line
    assert not old.exists()
    assert increments.read_rows()["text"].tolist() == ["good", "bad", "good"]
    new = paths.INCREMENT_FILES / f"{increments.names()[0]}.parquet"
    assert calls == [("add", "--quiet", str(new)), ("remove", f"{old}.dvc")]  # in this order no row is ever missing
    assert forget.remove_from_increments([forgotten.text_digest("good")]) != []
    assert not other.exists()
    assert increments.read_rows()["text"].tolist() == ["bad"]
    assert set(increments.read_list()["file"]) == {"f" * 64, "e" * 64}  # neither file is taken in again


def test_forget_is_refused_during_a_retraining(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retraining that runs, or was killed, would undo what it writes."""
    monkeypatch.setattr(forget, "forget_rows", lambda *_: pytest.fail("rows were forgotten"))
    with (
        checkout.checkout_lock(),
        pytest.raises(PipelineError, match="in progress in this folder; run this again when it has ended"),
    ):
        forget.main(["--text", "hello"])
    calls: list[str] = []
    monkeypatch.setattr(checkout, "restore", lambda: calls.append("put back"))
    monkeypatch.setattr(forget, "forget_rows", lambda texts, ids: calls.append(f"{texts} {ids}"))
    forget.main(["--text", "hello"])
    assert calls == ["put back", "['hello'] set()"]


@pytest.mark.slow  # a second training
def test_forgotten_row_is_in_no_later_training(reference: Project, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project = Project(shutil.copytree(reference.folder, folder, symlinks=True))
    tables = {
        split: pd.read_parquet(folder / f"data/clean/{split}.parquet") for split in ("train", "validation", "test")
    }
    row = tables["train"]["id"].iloc[0]
    raw = pd.read_parquet(folder / "data/ingest/table.parquet").set_index("id")["text"]
    output = project.run("python", "-m", "pipeline", "forget", "--text", f" {raw[row].upper()} ").stdout
    assert "1 rows in the current data match" in output
    assert "versions of tweets-lstm trained on them: 1\n" in output
    assert raw[row] not in output
    project.run("dvc", "repro", "train")
    for split, before in tables.items():
        after = pd.read_parquet(folder / f"data/clean/{split}.parquet")
        assert row not in set(after["id"])
        assert set(before["id"]) - {row} <= set(after["id"])  # no other row leaves its split


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], set[str]]]:
    """Ids and cleaned texts that were searched for in the registered versions; the current data have three rows."""
    calls: list[tuple[set[str], set[str]]] = []
    monkeypatch.setattr(forget, "versions_trained_on", lambda ids, texts: calls.append((ids, texts)) or (["2"], ["1"]))
    monkeypatch.setattr(forget, "model_name", lambda: "m")
    monkeypatch.setattr(versioning, "dvc", lambda *_, **__: "")
    paths.INCREMENTS.write_text(",".join(increments.LIST_COLUMNS) + "\n")
    table = tables.complete(
        pd.DataFrame({"text": ["Hello  WORLD", None, "good"], "label": ["a", "a", "b"]}), source="s"
    )
    write_table(paths.INGEST_TABLE, table)
    return calls


def test_id_also_removes_rows_of_the_same_text(
    searches: list[tuple[set[str], set[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A row has another id in its increment where `ingest.label_map` renames its label."""
    row = read_table(paths.INGEST_TABLE)["id"][0]
    rows = pd.DataFrame({"text": ["hello world", "good"], "label": ["other", "b"]})
    increments.add(tables.complete(rows, source="x.csv"), source="x.csv", file="f" * 64, taken="now")
    forget.forget_rows([], {row})
    assert forgotten.read_forgotten() == {forgotten.id_digest(row), *forgotten.text_digests("Hello  WORLD")}
    assert increments.read_rows()["text"].tolist() == ["good"]
    assert searches == [({row}, {"hello world"})]
    output = capsys.readouterr().out
    assert "1 rows in the current data match" in output
    assert "versions of m trained on them: 2\n" in output
    assert re.search(r"versions whose data are not in DVC's cache: 1;.* `dvc fetch --all-commits`", output)


def test_text_also_searches_for_the_ids_of_its_rows(searches: list[tuple[set[str], set[str]]]) -> None:
    forget.forget_rows([" HELLO world "], set())
    assert searches == [({read_table(paths.INGEST_TABLE)["id"][0]}, {"hello world"})]


def test_earlier_digests_stay() -> None:
    forget.add_digests([forgotten.text_digest("first")])
    forget.add_digests([forgotten.text_digest("second")])
    assert forgotten.read_forgotten() == {forgotten.text_digest(text) for text in ("first", "second")}


def test_blank_lines_of_a_file_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts.txt").write_text("hello\n\n  \nworld\n")
    calls: list[list[str]] = []
    monkeypatch.setattr(forget, "forget_rows", lambda texts, ids: calls.append(texts))
    forget.main(["--file", "texts.txt"])
    assert calls == [["hello", "world"]]


def test_forget_needs_rows() -> None:
    with pytest.raises(PipelineError, match="no rows given; name them with --id, --text or --file"):
        forget.main([])


def test_text_listed_under_an_earlier_key_stays_forgotten() -> None:
    raw = "my se\u00adcret"
    table = pd.DataFrame({"id": ["a"], "text": [raw]})
    assert forgotten.text_digest(raw, version=1) != forgotten.text_digest(raw)
    for version in (1, 2):
        assert forgotten.mask_listed(table, [forgotten.text_digest(raw, version)]).tolist() == [True]


def test_text_digest_ignores_width_case_and_space() -> None:
    assert forgotten.text_digest("Ｈｅｌｌｏ STRASSE") == forgotten.text_digest("hello  straße")


def write_to_cache(folder: Path, digest: str, content: str = "") -> None:
    file = folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def test_cached_tables_of_every_commit_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only training and validation tables, in the entries of old locks (files) and of new ones (folders)."""
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    monkeypatch.setenv("PATH", clean_environment()["PATH"])
    subprocess.run([*git, "init", "-q"], check=True)

    def lock(outs: list[str]) -> None:
        Path("dvc.lock").write_text(f"schema: '2.0'\nstages: {{clean: {{cmd: x, outs: [{', '.join(outs)}]}}}}\n")

    def commit() -> None:
        subprocess.run([*git, "add", "dvc.lock"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "state"], check=True)

    for state in ("aa", "bb"):
        lock([f"{{path: {path}, md5: {state}{split}}}" for split, path in paths.CLEAN_TABLES.items()])
        commit()
    for state in ("ee", "ff"):
        lock([f"{{path: data/clean, md5: {state}.dir}}"])
        commit()
    listing = [{"relpath": path.name, "md5": f"ee{split}"} for split, path in paths.CLEAN_TABLES.items()]
    write_to_cache(tmp_path, "ee.dir", json.dumps([*listing, {"relpath": "counts.csv", "md5": "eecounts"}]))
    lock([f"{{path: {path}, md5: cc{split}}}" for split, path in paths.CLEAN_TABLES.items()])  # not committed yet
    for digest in ("aatrain", "aatest", "aavalidation", "bbtest", "cctrain", "eetrain", "eetest", "eecounts"):
        write_to_cache(tmp_path, digest)
    tables_in_cache = ["/".join(file.parts[-2:]) for file in forget.cached_tables()]
    assert tables_in_cache == ["aa/train", "aa/validation", "cc/train", "ee/train"]


def test_versions_are_found_by_their_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ids_by_table = {"with": ["1", "2"], "without": ["3"]}
    files = {name: tmp_path / f"{name}.parquet" for name in ids_by_table}
    for name, ids in ids_by_table.items():
        write_table(files[name], pd.DataFrame({"id": ids, "text": [f"text {row}" for row in ids]}))
    versions = {"1": ["with", "without"], "2": ["without"], "3": ["without", "gone"], "4": [], "5": ["gone", "with"]}
    digests = {name: sha256(file) for name, file in files.items()} | {"gone": "0" * 64}
    store = SimpleNamespace(
        address="sqlite:///x",
        versions=SimpleNamespace(
            learned_from=lambda name: [(version, [digests[key] for key in keys]) for version, keys in versions.items()]
        ),
    )
    monkeypatch.setattr(forget.tracking, "connect", lambda: store)
    monkeypatch.setattr(forget, "model_name", lambda: "m")
    monkeypatch.setattr(forget, "cached_tables", lambda: iter(files.values()))
    for ids, texts in (({"2"}, set()), (set(), {"text 1"})):
        assert forget.versions_trained_on(ids, texts) == (["1", "5"], ["3", "4"])
