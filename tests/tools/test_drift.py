"""The drift command: reading by the columns of `ingest`, and a run with a trained model."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers.project import ROOT, Project, set_params

from pipeline.base.errors import PipelineError
from pipeline.data import datasets
from pipeline.tools import drift

CHAMPION = "tweets-lstm champion"


@pytest.fixture
def star_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder whose parameters name the columns review and stars."""
    monkeypatch.chdir(tmp_path)
    changes = {"dataset": "file", "path": "a.csv", "text_column": "review", "label_column": "stars"}
    text = set_params((ROOT / "params.yaml").read_text(encoding="utf-8"), changes)
    assert text.count("label_map: null") == 1
    mapped = text.replace("label_map: null", "label_map: {1: bad, 5: good, 3: null}")
    Path("params.yaml").write_text(mapped, encoding="utf-8")


@pytest.mark.usefixtures("star_columns")
def test_read_folder_and_map_labels() -> None:
    Path("in").mkdir()
    Path("in/a.csv").write_text("review,stars\none,1\ntwo,3\nthree,4\n")
    Path("in/b.jsonl").write_text('{"review": "four", "stars": 5}\n{"review": "five", "stars": null}\n')
    table = drift.read_new_rows(Path("in"))
    assert table["text"].tolist() == ["one", "three", "four", "five"]
    assert table["label"].fillna("").tolist() == ["bad", "4", "good", ""]


@pytest.mark.usefixtures("star_columns")
def test_folder_of_texts_by_class(tmp_path: Path) -> None:
    for label in ("pos", "neg"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.txt").write_text(f"{label} text\n")
    table = drift.read_new_rows(tmp_path)
    assert sorted(zip(table["text"], table["label"], strict=True)) == [("neg text", "neg"), ("pos text", "pos")]


@pytest.mark.usefixtures("star_columns")
def test_label_column_is_optional() -> None:
    Path("c.csv").write_text("review\none\n")
    assert drift.read_new_rows(Path("c.csv"))["label"].isna().all()


@pytest.mark.usefixtures("star_columns")
def test_column_of_texts_is_not_a_label_column() -> None:
    Path("texts.csv").write_text("review,stars\n" + "".join(f"{row},secret {row}\n" for row in range(60)))
    with pytest.raises(PipelineError, match="column 'stars' holds 60 labels, more than 50; name") as raised:
        drift.read_new_rows(Path("texts.csv"))
    assert "secret" not in str(raised.value)


@pytest.mark.usefixtures("star_columns")
@pytest.mark.parametrize(
    ("content", "message"),
    [("text\none\n", "review"), ("review,stars,stars\none,1,1\n", "has the column 'stars' 2 times")],
)
def test_missing_and_repeated_columns_are_refused(content: str, message: str) -> None:
    Path("bad.csv").write_text(content)
    with pytest.raises(PipelineError, match=message):
        drift.read_new_rows(Path("bad.csv"))


def test_labels_unknown_to_the_model_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"text": list("abcd"), "label": ["Negative", "negative", "", "angry"]}, dtype="str")
    cleaned, count = drift.without_unknown_labels(table, ["negative", "positive"])
    assert (cleaned["label"].tolist(), count) == (["", "negative", "", ""], 2)
    assert "2 row(s) have labels" in (message := capsys.readouterr().err)
    assert "'Negative' (did you mean 'negative'?) and 1 other label" in message
    assert drift.without_unknown_labels(table[1:3], ["negative"])[1] == 0


@pytest.mark.slow
def test_command_with_a_trained_model(reference: Project, tmp_path: Path) -> None:
    shutil.copytree(reference.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project")
    tweets = datasets.tweets()
    known = set(pd.read_parquet(project.folder / "data/ingest/table.parquet")["text"])
    fresh = tweets[~tweets["text"].isin(known)].sample(400, random_state=0)
    fresh.to_csv(project.folder / "fresh.csv", index=False)
    fresh[["text"]].head(20).to_csv(project.folder / "few.csv", index=False)
    datasets.rotten_tomatoes()[["text"]].sample(400, random_state=0).to_csv(project.folder / "reviews.csv", index=False)
    command = ("python", "-m", "pipeline", "drift")

    done = project.run(*command, "fresh.csv", "--fail")
    assert "no drift in 7 measures; report: reports/drift/drift.html" in done.stdout
    assert json.loads((project.folder / "reports/drift/drift.json").read_text())["model"] == CHAMPION
    done = project.run(*command, "reviews.csv", "--model", "data/train/model")
    assert "drift in length, unknown words, terms, scores; report" in done.stdout
    report = json.loads((project.folder / "reports/drift/drift.json").read_text())
    assert report["rows"]["labelled"] == 0
    assert [entry["measure"] for entry in report["measures"]] == ["length", "unknown_words", "terms", "scores"]
    done = project.run(*command, "reviews.csv", "--model", "data/train/model", "--fail", check=False)
    assert (done.returncode, done.stderr.startswith("drift: drift in ")) == (1, True)
    done = project.run(*command, "few.csv", "--fail", PIPELINE_TRACKING="off")
    assert "not judged: too few rows (drift.min_incoming)" in done.stdout
    assert project.run(*command, "few.csv", "--model", "7", check=False).returncode == 1
