"""Incoming files and a git remote, as the tests of retraining use them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.base.files import sha256
from pipeline.data import tables
from pipeline.nightly.agreement import Judge, PredictLabels
from pipeline.nightly.examination import examine
from pipeline.nightly.incoming import ExaminedFile
from pipeline.nightly.listing import IncomingFile

SWAPPED = {"negative": "positive", "positive": "negative", "neutral": "neutral"}

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")


def incoming_file(path: Path) -> IncomingFile:
    return IncomingFile(path, path.name, sha256(path))


def write_csv(path: Path, rows: pd.DataFrame) -> Path:
    rows.to_csv(path, index=False, quoting=1)
    return path


def examined(files: Sequence[Path], table: pd.DataFrame, predict: PredictLabels | None = None) -> list[ExaminedFile]:
    """Examine files next to a table of all known rows, which the champion is measured on."""
    known = tables.complete(table, source="tweets")
    judge = predict and Judge(predict, known["label"].to_numpy(), np.array(predict(known["text"].to_list())))
    return examine([incoming_file(path) for path in files], known, known=known, judge=judge, min_agreement=0.05)


def git(*arguments: str, folder: Path | None = None) -> str:
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def push_as_colleague(checkout: Path, **files: str) -> Path:
    """Push other contents of files, such as `code_py` or `data__batches_csv`, to main; return the colleague's clone."""
    clone = checkout.parent / "colleague"
    if not clone.exists():
        git("clone", "-q", str(checkout.parent / "hub.git"), str(clone))
    git("pull", "-q", "origin", "main", folder=clone)
    for name, text in files.items():
        (clone / name.replace("__", "/").replace("_", ".")).write_text(text)
    git("commit", "-qam", "theirs", folder=clone)
    git("push", "-q", "origin", "main", folder=clone)
    return clone
