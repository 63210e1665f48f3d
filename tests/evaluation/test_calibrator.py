"""Baselines and parts are calibrated as training calibrates the model."""

import numpy as np
import pytest

from pipeline.evaluation import metrics
from pipeline.evaluation.calibrator import Calibrator
from pipeline.inference import calibration


def sample(seed: int, rows: int, priors: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the log-probabilities of a model that knows the classes' distributions and their priors."""
    random = np.random.default_rng(seed)
    labels = random.choice(len(priors), rows, p=priors)
    scores = random.normal(size=(rows, len(priors))) + 1.5 * np.eye(len(priors))[labels]
    logits = 1.5 * scores + np.log(priors)
    return labels, logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


PRIORS = [0.7, 0.25, 0.05]


@pytest.fixture(scope="module")
def calibrator() -> Calibrator:
    labels, _ = sample(0, 3_000, PRIORS)
    counts = np.array([7_000, 2_500, 500])
    return Calibrator(labels, counts, np.log(counts / counts.mean()), 1.0)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_baseline_becomes_natural(calibrator: Calibrator, balanced: bool, temperature: float) -> None:
    """Whether it was trained on equal weights or not, and however sure it is."""
    validation, (labels, test) = sample(0, 3_000, PRIORS)[1], sample(1, 4_000, PRIORS)
    moved = -np.log(PRIORS) if balanced else 0.0
    wrong = [np.exp((rows + moved) / temperature) for rows in (validation, test)]
    wrong = [rows / rows.sum(axis=1, keepdims=True) for rows in wrong]
    right = metrics.overall(labels, np.exp(test))["loss"]
    assert metrics.overall(labels, calibrator.baseline(*wrong))["loss"] == pytest.approx(right, abs=0.01)
    if balanced or temperature > 1:
        assert metrics.overall(labels, wrong[1])["loss"] > right + 0.05


def test_baseline_has_the_priors_of_the_model(calibrator: Calibrator) -> None:
    """By `rebalance.prior_correction`, both are moved towards equal classes, by as much."""
    half = Calibrator(calibrator.labels, calibrator.counts, calibrator.shift, 0.5)
    validation, test = (sample(seed, 3_000, PRIORS)[1] for seed in (0, 1))
    natural, moved = (by.baseline(np.exp(validation), np.exp(test)) for by in (calibrator, half))
    expected = natural * np.exp(-0.5 * calibrator.shift)
    np.testing.assert_allclose(moved, expected / expected.sum(axis=1, keepdims=True), atol=1e-3)
    assert moved[:, 2].mean() > 1.5 * natural[:, 2].mean()


def test_parts_are_calibrated_as_in_training(calibrator: Calibrator) -> None:
    validation, test = (sample(seed, 3_000, PRIORS)[1] for seed in (0, 1))
    fitted = calibration.fit(calibrator.labels, [validation], calibrator.shift, 1.0, calibrator.prior)
    np.testing.assert_array_equal(calibrator.parts([validation], [test]), calibration.combine([test], fitted))


def test_class_that_a_baseline_never_predicts(calibrator: Calibrator) -> None:
    validation, test = (np.exp(sample(seed, 3_000, PRIORS)[1]) * [1, 1, 0] for seed in (0, 1))
    probabilities = calibrator.baseline(validation, test)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
