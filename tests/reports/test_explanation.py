"""The page that explains a prediction."""

import numpy as np

from pipeline.evaluation.explanation import Explanation, locate
from pipeline.reports.explanation import explanation_page


def explanation(text: str, contributions: list[list[float]]) -> Explanation:
    words = tuple(text.split())
    spans = tuple(locate(text, words))
    sums = np.array(contributions)
    return Explanation(text, words, spans, spans, ("<sad>", "glad"), sums, np.zeros(2), sums.sum(axis=0), 0.0)


def test_page_escapes_text_and_class_names() -> None:
    page = explanation_page(explanation("<script> & fun dull", [[-0.5, 0.5], [0.01, -0.01], [-2.0, 2.0], [1.0, -1.0]]))
    assert '<mark class="for" style="--strength: 25%" title="+0.500">&lt;script&gt;</mark> &amp; ' in page
    assert '<mark class="against" style="--strength: 50%" title="-1.000">dull</mark>' in page
    assert '<b dir="auto">&lt;sad&gt;</b>' in page
    assert "<script" not in page


def test_most_probable_class_comes_first() -> None:
    page = explanation_page(explanation("fun", [[-2.0, 2.0]]))
    assert "<title>glad</title>" in page
    assert page.index('<b dir="auto">glad</b>') < page.index('<b dir="auto">&lt;sad&gt;</b>')
    assert ">98.2 %<" in page


def test_page_needs_no_network_and_has_a_dark_style() -> None:
    page = explanation_page(explanation("fun", [[-2.0, 2.0]]))
    assert "//" not in page
    assert "prefers-color-scheme: dark" in page


def test_strongest_word_is_full_even_if_it_speaks_against() -> None:
    page = explanation_page(explanation("awful nice", [[-4.0, 1.0], [2.0, 1.0]]))
    assert '<mark class="against" style="--strength: 100%" title="-4.000">awful</mark>' in page
    assert '<mark class="for" style="--strength: 50%" title="+2.000">nice</mark>' in page


def test_text_is_shown_whole() -> None:
    page = explanation_page(explanation("fun  and\nmore", [[0.0, 0.0]] * 3))
    assert page.count(">fun  and\nmore</p>") == 2
