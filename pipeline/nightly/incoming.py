"""Incoming files of labelled rows: find those that were not seen before, and list those that are refused."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from ..base import paths
from ..base.errors import PipelineError, without_credentials
from ..base.files import atomic, write_json, write_text
from ..base.versioning import CommandError, dvc
from ..data import increments
from ..data.readers.reading import Reading
from ..data.rules.rule import RuleResult
from ..data.rules.summary import summarise
from ..reports import validation
from .listing import IncomingFile, incoming_files

QUARANTINE_COLUMNS = ("file", "name", "found", "why")  # of data/quarantine.csv
DEPTH = 350  # folders: more than the ".." that fit into the 1,024 bytes of an object's name
MAX_NAME = 200  # bytes of a file name in quarantine; file systems allow 255


@dataclass(frozen=True)
class ExaminedFile(IncomingFile):
    """An incoming file after its checks.

    Parameters
    ----------
    n_rows : int
        Number of rows in the file.
    new_rows : DataFrame of shape (n_rows, 9)
        Rows with text and label that the table does not have yet, in the table's columns; `given` is the label in the
        file, before `ingest.label_map`.
    refusal : str
        Why the file is refused; empty if it is not.
    results : list of RuleResult
        Results of the rules that it was checked against.
    reading : Reading
        How it was read.
    """

    n_rows: int
    new_rows: pd.DataFrame
    refusal: str = ""
    results: Sequence[RuleResult] = ()
    reading: Reading = field(default_factory=Reading)

    def increment(self) -> pd.DataFrame:
        """Return the new rows with the labels of the file, as an increment stores them."""
        return self.new_rows.assign(label=self.new_rows["given"])


@contextmanager
def unseen_files(address: str) -> Iterator[list[IncomingFile]]:
    """Yield what is at `retrain.incoming` and is neither an increment nor in quarantine; remove downloads at the end.

    Raises
    ------
    PipelineError
        The folder does not exist, or the address cannot be read.
    """
    with TemporaryDirectory() as temporary:
        if "://" in address:
            place = _download(address, Path(temporary))
        elif not (place := Path(address)).exists():
            raise PipelineError(f"retrain.incoming: {place} does not exist; create the folder, or correct the path")
        taken_in, quarantined = increments.read_list(), increments.read_list(paths.QUARANTINE, QUARANTINE_COLUMNS)
        seen = {*taken_in["file"], *quarantined["file"]}
        files: dict[str, IncomingFile] = {}
        for file in incoming_files(place):
            if file.sha256 not in seen:
                files.setdefault(file.sha256, file)
        yield list(files.values())


def _download(address: str, folder: Path) -> Path:
    """Download a file or folder with DVC, which supports S3, GCS, SSH and the web; return its path in `folder`."""
    suffixes = "".join(Path(address.partition("?")[0]).suffixes)
    place = folder / f"incoming{suffixes}"
    # DVC follows a ".." in an object's name: from a folder as deep as this, none leads out of the temporary folder.
    deep = folder.joinpath(*["deep"] * DEPTH, place.name)
    deep.parent.mkdir(parents=True)
    try:
        dvc("get-url", address, str(deep), capture=True)
    except CommandError as error:
        public = without_credentials(address)
        if "does not exist" not in error.stderr or address.startswith("http"):
            raise PipelineError(f"retrain.incoming: cannot read {public}: {error.reason}") from error
        place.mkdir()  # object stores have no empty folders, so this may be one
        print(f"retrain: there are no files at {public}", file=sys.stderr)
    else:
        deep.rename(place)
    return place


def put_into_quarantine(file: ExaminedFile, time: str) -> Path:
    """Copy a refused file to `data/quarantine/`, with a report of its rules, and list it; return its folder.

    The report shows how it was read, too. The files of a folder are copied to a folder of its name.
    """
    folder = paths.QUARANTINE_FILES / file.sha256[:16]
    name = os.fsencode(Path(file.name).name)[-MAX_NAME:].decode(errors="ignore")
    copies = {member: folder / name / member.relative_to(file.path) for member in file.files} or {
        file.path: folder / name
    }
    for path, copy in copies.items():
        with atomic(copy) as temporary:
            shutil.copyfile(path, temporary)
    classes = file.new_rows["label"].value_counts().rename_axis("label").reset_index(name="rows")
    summary = summarise(file.results, file.new_rows, classes, {file.name: file.reading})
    if any(result.rule.name == "labels" and not result.passed for result in file.results):
        summary["classes"] = []  # unknown labels may be texts
    write_json(folder / "results.json", {"name": file.name, "why": file.refusal, **summary})
    write_text(folder / "index.html", validation.validation_page(summary))
    line = {"file": file.sha256, "name": file.name, "found": time, "why": file.refusal}
    increments.append(line, paths.QUARANTINE, QUARANTINE_COLUMNS)
    return folder
