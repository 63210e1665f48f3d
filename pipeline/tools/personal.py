"""Personal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..base import params
from ..evaluation import intervals, metrics
from ..inference.calibration import BOUNDS, Calibration, combine, of_powers
from ..inference.manifest import TOKENIZER, WEIGHTS, read_manifest
from ..inference.network import log_softmax
from ..inference.ngrams import GRAMS, Ngrams
from ..text.processor import Tokenizer
from ..training import loop
from ..training.backend import make_repeatable, prepare_keras
from ..training.encoders.text import build
from ..training.export import TrainedNetwork, save
from ..training.forward import log_probabilities
from ..training.settings import Train

LEARNING_RATE, BATCH, EPOCHS, PATIENCE = 5e-4, 16, 30, 3
POWER_SPREAD, OFFSET_SPREAD = 0.5, 1.0  # how far a user's calibration is expected to be from the champion's
RESAMPLES = 2_000


@dataclass(frozen=True)
class Comparison:
    """The champion and a personal model on the same held-out rows.

    Parameters
    ----------
    figures : dict of str to dict of str to float
        Overall figures by `champion` and `personal`; see `metrics.overall`.
    gains : dict of str to dict of str to float
        `loss` (the champion's less the personal model's) and `macro_f1` (the other way): `gain`, `low`, `high`.
    """

    figures: dict[str, metrics.Figures]
    gains: dict[str, metrics.Figures]

    @property
    def better(self) -> bool:
        """The gain in log-loss is above 0 by more than chance explains (95 %), and that in macro-F1 is no loss.

        Log-loss decides, because macro-F1 jumps: of a hundred rows, a few near the border move it by points.
        """
        return self.gains["loss"]["low"] > 0 and self.gains["macro_f1"]["gain"] >= 0

    def sentence(self) -> str:
        """Both gains, with their intervals."""
        said = [
            f"{name} {self.figures['champion'][key]:.4f} -> {self.figures['personal'][key]:.4f} "
            f"(gain {of['gain']:+.4f} [{of['low']:+.4f}, {of['high']:+.4f}])"
            for (key, of), name in zip(self.gains.items(), ("log-loss", "macro-F1"), strict=True)
        ]
        return f"on {self.figures['personal']['num_samples']} held-out rows: {', '.join(said)}"


def recalibrate(labels: np.ndarray, parts: Sequence[np.ndarray], before: Calibration) -> Calibration:
    """Fit powers and offsets to a user's rows, the few of them against what the champion has of many.

    The least log-loss, with a normal distribution about the champion's calibration as prior (maximum a posteriori): ten
    rows move it a little, a thousand decide alone. The offsets learn how often the user has each class.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers, of rows that the parts were not trained on.
    parts : sequence of ndarray of shape (n_rows, n_classes), float
        Logarithms of the probabilities that each part gives for them.
    before : Calibration
        The champion's.
    """
    from scipy.optimize import minimize

    stacked, rows = np.stack(parts), np.arange(len(labels))
    first = np.concatenate([np.asarray(before.shares) / before.temperature, before.offsets])
    spread = np.repeat([POWER_SPREAD, OFFSET_SPREAD], [len(parts), len(before.offsets)])

    def cost(values: np.ndarray) -> tuple[float, np.ndarray]:
        powers, offsets = values[: len(parts)], values[len(parts) :]
        scaled = log_softmax(np.tensordot(powers, stacked, axes=1) + offsets)
        errors = np.exp(scaled)
        errors[rows, labels] -= 1
        away = (values - first) / spread
        slopes = np.concatenate([(stacked * errors).sum(axis=(1, 2)), errors.sum(axis=0)])
        return float(-scaled[rows, labels].sum() + away @ away / 2), slopes + away / spread

    bounds = [(0, 1 / BOUNDS[0])] * len(parts) + [(None, None)] * len(before.offsets)
    found = minimize(cost, first, jac=True, method="L-BFGS-B", bounds=bounds).x
    powers, offsets = found[: len(parts)], found[len(parts) :]
    return of_powers(powers, offsets - offsets.mean())


def compare(labels: np.ndarray, champion: np.ndarray, personal: np.ndarray) -> Comparison:
    """Measure both models on the same rows, and their differences on the same resamples of them (Efron 1979).

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    champion, personal : ndarray of shape (n_rows, n_classes), float
        Their probabilities.
    """
    measured = {"champion": metrics.Measured(labels, champion), "personal": metrics.Measured(labels, personal)}
    drawn = intervals.bootstrap(measured, resamples=RESAMPLES, seed=0, rankings=False)
    figures = {name: of.overall() for name, of in measured.items()}
    gains = {}
    for key, sign in (("loss", -1), ("macro_f1", 1)):
        gain = sign * (figures["personal"][key] - figures["champion"][key])
        range_ = intervals.interval(sign * (drawn["personal"][key] - drawn["champion"][key]))
        gains[key] = {"gain": round(gain, 6), **range_}
    return Comparison(figures, gains)


def adapt(base: Path, table: pd.DataFrame, folder: Path) -> tuple[Comparison, list[loop.Figures]]:
    """Fine-tune a model to a user's rows, write it to `folder`, and compare it with what it was.

    The LSTM goes on from its weights at half its learning rate, and stops by the user's validation rows: where no epoch
    is better than none, it stays. The n-grams stay; what each part has to say, and how often each class comes, is
    fitted anew on the same rows.

    Parameters
    ----------
    base : Path
        Model folder of the champion.
    table : DataFrame
        As `read_rows` gives it.
    folder : Path
        Where the personal model goes.

    Returns
    -------
    comparison : Comparison
        On the held-out rows.
    history : list of dict
        As `train.fit` gives it.
    """
    manifest = read_manifest(base)
    classes, network = manifest["classes"], manifest["network"]
    before = Calibration(tuple(manifest["shares"]), manifest["temperature"], tuple(manifest["offsets"]))
    tokenizer = Tokenizer.load(base / TOKENIZER)
    ngrams = Ngrams.load(base) if GRAMS in manifest["sha256"] else None
    prepare_keras()
    make_repeatable(threads=params.load(Train).threads, seed=0)
    model = build(**network)
    model.load_weights(base / WEIGHTS)

    texts, lengths = table["text"].to_list(), tokenizer.lengths[-1:]  # each more costs more to compile than it saves
    ids = tokenizer.encode(texts)
    labels = table["label"].map({name: number for number, name in enumerate(classes)}).to_numpy(dtype=np.int32)
    rows = {split: (table["split"] == split).to_numpy() for split in ("train", "validation", "test")}
    beside = list(ngrams.log_probabilities(texts)) if ngrams else []
    old = [log_probabilities(model, ids, lengths), *beside]
    start, chosen = model.get_weights(), rows["validation"]
    loss = metrics.Measured(labels[chosen], np.exp(old[0][chosen]))(rankings=False)["loss"]
    history = loop.fit(
        model,
        (ids[rows["train"]], labels[rows["train"]], np.ones(rows["train"].sum(), dtype=np.float32)),
        (ids[chosen], labels[chosen]),
        lengths=lengths,
        batch_size=BATCH,
        epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        adversarial=0.0,
        patience=PATIENCE,
        seed=0,
    )
    if min(figures["validation_loss"] for figures in history) >= loss:
        model.set_weights(start)
    new = [log_probabilities(model, ids, lengths), *beside]
    fitted = recalibrate(labels[chosen], [part[chosen] for part in new], before)
    personal = combine(new, fitted)
    save(
        folder,
        {"text": TrainedNetwork(model, network)},
        {"text": tokenizer},
        ngrams,
        classes=classes,
        calibration=fitted,
        class_shares=np.maximum(personal[~rows["test"]].mean(axis=0), 1e-6).round(6).tolist(),
        state=manifest["state"],
    )
    test = rows["test"]
    return compare(labels[test], combine(old, before)[test], personal[test]), history
