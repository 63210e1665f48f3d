"""Bad input stops a stage with one sentence and exit status 1; real exports work."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers.bad_files import CASES, DIRT
from helpers.project import ROOT, set_params

from pipeline import clean, ingest, validate
from pipeline.base import command, files, paths
from pipeline.data.readers.formats import open_stream

STAGES = {"ingest": ingest.main, "validate": validate.main, "clean": clean.main}


def prepare(folder: Path, path: str, values: dict[str, str]) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(set_params(text, {"dataset": "file", "path": path} | values), encoding="utf-8")
    (folder / "data").mkdir()
    for name in ("none", "forgotten.txt"):
        (folder / "data" / name).touch()
    shutil.copy(ROOT / "data/batches.csv", folder / "data")


@pytest.mark.parametrize("case", CASES)
def test_bad_input_stops_with_one_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    bad = CASES[case]
    bad.write(tmp_path)
    prepare(tmp_path, bad.name.rstrip("/"), bad.params)
    monkeypatch.chdir(tmp_path)
    for name, main in STAGES.items():
        if name == bad.stage:
            break
        command.run(name, main)
    with pytest.raises(SystemExit) as stop:
        command.run(bad.stage, STAGES[bad.stage])
    sentence = str(stop.value.code)  # what Python prints before it exits with status 1
    assert sentence.startswith(f"{bad.stage}: ")
    assert bad.message in sentence
    lines = sentence.splitlines()  # of validate: a heading, one rule, and what repairs the file
    assert len(lines) == 1 if bad.stage != "validate" else len(lines) == 2 or lines[2].startswith("  label_map: {")
    assert len(sentence) < 700
    assert "Traceback" not in capsys.readouterr().err
    assert not list(Path(f"data/{bad.stage}").glob("*"))


def run_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, **values: str) -> pd.DataFrame:
    content, name = DIRT[case]
    (tmp_path / name).write_bytes(content())
    prepare(tmp_path, name, values)
    monkeypatch.chdir(tmp_path)
    for stage, main in STAGES.items():
        command.run(stage, main)
    return pd.concat([files.read_table(path) for path in paths.CLEAN_TABLES.values()])


def test_real_export_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = run_all(tmp_path, monkeypatch, "a real export")
    dropped = files.read_json(paths.CLEAN_SUMMARY)["dropped"]
    assert (dropped["unlabelled"], dropped["empty"]) == (3, 2)
    assert dropped["duplicate"] >= 840
    by_row = table.set_index("row")["text"]
    assert by_row[4] == "= [user] (a1)+cmd"
    assert by_row[6] == 'two lines, and a "quote"'
    assert by_row[8] == "none"


def test_broken_bytes_are_replaced_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = run_all(tmp_path, monkeypatch, "one broken row of 14,640")
    assert table["text"].str.contains("�").sum() == 1
    assert table["text"].str.contains("✈").mean() > 0.99
    assert "1 line(s) hold bytes that are not utf-8, the first being line 2; " in capsys.readouterr().err


def test_gbk_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = run_all(tmp_path, monkeypatch, "GBK")
    assert table["text"].str.contains(r"[\u4e00-\u9fff]").mean() > 0.99


@pytest.mark.parametrize("case", DIRT)
def test_ingest_and_predict_read_the_same_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    content, name = DIRT[case]
    (tmp_path / name).write_bytes(content())
    prepare(tmp_path, name, {})
    monkeypatch.chdir(tmp_path)
    command.run("ingest", ingest.main)
    ingested = files.read_table(paths.INGEST_TABLE).sort_values("row")["text"].fillna("").tolist()
    chunks = open_stream(name, {"text": "text"}).chunks(1_000)
    # `predict` keeps bytes that are not UTF-8, and reports their rows; `ingest` replaces them.
    streamed = [
        text.encode(errors="surrogateescape").decode(errors="replace") for _, cells in chunks for text in cells["text"]
    ]
    assert streamed == ingested
