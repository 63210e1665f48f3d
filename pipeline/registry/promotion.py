"""Promote: which version is the champion, changed by the gate or by a person, and how to go back.

`python -m pipeline promote VERSION --why "..."` and `python -m pipeline rollback --why "..."`. Three aliases tell a
model's versions apart: `champion` is in service, `previous` was before it, `challenger` is the last one that the gate
refused. Tags of the versions say who moved them, when and why.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..base import versioning
from ..base.errors import PipelineError
from . import packaging, probe, tracking
from .gate import Decision
from .store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
TRIES = 5  # at a decision, where each time another promotion comes first
Judge = Callable[[Store, "ModelVersion", "ModelVersion | None"], Decision]


def decide_and_promote(store: Store, version: "ModelVersion", judge: Judge) -> Decision:
    """Let `judge` compare a version with the champion, and move the aliases as it says.

    Judging takes a while, and another machine may promote a model meanwhile: then the comparison was with a champion
    that is none any more, and is made again. So of two promotions at once, the second has to beat the first.

    Parameters
    ----------
    store : Store
        The tracking store.
    version : ModelVersion
        The new version.
    judge : callable
        Told the store, the version, and the champion or None; gives the decision.
    """
    for _ in range(TRIES):
        champion = store.alias(version.name, CHAMPION)
        if _same(champion, version):
            return Decision(True, version.tags.get("promotion.reason", "it is the champion already"))
        decision = judge(store, version, champion)
        with store.alone(version.name):
            if not _same(store.alias(version.name, CHAMPION), champion):
                continue
            if decision.promote:
                _crown(store, version, champion)
            else:
                store.move_alias(CHALLENGER, version)
            store.annotate(version, _moved("promotion", decision.reason))
            return decision
    raise PipelineError(f"another champion of {version.name} was made {TRIES} times meanwhile; run it again")


def promote(store: Store, name: str, which: str, why: str) -> str:
    """Make a version the champion because a person says so, if it answers; give the sentence that says it."""
    version = store.version(name, which)
    _check(store, version)
    with store.alone(name):
        champion = store.alias(name, CHAMPION)
        if _same(champion, version):
            return f"{name} version {version.version} is the champion already"
        for key in [key for key in version.tags if key.startswith("rollback.")]:
            store.drop_tag(version, key)
        _crown(store, version, champion)
        store.annotate(version, _moved("promotion", why))
    return f"{name} version {version.version} is the champion{_before(champion)}: {why}"


def rollback(store: Store, name: str, which: str, why: str) -> str:
    """Make the previous version, or another one, the champion again; give the sentence that says it.

    The version that is taken out of service is marked: the gate does not promote it again.

    Raises
    ------
    PipelineError
        There is no such version, or it does not answer.
    """
    with tracking.store_errors(store.address):
        champion = store.alias(name, CHAMPION)
    if champion is None:
        raise PipelineError(f"{name} has no champion to go back from")
    if which == PREVIOUS and store.alias(name, PREVIOUS) is None:
        raise PipelineError(
            f"{name} has no previous champion; name a version: python -m pipeline rollback --to VERSION"
        )
    version = store.version(name, which)
    if _same(version, champion):
        raise PipelineError(f"{name} version {version.version} is the champion already")
    _check(store, version)
    with store.alone(name):
        if not _same(store.alias(name, CHAMPION), champion):
            raise PipelineError(f"another champion of {name} was made meanwhile; look at it, and run this again")
        # First, so that a kill leaves no bad version that the gate would promote again.
        store.annotate(champion, _moved("rollback", why) | {"rollback.to": str(version.version)})
        store.move_alias(CHAMPION, version)
        _set_previous(store, version)
        store.annotate(version, _moved("promotion", f"rolled back from version {champion.version}: {why}"))
    return f"{name} version {version.version} is the champion again, no longer version {champion.version}: {why}"


def withdrawn(version: "ModelVersion") -> str:
    """When and why a person rolled this version back; empty if nobody did."""
    tags = version.tags
    return f"was rolled back at {tags['rollback.time']}: {tags['rollback.reason']}" if "rollback.time" in tags else ""


def _crown(store: Store, version: "ModelVersion", champion: "ModelVersion | None") -> None:
    if champion is not None:
        store.move_alias(PREVIOUS, champion)
        store.annotate(version, {"promotion.replaced": str(champion.version)})
    store.drop_alias(CHALLENGER, version)
    store.move_alias(CHAMPION, version)


def _set_previous(store: Store, version: "ModelVersion") -> None:
    """Let `previous` be what `version` once replaced, if that is known and still good."""
    before = version.tags.get("promotion.replaced")
    earlier = store.find(version.name, before) if before else None
    if earlier is not None and not withdrawn(earlier):
        store.move_alias(PREVIOUS, earlier)
    else:
        current = store.alias(version.name, PREVIOUS)
        if current is not None:
            store.drop_alias(PREVIOUS, current)


def ask(
    process: probe.Asking, store: Store, version: "ModelVersion", texts: Sequence[str]
) -> Callable[[], probe.Answer]:
    """Ask a registered model in another process; give what waits for the answer.

    A model whose files are gone fails. A store that does not answer says nothing of the model: that is raised.
    """
    from mlflow.exceptions import MlflowException

    try:
        model = store.package(version, process.folder)
    except (FileNotFoundError, MlflowException) as error:
        if isinstance(error, MlflowException) and error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return lambda: probe.Answer({}, failure="cannot be downloaded: its files are gone")
    process.ask(model, texts)
    return process.answer


def _check(store: Store, version: "ModelVersion") -> None:
    """Fail unless a version loads and answers in a process of its own."""
    with probe.Processes() as processes:
        answer = ask(processes.new(), store, version, packaging.EXAMPLES)()
    if answer.failure:
        raise PipelineError(f"{version.name} version {version.version} {answer.failure}; it was not promoted")


def _same(one: "ModelVersion | None", other: "ModelVersion | None") -> bool:
    return (one and str(one.version)) == (other and str(other.version))


def _before(champion: "ModelVersion | None") -> str:
    return f" in place of version {champion.version}" if champion else ""


def _moved(how: str, why: str) -> dict[str, str]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {f"{how}.time": now, f"{how}.by": versioning.user(), f"{how}.reason": why}
