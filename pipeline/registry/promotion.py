"""Which version is the champion: promotion by the gate or by a person, and rollback.

Four aliases distinguish a model's versions: `champion` is in service, `previous` was in service before it, `anchor` is
the best version that ever was, and `challenger` is the last version that the gate refused. Tags of the versions record
who moved the aliases, when and why.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..base import versioning
from ..base.errors import PipelineError
from ..inference.part import Rows
from . import lazy_mlflow, models, packaging, probe, tracking
from .gate import Decision
from .store import Store

if TYPE_CHECKING:
    from .lazy_mlflow import ModelVersion

CHAMPION, PREVIOUS, ANCHOR, CHALLENGER = "champion", "previous", "anchor", "challenger"
MAX_TRIES = 5  # of a decision, when another promotion comes first each time
Judge = Callable[[Store, "ModelVersion", "dict[str, ModelVersion]"], Decision]


def decide_and_promote(store: Store, version: "ModelVersion", judge: Judge) -> Decision:
    """Let `judge` compare a version with the champion and the anchor, and move the aliases accordingly.

    Each new champion may be a little worse than the one before, as far as the test rows tell. The anchor, which only a
    clearly better version replaces, keeps such losses from adding up.

    Judging takes a while. If another machine promotes a model in that time, the comparison was with a champion that is
    no longer in service, and is repeated: of two promotions at once, the second has to beat the first.

    Parameters
    ----------
    store : Store
        The tracking store.
    version : ModelVersion
        The new version.
    judge : callable
        Takes the store, the version, and the champion and the anchor by role, where they are other versions; returns
        the decision.

    Raises
    ------
    PipelineError
        The champion changed during each of `MAX_TRIES` decisions.
    """
    for _ in range(MAX_TRIES):
        champion = store.versions.alias(version.name, CHAMPION)
        if _same(champion, version):
            return Decision(True, version.tags.get("promotion.reason", "it is the champion already"))
        rivals = _rivals(store, version, champion)
        decision = judge(store, version, rivals)
        with store.lock.hold(version.name):
            if not _same(store.versions.alias(version.name, CHAMPION), champion):
                continue
            if decision.promote:
                _make_champion(store, version, champion)
                keeps = [] if decision.is_anchor else list(rivals.values())
                store.versions.move_alias(ANCHOR, [version, *keeps][-1])
            else:
                store.versions.move_alias(CHALLENGER, version)
            store.versions.annotate(version, _record("promotion", decision.reason))
            return decision
    raise PipelineError(
        f"the champion of {version.name} changed {MAX_TRIES} times while version {version.version} was judged; "
        "run the command again"
    )


def promote(store: Store, name: str, which: str, why: str) -> str:
    """Make a version the champion because a person wants it; return a sentence for the user.

    Raises
    ------
    PipelineError
        There is no such version, or it does not pass the probe.
    """
    version = store.versions.get(name, which)
    _check(store, version)
    with store.lock.hold(name):
        champion = store.versions.alias(name, CHAMPION)
        if _same(champion, version):
            return f"{name} version {version.version} is the champion already"
        for key in [key for key in version.tags if key.startswith("rollback.")]:
            store.versions.drop_tag(version, key)
        _make_champion(store, version, champion)
        store.versions.move_alias(ANCHOR, version)  # what a person decides is what later versions are measured against
        store.versions.annotate(version, _record("promotion", why))
    replaced = f" in place of version {champion.version}" if champion else ""
    return f"{name} version {version.version} is the champion{replaced}: {why}"


def rollback(store: Store, name: str, which: str, why: str) -> str:
    """Make the previous version, or another one, the champion again; return a sentence for the user.

    The version that is taken out of service is marked: the gate does not promote it again.

    Raises
    ------
    PipelineError
        There is no such version, or it does not pass the probe.
    """
    with tracking.store_errors(store.address):
        champion = store.versions.alias(name, CHAMPION)
    if champion is None:
        raise PipelineError(f"{name} has no champion to roll back")
    if which == PREVIOUS and store.versions.alias(name, PREVIOUS) is None:
        raise PipelineError(
            f"{name} has no previous champion; name a version: python -m pipeline rollback --to VERSION"
        )
    version = store.versions.get(name, which)
    if _same(version, champion):
        raise PipelineError(f"{name} version {version.version} is the champion already")
    _check(store, version)
    with store.lock.hold(name):
        if not _same(store.versions.alias(name, CHAMPION), champion):
            raise PipelineError(
                f"the champion of {name} changed during the rollback, which was given up; "
                "check the new champion, then run the command again"
            )
        # First, so that a kill leaves no bad version that the gate would promote again.
        store.versions.annotate(champion, _record("rollback", why) | {"rollback.to": str(version.version)})
        store.versions.move_alias(CHAMPION, version)
        if _same(store.versions.alias(name, ANCHOR), champion):
            store.versions.move_alias(ANCHOR, version)
        _set_previous(store, version)
        reason = f"rolled back from version {champion.version}: {why}"
        store.versions.annotate(version, _record("promotion", reason))
    return f"{name} version {version.version} is the champion again, no longer version {champion.version}: {why}"


def withdrawn(version: "ModelVersion") -> str:
    """When and why a person rolled a version back; empty if nobody did."""
    tags = version.tags
    return f"was rolled back at {tags['rollback.time']}: {tags['rollback.reason']}" if "rollback.time" in tags else ""


def ask_version(
    process: probe.Probe, store: Store, version: "ModelVersion", rows: Rows | None = None
) -> Callable[[], probe.Answer]:
    """Ask a registered model in another process; return a function that waits for the answer.

    `rows` are raw cells by modality; without them the model is asked the examples of its modalities. A model whose
    files are gone fails the probe. A store that does not answer raises its error: it is not the model's.
    """
    try:
        model = store.versions.package(version, process.folder)
        rows = rows or packaging.examples(models.packaged(version.name, model).manifest())
    except (FileNotFoundError, lazy_mlflow.MlflowException) as error:
        if isinstance(error, lazy_mlflow.MlflowException) and error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return lambda: probe.Answer({}, failure="cannot be downloaded: its files are gone")
    process.ask(model, rows)
    return process.answer


def _rivals(store: Store, version: "ModelVersion", champion: "ModelVersion | None") -> "dict[str, ModelVersion]":
    """Return the champion, and after it the anchor if it is another version, by role."""
    if champion is None:
        return {}
    anchor = store.versions.alias(version.name, ANCHOR)
    if anchor is None or _same(anchor, champion) or _same(anchor, version) or withdrawn(anchor):
        return {CHAMPION: champion}
    return {CHAMPION: champion, ANCHOR: anchor}


def _make_champion(store: Store, version: "ModelVersion", champion: "ModelVersion | None") -> None:
    if champion is not None:
        store.versions.move_alias(PREVIOUS, champion)
        store.versions.annotate(version, {"promotion.replaced": str(champion.version)})
    store.versions.drop_alias(CHALLENGER, version)
    store.versions.move_alias(CHAMPION, version)


def _set_previous(store: Store, version: "ModelVersion") -> None:
    """Move `previous` to the version that `version` once replaced, unless it is unknown or was rolled back."""
    number = version.tags.get("promotion.replaced")
    earlier = store.versions.find(version.name, number) if number else None
    if earlier is not None and not withdrawn(earlier):
        store.versions.move_alias(PREVIOUS, earlier)
    else:
        current = store.versions.alias(version.name, PREVIOUS)
        if current is not None:
            store.versions.drop_alias(PREVIOUS, current)


def _check(store: Store, version: "ModelVersion") -> None:
    """Fail unless a version loads and answers in a separate process."""
    with probe.Processes() as processes:
        answer = ask_version(processes.new(), store, version)()
    if answer.failure:
        raise PipelineError(f"{version.name} version {version.version} {answer.failure}; it was not promoted")


def _same(one: "ModelVersion | None", other: "ModelVersion | None") -> bool:
    return (one and str(one.version)) == (other and str(other.version))


def _record(action: str, why: str) -> dict[str, str]:
    """Tags of who did something, when and why."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {f"{action}.time": now, f"{action}.by": versioning.user(), f"{action}.reason": why}
