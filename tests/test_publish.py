"""Publish: the decision as a table."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import publish
from pipeline.publish import decide


@pytest.mark.parametrize(
    ("challenger", "champion", "promote", "reason"),
    [
        ({"test": "a", "macro_f1": "0.5"}, None, True, "the first model"),
        ({"test": "a", "macro_f1": "0.51"}, {"test": "a", "macro_f1": "0.50"}, True, "0.5100 beats"),
        ({"test": "a", "macro_f1": "0.50"}, {"test": "a", "macro_f1": "0.50"}, False, "does not beat"),
        ({"test": "a", "macro_f1": "0.49"}, {"test": "a", "macro_f1": "0.50"}, False, "does not beat"),
        ({"test": "a", "macro_f1": "0.99"}, {"test": "b", "macro_f1": "0.50"}, False, "not comparable"),
        ({"test": "a", "macro_f1": "0.99"}, {}, False, "not comparable"),
    ],
)
def test_decide(challenger: dict[str, str], champion: dict[str, str] | None, promote: bool, reason: str) -> None:
    decision = decide(challenger, champion)
    assert decision.promote is promote
    assert reason in decision.reason


class Registry:
    """A store of aliases alone."""

    def __init__(self, champion: Any) -> None:
        self.aliases = {"champion": champion}

    def alias(self, name: str, alias: str) -> Any:
        return self.aliases.get(alias)

    def move_alias(self, alias: str, version: Any) -> None:
        self.aliases[alias] = version

    def drop_alias(self, alias: str, version: Any) -> None:
        if self.aliases.get(alias) is version:
            del self.aliases[alias]

    def annotate(self, version: Any, tags: dict[str, str]) -> None:
        version.tags.update(tags)


def version(number: int, **tags: str) -> Any:
    return SimpleNamespace(name="m", version=number, tags=tags)


def test_a_better_model_moves_the_aliases_and_says_why() -> None:
    old, new = version(1, test="a", macro_f1="0.5"), version(2)
    registry = Registry(old)
    assert publish._promote(registry, new, {"test": "a", "macro_f1": "0.6"}).promote
    assert registry.aliases == {"champion": new, "previous": old}
    assert "beats" in new.tags["promotion.reason"]
    assert new.tags["promotion.time"].startswith("20")


def test_a_worse_model_is_the_challenger_and_the_tag_says_why() -> None:
    old, new = version(1, test="a", macro_f1="0.5"), version(2)
    registry = Registry(old)
    assert not publish._promote(registry, new, {"test": "a", "macro_f1": "0.4"}).promote
    assert registry.aliases == {"champion": old, "challenger": new}
    assert "does not beat" in new.tags["promotion.reason"]


@pytest.mark.parametrize(("score", "promoted"), [(0.4, True), (0.9, False), (None, False)])
def test_a_champion_of_other_rows_is_scored_again(
    monkeypatch: pytest.MonkeyPatch, score: float | None, promoted: bool
) -> None:
    """Else one lucky figure on a small test set would stay the champion for ever."""
    monkeypatch.setattr(publish, "_macro_f1_on_test_rows", lambda champion: score)
    new = version(2)
    registry = Registry(version(1, test="tiny", macro_f1="0.99"))
    assert publish._promote(registry, new, {"test": "large", "macro_f1": "0.6"}).promote is promoted


def test_a_champion_measured_again_has_its_new_figures() -> None:
    champion = version(1, test="a", macro_f1="0.5")
    assert publish._promote(Registry(champion), champion, {"test": "b", "macro_f1": "0.6"}).promote
    assert champion.tags == {"test": "b", "macro_f1": "0.6"}
