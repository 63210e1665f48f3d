"""DVC experiments: run the pipeline with other parameters in a temporary folder, and read its outputs."""

import itertools
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base import paths
from ..base.errors import PipelineError
from ..base.versioning import git, own_python
from ..data.settings import NO_FILE
from ..evaluation.intervals import clusters
from .imbalance_results import StrategyResult


def run_experiment(changes: Mapping[str, Any], name: str, folder: Path, *, copied: Sequence[str] = ()) -> float | None:
    """Run the pipeline with these parameters as a DVC experiment.

    Parameters
    ----------
    changes : mapping of str to Any
        Parameters by dotted key.
    name : str
        The experiment's name.
    folder : Path
        DVC's output is written to `log.txt` in it.
    copied : sequence of str
        Files to copy, because git does not know them.

    Returns
    -------
    float or None
        Seconds that the stage train took; None where DVC took its outputs from the cache.

    Raises
    ------
    PipelineError
        DVC failed.
    """
    settings = [("-S", f"{key}={json.dumps(value, ensure_ascii=False)}") for key, value in changes.items()]
    options = itertools.chain(*settings, *(("--copy-paths", path) for path in copied))
    command = ["dvc", "exp", "run", "--temp", "--name", name, *options]
    environment = own_python() | {"PYTHONUNBUFFERED": "1", "PIPELINE_TRACKING": "off"}
    log, started, seconds, last_line = folder / "log.txt", None, None, ""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as stream,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        for line in process.stdout or ():
            stream.write(line)
            if line.strip() and not line.startswith("ERROR: failed to reproduce"):
                last_line = line.strip()
            if line.startswith("Running stage 'train'"):
                started = time.perf_counter()
            elif started is not None and seconds is None and line.startswith("Running stage 'evaluate'"):
                seconds = round(time.perf_counter() - started, 1)
    if process.returncode:
        raise PipelineError(f"experiment {name} failed: {last_line}; its full output is in {log}")
    return seconds


def experiment_names() -> set[str]:
    """Return the names of the DVC experiments in this repository.

    Raises
    ------
    PipelineError
        This is not a git repository with a commit, or a shallow clone.
    """
    if not git("rev-parse", "--verify", "-q", "HEAD", check=False):
        raise PipelineError("DVC experiments need a git repository with a commit; run `git init`, then `git commit`")
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise PipelineError("DVC cannot store experiments in a shallow clone; run `git fetch --unshallow` first")
    return {ref.rpartition("/")[2] for ref in git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()}


def untracked_files(document: Mapping[str, Any]) -> list[str]:
    """Return the user's files that neither git nor DVC tracks, so that an experiment's folder needs a copy."""
    named = [path for key in ("path", "test_path") if (path := document["ingest"][key]) != NO_FILE.as_posix()]
    inside = [path for path in named if not Path(path).is_absolute() and not Path(f"{path}.dvc").is_file()]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *inside], capture_output=True, encoding="utf-8", check=False
    )
    tracked = [Path(name) for name in listed.stdout.split("\0")]
    return [path for path in inside if not any(name.is_relative_to(Path(path)) for name in tracked)]


def read_experiment(name: str, seconds: float | None) -> StrategyResult:
    """Read an experiment's outputs from DVC's cache."""
    from dvc.api import DVCFileSystem

    files = DVCFileSystem(rev=name)

    def table(path: Path, strings: Sequence[str] = ()) -> pd.DataFrame:
        text = files.read_text(path.as_posix(), encoding="utf-8")
        return pd.read_csv(StringIO(text), dtype=dict.fromkeys(strings, "str"), keep_default_na=False)

    def document(path: Path) -> Any:
        return json.loads(files.read_text(path.as_posix(), encoding="utf-8"))

    classes = document(paths.REBALANCE_SUMMARY)["classes"]
    predictions = table(paths.EVALUATE_PREDICTIONS, ["id", "actual", "predicted"]).sort_values("id", kind="stable")
    numbers = {name: number for number, name in enumerate(classes)}
    test = pd.read_parquet(BytesIO(files.read_bytes(paths.CLEAN_TABLES["test"].as_posix())), columns=["id", "group"])
    return StrategyResult(
        classes=tuple(classes),
        rows=tuple(summary["rows"] for summary in classes.values()),
        labels=predictions["actual"].map(numbers).to_numpy(),
        probabilities=predictions[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64),
        clusters=clusters(test.set_index("id").loc[predictions["id"], "group"].to_list()),
        metrics=document(paths.EVALUATE_METRICS),
        history=table(paths.TRAIN_HISTORY).to_dict("records"),
        seconds=seconds,
    )
