"""Promote: aliases and tags after promotions, refusals and rollbacks, one after another and at once."""

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

ASK = promotion.ask  # which `answers` stands in for

YES, NO = Decision(True, "better"), Decision(False, "worse")


class Registry:
    """A store of versions and aliases alone."""

    def __init__(self, number: int, champion: int | None = None) -> None:
        self.versions = {str(n): SimpleNamespace(name="m", version=n, tags={}) for n in range(1, number + 1)}
        self.aliases: dict[str, str] = {} if champion is None else {"champion": str(champion)}
        self.address = "nowhere"

    @contextmanager
    def alone(self, purpose: str) -> Iterator[None]:
        assert purpose == "m"
        yield

    def alias(self, name: str, alias: str) -> Any:
        return self.versions.get(self.aliases.get(alias, ""))

    def find(self, name: str, which: str) -> Any:
        return self.alias(name, which) or self.versions.get(which)

    def version(self, name: str, which: str) -> Any:
        found = self.find(name, which)
        if found is None:
            raise PipelineError(f"no {which}")
        return found

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

    def ask(process: str, store: Any, version: Any, texts: list[str]) -> Any:
        return lambda: SimpleNamespace(failure=failures.get(str(version.version), ""))

    monkeypatch.setattr(promotion.probe.Processes, "new", lambda self: "a process")
    monkeypatch.setattr(promotion, "ask", ask)
    return failures


def publish(registry: Registry, number: int, decision: Decision) -> Decision:
    return promotion.decide_and_promote(registry, registry.versions[str(number)], lambda *_: decision)  # type: ignore[arg-type]


def test_a_promotion_moves_the_aliases_and_says_who_when_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    registry = Registry(2, champion=1)
    registry.aliases["challenger"] = "2"
    assert publish(registry, 2, YES).promote
    assert registry.aliases == {"champion": "2", "previous": "1"}
    tags = registry.versions["2"].tags
    assert tags.pop("promotion.time").startswith("20")
    assert tags == {"promotion.by": "ada", "promotion.reason": "better", "promotion.replaced": "1"}


def test_a_refusal_makes_the_challenger(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(2, champion=1)
    assert not publish(registry, 2, NO).promote
    assert registry.aliases == {"champion": "1", "challenger": "2"}
    assert registry.versions["2"].tags["promotion.reason"] == "worse"


def test_the_champion_is_not_judged_again() -> None:
    registry = Registry(1, champion=1)
    registry.versions["1"].tags["promotion.reason"] = "better"
    assert publish(registry, 1, NO) == Decision(True, "better")


def test_of_two_promotions_at_once_the_second_has_to_beat_the_first() -> None:
    registry, judged = Registry(3, champion=1), []

    def judge(store: Any, version: Any, champion: Any) -> Decision:
        judged.append(champion.version)
        if len(judged) == 1:  # while this one is asked the test rows, another machine promotes version 2
            publish(registry, 2, YES)
        return YES if champion.version == 1 else NO

    assert not promotion.decide_and_promote(registry, registry.versions["3"], judge).promote  # type: ignore[arg-type]
    assert judged == [1, 2]
    assert registry.aliases == {"champion": "2", "previous": "1", "challenger": "3"}


def test_a_race_without_end_is_an_error() -> None:
    registry = Registry(9, champion=1)

    def judge(store: Any, version: Any, champion: Any) -> Decision:
        registry.aliases["champion"] = str(champion.version + 1)
        return YES

    with pytest.raises(PipelineError, match="another champion of m was made 5 times meanwhile"):
        promotion.decide_and_promote(registry, registry.versions["9"], judge)  # type: ignore[arg-type]


def test_back_and_back_again() -> None:
    registry = Registry(3)
    for number in (1, 2, 3):
        publish(registry, number, YES)
    said = promotion.rollback(registry, "m", "previous", "rude answers")  # type: ignore[arg-type]
    assert said == "m version 2 is the champion again, no longer version 3: rude answers"
    assert registry.aliases == {"champion": "2", "previous": "1"}
    tags = registry.versions["3"].tags
    assert (tags["rollback.reason"], tags["rollback.to"]) == ("rude answers", "2")
    assert registry.versions["2"].tags["promotion.reason"] == "rolled back from version 3: rude answers"
    assert promotion.withdrawn(registry.versions["3"]).endswith(": rude answers")

    promotion.rollback(registry, "m", "previous", "worse still")  # type: ignore[arg-type]
    assert registry.aliases == {"champion": "1"}
    with pytest.raises(PipelineError, match="m has no previous champion; name a version"):
        promotion.rollback(registry, "m", "previous", "and again")  # type: ignore[arg-type]
    promotion.rollback(registry, "m", "3", "it was right")  # type: ignore[arg-type]
    assert registry.aliases == {"champion": "3"}  # which replaced version 2, withdrawn by now


def test_a_person_may_promote_what_was_withdrawn() -> None:
    registry = Registry(2)
    publish(registry, 1, YES)
    publish(registry, 2, YES)
    promotion.rollback(registry, "m", "previous", "rude")  # type: ignore[arg-type]
    said = promotion.promote(registry, "m", "2", "looked at it")  # type: ignore[arg-type]
    assert said == "m version 2 is the champion in place of version 1: looked at it"
    assert registry.aliases == {"champion": "2", "previous": "1"}
    assert promotion.withdrawn(registry.versions["2"]) == ""
    assert "already" in promotion.promote(registry, "m", "2", "once more")  # type: ignore[arg-type]


@pytest.mark.parametrize("way", [promotion.promote, promotion.rollback])
def test_what_does_not_answer_is_not_put_into_service(way: Any, answers: dict[str, str]) -> None:
    registry = Registry(2, champion=1)
    answers["2"] = "fails: no weights"
    with pytest.raises(PipelineError, match="m version 2 fails: no weights; it was not promoted"):
        way(registry, "m", "2", "why not")
    assert registry.aliases == {"champion": "1"}
    assert registry.versions["2"].tags == {}


def test_a_rollback_that_is_killed_leaves_no_version_that_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(2, champion=1)
    publish(registry, 2, YES)
    with monkeypatch.context() as killed:
        killed.setattr(registry, "move_alias", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promotion.rollback(registry, "m", "previous", "bad")  # type: ignore[arg-type]
    assert promotion.withdrawn(registry.versions["2"])
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
def test_a_store_that_does_not_answer_says_nothing_of_a_model(error: Exception, gone: bool) -> None:
    def package(version: Any, folder: Any) -> Any:
        raise error

    store, process = SimpleNamespace(package=package), SimpleNamespace(folder="x")
    if gone:
        assert "its files are gone" in ASK(process, store, None, [])().failure  # type: ignore[arg-type]
    else:
        with pytest.raises(type(error)):
            ASK(process, store, None, [])  # type: ignore[arg-type]


def test_a_rollback_gives_way_to_a_promotion_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(3)
    publish(registry, 1, YES)
    publish(registry, 2, YES)

    @contextmanager
    def meanwhile(purpose: str) -> Iterator[None]:
        registry.aliases["champion"] = "3"
        yield

    monkeypatch.setattr(registry, "alone", meanwhile)
    with pytest.raises(PipelineError, match="another champion of m was made meanwhile; look at it"):
        promotion.rollback(registry, "m", "previous", "rude")  # type: ignore[arg-type]
    assert registry.aliases["champion"] == "3"
    assert not promotion.withdrawn(registry.versions["2"])
