"""Calibration: the temperature is found, and no label changes."""

import numpy as np
import pytest

from pipeline import calibration


def test_apply_divides_the_logits() -> None:
    probabilities = np.array([[0.8, 0.2], [0.1, 0.9]])
    softened = calibration.apply(probabilities, 2.0)  # odds of 4 become 2, of 9 become 3
    np.testing.assert_allclose(softened, [[2 / 3, 1 / 3], [1 / 4, 3 / 4]])
    np.testing.assert_allclose(calibration.apply(probabilities, 1.0), probabilities)
    assert calibration.apply(probabilities[:0], 2.0).shape == (0, 2)


def test_the_temperature_that_made_the_model_too_sure_is_found() -> None:
    random = np.random.default_rng(0)
    honest = random.dirichlet(np.ones(3), 20_000)
    labels = (random.random((20_000, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    assert calibration.fit_temperature(labels, calibration.apply(honest, 1 / 2.5)) == pytest.approx(2.5, abs=0.05)
    assert calibration.fit_temperature(labels, calibration.apply(honest, 2.5)) == pytest.approx(0.4, abs=0.01)


def test_three_rows_have_the_closed_form() -> None:
    """Two right and one wrong at odds of 4: odds of 2 fit best, and the square root of 4 is 2."""
    sure = np.array([[0.8, 0.2]] * 3)
    assert calibration.fit_temperature(np.array([0, 0, 1]), sure) == pytest.approx(2.0, abs=1e-3)


def test_an_impossible_row_that_came_true_makes_no_infinite_loss() -> None:
    probabilities = np.array([[1.0, 0.0]] * 3 + [[0.8, 0.2]] * 3, dtype=np.float32)
    assert 1 < calibration.fit_temperature(np.array([0, 0, 1, 0, 0, 1]), probabilities) <= 20


@pytest.mark.parametrize("right", [True, False])
def test_rows_that_are_all_right_or_all_wrong_stay_within_the_bounds(right: bool) -> None:
    labels = np.zeros(4, dtype=int) if right else np.ones(4, dtype=int)
    found = calibration.fit_temperature(labels, np.tile(np.float32([0.7, 0.3]), (4, 1)))
    assert found == pytest.approx(0.05 if right else 20, abs=1e-3)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 20.0])
def test_no_label_changes_even_between_neighbouring_float32_numbers(temperature: float) -> None:
    low = np.float32(0.4)
    high = np.nextafter(low, np.float32(1))
    extreme = np.array([[0.0, 0.0, 1.0], [low, high, 0.2], [0.2, low, high], [1e-30, 1e-38, 1.0]], dtype=np.float32)
    calibrated = calibration.apply(extreme, temperature)
    np.testing.assert_array_equal(calibrated.argmax(axis=1), extreme.argmax(axis=1))
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    assert np.isfinite(calibrated).all()
