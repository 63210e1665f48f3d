"""Drift measures: real shifts are detected, and fresh texts of the same source do not drift."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.drift import SETTINGS, RealSamples, cleaned_rows, synthetic_sample
from scipy.stats import fisher_exact, ks_2samp

from pipeline.data import datasets
from pipeline.evaluation import drift, measures
from pipeline.evaluation.drift_sample import DriftSample, term_counts
from pipeline.evaluation.measures import MEASURES, Shift, measure_shifts
from pipeline.text.processor import Tokenizer


def test_film_reviews_drift_from_tweets(samples: RealSamples) -> None:
    expected = {"labels", "classes", "unknown_words", "terms", "scores", "accuracy"}
    assert samples.drifted(samples.reviews.take(np.arange(200))) >= expected
    assert samples.drifted(samples.reviews) == {*expected, "length"}


def with_class_share(sample: DriftSample, name: str, rows: int, share: float) -> DriftSample:
    """Rows of which one class has the given share."""
    own, others = (np.flatnonzero((sample.labels == name) == inside) for inside in (True, False))
    number = round(share * rows)
    return sample.take(np.concatenate([own[:number], others[: rows - number]]))


def test_class_that_triples(samples: RealSamples) -> None:
    share = float((samples.reference.labels == "positive").mean())
    assert 0.15 < share < 0.22
    drifted = samples.drifted(with_class_share(samples.fresh, "positive", 1_000, 3 * share))
    assert drifted >= {"labels", "classes", "scores"}
    assert not drifted & {"length", "unknown_words"}


def test_rare_class_that_triples(samples: RealSamples) -> None:
    """From 1 % of the rows, so that the priors as a whole hardly change."""

    def with_rare(sample: DriftSample, share: float) -> DriftSample:
        labels = sample.labels.copy()
        labels[: round(share * len(sample))] = "rare"
        return replace(sample, labels=labels, classes=(), probabilities=np.empty((len(sample), 0)))

    before = with_rare(samples.reference, 0.01)
    after = with_rare(samples.draw(2_000, 0), 0.03)
    assert [shift.measure for shift in measure_shifts(before, after, SETTINGS) if shift.drifted] == ["classes"]
    assert not any(
        shift.drifted for shift in measure_shifts(before, with_rare(samples.draw(2_000, 0), 0.012), SETTINGS)
    )


def half_length(sample: DriftSample) -> DriftSample:
    return replace(sample, lengths=sample.lengths // 2)


def more_unknown(sample: DriftSample) -> DriftSample:
    return replace(sample, unknown=np.minimum(sample.unknown + 0.05, 1))


def rotated_terms(sample: DriftSample) -> DriftSample:
    """Give each frequent term the frequency of its neighbour."""
    terms = sample.terms.tolil()
    frequent = np.argsort(-np.asarray(sample.terms.sum(axis=0)).ravel())[:40]
    terms[:, frequent] = terms[:, np.roll(frequent, 1)]
    return replace(sample, terms=terms.tocsr())


def less_confident(sample: DriftSample) -> DriftSample:
    """Change the probabilities, but not the predicted classes."""
    roots = sample.probabilities**0.5
    return replace(sample, probabilities=roots / roots.sum(axis=1, keepdims=True))


def shuffled_labels(sample: DriftSample) -> DriftSample:
    return replace(sample, labels=np.random.default_rng(0).permutation(sample.labels))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (half_length, "length"),
        (more_unknown, "unknown_words"),
        (rotated_terms, "terms"),
        (less_confident, "scores"),
        (shuffled_labels, "accuracy"),
    ],
)
def test_change_is_detected_by_its_measure_only(
    samples: RealSamples, change: Callable[[DriftSample], DriftSample], name: str
) -> None:
    drawn = samples.draw(1_000, 3)
    assert samples.drifted(drawn) == set()
    assert samples.drifted(change(drawn)) == {name}
    assert samples.drifted(change(drawn), **{MEASURES[name].rule: 1_000.0}) == set(), "the limit has no effect"


def test_large_effects_by_chance_do_not_drift(samples: RealSamples) -> None:
    """In few rows, effects are large by chance; without limits only the tests decide."""
    no_limits = SETTINGS.model_copy(update=dict.fromkeys((entry.rule for entry in MEASURES.values()), 0.0))
    shifts = [
        shift for seed in range(10) for shift in measure_shifts(samples.reference, samples.draw(50, seed), no_limits)
    ]
    large = {shift.measure for shift in shifts if shift.effect > getattr(SETTINGS, shift.rule)}
    assert large >= {"labels", "length", "scores", "accuracy"}
    assert [shift.measure for shift in shifts if shift.drifted] == []


@pytest.mark.slow
def test_psi_does_not_grow_with_fewer_rows(samples: RealSamples) -> None:
    """Uncorrected, it is 0.3 in 100 fresh rows, and 0.01 in 3,000."""

    def effect(incoming: DriftSample) -> float:
        shifts = measure_shifts(samples.reference, incoming, SETTINGS)
        return next(shift.effect for shift in shifts if shift.measure == "terms")

    assert max(effect(samples.draw(100, seed)) for seed in range(5)) < SETTINGS.max_psi
    few, many = effect(samples.reviews.take(np.arange(300))), effect(samples.reviews)
    assert 0.5 * many < few < many


@pytest.mark.parametrize("rows", [200, 1_000])
def test_fresh_tweets_do_not_drift(samples: RealSamples, rows: int) -> None:
    assert sum(bool(samples.drifted(samples.draw(rows, seed))) for seed in range(8)) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 200, 1_000, 3_000])
def test_at_most_5_false_alarms_in_100_samples(samples: RealSamples, rows: int) -> None:
    assert sum(bool(samples.drifted(samples.draw(rows, seed))) for seed in range(100)) <= 5


@pytest.mark.slow
def test_chinese_reviews() -> None:
    table = cleaned_rows(datasets.chinese_reviews(), 4_000)
    tokenizer = Tokenizer.fit(table["text"][:1_000], vocabulary_size=None, length=None, unit="chinese", language="zh")
    before, after = (
        drift.draw_sample(table[low:high], None, tokenizer) for low, high in ((1_000, 2_200), (2_200, 2_900))
    )
    assert not any(shift.drifted for shift in measure_shifts(before, after, SETTINGS))
    tweets = drift.draw_sample(cleaned_rows(datasets.tweets(), 300), None, tokenizer)
    shifts = {shift.measure: shift for shift in measure_shifts(before, tweets, SETTINGS)}
    assert shifts["unknown_words"].drifted
    assert shifts["terms"].drifted


def test_word_of_few_texts_is_not_a_frequent_term() -> None:
    tokenizer = Tokenizer(("miller", "good"), length=2)
    sample = drift.draw_sample(pd.DataFrame({"text": ["miller", "good"] * 9 + ["good"]}), None, tokenizer)
    names, counts = term_counts(sample, sample)
    assert names == ["good"]
    assert counts.tolist() == [[10], [10]]


def test_measures_that_rows_allow(samples: RealSamples) -> None:
    drawn = samples.draw(200, 0)
    assert [shift.measure for shift in measure_shifts(samples.reference, drawn, SETTINGS)] == list(MEASURES)
    unlabelled = replace(drawn, labels=np.full(200, "", dtype=object))
    few_labels = drawn.labels.copy()
    few_labels[40:] = ""
    for incoming in (unlabelled, replace(drawn, labels=few_labels)):
        shifts = measure_shifts(samples.reference, incoming, SETTINGS)
        assert [shift.measure for shift in shifts] == ["length", "unknown_words", "terms", "scores"]
        assert {shift.level for shift in shifts} == {SETTINGS.significance / 4}
    without_model = [
        replace(sample, classes=(), probabilities=np.empty((len(sample), 0))) for sample in (samples.reference, drawn)
    ]
    without_scores = ["labels", "classes", "length", "unknown_words", "terms"]
    assert [shift.measure for shift in measure_shifts(*without_model, SETTINGS)] == without_scores
    assert measure_shifts(samples.reference, drawn.take(np.arange(SETTINGS.min_incoming - 1)), SETTINGS) == []


def test_different_vocabularies_cannot_be_compared(samples: RealSamples) -> None:
    with pytest.raises(ValueError, match="same tokenizer and model"):
        measure_shifts(samples.reference, replace(samples.draw(200, 0), vocabulary=("a",)), SETTINGS)


def test_drift_requires_effect_and_significance() -> None:
    shift = Shift("length", 0.2, 0.1, "max_length_shift", 0.001, 0.002, "", "")
    assert shift.drifted
    assert not replace(shift, effect=0.1).drifted
    assert not replace(shift, p_value=0.002).drifted


def test_class_that_vanishes_drifts_as_one_that_appears() -> None:
    many, few = synthetic_sample(["a"] * 800 + ["b"] * 200), synthetic_sample(["a"] * 960 + ["b"] * 40)
    for before, after in ((many, few), (few, many)):
        change = measures.class_shift(before, after, 0.01)
        assert change.effect == pytest.approx(5, abs=0.1)
        assert change.p_value < 0.001


def test_new_class_of_one_row_does_not_hide_one_that_doubled() -> None:
    """By chance alone, its factor is larger."""
    before = synthetic_sample(["a"] * 900 + ["b"] * 100)
    after = synthetic_sample(["a"] * 779 + ["b"] * 220 + ["new"])
    shift = {shift.measure: shift for shift in measure_shifts(before, after, SETTINGS)}["classes"]
    assert shift.drifted
    assert shift.found.startswith('"b": 10.0 → 22.0')


def test_p_values_are_corrected_for_the_number_of_classes() -> None:
    before, after = synthetic_sample(["a"] * 50 + ["b"] * 50), synthetic_sample(["a"] * 62 + ["b"] * 38)
    expected = 2 * fisher_exact([[50, 62], [50, 38]]).pvalue
    assert measures.class_shift(before, after, 0.01).p_value == pytest.approx(expected)
    random = np.random.default_rng(0)
    old, new = (random.dirichlet([1, 1, weight], 200) for weight in (1, 1.5))
    change = measures.score_shift(synthetic_sample(["a"] * 200, old), synthetic_sample(["a"] * 200, new), 0.01)
    tests = [ks_2samp(*columns, method="asymp") for columns in zip(old.T, new.T, strict=True)]
    largest = max(tests, key=lambda test: test.statistic)
    assert change[:2] == pytest.approx((largest.statistic, 3 * largest.pvalue))
    assert 0 < change.p_value < 1


def test_accuracy_counts_labelled_rows_only() -> None:
    probabilities = np.tile([0.8, 0.1, 0.1], (200, 1))
    before = synthetic_sample(["a"] * 200, probabilities)
    after = synthetic_sample(["a"] * 150 + [""] * 50, probabilities)
    effect, _, description = measures.accuracy_drop(before, after, 0.01)
    assert (effect, description) == (0, "correct predictions: 100.0 → 100.0 %")


def test_fewer_unknown_words_are_a_change_and_min_incoming_rows_suffice() -> None:
    before = synthetic_sample(["a"] * 300, unknown=0.2)
    after = synthetic_sample(["a"] * SETTINGS.min_incoming, unknown=0.1)
    effects = {shift.measure: shift.effect for shift in measure_shifts(before, after, SETTINGS)}
    assert effects["unknown_words"] == pytest.approx(0.1)
