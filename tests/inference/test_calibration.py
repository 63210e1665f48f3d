"""Calibration: fitted weights, temperature and offsets."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.inference import calibration
from pipeline.inference.calibration import Calibration, combine


def overconfident(honest: np.ndarray, factor: float) -> np.ndarray:
    """Return log-probabilities that a temperature of `factor` makes honest."""
    powers = honest**factor
    return np.log(powers / powers.sum(axis=1, keepdims=True))


def draw(rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of three classes, and labels drawn with them."""
    random = np.random.default_rng(0)
    honest = random.dirichlet(np.ones(3), rows)
    return honest, (random.random((rows, 1)) > honest.cumsum(axis=1)).sum(axis=1)


def fit(labels: np.ndarray, parts: list[np.ndarray]) -> tuple[tuple[float, ...], float]:
    """Return the weights and the temperature, fitted on classes that were not rebalanced."""
    no_shift = np.zeros(parts[0].shape[1])
    fitted = calibration.fit(labels, parts, no_shift, 0.5, no_shift)
    assert not any(fitted.offsets)
    return fitted.weights, fitted.temperature


def without_offsets(weights: Sequence[float], temperature: float = 1.0) -> Calibration:
    return Calibration(tuple(weights), temperature, (0.0,))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def test_combine_divides_logits_by_temperature() -> None:
    parts = [np.log([[0.8, 0.2], [0.1, 0.9]])]
    softened = combine(parts, without_offsets([1.0], 2.0))  # odds of 4 become 2, of 9 become 3
    np.testing.assert_allclose(softened, [[2 / 3, 1 / 3], [1 / 4, 3 / 4]])
    np.testing.assert_allclose(combine(parts, without_offsets([1.0])), np.exp(parts[0]))
    assert combine([parts[0][:0]], without_offsets([1.0], 2.0)).shape == (0, 2)


def test_combine_is_a_weighted_geometric_mean() -> None:
    """Odds of 16 and 1/4: their square roots are 4 and 1/2."""
    parts = [np.log([[16 / 17, 1 / 17]]), np.log([[0.2, 0.8]])]
    np.testing.assert_allclose(combine(parts, without_offsets([0.5, 0.5])), [[2 / 3, 1 / 3]])
    np.testing.assert_allclose(combine(parts, without_offsets([0.5, 0.5], 0.5)), [[0.8, 0.2]])
    np.testing.assert_allclose(combine(parts, without_offsets([1.0, 0.0])), np.exp(parts[0]))


def test_fit_recovers_temperature() -> None:
    honest, labels = draw()
    for factor, tolerance in ((2.5, 0.05), (0.4, 0.01)):
        weights, temperature = fit(labels, [overconfident(honest, factor)])
        assert weights == (1.0,)
        assert temperature == pytest.approx(factor, abs=tolerance)


def test_temperature_of_three_rows() -> None:
    """Two are right and one is wrong at odds of 4: odds of 2 fit best, and the square root of 4 is 2."""
    part = np.log([[0.8, 0.2]] * 3)
    assert fit(np.array([0, 0, 1]), [part]) == ((1.0,), pytest.approx(2.0, abs=1e-3))


def test_impossible_label_has_finite_loss() -> None:
    part = np.array([[0, -500.0]] * 3 + [[np.log(0.8), np.log(0.2)]] * 3)
    _, temperature = fit(np.array([0, 0, 1, 0, 0, 1]), [part])
    assert 1 < temperature <= 20


@pytest.mark.parametrize("right", [True, False])
def test_temperature_stays_within_bounds(right: bool) -> None:
    labels = np.zeros(4, dtype=int) if right else np.ones(4, dtype=int)
    parts = [np.log(np.tile([0.7, 0.3], (4, 1))), np.log(np.tile([0.6, 0.4], (4, 1)))]
    for some_parts in (parts[:1], parts):
        weights, temperature = fit(labels, some_parts)
        assert sum(weights) == pytest.approx(1, abs=1e-3)
        assert min(weights) >= 0
        assert temperature == pytest.approx(0.05, abs=0.03) if right else temperature == 20


def test_fit_recovers_weights() -> None:
    """The honest odds are the product of the parts' odds, the first to the power of 0.6, the second to 0.2."""
    honest, labels = draw()
    first = np.random.default_rng(1).normal(size=honest.shape)
    second = (np.log(honest) - 0.6 * first) / 0.2
    parts = [logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)) for logits in (first, second)]
    weights, temperature = fit(labels, parts)
    assert weights == pytest.approx([0.75, 0.25], abs=0.02)
    assert temperature == pytest.approx(1 / 0.8, abs=0.05)
    np.testing.assert_allclose(combine(parts, without_offsets(weights, temperature)), honest, atol=0.02)


def test_useless_and_harmful_parts_get_no_weight() -> None:
    honest, labels = draw()
    noise = overconfident(np.random.default_rng(1).dirichlet(np.ones(3), len(labels)), 1)
    against = np.log(1 - honest)
    weights, temperature = fit(labels, [np.log(honest), noise, against])
    assert weights[0] > 0.97
    assert sum(weights) == pytest.approx(1, abs=2e-4)
    assert weights[2] == 0
    assert temperature == pytest.approx(1, abs=0.05)


def test_combination_beats_its_best_part() -> None:
    honest, labels = draw(500)
    random = np.random.default_rng(2)
    parts = [
        overconfident(0.9 * honest + 0.1 * random.dirichlet(np.ones(3), 500), factor) for factor in (3.0, 1.0, 0.5)
    ]
    weights, temperature = fit(labels, parts)
    combined = log_loss(labels, combine(parts, without_offsets(weights, temperature)))
    single = [log_loss(labels, combine([part], without_offsets([1.0], fit(labels, [part])[1]))) for part in parts]
    assert combined < min(single)
    assert fit(labels, parts) == (weights, temperature)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 20.0])
def test_temperature_changes_no_label(temperature: float) -> None:
    low = np.float32(0.4)
    high = np.nextafter(low, np.float32(1))
    extreme = np.log(np.array([[1e-38, 1e-30, 1.0], [low, high, 0.2], [0.2, low, high], [1e-30, 1e-38, 1.0]]))
    for parts, weights in (([extreme], [1.0]), ([extreme, 3 * extreme, extreme / 2], [0.5, 0.2, 0.3])):
        calibrated = combine(parts, without_offsets(weights, temperature))
        np.testing.assert_array_equal(calibrated.argmax(axis=1), extreme.argmax(axis=1))
        assert (np.diff(np.take_along_axis(calibrated, extreme.argsort(axis=1), axis=1)) >= 0).all()
        np.testing.assert_allclose(calibrated.sum(axis=1), 1)
        assert np.isfinite(calibrated).all()


SHIFT = np.log([0.7, 0.2, 0.1]) - np.log(1 / 3)  # three classes, trained as if each had a third of the rows

NO_SHIFT = np.zeros(3)


@pytest.mark.parametrize("followed", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("correction", [0.0, 0.5, 1.0])
def test_correction_restores_priors(followed: float, correction: float) -> None:
    """Also if the model followed rebalancing only in part, or not at all."""
    honest, labels = draw()
    rebalanced = np.log(honest) - followed * SHIFT
    rebalanced -= np.log(np.exp(rebalanced).sum(axis=1, keepdims=True))
    fitted = calibration.fit(labels, [rebalanced], SHIFT, correction, NO_SHIFT)
    np.testing.assert_allclose(fitted.offsets, (followed - 1 + correction) * SHIFT, atol=0.05)
    expected = honest * np.exp((correction - 1) * SHIFT)
    np.testing.assert_allclose(combine([rebalanced], fitted), expected / expected.sum(axis=1, keepdims=True), atol=0.03)


def test_shift_is_not_overcorrected() -> None:
    honest, labels = draw()
    shifted_too_far = np.log(honest) - 3 * SHIFT
    assert calibration.fit(labels, [shifted_too_far], SHIFT, 1.0, NO_SHIFT).offsets == pytest.approx(SHIFT, abs=1e-4)


@pytest.mark.parametrize("correction", [0.0, 1.0])
def test_validation_rows_with_other_priors(correction: float) -> None:
    honest, labels = draw()
    prior = np.log([0.2, 0.3, 0.5]) - np.log([0.6, 0.3, 0.1])
    part = np.log(honest) - prior
    part -= np.log(np.exp(part).sum(axis=1, keepdims=True))
    fitted = calibration.fit(labels, [part], NO_SHIFT, correction, prior)
    np.testing.assert_allclose(fitted.offsets, prior, atol=0.05)
    np.testing.assert_allclose(combine([part], fitted), honest, atol=0.03)


def test_validation_rows_with_rebalanced_priors() -> None:
    """A third of each class, as in the rebalanced training rows: nothing is to be corrected."""
    honest, labels = draw()
    fitted = calibration.fit(labels, [np.log(honest)], SHIFT, 0.0, -SHIFT)
    np.testing.assert_allclose(combine([np.log(honest)], fitted), honest, atol=0.03)


def test_prior_shift_ignores_chance() -> None:
    assert calibration.prior_shift(np.array([500, 50]), np.array([100, 14])).tolist() == [0, 0]
    shift = calibration.prior_shift(np.array([5_000, 500]), np.array([1_000, 1_000]))
    np.testing.assert_allclose(shift, np.log([0.5, 0.5]) - np.log([10 / 11, 1 / 11]), atol=0.01)
    assert np.isfinite(calibration.prior_shift(np.array([500, 500]), np.array([100, 0]))).all()


def test_uncalibrated_keeps_weights_only() -> None:
    assert Calibration((0.4, 0.6), 2.0, (1.0, -1.0)).uncalibrated == Calibration((0.4, 0.6), 1.0, (0.0, 0.0))


def test_offsets_are_added_to_logits() -> None:
    """Odds of 1/4, times e."""
    ((first, second),) = combine([np.log([[0.2, 0.8]])], Calibration((1.0,), 1.0, (0.5, -0.5)))
    np.testing.assert_allclose(first / second, np.e / 4)


def test_prior_shift_needs_strong_evidence() -> None:
    """1:1 in training, 100:140 in validation: the p-value of the chi-squared test is 0.018."""
    assert calibration.prior_shift(np.array([1_000, 1_000]), np.array([100, 140])).tolist() == [0, 0]
    assert calibration.prior_shift(np.array([1_000, 1_000]), np.array([500, 700])).any()
