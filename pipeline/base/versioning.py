"""Run git, DVC and Python modules as child processes, and name the revisions that a run comes from."""

import getpass
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import params, paths
from .errors import PipelineError, without_credentials
from .files import read_yaml
from .state import value_at

DVC_LOCK = Path("dvc.lock")
MAX_REASON = 300  # characters of a child process's error output that a message quotes
GRACE = 5  # seconds between asking a process to end and killing it


class CommandError(PipelineError):
    """A child process failed; `stderr` is its whole error output, empty where that went to the terminal."""

    def __init__(self, command: str, stderr: str) -> None:
        super().__init__(f"`{command}` failed" + (f": {_reason(stderr)}" if stderr else ", see above"))
        self.stderr = stderr

    @property
    def reason(self) -> str:
        """The beginning of the error output, on one line, without credentials."""
        return _reason(self.stderr)


def _reason(stderr: str) -> str:
    text = stderr.partition("Having any troubles?")[0]  # DVC's advertisement of its chat
    return without_credentials(" ".join(text.split()))[:MAX_REASON]


def git(*arguments: str, check: bool = True) -> str:
    """Run git and return its output, stripped; empty where it failed and `check` is false.

    Raises
    ------
    CommandError
        Git failed, and `check` is true.
    """
    done = subprocess.run(
        ["git", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
    )
    if check and done.returncode:
        raise CommandError(f"git {arguments[0]}", done.stderr or f"exit code {done.returncode}")
    return done.stdout.strip() if done.returncode == 0 else ""


def dvc(*arguments: str, capture: bool = False, environment: Mapping[str, str] | None = None) -> str:
    """Run DVC; parameters and errors as in `python`."""
    return python("dvc", *arguments, capture=capture, environment=environment)


def python(module: str, *arguments: str, capture: bool = False, environment: Mapping[str, str] | None = None) -> str:
    """Run a module in a child process, which ends with this one.

    Parameters
    ----------
    module, arguments : str
        As in `python -m module arguments`.
    capture : bool
        Whether to return its output; otherwise the output goes to the terminal.
    environment : mapping of str to str, optional
        Variables in addition to this process's.

    Raises
    ------
    CommandError
        The module failed.
    """
    sys.stdout.flush()
    pipe = subprocess.PIPE if capture else None
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=pipe,
        stderr=pipe,
        encoding="utf-8",
        env=own_python() | dict(environment or {}),
    ) as process:
        try:
            output, errors = process.communicate()
        except BaseException:
            terminate(process)
            raise
    if process.returncode:
        command = " ".join([module, *arguments[:1]])
        raise CommandError(command, (errors or f"exit code {process.returncode}") if capture else "")
    return output or ""


def own_python() -> dict[str, str]:
    """Return the environment with this interpreter as the first `python`: DVC starts stages by that name."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": search}


def terminate(process: "subprocess.Popen[str]") -> None:
    """End a process and its descendants, by SIGTERM first: a stage outlives a DVC that is killed."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        alive = [parent, *parent.children(recursive=True)]
        for stop in (psutil.Process.terminate, psutil.Process.kill):
            for running in alive:
                with suppress(psutil.NoSuchProcess):
                    stop(running)
            alive = psutil.wait_procs(alive, GRACE)[1]


def remote() -> str:
    """Return the name of the git remote: origin, or the only one; empty if there is none."""
    names = git("remote").split()
    return "origin" if "origin" in names else names[0] if len(names) == 1 else ""


def identity() -> list[str]:
    """Return git options that name an author where none is configured, as on a CI runner.

    Environment variables such as GIT_AUTHOR_NAME take precedence over them.
    """
    defaults = {"user.name": "retrain", "user.email": "retrain@localhost"}
    return [
        part
        for key, value in defaults.items()
        if not git("config", key, check=False)
        for part in ("-c", f"{key}={value}")
    ]


def data_files(folder: Path = Path()) -> list[str]:
    """Return the `.dvc` files that git tracks in a checkout: the data that were added by `dvc add`."""
    return list(filter(None, git("-C", str(folder), "ls-files", "-z", "--", "*.dvc").split("\0")))


def user() -> str:
    """Return who runs this: in GitHub's CI the person whose push started it, otherwise the one logged in."""
    try:
        return os.environ.get("GITHUB_ACTOR") or getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return "unknown"


def commit() -> dict[str, Any]:
    """Return git's `commit`, None where there is none, and whether there are `uncommitted` changes."""
    revision = tags()
    return {"commit": revision.get("mlflow.source.git.commit"), "uncommitted": "git.uncommitted_changes" in revision}


def tags() -> dict[str, str]:
    """Return MLflow tags for git's and DVC's revisions and the user; an unknown value has no tag."""
    values = {
        "mlflow.user": user(),
        "mlflow.source.name": "dvc repro",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git("rev-parse", "HEAD", check=False),
        "git.uncommitted_changes": "yes" if git("status", "--porcelain", check=False) else "",
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.baseline": os.environ.get("DVC_EXP_BASELINE_REV", ""),
    }
    return {key: value for key, value in values.items() if value}


def outdated(*sections: type[params.Section]) -> list[str]:
    """Return the names of the sections whose values in `params.yaml` differ from those in `dvc.lock`."""
    recorded = read_yaml(DVC_LOCK)["stages"] if DVC_LOCK.is_file() else {}
    current, names = read_yaml(params.PARAMS_FILE), []
    for section in sections:
        values = recorded.get(section.name, {}).get("params", {}).get(str(params.PARAMS_FILE), {})
        if any(value_at(current, key) != value for key, value in values.items()):
            names.append(section.name)
    return names


def dvc_tags() -> dict[str, str]:
    """Return the digest by which DVC's cache knows the output of train; none if `dvc.lock` is of another state."""
    outs = read_yaml(DVC_LOCK)["stages"].get("train", {}).get("outs", []) if DVC_LOCK.is_file() else []
    digest = folder_md5(paths.TRAIN_MODEL.parent)
    return {"dvc.model": digest} if digest in {out["md5"] for out in outs} else {}


def folder_md5(folder: Path) -> str:
    """Return the digest by which DVC knows a folder: the MD5 of the list of its files and their MD5s."""

    def md5(content: bytes) -> str:
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    listing = [{"md5": md5(files[name].read_bytes()), "relpath": name} for name in sorted(files)]
    return md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"


def cached_files(out: Mapping[str, Any], cache: Path) -> dict[str, str]:
    """Return path and MD5 of each file of an output in `dvc.lock`; none of a folder that the cache lacks.

    Parameters
    ----------
    out : mapping
        An entry under `outs`.
    cache : Path
        DVC's cache.
    """
    path, digest = out["path"], out["md5"]
    if not digest.endswith(".dir"):
        return {path: digest}
    listing = cached(digest, cache)
    files = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else []
    return {f"{path}/{file['relpath']}": file["md5"] for file in files}


def cached(digest: str, cache: Path) -> Path:
    """Return the path of a file in DVC's cache.

    >>> cached("d41d8cd98f00b204e9800998ecf8427e", Path(".dvc/cache")).as_posix()
    '.dvc/cache/files/md5/d4/1d8cd98f00b204e9800998ecf8427e'
    """
    return cache / "files/md5" / digest[:2] / digest[2:]


def root() -> Path:
    """Return the main checkout, which DVC also names to stages in the temporary folder of an experiment."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()
