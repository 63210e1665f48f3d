"""Git and DVC as retraining uses them: start from what is published, deliver the data, then the code."""

import json
import os

from ..base.checkout import RETRAIN_FILES, mark_started, restore
from ..base.errors import PipelineError
from ..base.versioning import data_files, dvc, git, identity, remote
from ..registry.tracking import MODE

STORAGE = "STORAGE_URL"  # environment variable: the DVC remote, where the project's configuration names none
MAX_PUSHES = 3  # attempts, where others push at the same time
SUBJECT = "Retrain: "  # beginning of the subject of each commit


def start(branch: str | None) -> str:
    """Bring the checkout to what is published, and return the branch that gets the results.

    The files of an unfinished retraining are restored first.

    Parameters
    ----------
    branch : str or None
        The branch for the results; None for the one checked out.

    Raises
    ------
    PipelineError
        Not a git checkout, tracked files have uncommitted changes, or the branches have diverged.
    """
    if git("rev-parse", "--is-inside-work-tree", check=False) != "true" or not git("rev-parse", "HEAD", check=False):
        raise PipelineError("retraining needs a git checkout with a commit: it delivers dvc.lock and a report in git")
    restore()
    refuse_uncommitted_changes()
    refuse_changed_data()
    current = git("branch", "--show-current") or os.environ.get("CI_COMMIT_BRANCH", "")
    target = branch or current
    if not target:
        raise PipelineError("no branch is checked out; check one out, or name one with retrain.branch")
    mark_started()
    if remote():
        shallow = git("rev-parse", "--is-shallow-repository") == "true"
        git("fetch", "--quiet", "--prune", *(["--unshallow"] if shallow else []), remote())
    if target != current:
        git("checkout", "--quiet", "-B", target)
    base = current if current != target else _default_branch()
    for published in dict.fromkeys((base, target)):  # what people pushed, then results that are not merged yet
        _merge(published)
    return target


def refuse_uncommitted_changes() -> None:
    """Raise a `PipelineError` if files that git tracks have changes that are not committed."""
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        files = ", ".join(line.split(maxsplit=1)[1] for line in changed.splitlines()[:5])
        raise PipelineError(f"these files have changes that are not committed: {files}; commit or stash them first")


def refuse_changed_data() -> None:
    """Raise a `PipelineError` if files that `dvc add` tracks were changed since: retraining would overwrite them."""
    if changed := changed_data():
        path = changed[0]
        raise PipelineError(
            f"{path} differs from the version that DVC tracks, and retraining would overwrite it; run "
            f"`dvc add {path}` and commit, or `dvc checkout {path}`"
        )


def changed_data() -> list[str]:
    """Return the paths that `dvc add` tracks and that were changed since; missing files do not count."""
    tracked = data_files()
    entries = json.loads(dvc("status", "--json", *tracked, capture=True)) if tracked else {}
    changes = [change for entry in entries.values() for change in entry if isinstance(change, dict)]
    outs = [out for change in changes for out in change.get("changed outs", {}).items()]
    return [path for path, status in outs if status == "modified"]


def _default_branch() -> str:
    return git("symbolic-ref", "--short", f"refs/remotes/{remote()}/HEAD", check=False).partition("/")[2]


def _merge(branch: str) -> None:
    """Merge a branch of the remote, if it exists there, into the current one.

    Where both sides changed a line, ours wins: any side's `dvc.lock` and metrics will do, because `dvc repro` corrects
    them, and results are merged into people's changes. `.gitattributes` unites the lists of increments.
    """
    published = f"refs/remotes/{remote()}/{branch}"
    if not branch or not git("rev-parse", "--verify", "--quiet", published, check=False):
        return
    if not git("rev-list", f"HEAD..{published}"):
        return
    try:
        git(*identity(), "merge", "--quiet", "--no-edit", "-X", "ours", published)
    except PipelineError as error:
        git("merge", "--abort", check=False)
        raise PipelineError(f"cannot merge the remote's branch {branch}; merge it by hand ({error})") from error


def set_up_storage() -> bool:
    """Configure the DVC remote that the environment names for this checkout; return whether there is a remote."""
    address = os.environ.get(STORAGE)
    if address:
        dvc("remote", "add", "--local", "--default", "--force", "storage", address, capture=True)
    return bool(dvc("remote", "list", capture=True).strip())


def pull_data(*, force: bool) -> None:
    """Pull data and run-cache from the DVC remote; `force` overwrites files that differ."""
    dvc("pull", "--quiet", "--run-cache", "--allow-missing", *(["--force"] if force else []))


def stale_stages() -> list[str]:
    """Return the stages whose data, code or parameters differ from those in `dvc.lock`."""
    return [name for name in json.loads(dvc("status", "--json", capture=True)) if not name.endswith(".dvc")]


def reproduce(*, storage: bool) -> None:
    """Run `dvc repro` without publishing: the registry must not name a model whose data are not in the remote.

    With storage, results that another machine computed and could not deliver in git come from the DVC remote.
    """
    dvc("repro", *(["--pull"] if storage else []), environment={MODE: "live"})


def push_data() -> None:
    """Push data and run-cache to the DVC remote."""
    dvc("push", "--quiet", "--run-cache")


def commit_and_push(branch: str, message: str) -> str:
    """Commit the files that a retraining changed, and push them; return what was done.

    Raises
    ------
    PipelineError
        The remote rejects the push.
    """
    git("add", "--", *[str(path) for path in RETRAIN_FILES if path.exists()])
    if git("diff", "--cached", "--name-only"):
        git(*identity(), "commit", "--quiet", "--no-verify", "-m", f"{SUBJECT}{message}")
    return push(branch) if remote() else "committed; there is no git remote to push to"


def has_unpushed_results(branch: str) -> bool:
    """Whether a commit of an earlier retraining could not be pushed yet."""
    if not remote():
        return False
    subjects = git("log", "--format=%s", f"refs/remotes/{remote()}/{branch}..HEAD", check=False)
    return any(line.startswith(SUBJECT) for line in subjects.splitlines())


def push(branch: str) -> str:
    """Push all commits, merging what others have pushed; return what was done; errors as in `commit_and_push`."""
    for attempt in range(1, MAX_PUSHES + 1):
        try:
            git("push", "--quiet", remote(), f"HEAD:refs/heads/{branch}")
            break
        except PipelineError:
            git("fetch", "--quiet", remote())
            published = f"refs/remotes/{remote()}/{branch}"
            others_pushed = git("rev-list", f"HEAD..{published}", check=False)
            if attempt == MAX_PUSHES or not others_pushed:
                raise
        _merge(branch)
    return f"pushed to {branch}"
