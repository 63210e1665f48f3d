"""Repository: git and DVC as retraining uses them: start from what is published, and deliver data, then code.

The git remote is the one thing that all machines share for certain, so it also holds who is retraining: a commit under
the ref `refs/retrain/lock`, which git changes only for one who knows what it was before.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from . import paths
from .files import write_json
from .revision import DVC_LOCK
from .stage import PipelineError
from .store import shown_address
from .tracking import MODE, root

LOCK = "refs/retrain/lock"
STORAGE = "STORAGE_URL"  # environment variable: the DVC remote, where the project's configuration names none
REPORT = Path("data/retrain.md")
STARTED = Path(".state/retrain.json")  # there while a retraining runs, and after one that was killed
# All that a retraining changes of what git tracks.
OWN = (DVC_LOCK, paths.EVALUATE_METRICS, paths.BATCHES, paths.BATCH_FILES, paths.QUARANTINE, paths.QUARANTINE_FILES)
PUSHES = 3  # tries, where other pushes come first
GRACE = 5  # seconds for what is told to end
COMMIT = "Retrain: "  # what the messages of commits begin with


class BusyError(Exception):
    """Another retraining is in progress; says whose."""


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
        reason = shown_address(" ".join(done.stderr.split()))[:300]
        raise PipelineError(f"`git {arguments[0]}` failed: {reason}")
    return done.stdout.strip() if done.returncode == 0 else ""


def dvc(*arguments: str, capture: bool = False, environment: Mapping[str, str] | None = None) -> str:
    """Run DVC, with `environment` beside this process's; give what it printed, if captured. Errors as above."""
    command = [sys.executable, "-m", "dvc", *arguments]
    pipe = subprocess.PIPE if capture else None
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, encoding="utf-8", env=own_python() | dict(environment or {})
    ) as running:
        try:
            said, wrong = running.communicate()
        except BaseException:
            _end(running)
            raise
    if running.returncode:
        reason = f": {shown_address(' '.join((wrong or '').split()))[:300]}" if capture else ", see above"
        raise PipelineError(f"`dvc {' '.join(arguments[:1])}` failed{reason}")
    return said or ""


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


def has_storage() -> bool:
    """Whether there is a DVC remote; the one that the environment names is set for this checkout first."""
    address = os.environ.get(STORAGE)
    if address:
        dvc("remote", "add", "--local", "--default", "--force", "storage", address, capture=True)
    return bool(dvc("remote", "list", capture=True).strip())


def start(branch: str | None) -> str:
    """Bring the checkout to what is published; give the branch that gets the results.

    What a killed retraining left is put back first.

    Raises
    ------
    PipelineError
        This is no git checkout, files that git or DVC tracks have changes that are not committed, or the branches have
        diverged.
    """
    if git("rev-parse", "--is-inside-work-tree", check=False) != "true" or not git("rev-parse", "HEAD", check=False):
        raise PipelineError("retraining needs a git checkout with a commit: it delivers dvc.lock and a report in git")
    put_back()
    changed = git("status", "--porcelain", "--untracked-files=no")
    if changed:
        files = ", ".join(line.split(maxsplit=1)[1] for line in changed.splitlines()[:5])
        raise PipelineError(f"these files have changes that are not committed: {files}; commit or stash them first")
    refuse_changed_data()
    here = git("branch", "--show-current") or os.environ.get("CI_COMMIT_BRANCH", "")
    target = branch or here
    if not target:
        raise PipelineError("no branch is checked out; check one out, or name one with retrain.branch")
    write_json(STARTED, {"pid": os.getpid(), "started": time.time()})
    if remote():
        shallow = git("rev-parse", "--is-shallow-repository") == "true"
        git("fetch", "--quiet", "--prune", *(["--unshallow"] if shallow else []), remote())
    if target != here:
        git("checkout", "--quiet", "-B", target)
    base = here if here != target else _default_branch()
    for other in dict.fromkeys((base, target)):  # what people pushed, then results that wait to be merged
        _merge(other)
    return target


def put_back() -> None:
    """Put back, as git has it, what a retraining that did not end has changed, and say so; else do nothing.

    The same work makes it again, out of DVC's cache and from the checkpoint.
    """
    if not STARTED.is_file():
        return
    own = [str(path) for path in (*OWN, REPORT)]
    changed = git("status", "--porcelain", "--", *own)
    git("checkout", "HEAD", "--", *[path for path in own if git("ls-tree", "HEAD", path)])
    git("clean", "-fdq", "--", *own)
    done()
    if changed:
        files = ", ".join(line.split(maxsplit=1)[1] for line in changed.splitlines())
        print(f"a retraining that did not end had changed these files, which are as in git again: {files}")


def _default_branch() -> str:
    return git("symbolic-ref", "--short", f"refs/remotes/{remote()}/HEAD", check=False).partition("/")[2]


def _merge(branch: str) -> None:
    """Merge a branch of the remote, if it has one so called, into what is checked out.

    Where both changed a line, `dvc.lock` and the figures take either side, for `dvc repro` mends them, and people's
    changes win: results are merged into them. Lists of batches unite, by `.gitattributes`.
    """
    other = f"refs/remotes/{remote()}/{branch}"
    if not branch or not git("rev-parse", "--verify", "--quiet", other, check=False):
        return
    if not git("rev-list", f"HEAD..{other}"):
        return
    try:
        git(*identity(), "merge", "--quiet", "--no-edit", "-X", "ours", other)
    except PipelineError as error:
        git("merge", "--abort", check=False)
        raise PipelineError(
            f"branch {branch} of the remote cannot be merged here; merge it by hand ({error})"
        ) from error


def identity() -> list[str]:
    """Options for git's author where none is configured, as on a CI runner; environment variables go before them."""
    unknown = {"user.name": "retrain", "user.email": "retrain@localhost"}
    return [
        part
        for key, value in unknown.items()
        if not git("config", key, check=False)
        for part in ("-c", f"{key}={value}")
    ]


def stale() -> list[str]:
    """The stages whose data, code or parameters differ from those of `dvc.lock`."""
    return [name for name in json.loads(dvc("status", "--json", capture=True)) if not name.endswith(".dvc")]


def data_files(folder: Path = Path()) -> list[str]:
    """What `dvc add` tracks in a checkout, as the `.dvc` files that git knows."""
    return list(filter(None, git("-C", str(folder), "ls-files", "-z", "--", "*.dvc").split("\0")))


def changed_data() -> list[str]:
    """What `dvc add` tracks and was changed since, by path; what is not here is not among it."""
    tracked = data_files()
    stages = json.loads(dvc("status", "--json", *tracked, capture=True)) if tracked else {}
    outs = [change.get("changed outs", {}) for of in stages.values() for change in of if isinstance(change, dict)]
    return [path for of in outs for path, how in of.items() if how == "modified"]


def refuse_changed_data() -> None:
    """Raise a `PipelineError` where what `dvc add` tracks was changed since."""
    if edited := changed_data():
        path = edited[0]
        raise PipelineError(
            f"{path} is not what DVC has of it; run `dvc add {path}` and commit, or `dvc checkout {path}`, first: "
            "retraining would put the old one in its place"
        )


def pull(*, force: bool) -> None:
    """Bring data, and DVC's memory of what ran already, from the remote; `force` overwrites what DVC has otherwise."""
    dvc("pull", "--quiet", "--run-cache", "--allow-missing", *(["--force"] if force else []))


def reproduce(*, storage: bool) -> None:
    """Run `dvc repro`, and do not publish yet: the registry shall name no model that the remote has no data of.

    What another machine computed, and could not deliver in git, comes from the DVC remote.
    """
    dvc("repro", *(["--pull"] if storage else []), environment={MODE: "live"})


def deliver_data() -> None:
    dvc("push", "--quiet", "--run-cache")


def deliver_code(branch: str, message: str) -> str:
    """Commit what a retraining changed, and push it; give what was done.

    Raises
    ------
    PipelineError
        The remote does not take it.
    """
    git("add", "--", *[str(path) for path in (*OWN, REPORT) if path.exists()])
    if git("diff", "--cached", "--name-only"):
        git(*identity(), "commit", "--quiet", "--no-verify", "-m", f"{COMMIT}{message}")
    return push(branch) if remote() else "committed; there is no git remote to push to"


def waits(branch: str) -> bool:
    """Whether a commit of an earlier retraining could not be pushed yet."""
    if not remote():
        return False
    subjects = git("log", "--format=%s", f"refs/remotes/{remote()}/{branch}..HEAD", check=False)
    return any(line.startswith(COMMIT) for line in subjects.splitlines())


def push(branch: str) -> str:
    """Push what is committed, merging what others pushed meanwhile; give what was done. Errors as above."""
    for attempt in range(1, PUSHES + 1):
        try:
            git("push", "--quiet", remote(), f"HEAD:refs/heads/{branch}")
            break
        except PipelineError:
            git("fetch", "--quiet", remote())
            published = f"refs/remotes/{remote()}/{branch}"
            if attempt == PUSHES or not git("rev-list", f"HEAD..{published}", check=False):  # nobody else pushed
                raise
        _merge(branch)
    return f"pushed to {branch}"


def done() -> None:
    """Nothing is left to be put back."""
    STARTED.unlink(missing_ok=True)


@contextmanager
def alone_here() -> Iterator[None]:
    """Hold this checkout, or leave.

    Raises
    ------
    BusyError
        Another one holds it.
    """
    from filelock import FileLock, Timeout

    place = root() / ".state/retrain.lock"
    place.parent.mkdir(exist_ok=True)
    try:
        with FileLock(place, timeout=0):
            yield
    except Timeout as error:
        raise BusyError("a retraining is in progress in this folder") from error


@contextmanager
def alone(max_hours: float) -> Iterator[None]:
    """Hold the git remote's lock, or leave.

    Parameters
    ----------
    max_hours : float
        After which another's lock counts as left by a killed process. One of this machine is seen to be dead at once.

    Raises
    ------
    BusyError
        Another one holds it.
    """
    if not remote():
        yield
        return
    host, boot = _machine()
    holder = {"host": host, "boot": boot, "pid": os.getpid(), "started": time.time()}
    before = git("ls-remote", remote(), LOCK).partition("\t")[0]
    if before:
        try:
            git("fetch", "--quiet", remote(), LOCK)
        except PipelineError as error:
            if git("ls-remote", remote(), LOCK).partition("\t")[0] == before:
                raise
            raise BusyError("another retraining ended a moment ago: start this one again") from error
        other = json.loads(git("log", "-1", "--format=%B", before))
        hours = (time.time() - other["started"]) / 3600  # below 0 by another machine's clock; far below, it is wrong
        if -1 < hours < max_hours and not _is_dead(other):
            raise BusyError(f"a retraining on {other['host']} began {60 * hours:.0f} minutes ago and goes on")
    ours = git(*identity(), "commit-tree", git("mktree"), "-m", json.dumps(holder))
    try:
        git("push", "--quiet", f"--force-with-lease={LOCK}:{before}", remote(), f"{ours}:{LOCK}")
    except PipelineError as error:
        if git("ls-remote", remote(), LOCK).partition("\t")[0] in {"", before}:
            raise  # nobody took it: the remote refused
        raise BusyError("another retraining began a moment ago") from error
    try:
        yield
    finally:
        with suppress(PipelineError):  # gone where this took longer than max_hours
            git("push", "--quiet", f"--force-with-lease={LOCK}:{ours}", remote(), f":{LOCK}")


def _machine() -> tuple[str, str]:
    """This machine: its name, and when it started, because containers may share names and numbers of processes."""
    import psutil

    return socket.gethostname(), str(int(psutil.boot_time()))


def _is_dead(holder: dict[str, object]) -> bool:
    import psutil

    if (holder["host"], holder["boot"]) != _machine():
        return False
    try:
        process = psutil.Process(int(str(holder["pid"])))
        return bool(process.create_time() > float(str(holder["started"])))
    except psutil.NoSuchProcess:
        return True
