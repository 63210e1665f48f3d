"""Forget: listed rows are found in any spelling, the list holds no text, and no later training contains them."""

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
from pipeline.data import batches, forgotten, tables
from pipeline.tools import forget

TABLE = pd.DataFrame({"id": ["a", "b", "c"], "text": ["Hello  WORLD", None, "hello world!"]})


@pytest.fixture(autouse=True)
def _empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/forgotten.txt").write_text("")


def test_rows_are_found_by_id_and_by_text() -> None:
    assert forgotten.matching(TABLE, []).tolist() == [False, False, False]
    assert forgotten.matching(TABLE, [forgotten.text_digest(" hello world ")]).tolist() == [True, False, False]
    assert forgotten.matching(TABLE, [forgotten.id_digest("b")]).tolist() == [False, True, False]


def test_the_list_holds_digests_alone_each_once() -> None:
    digests = [forgotten.text_digest("my secret"), forgotten.id_digest("b")]
    assert forget.append(digests) == 2
    assert forget.append([forgotten.text_digest("MY  secret")]) == 0
    assert re.fullmatch(r"([0-9a-f]{64}\n){2}", Path("data/forgotten.txt").read_text())
    assert forgotten.read_forgotten() == set(digests)


def test_a_damaged_list_stops_the_pipeline() -> None:
    Path("data/forgotten.txt").write_text("my secret\n")
    with pytest.raises(PipelineError, match="line 1 is no SHA-256 digest") as raised:
        forgotten.read_forgotten()
    assert "secret" not in str(raised.value)
    Path("data/forgotten.txt").unlink()
    with pytest.raises(PipelineError, match="cannot be read"):
        forgotten.read_forgotten()


def test_a_batch_is_written_anew_without_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(versioning, "dvc", lambda *arguments, **_: said.append(arguments))
    paths.BATCHES.write_text(",".join(batches.COLUMNS) + "\n")
    rows = tables.complete(
        pd.DataFrame({"text": ["Hello  WORLD", "good", "bad"], "label": ["a", "a", "b"]}), source="x.csv"
    )
    old = batches.add(rows, source="x.csv", file="f" * 64, taken="now")
    old.with_name(f"{old.name}.dvc").write_text("")
    other = batches.add(rows[1:2], source="y.csv", file="e" * 64, taken="now")
    (told,) = forget.purge_batches([forgotten.text_digest("hello world")])
    assert "1 rows removed" in told
    assert not old.exists()
    assert batches.read_rows()["text"].tolist() == ["good", "bad", "good"]
    new = paths.BATCH_FILES / f"{batches.files()[0]}.parquet"
    assert said == [("add", "--quiet", str(new)), ("remove", f"{old}.dvc")]  # the rows that stay are kept first
    assert forget.purge_batches([forgotten.text_digest("good")]) != []
    assert not other.exists()
    assert batches.read_rows()["text"].tolist() == ["bad"]
    assert set(batches.read_list()["file"]) == {"f" * 64, "e" * 64}  # neither file comes in once more


def test_no_retraining_is_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it writes, a retraining at work, or one that was killed, would put back."""
    monkeypatch.setattr("sys.argv", ["forget", "--text", "hello"])
    monkeypatch.setattr(forget, "forget", lambda *_: pytest.fail("it began"))
    with (
        checkout.alone_here(),
        pytest.raises(PipelineError, match="in progress in this folder; run this again when it has ended"),
    ):
        forget.main()
    order: list[str] = []
    monkeypatch.setattr(checkout, "put_back", lambda: order.append("put back"))
    monkeypatch.setattr(forget, "forget", lambda texts, ids: order.append(f"{texts} {ids}"))
    forget.main()
    assert order == ["put back", "['hello'] set()"]


@pytest.mark.slow  # a second training
def test_a_forgotten_row_is_in_no_later_training(reference: Project, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project = Project(shutil.copytree(reference.folder, folder, symlinks=True))
    tables = {
        split: pd.read_parquet(folder / f"data/clean/{split}.parquet") for split in ("train", "validation", "test")
    }
    row = tables["train"]["id"].iloc[0]
    raw = pd.read_parquet(folder / "data/ingest/table.parquet").set_index("id")["text"]
    said = project.run("python", "-m", "pipeline", "forget", "--text", f" {raw[row].upper()} ").stdout
    assert "1 rows of the current data match" in said
    assert "versions of tweets-lstm trained on them: 1\n" in said
    assert raw[row] not in said
    project.run("dvc", "repro", "train")
    for split, before in tables.items():
        after = pd.read_parquet(folder / f"data/clean/{split}.parquet")
        assert row not in set(after["id"])
        assert set(before["id"]) - {row} <= set(after["id"])  # no other row leaves its split


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[str], set[str]]]:
    """What is looked for in the registered versions: ids and cleaned texts; the current data have three rows."""
    asked: list[tuple[set[str], set[str]]] = []
    monkeypatch.setattr(forget, "versions_seen", lambda ids, texts: asked.append((ids, texts)) or (["2"], ["1"]))
    monkeypatch.setattr(forget, "model_name", lambda: "m")
    monkeypatch.setattr(versioning, "dvc", lambda *_, **__: "")
    paths.BATCHES.write_text(",".join(batches.COLUMNS) + "\n")
    table = tables.complete(
        pd.DataFrame({"text": ["Hello  WORLD", None, "good"], "label": ["a", "a", "b"]}), source="s"
    )
    write_table(paths.INGEST_TABLE, table)
    return asked


def test_a_row_named_by_its_id_is_forgotten_by_its_text_too(
    known: list[tuple[set[str], set[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """In a batch it has another id where ingest.label_map renames its label."""
    row = read_table(paths.INGEST_TABLE)["id"][0]
    rows = pd.DataFrame({"text": ["hello world", "good"], "label": ["other", "b"]})
    batches.add(tables.complete(rows, source="x.csv"), source="x.csv", file="f" * 64, taken="now")
    forget.forget([], {row})
    assert forgotten.read_forgotten() == {forgotten.id_digest(row)}
    assert batches.read_rows()["text"].tolist() == ["good"]
    assert known == [({row}, {"hello world"})]
    said = capsys.readouterr().out
    assert "1 rows of the current data match" in said
    assert "versions of m trained on them: 2\n" in said
    assert "not known, because DVC's cache lacks their data (`dvc fetch --all-commits`): 1\n" in said


def test_a_text_is_looked_for_by_the_ids_of_its_rows_too(known: list[tuple[set[str], set[str]]]) -> None:
    forget.forget([" HELLO world "], set())
    assert known == [({read_table(paths.INGEST_TABLE)["id"][0]}, {"hello world"})]


def test_what_is_forgotten_stays_forgotten() -> None:
    forget.append([forgotten.text_digest("first")])
    forget.append([forgotten.text_digest("second")])
    assert forgotten.read_forgotten() == {forgotten.text_digest(each) for each in ("first", "second")}


def test_a_blank_line_of_a_file_forgets_no_row_without_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts.txt").write_text("hello\n\n  \nworld\n")
    asked: list[list[str]] = []
    monkeypatch.setattr("sys.argv", ["forget", "--file", "texts.txt"])
    monkeypatch.setattr(forget, "forget", lambda texts, ids: asked.append(texts))
    forget.main()
    assert asked == [["hello", "world"]]


def test_a_text_is_the_same_in_other_width_and_case() -> None:
    assert forgotten.text_digest("Ｈｅｌｌｏ STRASSE") == forgotten.text_digest("hello  straße")


def test_the_tables_of_every_state_in_git_are_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of train and validation rows, as far as the cache has them; test rows train nothing."""
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    monkeypatch.setenv("PATH", clean_environment()["PATH"])
    subprocess.run([*git, "init", "-q"], check=True)

    def lock(state: str) -> None:
        outs = [f"{{path: {path}, md5: {state}{split}}}" for split, path in paths.CLEAN_TABLES.items()]
        Path("dvc.lock").write_text(f"schema: '2.0'\nstages: {{clean: {{cmd: x, outs: [{', '.join(outs)}]}}}}\n")

    for state in ("aa", "bb"):
        lock(state)
        subprocess.run([*git, "add", "dvc.lock"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", state], check=True)
    lock("cc")  # not committed yet
    for name in ("aatrain", "aatest", "aavalidation", "cctrain", "bbtest"):
        place = tmp_path / ".dvc/cache/files/md5" / name[:2] / name[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    found = ["/".join(each.parts[-2:]) for each in forget.tables_known()]
    assert found == ["aa/train", "aa/validation", "cc/train"]


def test_versions_are_told_apart_by_what_they_learnt_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tables = {"with": ["1", "2"], "without": ["3"]}
    places = {name: tmp_path / f"{name}.parquet" for name in tables}
    for name, ids in tables.items():
        write_table(places[name], pd.DataFrame({"id": ids, "text": [f"text {each}" for each in ids]}))
    learnt = {"1": ["with", "without"], "2": ["without"], "3": ["without", "gone"], "4": [], "5": ["gone", "with"]}
    digests = {name: sha256(place) for name, place in places.items()} | {"gone": "0" * 64}
    store = SimpleNamespace(
        address="sqlite:///x",
        versions=SimpleNamespace(
            learned_from=lambda name: [(version, [digests[each] for each in of]) for version, of in learnt.items()]
        ),
    )
    monkeypatch.setattr(forget.tracking, "connect", lambda: store)
    monkeypatch.setattr(forget, "model_name", lambda: "m")
    monkeypatch.setattr(forget, "tables_known", lambda: iter(places.values()))
    for ids, texts in (({"2"}, set()), (set(), {"text 1"})):
        assert forget.versions_seen(ids, texts) == (["1", "5"], ["3", "4"])
