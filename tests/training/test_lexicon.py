"""The lexicon is fitted where the language has one, and kept where it lowers the loss of validation rows."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from pipeline.inference.calibration import fit as fit_calibration
from pipeline.inference.ngrams import Ngrams
from pipeline.training import selection
from pipeline.training.lexicon import fit_lexicon

RANDOM = np.random.default_rng(0)
LABELS = np.repeat([0, 1], 60)
TEXTS = [
    " ".join(
        RANDOM.choice([*["film", "plot", "it", "was"], *([["awful", "boring"], ["lovely", "great"]][label] * 2)], 6)
    )
    for label in LABELS
]


def fitted(**kind: Any) -> Any:
    settings = {"num_classes": 2, "unit": "word", "language": "en"} | kind
    return fit_lexicon(TEXTS, LABELS, np.ones(len(LABELS)), **settings)


def test_words_that_no_training_text_has_are_known() -> None:
    probabilities = np.exp(fitted().log_probabilities(["a superb cast", "a horrid cast", "not a superb cast"]))
    assert probabilities[0, 1] > 0.6 > 0.4 > probabilities[1, 1]
    assert probabilities[2, 1] < 0.5


@pytest.mark.parametrize("kind", [{"language": "fi"}, {"unit": "character", "language": "en"}, {"language": "zh"}])
def test_other_languages_have_none(kind: dict[str, str]) -> None:
    assert fitted(**kind) is None


def test_class_without_rows_is_never_predicted() -> None:
    probabilities = np.exp(fitted(num_classes=3).log_probabilities(TEXTS))
    assert probabilities[:, 2].max() < 1e-6


class Data:
    """As much of `fit.Data` as selection reads."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels, self.groups = {"validation": labels}, [""] * len(labels)

    def calibrate(self, parts: list[np.ndarray], rows: np.ndarray) -> Any:
        return fit_calibration(self.labels["validation"][rows], parts, np.zeros(2), 1.0, np.zeros(2))


@pytest.mark.parametrize("helps", [True, False])
def test_lexicon_is_kept_where_it_helps(monkeypatch: pytest.MonkeyPatch, helps: bool) -> None:
    random = np.random.default_rng(1)
    labels = random.integers(2, size=400)
    clear, noise = (random.normal(size=400) + scale * (2 * labels - 1) for scale in (1.0, 0.0))
    parts = [_log_probabilities(2 * clear)]
    parts.append(_log_probabilities(2 * (random.normal(size=400) + 2 * labels - 1) if helps else noise))
    monkeypatch.setattr(selection, "part_log_probabilities", lambda data, network, ngrams, split: parts)
    nothing = np.zeros((1, 2), dtype=np.float32)
    ngrams = Ngrams((), "word", True, np.zeros(0), nothing, nothing, lexicon=fitted())
    kept = selection.without_idle_lexicon(cast(Any, Data(labels)), cast(Any, None), ngrams)
    assert (kept.lexicon is not None) == helps
    without = replace(ngrams, lexicon=None)
    assert selection.without_idle_lexicon(cast(Any, Data(labels)), cast(Any, None), without) is without


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    both = np.column_stack([np.zeros(len(logits)), logits])
    return both - np.logaddexp.reduce(both, axis=1, keepdims=True)
