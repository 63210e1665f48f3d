"""Hive partitions: names of folders are columns, whatever the format of the files in them."""

from pathlib import Path

import pandas as pd
import pytest
from helpers.readers import COLUMNS, rows

from pipeline.base.errors import PipelineError
from pipeline.data import tables
from pipeline.data.readers import formats
from pipeline.data.settings import FILE_DEFAULTS, Ingest


def settings(path: Path) -> Ingest:
    return Ingest(**(FILE_DEFAULTS | {"dataset": "file", "max_rows": None, "skew": None, "path": str(path)}))


def test_partitioned_parquet(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": ["a", "b", "c"], "label": ["joy", "so so/", "joy"], "lang": "en"})
    table.to_parquet(tmp_path / "rows", partition_cols=["lang", "label"])
    (tmp_path / "rows/_SUCCESS").touch()
    read = tables.read_files(settings(tmp_path / "rows"))
    assert sorted(zip(read["text"], read["label"], strict=True)) == [("a", "joy"), ("b", "so so/"), ("c", "joy")]


@pytest.mark.parametrize(("name", "content"), [("a.csv", "text\ngood\n"), ("a.jsonl", '{"text": "good"}')])
def test_other_formats_and_missing_values(tmp_path: Path, name: str, content: str) -> None:
    for folder in ("label=joy", "label=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(content)
    assert tables.read_files(settings(tmp_path))["label"].fillna("missing").tolist() == ["missing", "joy"]


def test_columns_of_the_file_come_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    partitions: dict[str, str | None] = {"label": "x", "text": "y", "z": "1"}
    assert rows(formats.read(tmp_path / "a.csv", COLUMNS, partitions=partitions)) == [("a", "b")]
    assert rows(formats.read(tmp_path / "a.csv", ["text"], optional=["z"], partitions=partitions)) == [("a", "1")]
    with pytest.raises(PipelineError, match="has no column 'y'"):
        formats.read(tmp_path / "a.csv", ["text", "y"], partitions={"z": "1"})
