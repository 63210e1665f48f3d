"""Calibrate baselines, and parts of a model alone, as training calibrates the model: on the same validation rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..base import paths
from ..base.files import read_arrays
from ..inference import calibration

SMALLEST = 1e-12  # probability that is told from 0


@dataclass(frozen=True)
class Calibrator:
    """The validation rows, and what training knew of the classes.

    Parameters
    ----------
    labels : ndarray of shape (n_validation_rows,), int
        Class numbers of the validation rows.
    counts : ndarray of shape (n_classes,), int
        Training rows of each class.
    shift : ndarray of shape (n_classes,), float
        Of the model's `Plan`.
    correction : float
        `rebalance.prior_correction`.
    """

    labels: np.ndarray
    counts: np.ndarray
    shift: np.ndarray
    correction: float

    @classmethod
    def load(cls, num_classes: int) -> "Calibrator":
        """Read the outputs of tokenize and rebalance."""
        labels = {split: read_arrays(paths.TOKENIZE_ARRAYS[split])["label"] for split in ("train", "validation")}
        plan = read_arrays(paths.REBALANCE_TRAIN)
        counts = np.bincount(labels["train"], minlength=num_classes)
        return cls(labels["validation"], counts, plan["shift"], float(plan["correction"]))

    @property
    def prior(self) -> np.ndarray:
        """Difference of the class priors between training and validation rows, see `calibration.prior_shift`."""
        return calibration.prior_shift(self.counts, np.bincount(self.labels, minlength=len(self.counts)))

    def parts(self, validation: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probabilities of a model of these parts for the test rows.

        Parameters
        ----------
        validation, test : sequence of ndarray of shape (n_rows, n_classes), float64
            Log-probabilities of each part.
        """
        fitted = calibration.fit(self.labels, validation, self.shift, self.correction, self.prior)
        return calibration.combine(test, fitted)

    def baseline(self, validation: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities of a baseline for the test rows, under the model's class priors.

        How far it was trained on equal class weights is fitted, as for the model.

        Parameters
        ----------
        validation, test : ndarray of shape (n_rows, n_classes), float64
            Its probabilities.
        """
        logs = [np.log(np.maximum(rows, SMALLEST)) for rows in (validation, test)]
        balanced = np.log(self.counts / self.counts.mean())
        fitted = calibration.fit(self.labels, logs[:1], balanced, 1.0, self.prior)
        moved = calibration.towards_rebalanced(self.shift, self.correction, self.prior)
        return calibration.combine(logs[1:], fitted._replace(offsets=tuple(np.array(fitted.offsets) + moved)))
