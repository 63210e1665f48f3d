"""Privacy: what is masked and what is left alone, by 313 labelled cases of invented people."""

import json
import re
from collections import Counter

from conftest import ROOT

from pipeline.text import PLACEHOLDERS, clean_text

CASES = [json.loads(line) for line in (ROOT / "tests/privacy_cases.jsonl").read_text(encoding="utf-8").splitlines()]


def left(value: str, text: str, cleaned: str) -> bool:
    """Whether a part of what had to be masked still stands there as often as before: three digits, or four letters."""
    parts = re.findall(r"\d{3,}|[^\W\d_]{4,}", value.lower()) or [value.lower()]
    return any(cleaned.count(part) > text.lower().count(part) - value.lower().count(part) for part in parts)


def test_personal_data_is_masked() -> None:
    asked, missed = Counter[str](), Counter[str]()
    for case in CASES:
        cleaned = clean_text(case["text"])
        for placeholder in PLACEHOLDERS:
            cleaned = cleaned.replace(placeholder, " ")
        for kind, value in case["mask"]:
            asked[kind] += 1
            missed[kind] += left(value, case["text"], cleaned)
    recall = {kind: round(1 - missed[kind] / asked[kind], 3) for kind in asked}
    assert asked.total() >= 200
    assert missed.total() <= 0.02 * asked.total(), recall


def test_texts_without_personal_data_are_left_alone() -> None:
    clean = [case["text"] for case in CASES if not case["mask"]]
    touched = [text for text in clean if any(placeholder in clean_text(text) for placeholder in PLACEHOLDERS)]
    assert len(clean) >= 100
    assert len(touched) <= 0.02 * len(clean), touched
