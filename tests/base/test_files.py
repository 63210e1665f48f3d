"""Files are written whole or not at all, with the same bytes for the same content."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT

from pipeline.base import files
from pipeline.base.errors import PipelineError


def test_interrupted_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})

    def interrupted() -> None:
        with files.atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


HALF = """
import sys, time
from pathlib import Path
from pipeline.base.files import atomic
with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("half", flush=True)
    time.sleep(60)
"""


def test_next_write_removes_temporary_files_of_killed_writers_only(tmp_path: Path) -> None:
    path, other = tmp_path / "a[1].json", tmp_path / "ba[1].json"
    writers = []
    for target in (path, path, other):
        writer = subprocess.Popen([sys.executable, "-c", HALF, str(target)], cwd=ROOT, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        writers.append(writer)
    killed, living, of_another = writers
    for writer in (killed, of_another):
        writer.kill()
        writer.communicate()
    for temporary in tmp_path.iterdir():
        os.utime(temporary, (time.time() - 2,) * 2)
    files.write_json(path, {"a": 1})
    assert sorted(file.name[17:] for file in tmp_path.glob(".partial-*")) == ["a[1].json", "ba[1].json"]
    assert files.read_json(path) == {"a": 1}
    living.kill()
    living.communicate()
    files.write_json(path, {"a": 2})
    files.write_json(other, {})
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_arrays_and_tables_are_read_as_written_and_have_equal_bytes(tmp_path: Path) -> None:
    arrays = {"ids": np.arange(6, dtype=np.int32).reshape(2, 3), "row": np.array(["a", "b"])}
    table = pd.DataFrame({"text": ['a "quoted"\rtext', "None", "", "表情 😀"], "n": [1, 2, 3, 4]})
    for name in ("1", "2"):
        files.write_arrays(tmp_path / f"{name}.npz", arrays)
        files.write_table(tmp_path / f"{name}.parquet", table)
    assert files.sha256(tmp_path / "1.npz") == files.sha256(tmp_path / "2.npz")
    assert files.sha256(tmp_path / "1.parquet") == files.sha256(tmp_path / "2.parquet")
    back = files.read_arrays(tmp_path / "1.npz")
    np.testing.assert_array_equal(back["ids"], arrays["ids"])
    assert back["ids"].dtype == np.int32
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "1.parquet"), table)


def test_strings_that_look_like_numbers_are_read_as_strings(tmp_path: Path) -> None:
    files.write_table(tmp_path / "a.csv", pd.DataFrame({"label": ["01", "NA"], "rows": [1, 2], "p": [0.1, 1 / 3]}))
    back = files.read_table(tmp_path / "a.csv", strings=["label"])
    assert back.to_dict("list") == {"label": ["01", "NA"], "rows": [1, 2], "p": [0.1, 1 / 3]}


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600


def test_missing_input_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="is missing; run `dvc repro` to create it"):
        files.read_json(tmp_path / "none.json")


def test_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(PipelineError, match=r"cannot overwrite .*pipe: not a regular file; choose"),
        files.atomic(tmp_path / "pipe"),
    ):
        raise AssertionError
    assert (tmp_path / "pipe").is_fifo()


def test_longest_file_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("\u957f" * 80 + ".csv")
    with files.atomic(path) as temporary:
        temporary.write_text("x")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
