"""A model fine-tuned to one user's rows, and its comparison with the model that it started from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..base import params, paths
from ..evaluation import intervals, metrics
from ..inference.calibration import TEMPERATURE_BOUNDS, Calibration, combine
from ..inference.manifest import TOKENIZER, WEIGHTS, columns, read_manifest
from ..inference.network import log_softmax
from ..inference.ngrams import GRAMS, Ngrams
from ..inference.priors import ClassPriors, measure_priors
from ..text.processor import Tokenizer
from ..training import loop
from ..training.backend import make_repeatable, prepare_keras
from ..training.encoders.text import build
from ..training.export import TrainedNetwork, save
from ..training.forward import log_probabilities
from ..training.settings import Train

if TYPE_CHECKING:
    import keras

LEARNING_RATE, BATCH_SIZE, EPOCHS, PATIENCE = 5e-4, 16, 30, 3
POWER_SPREAD, OFFSET_SPREAD = 0.5, 1.0  # standard deviations of the prior around the champion's calibration
LOWEST_SHARE = 1e-6  # of a class that is never predicted
RESAMPLES = 2_000


@dataclass(frozen=True)
class PersonalComparison:
    """Metrics of the champion and of a personal model on the same held-out rows.

    Parameters
    ----------
    overall : dict of str to dict of str to float
        Overall metrics by `champion` and `personal`; see `metrics.overall`.
    gains : dict of str to dict of str to float
        `gain`, `low` and `high` of `loss` (champion minus personal) and of `macro_f1` (personal minus champion).
    """

    overall: dict[str, metrics.Metrics]
    gains: dict[str, metrics.Metrics]

    @property
    def better(self) -> bool:
        """Whether log-loss improves significantly (its 95 % interval is above 0) and macro-F1 does not fall.

        Log-loss decides because macro-F1 is unstable on few rows: some rows near the decision boundary change it by
        several points.
        """
        return self.gains["loss"]["low"] > 0 and self.gains["macro_f1"]["gain"] >= 0

    def sentence(self) -> str:
        """Both metrics before and after, with the gains and their intervals."""
        changes = []
        for key, title in (("loss", "log-loss"), ("macro_f1", "macro-F1")):
            before, after, gain = self.overall["champion"][key], self.overall["personal"][key], self.gains[key]
            interval = f"[{gain['low']:+.4f}, {gain['high']:+.4f}]"
            changes.append(f"{title} {before:.4f} -> {after:.4f} (gain {gain['gain']:+.4f} {interval})")
        return f"on {self.overall['personal']['num_samples']} held-out rows: {', '.join(changes)}"


def fine_tune(base: Path, table: pd.DataFrame, folder: Path) -> tuple[PersonalComparison, list[loop.EpochMetrics]]:
    """Fine-tune a model to a user's rows, write it to `folder`, and compare both models.

    The LSTM is trained further and all parts are calibrated again; the n-grams are not trained.

    Parameters
    ----------
    base : Path
        Model folder of the champion.
    table : DataFrame
        The user's rows, as returned by `read_personal_rows`.
    folder : Path
        Model folder to write.

    Returns
    -------
    comparison : PersonalComparison
        On the held-out rows.
    history : list of dict
        Metrics by epoch, as returned by `loop.train_epochs`.
    """
    manifest = read_manifest(base)
    tokenizer = Tokenizer.load(base / TOKENIZER)
    ngrams = Ngrams.load(base) if GRAMS in manifest["sha256"] else None
    prepare_keras()
    make_repeatable(threads=params.load(Train).threads, seed=0)
    model = build(**manifest["network"])
    model.load_weights(base / WEIGHTS)

    texts, lengths = table["text"].to_list(), tokenizer.lengths[-1:]  # compiling for more lengths takes longer
    ids = tokenizer.encode(texts)
    numbers = {name: number for number, name in enumerate(manifest["classes"])}
    labels = table["label"].map(numbers).to_numpy(dtype=np.int32)
    masks = {split: (table["split"] == split).to_numpy() for split in paths.SPLITS}
    of_ngrams = list(ngrams.log_probabilities(texts)) if ngrams else []

    before = [log_probabilities(model, ids, lengths), *of_ngrams]
    history = continue_training(model, ids, labels, masks, lengths)
    after = [log_probabilities(model, ids, lengths), *of_ngrams]
    old = Calibration(tuple(manifest["shares"]), manifest["temperature"], tuple(manifest["offsets"]))
    of_rows = intervals.clusters(table["group"].to_list())
    calibration, shares, priors, comparison = calibrate_and_compare(labels, masks, before, after, old, of_rows)
    save(
        folder,
        {"text": TrainedNetwork(model, manifest["network"])},
        {"text": tokenizer},
        ngrams,
        classes=manifest["classes"],
        calibration=calibration,
        class_shares=shares,
        class_priors=priors,
        columns=columns(manifest),
        state=manifest["state"],
    )
    return comparison, history


def continue_training(
    model: "keras.Model", ids: np.ndarray, labels: np.ndarray, masks: Mapping[str, np.ndarray], lengths: Sequence[int]
) -> list[loop.EpochMetrics]:
    """Train a network further on a user's rows; restore its weights if no epoch improves the validation loss.

    Parameters
    ----------
    model : keras.Model
        The champion's network; trained in place.
    ids : ndarray of shape (n_rows, lengths[-1]), int32
        Token ids.
    labels : ndarray of shape (n_rows,), int32
        True class numbers.
    masks : mapping of str to ndarray of shape (n_rows,), bool
        Rows of each split; those of `train` and `validation` are used.
    lengths : sequence of int
        Padded lengths, ascending.

    Returns
    -------
    list of dict
        Metrics by epoch, as returned by `loop.train_epochs`.
    """
    train, validation = masks["train"], masks["validation"]
    weights = model.get_weights()
    probabilities = np.exp(log_probabilities(model, ids[validation], lengths))
    loss = metrics.Measured(labels[validation], probabilities)(rankings=False)["loss"]
    history = loop.train_epochs(
        model,
        loop.TrainRows(ids[train], labels[train], np.ones(train.sum(), dtype=np.float32)),
        (ids[validation], labels[validation]),
        loop.LoopSettings(
            batch_size=BATCH_SIZE,
            epochs=EPOCHS,
            learning_rate=LEARNING_RATE,
            adversarial=0.0,
            patience=PATIENCE,
            seed=0,
        ),
        lengths=lengths,
    )
    if min(epoch["validation_loss"] for epoch in history) >= loss:
        model.set_weights(weights)
    return history


def calibrate_and_compare(
    labels: np.ndarray,
    masks: Mapping[str, np.ndarray],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
    calibration: Calibration,
    of_rows: np.ndarray,
) -> tuple[Calibration, list[float], ClassPriors, PersonalComparison]:
    """Calibrate the personal model on the validation rows, and compare it with the champion on the test rows.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    masks : mapping of str to ndarray of shape (n_rows,), bool
        Rows of each split.
    before, after : sequence of ndarray of shape (n_rows, n_classes), float
        Log-probabilities of each part of the champion, and of the personal model.
    calibration : Calibration
        The champion's.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, see `intervals.clusters`.

    Returns
    -------
    calibration : Calibration
        The personal model's.
    class_shares : list of float
        Its mean probabilities over the training and validation rows, to six decimals.
    class_priors : ClassPriors
        The class priors of the validation rows, and those that its probabilities for them imply.
    comparison : PersonalComparison
        On the test rows.
    """
    validation, test = masks["validation"], masks["test"]
    fitted = recalibrate(labels[validation], [part[validation] for part in after], calibration)
    personal = combine(after, fitted)
    shares = np.maximum(personal[~test].mean(axis=0), LOWEST_SHARE).round(6).tolist()
    priors = measure_priors(labels[validation], personal[validation])
    comparison = compare_personal(labels[test], combine(before, calibration)[test], personal[test], of_rows[test])
    return fitted, shares, priors, comparison


def recalibrate(labels: np.ndarray, parts: Sequence[np.ndarray], before: Calibration) -> Calibration:
    """Fit the powers of the parts and the offsets of the classes to a user's rows, with the champion's as prior.

    Minimises the log-loss plus the penalty of a normal prior around the champion's calibration (maximum a posteriori):
    ten rows change it little, with a thousand the prior hardly matters. The offsets learn the user's class frequencies.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers of rows that the parts were not trained on.
    parts : sequence of ndarray of shape (n_rows, n_classes), float
        Log-probabilities of each part for these rows.
    before : Calibration
        The champion's.

    Examples
    --------
    Without rows, the prior decides:

    >>> prior = Calibration((1.0,), 2.0, (0.5, -0.5))
    >>> recalibrate(np.empty(0, dtype=int), [np.empty((0, 2))], prior) == prior
    True
    """
    from scipy.optimize import minimize

    stacked, rows = np.stack(parts), np.arange(len(labels))
    start = np.concatenate([np.asarray(before.weights) / before.temperature, before.offsets])
    spread = np.repeat([POWER_SPREAD, OFFSET_SPREAD], [len(parts), len(before.offsets)])

    def cost(values: np.ndarray) -> tuple[float, np.ndarray]:
        powers, offsets = values[: len(parts)], values[len(parts) :]
        scaled = log_softmax(np.tensordot(powers, stacked, axes=1) + offsets)
        errors = np.exp(scaled)
        errors[rows, labels] -= 1
        distance = (values - start) / spread
        slopes = np.concatenate([(stacked * errors).sum(axis=(1, 2)), errors.sum(axis=0)])
        return float(-scaled[rows, labels].sum() + distance @ distance / 2), slopes + distance / spread

    bounds = [(0, 1 / TEMPERATURE_BOUNDS[0])] * len(parts) + [(None, None)] * len(before.offsets)
    best = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    powers, offsets = best[: len(parts)], best[len(parts) :]
    return Calibration.from_powers(powers, offsets - offsets.mean())


def compare_personal(
    labels: np.ndarray, champion: np.ndarray, personal: np.ndarray, of_rows: np.ndarray
) -> PersonalComparison:
    """Measure two models on the same rows, and their differences by a paired bootstrap (Efron 1979).

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    champion, personal : ndarray of shape (n_rows, n_classes), float
        Predicted probabilities.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, see `intervals.clusters`.

    Examples
    --------
    >>> labels, champion = np.array([0, 1]), np.array([[0.6, 0.4], [0.4, 0.6]])
    >>> compare_personal(labels, champion, np.array([[0.9, 0.1], [0.1, 0.9]]), np.arange(2)).gains["loss"]
    {'gain': 0.405465, 'low': 0.405465, 'high': 0.405465}
    """
    models = {"champion": metrics.Measured(labels, champion), "personal": metrics.Measured(labels, personal)}
    resampled = intervals.bootstrap(models, resamples=RESAMPLES, seed=0, of_rows=of_rows)
    overall = {name: model.overall() for name, model in models.items()}
    gains = {}
    for key, sign in (("loss", -1), ("macro_f1", 1)):
        gain = sign * (overall["personal"][key] - overall["champion"][key])
        drawn = sign * (resampled["personal"][key] - resampled["champion"][key])
        by_row = models["personal"].by_row(key) - models["champion"].by_row(key)
        gains[key] = {"gain": round(gain, 6), **intervals.t_interval(gain, drawn, of_rows, by_row=by_row)}
    return PersonalComparison(overall, gains)
