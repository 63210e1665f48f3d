"""Calibration: shares, temperature and offsets are found, and the temperature changes no label."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.inference import calibration
from pipeline.inference.calibration import Calibration, combine


def too_sure(honest: np.ndarray, factor: float) -> np.ndarray:
    """Logarithms of the probabilities whose powers of 1 / factor are the honest ones."""
    powers = honest**factor
    return np.log(powers / powers.sum(axis=1, keepdims=True))


def drawn(rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Honest probabilities of three classes, and labels drawn by them."""
    random = np.random.default_rng(0)
    honest = random.dirichlet(np.ones(3), rows)
    return honest, (random.random((rows, 1)) > honest.cumsum(axis=1)).sum(axis=1)


def fit(labels: np.ndarray, parts: list[np.ndarray]) -> tuple[tuple[float, ...], float]:
    """Shares and temperature, of classes that nothing was done to."""
    nowhere = np.zeros(parts[0].shape[1])
    found = calibration.fit(labels, parts, nowhere, 0.5, nowhere)
    assert not any(found.offsets)
    return found.shares, found.temperature


def made(shares: Sequence[float], temperature: float = 1.0) -> Calibration:
    return Calibration(tuple(shares), temperature, (0.0,))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def test_combine_divides_the_logits_by_the_temperature() -> None:
    parts = [np.log([[0.8, 0.2], [0.1, 0.9]])]
    softened = combine(parts, made([1.0], 2.0))  # odds of 4 become 2, of 9 become 3
    np.testing.assert_allclose(softened, [[2 / 3, 1 / 3], [1 / 4, 3 / 4]])
    np.testing.assert_allclose(combine(parts, made([1.0])), np.exp(parts[0]))
    assert combine([parts[0][:0]], made([1.0], 2.0)).shape == (0, 2)


def test_combine_multiplies_the_parts_by_their_shares() -> None:
    """Odds of 16 and 1/4: their square roots are 4 and 1/2."""
    parts = [np.log([[16 / 17, 1 / 17]]), np.log([[0.2, 0.8]])]
    np.testing.assert_allclose(combine(parts, made([0.5, 0.5])), [[2 / 3, 1 / 3]])
    np.testing.assert_allclose(combine(parts, made([0.5, 0.5], 0.5)), [[0.8, 0.2]])
    np.testing.assert_allclose(combine(parts, made([1.0, 0.0])), np.exp(parts[0]))


def test_the_temperature_that_made_one_part_too_sure_is_found() -> None:
    honest, labels = drawn()
    for factor, within in ((2.5, 0.05), (0.4, 0.01)):
        shares, temperature = fit(labels, [too_sure(honest, factor)])
        assert shares == (1.0,)
        assert temperature == pytest.approx(factor, abs=within)


def test_three_rows_have_the_closed_form() -> None:
    """Two right and one wrong at odds of 4: odds of 2 fit best, and the square root of 4 is 2."""
    sure = np.log([[0.8, 0.2]] * 3)
    assert fit(np.array([0, 0, 1]), [sure]) == ((1.0,), pytest.approx(2.0, abs=1e-3))


def test_an_impossible_row_that_came_true_makes_no_infinite_loss() -> None:
    sure = np.array([[0, -500.0]] * 3 + [[np.log(0.8), np.log(0.2)]] * 3)
    _, temperature = fit(np.array([0, 0, 1, 0, 0, 1]), [sure])
    assert 1 < temperature <= 20


@pytest.mark.parametrize("right", [True, False])
def test_rows_that_are_all_right_or_all_wrong_stay_within_the_bounds(right: bool) -> None:
    labels = np.zeros(4, dtype=int) if right else np.ones(4, dtype=int)
    parts = [np.log(np.tile([0.7, 0.3], (4, 1))), np.log(np.tile([0.6, 0.4], (4, 1)))]
    for given in (parts[:1], parts):
        shares, temperature = fit(labels, given)
        assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert min(shares) >= 0
        assert temperature == pytest.approx(0.05, abs=0.03) if right else temperature == 20


def test_each_part_gets_the_share_that_it_earned() -> None:
    """The honest odds are the product of the parts' odds, the first to the power 0.6, the second to 0.2."""
    honest, labels = drawn()
    first = np.random.default_rng(1).normal(size=honest.shape)
    second = (np.log(honest) - 0.6 * first) / 0.2
    parts = [each - np.log(np.exp(each).sum(axis=1, keepdims=True)) for each in (first, second)]
    shares, temperature = fit(labels, parts)
    assert shares == pytest.approx([0.75, 0.25], abs=0.02)
    assert temperature == pytest.approx(1 / 0.8, abs=0.05)
    np.testing.assert_allclose(combine(parts, made(shares, temperature)), honest, atol=0.02)


def test_a_useless_part_gets_about_nothing_and_a_harmful_one_nothing() -> None:
    honest, labels = drawn()
    noise = too_sure(np.random.default_rng(1).dirichlet(np.ones(3), len(labels)), 1)
    against = np.log(1 - honest)
    shares, temperature = fit(labels, [np.log(honest), noise, against])
    assert shares[0] > 0.97
    assert sum(shares) == pytest.approx(1, abs=2e-4)
    assert shares[2] == 0
    assert temperature == pytest.approx(1, abs=0.05)


def test_the_parts_together_lose_no_more_than_the_best_of_them() -> None:
    honest, labels = drawn(500)
    random = np.random.default_rng(2)
    parts = [too_sure(0.9 * honest + 0.1 * random.dirichlet(np.ones(3), 500), factor) for factor in (3.0, 1.0, 0.5)]
    shares, temperature = fit(labels, parts)
    together = log_loss(labels, combine(parts, made(shares, temperature)))
    alone = [log_loss(labels, combine([part], made([1.0], fit(labels, [part])[1]))) for part in parts]
    assert together < min(alone)
    assert fit(labels, parts) == (shares, temperature)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 20.0])
def test_no_label_changes_even_between_neighbouring_float32_numbers(temperature: float) -> None:
    low = np.float32(0.4)
    high = np.nextafter(low, np.float32(1))
    extreme = np.log(np.array([[1e-38, 1e-30, 1.0], [low, high, 0.2], [0.2, low, high], [1e-30, 1e-38, 1.0]]))
    for parts, shares in (([extreme], [1.0]), ([extreme, 3 * extreme, extreme / 2], [0.5, 0.2, 0.3])):
        calibrated = combine(parts, made(shares, temperature))
        np.testing.assert_array_equal(calibrated.argmax(axis=1), extreme.argmax(axis=1))
        assert (np.diff(np.take_along_axis(calibrated, extreme.argsort(axis=1), axis=1)) >= 0).all()
        np.testing.assert_allclose(calibrated.sum(axis=1), 1)
        assert np.isfinite(calibrated).all()


SHIFT = np.log([0.7, 0.2, 0.1]) - np.log(1 / 3)  # three classes, trained as if each had a third of the rows

NOWHERE = np.zeros(3)


@pytest.mark.parametrize("followed", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("correction", [0.0, 0.5, 1.0])
def test_the_classes_are_as_rare_as_asked_whatever_the_model_made_of_it(followed: float, correction: float) -> None:
    honest, labels = drawn()
    rebalanced = np.log(honest) - followed * SHIFT
    rebalanced -= np.log(np.exp(rebalanced).sum(axis=1, keepdims=True))
    found = calibration.fit(labels, [rebalanced], SHIFT, correction, NOWHERE)
    np.testing.assert_allclose(found.offsets, (followed - 1 + correction) * SHIFT, atol=0.05)
    expected = honest * np.exp((correction - 1) * SHIFT)
    np.testing.assert_allclose(combine([rebalanced], found), expected / expected.sum(axis=1, keepdims=True), atol=0.03)


def test_the_classes_do_not_go_back_further_than_they_came_from() -> None:
    honest, labels = drawn()
    away = np.log(honest) - 3 * SHIFT
    assert calibration.fit(labels, [away], SHIFT, 1.0, NOWHERE).offsets == pytest.approx(SHIFT, abs=1e-4)


@pytest.mark.parametrize("correction", [0.0, 1.0])
def test_rows_with_other_shares_than_the_training_rows_get_probabilities_for_these(correction: float) -> None:
    honest, labels = drawn()
    prior = np.log([0.2, 0.3, 0.5]) - np.log([0.6, 0.3, 0.1])
    elsewhere = np.log(honest) - prior
    elsewhere -= np.log(np.exp(elsewhere).sum(axis=1, keepdims=True))
    found = calibration.fit(labels, [elsewhere], NOWHERE, correction, prior)
    np.testing.assert_allclose(found.offsets, prior, atol=0.05)
    np.testing.assert_allclose(combine([elsewhere], found), honest, atol=0.03)


def test_rows_with_the_shares_that_rebalancing_asked_for_are_not_moved_away_from_them() -> None:
    honest, labels = drawn()  # a third of each class, and trained as if so
    found = calibration.fit(labels, [np.log(honest)], SHIFT, 0.0, -SHIFT)
    np.testing.assert_allclose(combine([np.log(honest)], found), honest, atol=0.03)


def test_chance_is_no_shift_of_the_shares() -> None:
    assert calibration.prior_shift(np.array([500, 50]), np.array([100, 14])).tolist() == [0, 0]
    found = calibration.prior_shift(np.array([5_000, 500]), np.array([1_000, 1_000]))
    np.testing.assert_allclose(found, np.log([0.5, 0.5]) - np.log([10 / 11, 1 / 11]), atol=0.01)
    assert np.isfinite(calibration.prior_shift(np.array([500, 500]), np.array([100, 0]))).all()


def test_uncalibrated_keeps_the_shares_alone() -> None:
    assert Calibration((0.4, 0.6), 2.0, (1.0, -1.0)).uncalibrated == Calibration((0.4, 0.6), 1.0, (0.0, 0.0))


def test_the_offsets_are_added_to_the_logits() -> None:
    """Odds of 1/4, times e."""
    found = combine([np.log([[0.2, 0.8]])], Calibration((1.0,), 1.0, (0.5, -0.5)))
    np.testing.assert_allclose(found[0, 0] / found[0, 1], np.e / 4)


BEFORE, NOW = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])


def shifted(rows: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn by `shares`, and what a model that expects `BEFORE` rightly says of their overlapping points."""
    random = np.random.default_rng(1)
    labels = random.choice(3, rows, p=shares)
    centres = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
    points = centres[labels] + random.normal(size=(rows, 2))
    likelihoods = np.exp(-((points[:, None] - centres) ** 2).sum(axis=2) / 2)
    joint = likelihoods * BEFORE
    return labels, joint / joint.sum(axis=1, keepdims=True)


def test_shares_are_told_from_texts_without_labels() -> None:
    for shares in (NOW, BEFORE):
        _, said = shifted(5_000, shares)
        np.testing.assert_allclose(calibration.estimate_shares(said, BEFORE), shares, atol=0.03)


def test_reweighed_probabilities_are_honest_again_and_right_more_often() -> None:
    labels, said = shifted(20_000, NOW)
    corrected = calibration.reweigh(said, BEFORE, NOW)
    np.testing.assert_allclose(corrected.sum(axis=1), 1)
    np.testing.assert_allclose(corrected.mean(axis=0), NOW, atol=0.01)
    assert np.abs(said.mean(axis=0) - NOW).max() > 0.1
    right = [(each.argmax(axis=1) == labels).mean() for each in (said, corrected)]
    assert right[1] > right[0] + 0.05
    np.testing.assert_array_equal(calibration.reweigh(said, BEFORE, BEFORE).argmax(axis=1), said.argmax(axis=1))


def test_shares_that_differ_by_what_one_sample_in_fifty_does_are_the_same() -> None:
    """Of 1 : 1 in training, 100 : 140 in validation: the chi-squared test gives 0.018."""
    assert calibration.prior_shift(np.array([1_000, 1_000]), np.array([100, 140])).tolist() == [0, 0]
    assert calibration.prior_shift(np.array([1_000, 1_000]), np.array([500, 700])).any()
