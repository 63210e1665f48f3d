"""Forget: listed rows are found in any spelling, the list holds no text, and no later training contains them."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project

from pipeline import batches, forget, forgotten, ingest, paths, repository
from pipeline.stage import PipelineError

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
    monkeypatch.setattr(repository, "dvc", lambda *arguments, **_: said.append(arguments))
    paths.BATCHES.write_text(",".join(batches.COLUMNS) + "\n")
    rows = ingest.complete(
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
    assert said == [("remove", f"{old}.dvc"), ("add", "--quiet", str(new))]
    assert forget.purge_batches([forgotten.text_digest("good")]) != []
    assert not other.exists()
    assert batches.read_rows()["text"].tolist() == ["bad"]
    assert set(batches.read_list()["file"]) == {"f" * 64, "e" * 64}  # neither file comes in once more


def test_no_retraining_is_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it writes, a retraining at work, or one that was killed, would put back."""
    monkeypatch.setattr("sys.argv", ["forget", "--text", "hello"])
    monkeypatch.setattr(forget, "forget", lambda *_: pytest.fail("it began"))
    with (
        repository.alone_here(),
        pytest.raises(PipelineError, match="in progress in this folder; run this again when it has ended"),
    ):
        forget.main()
    order: list[str] = []
    monkeypatch.setattr(repository, "put_back", lambda: order.append("put back"))
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
    said = project.run("python", "-m", "pipeline.forget", "--text", f" {raw[row].upper()} ").stdout
    assert "1 rows of the current data match" in said
    assert "versions of tweets-lstm trained on them: 1\n" in said
    assert raw[row] not in said
    project.run("dvc", "repro", "train")
    for split, before in tables.items():
        after = pd.read_parquet(folder / f"data/clean/{split}.parquet")
        assert row not in set(after["id"])
        assert set(before["id"]) - {row} <= set(after["id"])  # no other row leaves its split
