"""Revision: what a run is called, and the git and DVC revisions that it comes from."""

import getpass
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from . import params, paths
from .files import read_json, read_yaml
from .state import at

DVC_LOCK = Path("dvc.lock")


def run_name() -> str:
    """What tells runs apart, first: MLflow's UI cuts a long name at its end."""
    strategy, preset = read_json(paths.REBALANCE_SUMMARY)["strategy"], params.load(params.Train).preset
    parts = [os.environ.get("DVC_EXP_NAME"), strategy, preset, params.load(params.Ingest).title]
    return " · ".join(dict.fromkeys(filter(None, parts)))


def user() -> str:
    """Who runs this: the person whose push started it, in GitHub's CI; else the one logged in."""
    try:
        return os.environ.get("GITHUB_ACTOR") or getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return "unknown"


def commit() -> dict[str, Any]:
    """`commit`, git's, None where there is none, and whether there are `uncommitted` changes."""
    known = tags()
    return {"commit": known.get("mlflow.source.git.commit"), "uncommitted": "git.uncommitted_changes" in known}


def tags() -> dict[str, str]:
    """Git's and DVC's revisions, and who runs; what is unknown has no tag."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    known = {
        "mlflow.user": user(),
        "mlflow.source.name": "dvc repro",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git("rev-parse", "HEAD"),
        "git.uncommitted_changes": "yes" if git("status", "--porcelain") else "",
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.baseline": os.environ.get("DVC_EXP_BASELINE_REV", ""),
    }
    return {key: value for key, value in known.items() if value}


def outdated(*sections: type[params.Section]) -> list[str]:
    """Those of the sections of which `dvc.lock` has other values than `params.yaml` has now."""
    recorded = read_yaml(DVC_LOCK)["stages"] if DVC_LOCK.is_file() else {}
    now, found = read_yaml(params.PARAMS_FILE), []
    for section in sections:
        values = recorded.get(section.name, {}).get("params", {}).get(str(params.PARAMS_FILE), {})
        if any(at(now, key) != value for key, value in values.items()):
            found.append(section.name)
    return found


def dvc_tags() -> dict[str, str]:
    """DVC's digest of the model, by which its cache knows it; none where dvc.lock is of another state."""
    if not DVC_LOCK.is_file():
        return {}
    outs = {out["path"]: out["md5"] for out in read_yaml(DVC_LOCK)["stages"].get("train", {}).get("outs", [])}
    history = hashlib.md5(paths.TRAIN_HISTORY.read_bytes(), usedforsecurity=False).hexdigest()
    return (
        {"dvc.model": outs[paths.TRAIN_MODEL.as_posix()]} if outs.get(paths.TRAIN_HISTORY.as_posix()) == history else {}
    )
