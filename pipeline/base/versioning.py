"""Revision: what a run is called, and the git and DVC revisions that it comes from."""

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

    known = {
        "mlflow.user": user(),
        "mlflow.source.name": "dvc repro",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git("rev-parse", "HEAD", check=False),
        "git.uncommitted_changes": "yes" if git("status", "--porcelain", check=False) else "",
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
        if any(value_at(now, key) != value for key, value in values.items()):
            found.append(section.name)
    return found


def dvc_tags() -> dict[str, str]:
    """Return DVC's digest of what train wrote, by which its cache knows it; none where dvc.lock is of another state."""
    outs = read_yaml(DVC_LOCK)["stages"].get("train", {}).get("outs", []) if DVC_LOCK.is_file() else []
    digest = folder_md5(paths.TRAIN_MODEL.parent)
    return {"dvc.model": digest} if digest in {out["md5"] for out in outs} else {}


def folder_md5(folder: Path) -> str:
    """Return the digest by which DVC knows a folder: the MD5 of a list of its files, with theirs."""

    def md5(content: bytes) -> str:
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    listing = [{"md5": md5(files[name].read_bytes()), "relpath": name} for name in sorted(files)]
    return md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"


def cached_files(out: Mapping[str, Any], cache: Path) -> dict[str, str]:
    """Return path and MD5 of every file of an output that `dvc.lock` names; of a folder, as far as the cache knows it.

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
    """Return where DVC's cache has what it knows by an MD5."""
    return cache / "files/md5" / digest[:2] / digest[2:]


def root() -> Path:
    """The main checkout: DVC names it, also to stages that run in an experiment's temporary folder."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


GRACE = 5  # seconds for what is told to end


def git(*arguments: str, check: bool = True) -> str:
    """Run git; give what it printed.

    Raises
    ------
    PipelineError
        It failed, and `check` was asked for.
    """
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    command = ["git", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False, env=environment
    )
    if check and done.returncode:
        reason = without_credentials(" ".join(done.stderr.split()))[:300]
        raise PipelineError(f"`git {arguments[0]}` failed: {reason}")
    return done.stdout.strip() if done.returncode == 0 else ""


def dvc(*arguments: str, capture: bool = False, environment: Mapping[str, str] | None = None) -> str:
    """Run DVC; as `python`."""
    return python("dvc", *arguments, capture=capture, environment=environment)


def python(module: str, *arguments: str, capture: bool = False, environment: Mapping[str, str] | None = None) -> str:
    """Run a module in another process, which ends with this one.

    Parameters
    ----------
    module, arguments : str
        As in `python -m module arguments`.
    capture : bool
        Whether to return what it prints; otherwise it goes to this process's output.
    environment : mapping of str to str, optional
        Variables in addition to this process's.

    Raises
    ------
    PipelineError
        It failed.
    """
    sys.stdout.flush()
    pipe = subprocess.PIPE if capture else None
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=pipe,
        stderr=pipe,
        encoding="utf-8",
        env=own_python() | dict(environment or {}),
    ) as running:
        try:
            output, errors = running.communicate()
        except BaseException:
            _end(running)
            raise
    if running.returncode:
        reason = f": {without_credentials(' '.join((errors or '').split()))[:300]}" if capture else ", see above"
        raise PipelineError(f"`{' '.join([module, *arguments[:1]])}` failed{reason}")
    return output or ""


def own_python() -> dict[str, str]:
    """The environment, with this interpreter as the first `python`: stages are told to run by that name."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": search}


def _end(running: "subprocess.Popen[str]") -> None:
    """End a process and all that it started, gently first: a stage outlives a DVC that is killed."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(running.pid)
        left = [first, *first.children(recursive=True)]
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    end(process)
            left = psutil.wait_procs(left, GRACE)[1]


def remote() -> str:
    """The git remote: origin, or the only one; empty where there is none."""
    names = git("remote").split()
    return "origin" if "origin" in names else names[0] if len(names) == 1 else ""


def identity() -> list[str]:
    """Options for git's author where none is configured, as on a CI runner; environment variables go before them."""
    unknown = {"user.name": "retrain", "user.email": "retrain@localhost"}
    return [
        part
        for key, value in unknown.items()
        if not git("config", key, check=False)
        for part in ("-c", f"{key}={value}")
    ]


def data_files(folder: Path = Path()) -> list[str]:
    """What `dvc add` tracks in a checkout, as the `.dvc` files that git knows."""
    return list(filter(None, git("-C", str(folder), "ls-files", "-z", "--", "*.dvc").split("\0")))
