"""Repository: git and DVC as retraining uses them: start from what is published, and deliver data, then code.

The git remote is the one thing that all machines share for certain, so it also holds who is retraining: a commit under
the ref `refs/retrain/lock`, which git changes only for one who knows what it was before.
"""

import json
import os
import time

from ..base.checkout import OWN, REPORT, STARTED, put_back
from ..base.errors import PipelineError
from ..base.files import write_json
from ..base.versioning import data_files, dvc, git, identity, remote
from ..registry.tracking import MODE

STORAGE = "STORAGE_URL"  # environment variable: the DVC remote, where the project's configuration names none

PUSHES = 3  # tries, where other pushes come first

COMMIT = "Retrain: "  # what the messages of commits begin with


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


def stale() -> list[str]:
    """The stages whose data, code or parameters differ from those of `dvc.lock`."""
    return [name for name in json.loads(dvc("status", "--json", capture=True)) if not name.endswith(".dvc")]


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
