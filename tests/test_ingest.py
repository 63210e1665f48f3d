"""Stage ingest: the user's files become one table; ids and samples are stable."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.project import set_params

from pipeline import ingest
from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json, read_table
from pipeline.data import columns, datasets, forgotten, increments, selection, tables
from pipeline.data.settings import FILE_DEFAULTS, Ingest

CONTENT = """text,label,film,part,when
good,1,A,train,2020-01-01
bad, 0 ,A,,2020-01-02
,1,B,dev,2020/1/3 10:00
so so,,B,Test,2019-12-31 23:00 -0200
"""


def settings(path: Path, **values: Any) -> Ingest:
    return Ingest(**(FILE_DEFAULTS | {"dataset": "file", "max_rows": None, "skew": None, "path": str(path)} | values))


def write(path: Path, content: str = CONTENT) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_columns_get_their_roles(tmp_path: Path) -> None:
    table = tables.read_files(settings(write(tmp_path / "a.csv"), group_column="film", split_column="part"))
    table = tables.complete(table, source="file")
    assert list(table.columns) == ["id", "text", "label", "source", "group", "split", "time", "row"]
    assert table["text"].tolist() == ["good", "bad", "", "so so"]
    assert table["label"].fillna("missing").tolist() == ["1", "0", "1", "missing"]
    assert table["group"].tolist() == ["A", "A", "B", "B"]
    assert table["split"].tolist() == ["train", "", "validation", "test"]
    assert table["row"].tolist() == [1, 2, 3, 4]
    assert set(table["source"]) == {"a.csv"}
    assert table["time"].isna().all()


def test_times_become_ascending_numbers(tmp_path: Path) -> None:
    table = tables.read_files(settings(write(tmp_path / "a.csv"), time_column="when"))
    assert list(np.argsort(table["time"])) == [0, 3, 1, 2]  # row 3 is 01:00 of the new year in UTC
    numbers = columns.as_times(pd.Series(["2015", "2014.5"], dtype="str"), Path("a"))
    assert numbers.tolist() == [2015.0, 2014.5]
    assert columns.as_times(pd.Series(["1970-01-02 00:00:01"], dtype="str"), Path("a")).tolist() == [86_401.0]


def test_folder_and_test_file(tmp_path: Path) -> None:
    for name in ("b.csv", "a/c.csv", "test.csv"):
        write(tmp_path / name)
    table = tables.read_files(settings(tmp_path, test_path=str(tmp_path / "test.csv")))
    assert table["source"].tolist() == ["a/c.csv"] * 4 + ["b.csv"] * 4 + ["test.csv"] * 4
    assert set(table["split"][table["source"] == "test.csv"]) == {"test"}
    assert set(table["split"][table["source"] != "test.csv"]) == {""}


def test_labels_become_strings() -> None:
    cells = pd.Series([1, 2.0, True, None, " x ", float("nan"), "", "nan"], dtype=object, name="label")
    assert columns.as_names(cells, Path("a")).fillna("missing").tolist() == [
        *("1", "2", "true", "missing", "x", "missing", "missing", "nan")
    ]


@pytest.mark.parametrize(
    ("function", "cells", "sentence"),
    [
        (
            columns.as_texts,
            ["a", 3, 4],
            "a.csv, row 2: column 'c' must hold text, but 2 row(s) do not; the first holds int",
        ),
        (
            columns.as_names,
            ["a", 1.5],
            "a.csv, row 2: column 'c' must hold names, integers, or true and false, not float",
        ),
        (columns.as_names, [["a"]], "a.csv, row 1: column 'c' must hold names, integers, or true and false, not list"),
        (columns.as_times, ["2020-01-01", "03/02/2020"], "a.csv, row 2: column 'c' must hold a time as in ISO 8601"),
        (columns.as_times, ["2020-01-01", None, None], "a.csv, row 2: column 'c' must hold a time as in ISO 8601"),
    ],
)
def test_wrong_cell_is_reported(function: Any, cells: list[Any], sentence: str) -> None:
    with pytest.raises(PipelineError) as error:
        function(pd.Series(cells, range(1, len(cells) + 1), dtype=object, name="c"), Path("a.csv"))
    assert sentence in str(error.value)


def test_unknown_split_is_reported(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "text,label,part\na,b,train\nc,d,holdout\n")
    with pytest.raises(PipelineError, match=r"a\.csv, row 2: column 'part' must be train, validation or test"):
        tables.read_files(settings(tmp_path / "a.csv", split_column="part"))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_names_of_splits(tmp_path: Path, split: str) -> None:
    names = {"train": "Training", "validation": "val valid dev development", "test": "testing eval evaluation"}
    cells = "".join(f"a,b,{name}\n" for name in [split, *names[split].split()])
    table = tables.read_files(settings(write(tmp_path / "a.csv", "text,label,part\n" + cells), split_column="part"))
    assert set(table["split"]) == {split}


def test_given_delimiter_is_used(tmp_path: Path) -> None:
    table = tables.read_files(settings(write(tmp_path / "a.csv", "text^label\na^b\n"), delimiter="^"))
    assert table[["text", "label"]].to_numpy().tolist() == [["a", "b"]]


def test_id_is_hash_of_content() -> None:
    table = tables.complete(datasets.tweets().head(10), source="tweets")
    row = table.iloc[0]
    content = f"tweets\0{row['label']}\0{row['text']}"
    assert row["id"] == hashlib.sha256(content.encode()).hexdigest()[:16]


def test_sample_of_growing_table_is_stable() -> None:
    tweets = tables.complete(datasets.tweets().head(1_200), source="tweets")
    small, large = selection.sample(tweets.head(1_000), 300), selection.sample(tweets, 360)
    assert len(small) == 300
    assert len(set(small["id"]) & set(large["id"])) > 280
    assert selection.sample(tweets, None) is tweets
    positions = tweets.head(1_000)["id"].tolist()
    drawn = [positions.index(i) for i in small["id"]]
    assert drawn == sorted(drawn)
    assert np.mean(drawn) == pytest.approx(500, abs=60)  # from the whole table


def test_sample_draws_copies_one_by_one() -> None:
    copies = pd.DataFrame({"text": list("abcdefghij") * 100, "label": "x"}, dtype="str")
    drawn = selection.sample(tables.complete(copies, source="s"), 300)["text"].value_counts()
    assert len(drawn) == 10
    assert drawn.max() < 60


def test_summary_counts_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = params.PARAMS_FILE.read_text(encoding="utf-8")
    changes = {"dataset": "file", "path": "a.csv", "max_rows": "200"}
    (tmp_path / "params.yaml").write_text(set_params(text, changes), encoding="utf-8")
    write(
        tmp_path / "a.csv", "text,label\n" + "".join(f"text {n},{'xy'[n % 2] if n % 5 else ''}\n" for n in range(300))
    )
    digests = "".join(f"{forgotten.text_digest(f'TEXT  {number}')}\n" for number in range(120))
    write(tmp_path / "data/forgotten.txt", digests)
    write(tmp_path / "data/batches.csv", ",".join(increments.LIST_COLUMNS) + "\n")
    monkeypatch.chdir(tmp_path)
    ingest.main()
    table, summary = read_table(paths.INGEST_TABLE), read_json(paths.INGEST_SUMMARY)
    assert len(table) == summary["rows"] == 180
    assert summary["forgotten"] == 120
    assert set(table["text"]) == {f"text {number}" for number in range(120, 300)}
    more = tables.complete(pd.DataFrame({"text": ["text 3", "text 400"], "label": ["x", "y"]}), source="more.csv")
    increments.add(more, source="more.csv", file="f" * 64, taken="now")
    ingest.main()
    assert set(read_table(paths.INGEST_TABLE)["text"]) == set(table["text"]) | {"text 400"}  # "text 3" is forgotten
    assert read_json(paths.INGEST_SUMMARY)["batches"] == 1
    assert summary["without_label"] == table["label"].isna().sum() > 20
    assert summary["classes"] == table["label"].value_counts().sort_index().to_dict()
    assert summary["sources"] == {"a.csv": 180}
    assert summary["left_out"] == {"files": 0, "names": []}


def test_summary_and_log_name_files_that_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = params.PARAMS_FILE.read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(set_params(text, {"dataset": "file", "path": "rows"}), encoding="utf-8")
    for name in ("a.csv", *(f"{number:02}.pdf" for number in range(12))):
        write(tmp_path / "rows" / name)
    write(tmp_path / "data/forgotten.txt", "")
    write(tmp_path / "data/batches.csv", ",".join(increments.LIST_COLUMNS) + "\n")
    monkeypatch.chdir(tmp_path)
    ingest.main()
    left_out = read_json(paths.INGEST_SUMMARY)["left_out"]
    assert left_out == {"files": 12, "names": [f"{number:02}.pdf" for number in range(10)]}
    assert "; files left out: 00.pdf, " in (printed := capsys.readouterr().out)
    assert printed.endswith("09.pdf and 2 more\n")


def test_integers_next_to_empty_cells() -> None:
    """Pandas writes them as floats; otherwise the same labels would differ between a CSV and a Parquet file."""
    assert columns.as_names(pd.Series(["1.0", "", "-2.0"], dtype="str"), Path("a")).dropna().tolist() == ["1", "-2"]
    assert columns.as_names(pd.Series(["1.0", "1.5"], dtype="str"), Path("a")).tolist() == ["1.0", "1.5"]


def test_extreme_times() -> None:
    assert list(np.argsort(columns.as_times(pd.Series(["9999-12-31", "1600-01-01"], dtype="str"), Path("a")))) == [1, 0]
    with pytest.raises(PipelineError, match="row 1: column 'when' must hold a time"):
        columns.as_times(pd.Series(["inf"], [1], dtype="str", name="when"), Path("a"))


def test_mixed_numbers_and_dates_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "text,label,when\na,b,20240101\n")
    write(tmp_path / "b.csv", "text,label,when\na,b,2023-01-01\n")
    with pytest.raises(PipelineError, match="column 'when' holds numbers in some files and dates in others"):
        tables.read_files(settings(tmp_path, time_column="when"))


def test_labels_are_equal_in_all_formats() -> None:
    assert columns.as_names(pd.Series(["True", "false"], dtype="str"), Path("a")).tolist() == ["true", "false"]
    assert columns.as_names(pd.Series([2**64], dtype=object), Path("a")).tolist() == [str(2**64)]
    utc = columns.as_times(pd.Series(["2020-01-01 00:00:00 UTC"], dtype="str"), Path("a"))
    assert utc.tolist() == [1577836800.0]


def test_test_file_without_training_rows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    with pytest.raises(PipelineError, match="holds only the test file"):
        tables.read_files(settings(path, test_path=str(tmp_path / "x/../a.csv")))


def test_times_of_increments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.csv", "text,label,day\ngood,x,2026-01-01\nbad,y,2026-01-02\n")
    write(tmp_path / "data/batches.csv", ",".join(increments.LIST_COLUMNS) + "\n")
    plain = settings(Path("a.csv"))
    timed = plain.model_copy(update={"time_column": "day"})
    rows = tables.complete(pd.DataFrame({"text": ["fine"], "label": ["x"], "time": [1.0]}), source="b.csv")
    increments.add(rows, source="b.csv", file="f" * 64, taken="now")
    assert tables.read_all(timed)["time"].notna().all()
    assert tables.read_all(plain)["time"].isna().all()
    increments.add(rows.assign(text="dull", time=np.nan), source="c.csv", file="e" * 64, taken="now")
    with pytest.raises(PipelineError, match=r"1 rows of increments have no time: .* ingest\.time_column"):
        tables.read_all(timed)
