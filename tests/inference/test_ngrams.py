"""The n-grams of a text, and the scores of the two linear models, which are scikit-learn's without scikit-learn."""

import gc
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, clean_environment
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from pipeline.base.files import read_json, write_json
from pipeline.inference.network import log_softmax
from pipeline.inference.ngrams import GRAMS, Ngrams
from pipeline.text.ngrams import NEGATED, has_words, ngrams_of
from pipeline.training import ngrams
from pipeline.training.ngrams import fit_ngrams

RANDOM = np.random.default_rng(0)

WORDS = ["good", "bad", "so", "very", "not", "film", "plot", "actor", "dull", "fine", ",", "!", "a", "it", "we"]

LABELS = RANDOM.integers(0, 3, 150)
# Every class has its own word among those of all classes, and words occur several times.
TEXTS = [" ".join(RANDOM.choice([*WORDS, *(3 * [f"mood{label}"])], RANDOM.integers(3, 15))) for label in LABELS]

WEIGHTS = RANDOM.uniform(0.5, 2, 150)

NEW = ["good mood1 film", "mood0 mood0 mood2 , bad", "it", "no known word but it", *TEXTS[:20]]


def select(texts: list[str], mask: np.ndarray) -> list[str]:
    return [text for text, selected in zip(texts, mask, strict=True) if selected]


def fit(classes: int, *, texts: list[str] = TEXTS, num_classes: int | None = None, language: str = "") -> Ngrams:
    mask = classes > LABELS
    num_classes = num_classes or classes
    rows = select(texts, mask), LABELS[mask], WEIGHTS[mask]
    return fit_ngrams(*rows, num_classes=num_classes, unit="word", language=language)


@pytest.fixture(scope="module")
def fitted() -> Ngrams:
    return fit(3, language="en")


@pytest.mark.parametrize(
    ("text", "unit", "long", "expected"),
    [
        ("no, go", "word", False, "no|,|no ,|\t no|\tno,|\to, |\t no,|\tno, |\t no, |, go|go|\t go|\tgo |\t go "),
        ("a", "word", False, "a|\t a "),
        ("it is [url] !", "word", True, "it|is|[url]|!|it is|is [url]|[url] !|it is [url]|is [url] !"),
        ("我喜欢 ok", "chinese", True, "我|喜欢|ok|我 喜欢|喜欢 ok|我 喜欢 ok"),
        ("我喜欢", "chinese", False, "我|喜欢|我 喜欢|\t我|\t喜|\t欢|\t我喜|\t喜欢|\t我喜欢"),
        ("我喜欢", "character", False, "我|喜|欢|我 喜|喜 欢|我 喜 欢"),
        ("ab", "character", True, "a|b|a b"),
    ],
)
def test_cut(text: str, unit: str, long: bool, expected: str) -> None:
    assert list(ngrams_of(text, unit, long=long)) == expected.split("|")


@pytest.mark.parametrize(
    ("text", "unit", "long", "language", "marked"),
    [
        ("not so good, but ok", "word", False, "en", "so|\t so|\tso |\t so |good|\t goo|\tgood|\tood,|\tod, |\t good|"
         "\tgood,|\tood, |\tgoo|\tood|\tod,|\td, |\t go"),
        ("it isn't a good day for us", "word", True, "en", "a|good|day"),
        ("not no good", "word", True, "en", "good"),
        ("not good", "word", False, "xx", ""),
        ("das ist nicht gut", "word", True, "de", "gut"),
        ("我 不 喜欢 它", "chinese", False, "zh", "喜欢|它"),
        ("我不喜欢", "character", False, "ja", ""),
    ],
)  # fmt: skip
def test_negated_words_are_marked(text: str, unit: str, long: bool, language: str, marked: str) -> None:
    """The three words after a negator, up to punctuation, and in short texts their characters, are only marked."""
    grams = list(ngrams_of(text, unit, long=long, language=language))
    found = [gram.removeprefix(NEGATED) for gram in grams if gram.startswith(NEGATED)]
    assert sorted(found) == sorted(filter(None, marked.split("|")))
    plain = list(ngrams_of(text, unit, long=long))
    assert sorted(found) == sorted((Counter(plain) - Counter(grams)).elements())


@pytest.mark.parametrize("unit", ["word", "character", "chinese"])
@pytest.mark.parametrize("long", [False, True])
def test_empty_text_has_no_ngrams(unit: str, long: bool) -> None:
    assert list(ngrams_of("", unit, long=long)) == []


def test_characters_are_those_of_scikit_learn() -> None:
    analyzer = CountVectorizer(analyzer="char_wb", ngram_range=(3, 5)).build_analyzer()
    for text in TEXTS[:30]:
        characters = [gram[1:] for gram in ngrams_of(text, "word", long=False) if gram.startswith("\t")]
        assert sorted(characters) == sorted(analyzer(text))


def words_of(cut: Callable[[str], Iterable[str]], text: str) -> list[str]:
    return [gram for gram in cut(text) if has_words(gram)]


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_tfidf_equals_scikit_learn(classes: int, words: bool) -> None:
    mask = classes > LABELS
    cut = partial(ngrams_of, unit="word", long=False)
    if words:
        cut = partial(words_of, cut)
    counting = CountVectorizer(analyzer=cut, min_df=2, dtype=np.float32)
    weighting = TfidfTransformer(sublinear_tf=True)
    features = weighting.fit_transform(counting.fit_transform(select(TEXTS, mask))).astype(float)
    linear = LogisticRegression(C=3.0, max_iter=10_000, tol=1e-10)
    linear.fit(features, LABELS[mask], sample_weight=WEIGHTS[mask])
    expected = linear.predict_log_proba(weighting.transform(counting.transform(NEW)))
    tfidf, _, of_words = fit(classes).log_probabilities(NEW)
    tfidf = of_words if words else tfidf
    assert tfidf.dtype == np.float64
    np.testing.assert_allclose(tfidf, expected, atol=2e-3)  # as exact as the optimiser
    assert np.ptp(tfidf) > 1


@pytest.mark.parametrize("classes", [2, 3])
def test_naive_bayes_equals_its_formula(classes: int) -> None:
    """Log-count ratios of occurring n-grams, with one added to each count, then logistic regression by class."""
    mask = classes > LABELS
    labels = LABELS[mask]
    model = fit(classes)

    def occurs(texts: list[str]) -> np.ndarray:
        grams_of_texts = [set(ngrams_of(text, "word", long=False)) for text in texts]
        return np.array([[gram in grams for gram in model.grams] for grams in grams_of_texts], dtype=float)

    train, new = occurs(select(TEXTS, mask)), occurs(NEW)
    assert (train.sum(axis=0) >= 2).all()
    logits = np.zeros((len(NEW), classes))
    for number in range(classes):
        own = labels == number
        inside, outside = 1 + train[own].sum(axis=0), 1 + train[~own].sum(axis=0)
        ratio = np.log((inside / inside.sum()) / (outside / outside.sum()))
        linear = LogisticRegression(C=0.05, max_iter=10_000, tol=1e-10)
        linear.fit(train * ratio, own, sample_weight=WEIGHTS[mask])
        logits[:, number] = linear.decision_function(new * ratio)
    if classes == 2:
        logits[:, 0] = 0  # the two classes have one model, with opposite signs
    _, nb, _ = model.log_probabilities(NEW)
    np.testing.assert_allclose(nb, log_softmax(logits), atol=2e-3)
    assert np.ptp(nb) > 1


def normed(values: np.ndarray) -> np.ndarray:
    return values / (np.sqrt((values**2).sum()) or 1)


@pytest.mark.parametrize(("unit", "long"), [("word", False), ("word", True), ("character", False), ("chinese", False)])
def test_scores_equal_their_formulas(unit: str, long: bool) -> None:
    """Words are cached and texts scored together; the sums are the same as for the n-grams of each text."""
    texts = [
        *(text + (" ok," * 150 if long else "") for text in TEXTS),
        "它 很好 good! mood1",
        "它 很好 good! mood1",
        "it's [url]!",
    ]
    labels, weights = np.append(LABELS, [0, 1, 2]), np.append(WEIGHTS, [1, 1, 1])
    model = fit_ngrams(texts, labels, weights, num_classes=3, unit=unit, language="en")
    assert model.long == long
    columns = {gram: column for column, gram in enumerate(model.grams)}
    new = [*NEW, "it's  [url]! 它 很好", "good-good " * 3, f"{'x' * 50} good", "", *texts[-4:]]
    for row, scores in enumerate(zip(*model.log_probabilities(new), strict=True)):
        grams = [gram for gram in ngrams_of(new[row], unit, long=long, language="en") if gram in columns]
        known = sorted({columns[gram] for gram in grams})
        counts = np.array([grams.count(model.grams[column]) for column in known])
        values = (1 + np.log(counts)) * model.idf[known]
        tfidf = model.tfidf[-1] + normed(values) @ model.tfidf[known]
        nb = model.nb[-1] + model.nb[known].sum(axis=0, dtype=float)
        logits = [tfidf, nb]
        if model.tfidf_words is not None:
            words = [gram for gram in model.grams if has_words(gram)]
            own = [(words.index(model.grams[column]), value) for column, value in zip(known, values, strict=True)
                   if model.grams[column] in words]  # fmt: skip
            coefficients = model.tfidf_words[[number for number, _ in own]]
            logits.append(model.tfidf_words[-1] + normed(np.array([value for _, value in own])) @ coefficients)
        assert (len(logits) == 3) == (unit != "character" and not long)
        expected = [log_softmax(np.asarray(row, dtype=float)) for row in logits]
        np.testing.assert_allclose(scores, expected, atol=1e-9)


def test_result_depends_on_its_text_only(fitted: Ngrams) -> None:
    together = np.stack(fitted.log_probabilities(NEW))
    assert together.shape == (3, len(NEW), 3)
    np.testing.assert_allclose(np.exp(together).sum(axis=2), 1)
    np.testing.assert_array_equal(np.stack(fitted.log_probabilities(NEW[::-1]))[:, ::-1], together)
    for row, text in enumerate(NEW[:5]):
        np.testing.assert_array_equal(np.stack(fitted.log_probabilities([text]))[:, 0], together[:, row])
    assert np.stack(fitted.log_probabilities([])).shape == (3, 0, 3)


def test_unknown_ngrams_give_the_intercepts(fitted: Ngrams) -> None:
    models = fitted.tfidf, fitted.nb, fitted.tfidf_words
    for scores, coefficients in zip(fitted.log_probabilities(["", "喜"]), models, strict=True):
        np.testing.assert_allclose(scores, [log_softmax(coefficients[-1].astype(float))] * 2, atol=1e-6)
    (known, mixed), *_ = fitted.log_probabilities(["good", "good 喜"])
    np.testing.assert_array_equal(mixed, known)


@pytest.mark.parametrize("present", [2, 3])
def test_class_without_rows_is_never_predicted(present: int) -> None:
    without = fit(present).log_probabilities(NEW)
    for scores, expected in zip(fit(present, num_classes=5).log_probabilities(NEW), without, strict=True):
        assert np.exp(scores[:, present:]).max() < 1e-6
        np.testing.assert_allclose(scores[:, :present], expected, atol=1e-6)


def test_middle_class_without_rows() -> None:
    mask = LABELS != 1
    texts, labels, weights = select(TEXTS, mask), LABELS[mask], WEIGHTS[mask]
    three_classes = fit_ngrams(texts, labels, weights, num_classes=3, unit="word").log_probabilities(NEW)
    two_classes = fit_ngrams(texts, labels // 2, weights, num_classes=2, unit="word").log_probabilities(NEW)
    for scores, expected in zip(three_classes, two_classes, strict=True):
        assert np.exp(scores[:, 1]).max() < 1e-6
        np.testing.assert_allclose(scores[:, [0, 2]], expected, atol=1e-6)


def test_rows_of_weight_0_are_ignored(fitted: Ngrams) -> None:
    texts = [*TEXTS, "unseen words here", "unseen words here"]
    labels, weights = np.append(LABELS, [0, 1]), np.append(WEIGHTS, [0, 0])
    weighted = fit_ngrams(texts, labels, weights, num_classes=3, unit="word", language="en")
    assert weighted.grams == fitted.grams
    np.testing.assert_array_equal(weighted.tfidf, fitted.tfidf)
    np.testing.assert_array_equal(weighted.nb, fitted.nb)


def test_higher_weight_raises_a_class(fitted: Ngrams) -> None:
    weights = np.where(LABELS == 1, 5, 1) * WEIGHTS
    heavier = fit_ngrams(TEXTS, LABELS, weights, num_classes=3, unit="word", language="en").log_probabilities(["it"])
    for after, before in zip(heavier, fitted.log_probabilities(["it"]), strict=True):
        assert after[0, 1] > before[0, 1] + 0.4


def test_limits_of_rows_and_ngrams(monkeypatch: pytest.MonkeyPatch, fitted: Ngrams) -> None:
    monkeypatch.setattr(ngrams, "MAX_TRAINING_ROWS", 60)
    limited = fit(3)  # every third of 150 rows
    spaced = fit_ngrams(TEXTS[::3], LABELS[::3], WEIGHTS[::3], num_classes=3, unit="word")
    assert limited.grams == spaced.grams != fitted.grams
    np.testing.assert_array_equal(limited.nb, spaced.nb)
    monkeypatch.setattr(ngrams, "MAX_GRAMS", 7)
    assert len(fit(3).grams) == 7
    monkeypatch.setattr(ngrams, "FULL_SIZE_CLASSES", 1.5)  # twice as many classes: half the rows and half the n-grams
    monkeypatch.setattr(ngrams, "MAX_TRAINING_ROWS", 120)
    assert len(fit(3).grams) == 3
    monkeypatch.setattr(ngrams, "MAX_GRAMS", 100_000)
    assert fit(3).grams == spaced.grams


def test_long_texts_have_trigrams_but_no_characters(fitted: Ngrams) -> None:
    assert not fitted.long
    assert any(gram.startswith("\t") for gram in fitted.grams)
    long = fit(3, texts=[(text + " ") * 40 for text in TEXTS])
    assert long.long
    assert not any(gram.startswith("\t") for gram in long.grams)
    assert max(len(gram.split()) for gram in long.grams) == 3
    assert long.tfidf_words is None


def test_saving_keeps_scores_and_bytes(fitted: Ngrams, tmp_path: Path) -> None:
    loaded = fitted
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        loaded.save(tmp_path / name)
        loaded = Ngrams.load(tmp_path / name)
    for key in ("unit", "long", "grams", "language"):
        assert getattr(loaded, key) == getattr(fitted, key)
    for scores, expected in zip(loaded.log_probabilities(NEW), fitted.log_probabilities(NEW), strict=True):
        np.testing.assert_array_equal(scores, expected)
    for name in ("ngrams.json", "ngrams.npz"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_folder_of_an_older_model_gives_its_scores(fitted: Ngrams, tmp_path: Path) -> None:
    """Such a model has neither marked words nor a third part."""
    old = replace(fit(3), tfidf_words=None)
    old.save(tmp_path)
    content = read_json(tmp_path / GRAMS)
    assert content.pop("language") == ""
    write_json(tmp_path / GRAMS, content)
    loaded = Ngrams.load(tmp_path)
    assert loaded.names == ("tfidf", "nb")
    texts = ["not good", *NEW]
    np.testing.assert_array_equal(loaded.log_probabilities(texts), old.log_probabilities(texts))


def test_scoring_does_not_import_scikit_learn(fitted: Ngrams, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    code = (
        "import sys; from pathlib import Path; from pipeline.inference.ngrams import Ngrams;"
        f"print(Ngrams.load(Path({str(tmp_path)!r})).log_probabilities(['good film'])[0].shape,"
        "{'sklearn', 'scipy', 'pandas', 'tensorflow', 'jax'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "(1, 3) set()\n"


def test_long_texts_in_one_class() -> None:
    """The rows are sorted by class; whether texts are long is measured on rows of all classes."""
    texts = ["good film"] * 2_001 + ["bad " * 101] * 2_100
    labels = np.repeat(np.arange(2), (2_001, 2_100))
    assert fit_ngrams(texts, labels, np.ones(len(texts)), num_classes=2, unit="word").long


@pytest.mark.parametrize("long", [False, True])
def test_unused_model_is_freed_at_once(fitted: Ngrams, long: bool) -> None:
    """The service exempts loaded models from garbage collection: only reference counts free a former champion."""
    model = replace(fitted, long=long)
    model.log_probabilities(NEW)
    reference = weakref.ref(model)
    gc.disable()
    try:
        del model
        assert reference() is None
    finally:
        gc.enable()
