"""The figures of a lexicon, and the model of them."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, clean_environment

from pipeline.inference.lexicon import Lexicon, LexiconPart
from pipeline.inference.part import Inputs
from pipeline.text.languages import words

VALENCES = {"good": 2.0, "great": 3.0, "bad": -2.5, "awful": -3.0}
FIGURES = 17


@pytest.fixture
def lexicon() -> Lexicon:
    random = np.random.default_rng(0)
    scales = random.uniform(0.5, 2, FIGURES)
    return Lexicon(VALENCES, "en", random.normal(size=FIGURES), scales, random.normal(size=(FIGURES + 1, 3)))


@pytest.mark.parametrize(
    ("text", "valences"),
    [
        ("good film , bad plot", [2, 0, 0, -2.5, 0]),
        ("it is not a great film , great", [0, 0, 0, 0, -0.74 * 3, 0, 0, 3]),
        ("good!bad", [2, 0, -2.5]),
        ("isn't bad?", [0, -0.74 * -2.5, 0]),
        ("a b c d e f g h i awful", [*([0] * 9), -3]),
        ("unheard words", [0, 0]),
        ("", []),
    ],
)
def test_figures_equal_their_formulas(lexicon: Lexicon, text: str, valences: list[float]) -> None:
    """Also among other texts: a row depends only on its own text."""
    assert len(words(text)) == len(valences)
    hits = [value for value in valences if value]
    count, total = max(len(valences), 1), sum(hits)
    positive, negative = ([value for value in hits if value * sign > 0] for sign in (1, -1))
    expected = [
        total / np.sqrt(total**2 + 15),
        *(sum(positive) / count, sum(negative) / count),
        *(np.log1p(len(positive)), np.log1p(len(negative))),
        *(max([0, *hits]), min([0, *hits])),
        *(sum(valences[len(valences) // 2 :]), sum(valences[-8:])),
        *((hits[0], hits[-1], total / len(hits)) if hits else (0, 0, 0)),
        *(any(word in text for word in ("not a", "isn't")), "!" in text, "?" in text),
        *(np.log(count), len(hits) / count),
    ]
    figures = lexicon.figures(["great, not bad", text, "", "awful!"])
    assert figures.shape == (4, FIGURES)
    np.testing.assert_allclose(figures[1], np.array(expected, dtype=float), atol=1e-12)


def test_probabilities_are_those_of_the_coefficients(lexicon: Lexicon) -> None:
    texts = ["good film", "bad film", ""]
    standardised = (lexicon.figures(texts) - lexicon.means) / lexicon.scales
    odds = np.exp(standardised @ lexicon.coefficients[:-1] + lexicon.coefficients[-1])
    expected = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(lexicon.log_probabilities(texts)), expected)
    part = LexiconPart(lexicon)
    np.testing.assert_array_equal(
        part.log_probabilities(Inputs({"text": texts}, {}, {})), lexicon.log_probabilities(texts)
    )
    assert (part.name, part.modality) == ("lexicon", "text")
    assert lexicon.log_probabilities([]).shape == (0, 3)


def test_saved_lexicon_predicts_the_same(lexicon: Lexicon, tmp_path: Path) -> None:
    lexicon.save(tmp_path)
    texts = ["good film", "not bad at all", ""]
    for other in (Lexicon.load(tmp_path), copy.deepcopy(lexicon)):
        np.testing.assert_array_equal(other.log_probabilities(texts), lexicon.log_probabilities(texts))


def test_prediction_needs_no_other_package(lexicon: Lexicon, tmp_path: Path) -> None:
    lexicon.save(tmp_path)
    code = (
        "import sys; from pathlib import Path; from pipeline.inference.lexicon import Lexicon;"
        f"print(Lexicon.load(Path({str(tmp_path)!r})).log_probabilities(['good film']).shape,"
        "{'sklearn', 'scipy', 'pandas', 'vaderSentiment'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "(1, 3) set()\n"
