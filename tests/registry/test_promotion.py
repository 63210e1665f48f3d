"""Aliases and tags after promotions, refusals and rollbacks, one after another and at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from pipeline.base.errors import PipelineError
from pipeline.registry import promotion
from pipeline.registry.gate import Decision

ASK = promotion.ask_version  # before `answers` replaces it

YES, NO = Decision(True, "better"), Decision(False, "worse")


class Registry:
    """A store that has only versions and aliases."""

    def __init__(self, number: int, champion: int | None = None) -> None:
        self.models = {str(n): SimpleNamespace(name="m", version=n, tags={}) for n in range(1, number + 1)}
        self.aliases: dict[str, str] = {} if champion is None else {"champion": str(champion)}
        self.address = "nowhere"
        self.versions = self.lock = self

    @contextmanager
    def hold(self, purpose: str) -> Iterator[None]:
        assert purpose == "m"
        yield

    def alias(self, name: str, alias: str) -> Any:
        return self.models.get(self.aliases.get(alias, ""))

    def find(self, name: str, which: str) -> Any:
        return self.alias(name, which) or self.models.get(which)

    def get(self, name: str, which: str) -> Any:
        version = self.find(name, which)
        if version is None:
            raise PipelineError(f"no {which}")
        return version

    def move_alias(self, alias: str, version: Any) -> None:
        self.aliases[alias] = str(version.version)

    def drop_alias(self, alias: str, version: Any) -> None:
        if self.aliases.get(alias) == str(version.version):
            del self.aliases[alias]

    def annotate(self, version: Any, tags: dict[str, str]) -> None:
        version.tags.update(tags)

    def drop_tag(self, version: Any, key: str) -> None:
        del version.tags[key]


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Failures of models that do not answer, by version; the others do."""
    failures: dict[str, str] = {}

    def ask(process: str, store: Any, version: Any, rows: Any = None) -> Any:
        return lambda: SimpleNamespace(failure=failures.get(str(version.version), ""))

    monkeypatch.setattr(promotion.probe.Processes, "new", lambda self: "a process")
    monkeypatch.setattr(promotion, "ask_version", ask)
    return failures


def publish(registry: Registry, number: int, decision: Decision) -> Decision:
    return promotion.decide_and_promote(registry, registry.models[str(number)], lambda *_: decision)  # type: ignore[arg-type]


def test_promotion_moves_aliases_and_sets_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    registry = Registry(2, champion=1)
    registry.aliases["challenger"] = "2"
    assert publish(registry, 2, YES).promote
    assert registry.aliases == {"champion": "2", "previous": "1", "anchor": "1"}
    tags = registry.models["2"].tags
    assert tags.pop("promotion.time").startswith("20")
    assert tags == {"promotion.by": "ada", "promotion.reason": "better", "promotion.replaced": "1"}


def test_refused_version_becomes_challenger(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(2, champion=1)
    assert not publish(registry, 2, NO).promote
    assert registry.aliases == {"champion": "1", "challenger": "2"}
    assert registry.models["2"].tags["promotion.reason"] == "worse"


def test_champion_is_not_judged_again() -> None:
    registry = Registry(1, champion=1)
    registry.models["1"].tags["promotion.reason"] = "better"
    assert publish(registry, 1, NO) == Decision(True, "better")


def test_second_of_two_promotions_has_to_beat_the_first() -> None:
    registry, judged = Registry(3, champion=1), []

    def judge(store: Any, version: Any, rivals: Any) -> Decision:
        judged.append(rivals["champion"].version)
        if len(judged) == 1:  # another machine promotes version 2 during the judgement
            publish(registry, 2, YES)
        return YES if judged[-1] == 1 else NO

    assert not promotion.decide_and_promote(registry, registry.models["3"], judge).promote  # type: ignore[arg-type]
    assert judged == [1, 2]
    assert registry.aliases == {"champion": "2", "previous": "1", "challenger": "3", "anchor": "1"}


def test_endless_race_is_an_error() -> None:
    registry = Registry(9, champion=1)

    def judge(store: Any, version: Any, rivals: Any) -> Decision:
        registry.aliases["champion"] = str(rivals["champion"].version + 1)
        return YES

    with pytest.raises(PipelineError, match="the champion of m changed 5 times while version 9 was judged"):
        promotion.decide_and_promote(registry, registry.models["9"], judge)  # type: ignore[arg-type]


def test_rollback_twice() -> None:
    registry = Registry(3)
    for number in (1, 2, 3):
        publish(registry, number, YES)
    sentence = promotion.rollback(registry, "m", "previous", "rude answers")  # type: ignore[arg-type]
    assert sentence == "m version 2 is the champion again, no longer version 3: rude answers"
    assert registry.aliases == {"champion": "2", "previous": "1", "anchor": "1"}
    tags = registry.models["3"].tags
    assert (tags["rollback.reason"], tags["rollback.to"]) == ("rude answers", "2")
    assert registry.models["2"].tags["promotion.reason"] == "rolled back from version 3: rude answers"
    assert promotion.withdrawn(registry.models["3"]).endswith(": rude answers")

    promotion.rollback(registry, "m", "previous", "worse still")  # type: ignore[arg-type]
    assert registry.aliases == {"champion": "1", "anchor": "1"}
    with pytest.raises(PipelineError, match="m has no previous champion; name a version"):
        promotion.rollback(registry, "m", "previous", "and again")  # type: ignore[arg-type]
    promotion.rollback(registry, "m", "3", "it was right")  # type: ignore[arg-type]
    assert registry.aliases == {"champion": "3", "anchor": "3"}  # which replaced version 2, withdrawn by now


def test_person_may_promote_withdrawn_version() -> None:
    registry = Registry(2)
    publish(registry, 1, YES)
    publish(registry, 2, YES)
    promotion.rollback(registry, "m", "previous", "rude")  # type: ignore[arg-type]
    sentence = promotion.promote(registry, "m", "2", "looked at it")  # type: ignore[arg-type]
    assert sentence == "m version 2 is the champion in place of version 1: looked at it"
    assert registry.aliases == {"champion": "2", "previous": "1", "anchor": "2"}
    assert promotion.withdrawn(registry.models["2"]) == ""
    assert "already" in promotion.promote(registry, "m", "2", "once more")  # type: ignore[arg-type]


def test_anchor_is_replaced_only_by_a_clearly_better_version() -> None:
    registry, seen = Registry(5), []
    clearly = Decision(True, "clearly better", is_anchor=True)

    def judge(decision: Decision) -> Any:
        def judged(store: Any, version: Any, rivals: Any) -> Decision:
            seen.append({role: rival.version for role, rival in rivals.items()})
            return decision

        return judged

    for number, decision in enumerate((clearly, YES, YES, clearly, YES), start=1):
        promotion.decide_and_promote(registry, registry.models[str(number)], judge(decision))  # type: ignore[arg-type]
    assert seen == [
        {},
        {"champion": 1},
        {"champion": 2, "anchor": 1},
        {"champion": 3, "anchor": 1},
        {"champion": 4},
    ]
    assert registry.aliases["anchor"] == "4"
    promotion.rollback(registry, "m", "2", "rude")  # type: ignore[arg-type]
    assert registry.aliases["anchor"] == "4"  # which nobody rolled back
    registry.aliases["champion"] = "4"
    promotion.rollback(registry, "m", "3", "rude, too")  # type: ignore[arg-type]
    assert registry.aliases["anchor"] == "3"


def test_withdrawn_anchor_is_no_measure() -> None:
    registry, seen = Registry(3, champion=1), []
    registry.aliases["anchor"] = "2"
    registry.models["2"].tags |= {"rollback.time": "noon", "rollback.reason": "rude"}

    def judge(store: Any, version: Any, rivals: Any) -> Decision:
        seen.append(list(rivals))
        return YES

    promotion.decide_and_promote(registry, registry.models["3"], judge)  # type: ignore[arg-type]
    assert seen == [["champion"]]
    assert registry.aliases == {"champion": "3", "previous": "1", "anchor": "1"}


@pytest.mark.parametrize("command", [promotion.promote, promotion.rollback])
def test_version_that_fails_the_probe_is_not_promoted(command: Any, answers: dict[str, str]) -> None:
    registry = Registry(2, champion=1)
    answers["2"] = "fails: no weights"
    with pytest.raises(PipelineError, match="m version 2 fails: no weights; it was not promoted"):
        command(registry, "m", "2", "why not")
    assert registry.aliases == {"champion": "1"}
    assert registry.models["2"].tags == {}


def test_killed_rollback_leaves_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(2, champion=1)
    publish(registry, 2, YES)
    with monkeypatch.context() as killed:
        killed.setattr(registry, "move_alias", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promotion.rollback(registry, "m", "previous", "bad")  # type: ignore[arg-type]
    assert promotion.withdrawn(registry.models["2"])
    assert "version 1 is the champion again" in promotion.rollback(registry, "m", "previous", "bad")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (MlflowException("no such run", RESOURCE_DOES_NOT_EXIST), True),
        (FileNotFoundError("model"), True),
        (MlflowException("API request failed with error code 500"), False),
        (ConnectionError("refused"), False),
    ],
)
def test_only_missing_files_fail_the_probe(error: Exception, gone: bool) -> None:
    def package(version: Any, folder: Any) -> Any:
        raise error

    store = SimpleNamespace(versions=SimpleNamespace(package=package))
    process = SimpleNamespace(folder="x")
    if gone:
        assert "its files are gone" in ASK(process, store, None, [])().failure  # type: ignore[arg-type]
    else:
        with pytest.raises(type(error)):
            ASK(process, store, None, [])  # type: ignore[arg-type]


def test_rollback_gives_way_to_a_promotion(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(3)
    publish(registry, 1, YES)
    publish(registry, 2, YES)

    @contextmanager
    def promote_another(purpose: str) -> Iterator[None]:
        registry.aliases["champion"] = "3"
        yield

    monkeypatch.setattr(registry, "hold", promote_another)
    with pytest.raises(PipelineError, match="the champion of m changed during the rollback"):
        promotion.rollback(registry, "m", "previous", "rude")  # type: ignore[arg-type]
    assert registry.aliases["champion"] == "3"
    assert not promotion.withdrawn(registry.models["2"])
