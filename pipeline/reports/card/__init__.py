"""Model card: what to know about a model before using it (Mitchell et al. 2019, "Model Cards for Model Reporting").

It is made only from the outputs of the stages and from the arguments below: the same state gives the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...base import paths
from .. import page
from ..facts import Facts, read_facts
from .data import data, preprocessing
from .limits import limits
from .model import cost, training
from .overview import intended_use, overview
from .results import behaviour_tests, calibration, metrics, promotion
from .usage import privacy, reproduction, usage

DECISION = paths.REPORTS / "publish/decision.json"  # the last promotion decided in this checkout


def card_markdown(
    facts: Facts,
    *,
    version: str | None = None,
    decision: Mapping[str, Any] | None = None,
    commit: str | None = None,
    uncommitted: bool = False,
    seconds: float | None = None,
) -> str:
    """Return the card as Markdown (CommonMark with tables) without HTML.

    Parameters
    ----------
    facts : Facts
        Of the state.
    version : str, optional
        Version of the model in the registry.
    decision : mapping, optional
        `promote`: bool; `reason`: a sentence; `checks`: mappings with `name`, `passed`, `found` and `limit`.
    commit : str, optional
        Git commit on which the state was made.
    uncommitted : bool
        Whether files differed from the commit.
    seconds : float, optional
        Training time, which no file of the state holds.
    """
    sections = {
        "Intended use": intended_use(facts),
        "Limits": limits(facts),
        "Data": data(facts),
        "Preprocessing": preprocessing(facts),
        "Model and training": training(facts),
        "Metrics": metrics(facts),
        "Calibration": calibration(facts),
        "Behaviour tests": behaviour_tests(facts),
        "Promotion": promotion(decision),
        "Cost": cost(facts, seconds),
        "Privacy and ethics": privacy(facts),
        "How to use it": usage(facts, version),
        "How to reproduce it": reproduction(facts, commit, uncommitted),
    }
    blocks = overview(facts, version)
    for title, section in sections.items():
        blocks += [f"## {title}", *section]
    return "\n\n".join(blocks) + "\n"


def write_card(**arguments: Any) -> list[Path]:
    """Write the card of the state in `data/` to `reports/card/`, as Markdown and as HTML; return both paths.

    It includes the figures of `reports/evaluate/`. `arguments` are those of `card_markdown` other than the facts.
    """
    return page.write(paths.REPORTS / "card", "model-card", card_markdown(read_facts(), **arguments))
