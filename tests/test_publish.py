"""Publish: the decision as a table."""

import pytest

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
