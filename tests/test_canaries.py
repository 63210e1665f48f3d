"""Texts planted in a user's file do not leak into any output of the pipeline other than the tables."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from helpers.project import SMALL, copy_project

from pipeline.data import datasets

# Each occurs in one text. OFTEN occurs in twenty texts, so that every split has it.
ONCE = ["zorblaxian", "quivertook", "(212) 555-0147", "555-0147", "walrus recites", "cadastral hymns"]

TEXTS = [
    "my friend Zorblaxian hated this flight",
    "write to quivertook@example.com about it, awful",
    "they never called (212) 555-0147 back",
    "the purple walrus recites cadastral hymns at midnight",
]

OFTEN = "the velvet parson mislaid eleven obsidian teapots near"  # followed by a place and a number

PLACES = ["berlin", "paris", "london", "madrid", "rome", "vienna", "oslo", "cairo", "lima", "tokyo"] * 2


def contents(path: Path) -> Iterator[bytes]:
    """Yield a file in lower case: its bytes, the members of an archive, the cells of a Parquet table."""
    content = path.read_bytes()
    yield content.lower()
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield archive.read(name).lower()
    if path.suffix == ".parquet":
        yield pd.read_parquet(path).to_csv().lower().encode()


def files_with(canary: str, folders: list[Path]) -> list[str]:
    files = [file for folder in folders for file in [folder, *folder.rglob("*")] if file.is_file()]
    assert files
    return [str(file) for file in files if any(canary.lower().encode() in content for content in contents(file))]


@pytest.mark.slow  # runs the whole pipeline
def test_texts_do_not_leak_out_of_the_tables(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    project.set(**SMALL | {"dataset": "file", "path": "data/own.csv", "max_rows": "null"})
    sample = datasets.tweets()[["text", "label"]].sample(1200, random_state=0)
    planted = [*TEXTS, *(f"{OFTEN} {place} {number}" for number, place in enumerate(PLACES))]
    table = pd.concat([sample, pd.DataFrame({"text": planted, "label": "negative"})])
    table.to_csv(tmp_path / "data/own.csv", index=False)
    (tmp_path / "dvc.lock").unlink(missing_ok=True)
    project.run("git", "init", "-q")
    done = project.run("dvc", "repro")
    (tmp_path / "log.txt").write_text(done.stdout + done.stderr)
    assert "published: run" in done.stdout

    for canary in [*ONCE, OFTEN]:  # otherwise the search below would prove nothing
        assert files_with(canary, [tmp_path / "data/ingest"]), canary
    names = ["mlflow.db", "mlruns", "reports", "log.txt"]
    names += [f"data/{stage}" for stage in ("evaluate", "validate", "train", "tokenize", "rebalance")]
    outside = [tmp_path / name for name in names]
    parts = [*ONCE, "velvet parson mislaid eleven", "obsidian teapots near"]
    leaks = {canary: files for canary in parts if (files := files_with(canary, outside))}
    assert not leaks
