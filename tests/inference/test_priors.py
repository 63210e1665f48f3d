"""Class priors: which ones probabilities imply, and probabilities of rows that have others."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import chi2

from benchmarks.shares import MODELS, changes, log_loss, simulated
from pipeline.inference import priors
from pipeline.inference.priors import ClassPriors, adapted, measure_priors, reweigh

BEFORE, NOW = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])
KNOWN = ClassPriors(natural=BEFORE.tolist(), implied=BEFORE.tolist(), rows=100_000, estimable=True)


def drawn(rows: int, shares: np.ndarray, implied: np.ndarray = BEFORE, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return labels drawn with `shares`, and the probabilities of their points under the priors `implied`."""
    random = np.random.default_rng(seed)
    labels = random.choice(3, rows, p=shares)
    centres = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
    points = centres[labels] + random.normal(size=(rows, 2))
    joint = np.exp(-((points[:, None] - centres) ** 2).sum(axis=2) / 2) * implied
    return labels, joint / joint.sum(axis=1, keepdims=True)


def test_reweighed_probabilities_are_honest_and_more_accurate() -> None:
    labels, plain = drawn(20_000, NOW)
    corrected = reweigh(plain, BEFORE, NOW)
    np.testing.assert_allclose(corrected.sum(axis=1), 1)
    np.testing.assert_allclose(corrected.mean(axis=0), NOW, atol=0.01)
    assert np.abs(plain.mean(axis=0) - NOW).max() > 0.1
    before, after = ((probabilities.argmax(axis=1) == labels).mean() for probabilities in (plain, corrected))
    assert after > before + 0.05
    np.testing.assert_array_equal(reweigh(plain, BEFORE, BEFORE).argmax(axis=1), plain.argmax(axis=1))


def test_implied_priors_are_not_the_mean_of_the_probabilities() -> None:
    """Rows have the natural priors, probabilities are right under equal ones."""
    even = np.full(3, 1 / 3)
    labels, probabilities = drawn(40_000, NOW, even)
    known = measure_priors(labels, probabilities)
    np.testing.assert_allclose(known["natural"], np.bincount(labels) / 40_000)
    np.testing.assert_allclose(known["implied"], even, atol=0.01)
    assert np.abs(probabilities.mean(axis=0) - even).max() > 0.1
    assert (known["rows"], known["estimable"]) == (40_000, True)
    np.testing.assert_allclose(reweigh(probabilities, np.array(known["implied"]), NOW).mean(axis=0), NOW, atol=0.01)


def test_implied_priors_with_a_class_without_rows() -> None:
    labels, probabilities = drawn(300, np.array([0.5, 0.5, 0.0]))
    known = measure_priors(labels, probabilities)
    assert known["natural"][2] == pytest.approx(0.5 / 300.5, rel=1e-4)
    assert min(known["implied"]) > 0


def test_class_priors_are_estimated_without_labels() -> None:
    for shares in (NOW, BEFORE):
        _, probabilities = drawn(5_000, shares)
        np.testing.assert_allclose(priors.estimate_class_priors(probabilities, KNOWN).priors, shares, atol=0.03)
    even = np.full(3, 1 / 3)
    for seed in range(3):
        _, probabilities = drawn(5_000, BEFORE, even, seed)
        estimate = priors.estimate_class_priors(probabilities, KNOWN | {"implied": even.tolist()})
        np.testing.assert_allclose(estimate.priors, BEFORE, atol=0.03)
        assert not estimate.significant


def test_test_of_other_priors_is_as_strict_as_it_says() -> None:
    """Under the natural priors, p-values are below 0.1 in about a tenth of the samples."""
    p_values = [priors.estimate_class_priors(drawn(500, BEFORE, seed=seed)[1], KNOWN).p_value for seed in range(200)]
    assert 0.03 < np.mean(np.array(p_values) < 0.1) < 0.17
    assert np.mean(np.array(p_values) < priors.SIGNIFICANCE) <= 0.01


def test_few_validation_rows_weaken_the_evidence() -> None:
    _, probabilities = drawn(1_000, np.array([0.4, 0.3, 0.3]))
    assert priors.estimate_class_priors(probabilities, KNOWN).significant
    assert not priors.estimate_class_priors(probabilities, KNOWN | {"rows": 200}).significant


def test_probabilities_stay_the_same_without_significance() -> None:
    _, probabilities = drawn(300, BEFORE)
    assert adapted(probabilities, KNOWN)[0] is probabilities
    assert adapted(probabilities[:0], KNOWN)[0].shape == (0, 3)
    labels, probabilities = drawn(300, NOW)
    assert log_loss(labels, adapted(probabilities, KNOWN)[0]) < log_loss(labels, probabilities) - 0.1
    assert adapted(probabilities, KNOWN | {"estimable": False})[0] is probabilities


def test_no_class_is_estimated_to_be_absent() -> None:
    _, probabilities = drawn(500, np.array([0.5, 0.5, 0.0]))
    assert priors.estimate_class_priors(probabilities, KNOWN).priors[2] > 0.001


def test_a_model_whose_estimates_harm_does_not_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = drawn(1_000, BEFORE)
    assert measure_priors(labels, probabilities)["estimable"]
    assert measure_priors(labels[:3], probabilities[:3])["estimable"]
    wrong = priors.PriorEstimate(np.array([0.01, 0.01, 0.98]), 0.0)
    monkeypatch.setattr(priors, "estimate_class_priors", lambda rows, known: wrong)
    assert not measure_priors(labels, probabilities)["estimable"]


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 12, 49])
def test_p_value_is_that_of_scipy(freedom: int) -> None:
    for value in (0.01, 1.0, 10.0, 100.0, 2_000.0):
        assert priors.chi_squared_p_value(value, freedom) == pytest.approx(chi2.sf(value, freedom), rel=1e-9)
    assert priors.chi_squared_p_value(-1.0, freedom) == 1


@pytest.mark.parametrize("model", [MODELS[1], MODELS[3], MODELS[-1]])
def test_estimates_gain_on_shifted_rows_and_lose_nothing_on_others(model: tuple[int, float, float, int]) -> None:
    """As in `benchmarks.shares`: from the implied priors, the probabilities under known priors are the best ones."""
    random = np.random.default_rng(3)
    setting = partial(simulated, *model)(random)
    natural = np.array(setting.known["natural"]) / sum(setting.known["natural"])
    same = [changes(setting, size, natural)["estimate"] for size in (100, 300, 1_000) for _ in range(3)]
    assert max(same) < 0.01
    even = np.full(len(natural), 1 / len(natural))
    shifted = [changes(setting, 1_000, even) for _ in range(3)]
    means = {key: np.mean([row[key] for row in shifted]) for key in shifted[0]}
    assert means["estimate"] < 0.5 * means["before: implied"] < 0
    assert means["before: implied"] < means["before: natural"]
