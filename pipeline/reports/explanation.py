"""Explanation page: a text with its words coloured by what they add to the score of each class."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..evaluation.explanation import Explanation
from . import page

OPEN_CLASSES = 3  # the most probable ones; the others open on a click
MIN_STRENGTH = 5  # % of the largest contribution; weaker words are not coloured


def explanation_page(explanation: Explanation) -> str:
    """Return a page that shows the text once for each class, the most probable class first."""
    largest = float(np.abs(explanation.contributions).max(initial=0)) or 1.0
    sections = [
        {
            "label": explanation.classes[number],
            "percent": f"{100 * explanation.probabilities[number]:.1f}",
            "open": rank < OPEN_CLASSES,
            "parts": list(_parts(explanation, int(number), largest)),
        }
        for rank, number in enumerate(np.argsort(-explanation.scores, kind="stable"))
    ]
    return page.fill("explanation.html", title=explanation.classes[explanation.best], sections=sections)


def _parts(explanation: Explanation, number: int, largest: float) -> Iterator[dict[str, Any]]:
    """Yield the words of the text, and what stands between them, for the class of this number."""
    end = 0
    for (start, stop), contribution in zip(explanation.spans, explanation.contributions[:, number], strict=True):
        yield {"kind": "", "text": explanation.text[end:start]}
        strength = round(100 * abs(contribution) / largest)
        kind = "for" if contribution > 0 else "against"
        yield {
            "kind": kind if strength >= MIN_STRENGTH else "",
            "text": explanation.text[start:stop],
            "strength": strength,
            "contribution": contribution,
        }
        end = stop
    yield {"kind": "", "text": explanation.text[end:]}
