"""Explanations: contributions sum to the prediction, belong to the right words, and identify words that matter."""

import json
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.faithfulness import faithfulness
from helpers.models import save_text_model
from helpers.project import Project

from pipeline.evaluation.attribution import locate
from pipeline.evaluation.explanation import Explainer, Explanation, OcclusionExplainer
from pipeline.evaluation.text import words
from pipeline.evaluation.text.contributions import NgramExplainer, grams_by_word
from pipeline.evaluation.text.words import telling_words, trace
from pipeline.inference.calibration import Calibration
from pipeline.inference.lexicon import Lexicon
from pipeline.inference.ngrams import NgramPart, Ngrams
from pipeline.inference.part import Inputs
from pipeline.inference.predictor import Predictor
from pipeline.text.cleaning import clean_text
from pipeline.text.languages import UNITS
from pipeline.text.ngrams import NEGATED, has_words, ngrams_of
from pipeline.text.processor import Tokenizer
from pipeline.training.encoders.text import build

ENGLISH = ["I love this film!", "not good, not good at all", "a bad film @you http://t.co/1", "don't", "so so bad 😀"]

CHINESE = ["质量很好，我非常喜欢", "太差了 不推荐 给大家", "一般 般", "好 good"]

KINDS = {"word": ENGLISH, "chinese": CHINESE, "character": CHINESE}


def fitted(unit: str, classes: int, *, long: bool = False) -> Ngrams:
    """All n-grams of the texts, with random weights."""
    texts = [text for text in KINDS[unit] for _ in range(2)]
    language = "zh" if unit == "chinese" else "en"
    cut = partial(ngrams_of, unit=unit, long=long, language=language)
    grams = tuple(sorted({gram for text in texts for gram in cut(clean_text(text))}))
    random = np.random.default_rng(0)
    words = sum(map(has_words, grams))
    weights = [random.normal(size=(size + 1, classes)).astype(np.float32) for size in (len(grams), len(grams), words)]
    if words == len(grams):
        weights.pop()
    idf = random.random(len(grams)).astype(np.float32) + 1
    lexicon = None
    if unit == "word":
        figures = (np.zeros(17), np.ones(17), random.normal(size=(18, classes)))
        lexicon = Lexicon({"good": 1.9, "bad": -2.5}, language, *figures)
    return Ngrams(grams, unit, long, idf, *weights, lexicon=lexicon, language=language)


def saved(keras: ModuleType, folder: Path, unit: str, classes: int, *, ngrams: bool = True, long: bool = False) -> Path:
    texts = [clean_text(text) for text in KINDS[unit]]
    tokenizer = Tokenizer.fit(texts, vocabulary_size=12, length=6, unit=unit)
    network: dict[str, Any] = {"num_ids": tokenizer.num_ids, "num_classes": classes, "embedding_dim": 4, "units": 4}
    network |= {"bidirectional": True, "pooling": "max"}
    model, random = build(**network), np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(size=weight.shape))
    linear = fitted(unit, classes, long=long) if ngrams else None
    shares = (0.3, 0.2, 0.1, 0.1, 0.3)[: 1 + len(linear.names)] if linear else (1.0,)
    save_text_model(
        folder / "model",
        model,
        tokenizer,
        linear,
        classes=[f"class {i}" for i in range(classes)],
        network=network,
        calibration=Calibration(shares, 1.3, tuple(np.linspace(-0.5, 0.5, classes))),
        class_shares=[1 / classes] * classes,
        state="0" * 64,
    )
    return folder / "model"


@pytest.mark.parametrize(
    ("unit", "classes", "ngrams", "long"),
    [
        ("word", 3, True, False),
        ("word", 2, True, True),
        ("word", 50, False, False),
        ("chinese", 2, True, False),
        ("character", 3, True, False),
    ],
)
def test_contributions_sum_to_the_prediction(
    keras: ModuleType, tmp_path: Path, unit: str, classes: int, ngrams: bool, long: bool
) -> None:
    folder = saved(keras, tmp_path, unit, classes, ngrams=ngrams, long=long)
    predictor, explainer = Predictor.load(folder), Explainer.load(folder)
    texts = [*KINDS[unit], "", "<br />", "unheard", "word " * 20]
    probabilities = predictor.probabilities(texts)
    for text, expected in zip(texts, probabilities, strict=True):
        result = explainer.explain(text)
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
        np.testing.assert_allclose(result.scores, np.log(expected) - np.log(expected).mean(), atol=1e-5)
        np.testing.assert_allclose(result.baseline + result.contributions.sum(axis=0), result.scores, atol=1e-9)
        assert result.residual < 0.01
        assert [result.text[start:end] for start, end in result.spans] == list(result.words) == UNITS[unit](result.text)
        np.testing.assert_array_equal(
            Explainer.from_predictor(predictor, folder).explain(text).contributions, result.contributions
        )


def test_lstm_ignores_words_that_it_does_not_read(keras: ModuleType, tmp_path: Path) -> None:
    folder = saved(keras, tmp_path, "word", 3, ngrams=False)
    result = Explainer.load(folder).explain("film bad not good not bad unheard so")
    assert not result.contributions[:2].any()
    assert result.contributions[[2, 3, 4, 5, 7]].all()
    assert not result.contributions[6].any()  # an unknown word equals the baseline


@pytest.mark.parametrize(("unit", "long"), [("word", False), ("word", True), ("chinese", False), ("character", False)])
def test_ngrams_lie_in_their_words(unit: str, long: bool) -> None:
    ngrams = fitted(unit, 2, long=long)
    for text in map(clean_text, [*KINDS[unit], "", "a", "aa bb-cc!"]):
        spans = list(locate(text, UNITS[unit](text)))
        result = list(grams_by_word(text, spans, ngrams))
        assert sorted(gram for gram, _, _ in result) == sorted(
            ngrams_of(text, unit, long=long, language=ngrams.language)
        )
        for gram, first, end in result:
            touched = text[spans[first][0] : spans[end - 1][1]]
            assert gram.replace("\t", "").replace(" ", "").removeprefix(NEGATED) in touched.replace(" ", "")
            assert 0 <= first < end <= len(spans)


def test_ngram_is_divided_among_its_words() -> None:
    nb = np.array([[3, -3], [8, -8], [0, 0]], dtype=np.float32)  # "good", "not good", intercept
    ngrams = Ngrams(("good", "not good"), "word", True, np.ones(2, dtype=np.float32), np.zeros_like(nb), nb)
    text = "not good good"
    explainer = NgramExplainer(NgramPart(ngrams, "nb"))
    result = explainer.contributions(
        Inputs({"text": [text]}, {}, {}), list(locate(text, text.split())), np.zeros(2), 0.0
    )
    assert result.units[:, 0].tolist() == [4.0, 4.0 + 1.5, 1.5]  # 8 / 2 a word and 3 / 2 an occurrence
    assert result.baseline.tolist() == [0.0, 0.0]


def test_occlusion_of_any_part(keras: ModuleType, tmp_path: Path) -> None:
    """A word's contribution is the change of the logits without it; all contributions sum to the logits."""
    folder = saved(keras, tmp_path, "word", 3)
    predictor = Predictor.load(folder)
    text = "not good film"
    spans = list(locate(text, text.split()))
    for part in predictor.parts:
        result = OcclusionExplainer(part, predictor.tokenizer).contributions(
            Inputs.encode({"text": [text]}, predictor.processors), spans, np.zeros(3), 0.0
        )
        whole, without = (
            part.log_probabilities(Inputs.encode({"text": [cell]}, predictor.processors))[0]
            for cell in (text, " good film")
        )
        np.testing.assert_allclose(result.units[0], (whole - whole.mean()) - (without - without.mean()), atol=1e-6)
        np.testing.assert_allclose(result.baseline + result.units.sum(axis=0), whole - whole.mean(), atol=1e-6)


@pytest.mark.parametrize(
    ("raw", "sources"),
    [
        ("I LOVE it!", ["I", "LOVE", "it", "!"]),
        ("Good<br />film", ["Good", "film"]),
        ("R&amp;D don’t", ["R", "&", "D", "don’t"]),
        ("@You  see http://t.co/1 now", ["@You", "see", "http://t.co/1", "now"]),
        ("ok @a @b", ["ok", "@a", "@b"]),
        ("@a @b @c ok", ["@a", "@b", "@c", "ok"]),
        ("cafÃ© good", [None, "good"]),
        ("<b>@you</b> ok", ["<b>@you</b>", "ok"]),
        ("@JetBlue jetblue rocks", ["@JetBlue", "jetblue", "rocks"]),
        ("b@a.com b", ["b@a.com", "b"]),
        ('<a href="great.html">great</a>', ["great"]),
        ("http://good.org/fun good fun", ["http://good.org/fun", "good", "fun"]),
        ("&lt; lt &gt;", [None, "lt", None]),
        ("", []),
    ],
)
def test_trace_words_in_the_raw_text(raw: str, sources: list[str | None]) -> None:
    units = UNITS["word"](clean_text(raw))
    assert [raw[slice(*span)] if span else None for span in trace(raw, units, "word")] == sources


def explanation(text: str, adds: list[list[float]]) -> Explanation:
    units = text.split()
    spans = tuple(locate(text, units))
    sums = np.array(adds)
    return Explanation(text, tuple(units), spans, spans, ("<sad>", "glad"), sums, np.zeros(2), sums.sum(axis=0), 0.0)


def test_explanation_as_json() -> None:
    result = explanation("<script> & fun dull", [[-0.5, 0.5], [0.01, -0.01], [-2.0, 2.0], [1.0, -1.0]])
    content = json.loads(json.dumps(result.to_dict()))
    assert content["predicted_label"] == "glad"
    assert content["confidence"] == pytest.approx(1 / (1 + np.exp(-2.98)), abs=1e-6)
    assert content["words"][2] == {
        "word": "fun",
        "span": [11, 14],
        "source": [11, 14],
        "adds": {"<sad>": -2.0, "glad": 2.0},
    }


def test_telling_words_are_frequent_vocabulary(
    keras: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = Explainer.load(saved(keras, tmp_path, "word", 3))
    texts = ["film bad", "film [user] good", "film [user] rare", "secret film film", "[user] film bad", "[user] [user]"]
    assert telling_words(explainer, texts[:4]).empty
    table = telling_words(explainer, texts + texts[:1] * 3)
    assert set(table["word"]) == {"film", "bad"}
    assert table["rows"].groupby(table["word"]).first().to_dict() == {"bad": 5, "film": 8}
    assert (table["contribution"] > 0).all()
    means = []
    for text in [t for t in texts + texts[:1] * 3 if "bad" in t]:
        units, adds, _, _ = explainer.contributions(text)
        means.append(adds[units.index("bad")])
    expected = np.mean(means, axis=0)
    for row in table[table["word"] == "bad"].itertuples():
        assert row.contribution == pytest.approx(expected[int(row[1].split()[1])], abs=1e-4)
    assert (table.groupby("class")["contribution"].diff().dropna() <= 0).all()
    monkeypatch.setattr(words, "MAX_TEXTS", 4)
    assert telling_words(explainer, texts + texts[:1] * 3).empty
    monkeypatch.setattr(words, "MAX_TEXTS", 1_000)
    monkeypatch.setattr(words, "MAX_UNITS", 8)
    assert telling_words(explainer, texts + texts[:1] * 3).empty
    assert telling_words(explainer, []).empty


def test_important_words_matter_more_than_random_ones(reference: Project) -> None:
    test = pd.read_parquet(reference.folder / "data/clean/test.parquet").sort_values("id")
    gain, low, high = faithfulness(reference.folder / "data/train/model", test["text"].head(150).to_list())
    assert 0.1 < low < gain < high
