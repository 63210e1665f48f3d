"""Rows from templates: their labels, their number, and that they are not those of the behavioural tests."""

from itertools import product

import numpy as np
import pytest

from pipeline.evaluation.text.sentences import SENTENCE_TEMPLATES
from pipeline.text.cleaning import clean_text
from pipeline.text.languages import UNITS
from pipeline.text.negation import negated
from pipeline.training import negation
from pipeline.training.negation import negation_rows

CLASSES = ["negative", "neutral", "positive"]
UNIT = {"en": "word", "zh": "chinese"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_behavioural_tests_have_other_rows_and_words(language: str) -> None:
    texts, _ = negation_rows(CLASSES, language, 10**6)
    templates = SENTENCE_TEMPLATES[language].values()
    tested = {template.form.format(*words) for template in templates for words in product(*template.parts)}
    assert not tested & set(texts)
    subjects, words = ({part for template in templates for part in template.parts[number]} for number in (0, -1))
    own = negation._TEMPLATES[language]
    assert not subjects & set(own.subjects.split("|"))
    assert not words & {word for words in own[1:4] for word in words.split("|")}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_labels_follow_words_and_negators(language: str) -> None:
    texts, labels = negation_rows(CLASSES, language, 10**6)
    own = negation._TEMPLATES[language]
    polarity = {word: number for number, part in ((2, own.positive), (0, own.negative), (1, own.neutral))
                for word in part.split("|")}  # fmt: skip
    turned_rows = 0
    for text, label in zip(texts, labels, strict=True):
        found = [word for word in polarity if word in text]
        word = max(found, key=len)
        is_negated = any(negated(UNITS[UNIT[language]](text), language)[0]) or "不" in text or "没" in text
        expected = {2: 0, 0: 2, 1: 0}[polarity[word]] if is_negated else polarity[word]
        turned_rows += is_negated
        if sum(polarity[other] != polarity[word] for other in found) == 0:  # no word within another one's
            assert label == expected, text
    assert 0.4 < turned_rows / len(texts) < 0.7
    assert texts == [clean_text(text) for text in texts]
    assert len(set(texts)) == len(texts)


def test_number_of_rows() -> None:
    assert len(negation_rows(CLASSES, "en", 1_200)[0]) == 120
    assert len(negation_rows(CLASSES, "en", 10**6)[0]) == negation.MAX_ROWS
    assert np.bincount(negation_rows(CLASSES, "en", 1_200)[1]).tolist() == [60, 20, 40]
    assert np.bincount(negation_rows(["neg", "pos"], "en", 1_200)[1]).tolist() == [60, 40]
    assert negation_rows(CLASSES, "en", 5)[0] == []


@pytest.mark.parametrize(
    ("classes", "language"),
    [(CLASSES, "de"), (["joy", "anger", "fear"], "en"), (["1", "2"], "en"), (["4 stars", "5 stars", "1 star"], "en")],
)
def test_other_files_get_none(classes: list[str], language: str) -> None:
    texts, labels = negation_rows(classes, language, 10**6)
    assert texts == []
    assert labels.dtype == np.int32
    assert len(labels) == 0
