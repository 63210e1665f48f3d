"""Fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import paths
from ..base.files import read_arrays, read_json, read_table
from ..inference import calibration
from ..inference.calibration import Calibration
from ..inference.ngrams import Ngrams
from ..text.processor import Tokenizer
from .backend import make_repeatable
from .checkpoint import NOWHERE, Checkpoint
from .encoders import build, log_probabilities
from .loop import Figures, OnEpoch, fit
from .ngrams import fit_ngrams
from .pretraining import pretrain
from .rebalancing import Plan
from .settings import Train

if TYPE_CHECKING:
    import keras

NETWORK = ("embedding_dim", "units", "bidirectional", "pooling", "embedding_dropout", "dropout")  # of the parameters


def sizes(rows: int) -> tuple[int, int, int]:
    """Batch size, most epochs and patience for a number of training rows.

    Few rows need small steps to take enough of them, many rows larger ones to be done in time: about 600 steps an
    epoch, 8,000 steps in all, in powers of two from 32 to 128 rows and from 3 to 40 epochs. Patience is two epochs, or
    about 300 steps where those are more: of few rows, the validation loss rises now and then before the LSTM has
    learned anything.
    """
    batch_size = 2 ** int(np.clip(round(np.log2(rows / 600)), 5, 7))
    epochs, patience = (round(steps * batch_size / rows) for steps in (8_000, 300))
    return batch_size, int(np.clip(epochs, 3, 40)), int(np.clip(patience, 2, 40))


@dataclass(frozen=True)
class Data:
    """What the stages before made: all that training reads."""

    classes: list[str]
    tokenizer: Tokenizer
    texts: dict[str, list[str]]  # cleaned, by split: train and validation
    ids: dict[str, np.ndarray]  # (n_rows, length), int32, by split
    labels: dict[str, np.ndarray]  # (n_rows,), int32, by split
    plan: Plan  # what training does about the classes
    correction: float  # how far calibration takes the classes back to their natural shares

    @classmethod
    def load(cls) -> "Data":
        """Read the outputs of the stages before."""
        splits = ("train", "validation")
        arrays = {split: read_arrays(paths.TOKENIZE_ARRAYS[split]) for split in splits}
        plan = read_arrays(paths.REBALANCE_TRAIN)
        gamma, correction = float(plan.pop("gamma")), float(plan.pop("correction"))
        return cls(
            classes=read_json(paths.CLEAN_CLASSES),
            tokenizer=Tokenizer.load(paths.TOKENIZE_TOKENIZER),
            texts={split: read_table(paths.CLEAN_TABLES[split])["text"].to_list() for split in splits},
            ids={split: arrays[split]["ids"] for split in splits},
            labels={split: arrays[split]["label"] for split in splits},
            plan=Plan(**plan, gamma=gamma),
            correction=correction,
        )

    def calibrate(self, parts: Sequence[np.ndarray], rows: slice = slice(None)) -> Calibration:
        """Fit the calibration on validation rows: `parts`, what is said of these `rows`, shape (n_rows, n_classes)."""
        labels = self.labels["validation"][rows]
        return calibration.fit(labels, parts, self.plan.shift, self.correction, self.prior_shift)

    @property
    def prior_shift(self) -> np.ndarray:
        """How the classes' shares differ from training to validation rows, as `calibration.prior_shift` tells it."""
        rows = {split: np.bincount(labels, minlength=len(self.classes)) for split, labels in self.labels.items()}
        return calibration.prior_shift(rows["train"], rows["validation"])


def train_lstm(
    data: Data,
    settings: Train,
    on_epoch: OnEpoch = lambda epoch, figures: None,
    checkpoint: Checkpoint = NOWHERE,
) -> tuple["keras.Model", dict[str, Any], list[Figures]]:
    """Build the LSTM that the parameters describe, and train it.

    Returns
    -------
    model : keras.Model
        Of the best epoch.
    network : dict
        What `model.build` was told.
    history : list of dict
        As `fit` gives it.
    """
    network = {
        "num_ids": data.tokenizer.num_ids,
        "num_classes": len(data.classes),
        **{key: getattr(settings, key) for key in NETWORK},
    }
    make_repeatable(threads=settings.threads, seed=settings.seed)
    model = build(**network)
    chosen = resolved(data, settings)
    first = chosen.pop("pretraining_epochs")
    if first and not checkpoint.load("training"):
        lengths = data.tokenizer.lengths
        pretrain(model, data.ids["train"], lengths, epochs=first, seed=settings.seed, checkpoint=checkpoint)
    plan = data.plan
    history = fit(
        model,
        (data.ids["train"][plan.rows], data.labels["train"][plan.rows], plan.weights),
        (data.ids["validation"], data.labels["validation"]),
        lengths=data.tokenizer.lengths,
        learning_rate=settings.learning_rate,
        adversarial=settings.adversarial,
        seed=settings.seed,
        margins=plan.margins,
        gamma=plan.gamma,
        draw=plan.draw if plan.draw.any() else None,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
        **chosen,
    )
    return model, network, history


def train_ngrams(data: Data) -> Ngrams:
    """Fit the n-gram models on the rows that the LSTM was trained on, each class counting for as much."""
    labels, plan = data.labels["train"], data.plan
    copies = np.bincount(plan.rows, minlength=len(labels))
    weights = copies * (plan.counts_as / np.bincount(labels[plan.rows]))[labels]
    return fit_ngrams(data.texts["train"], labels, weights, num_classes=len(data.classes), unit=data.tokenizer.unit)


def parts(
    model: "keras.Model", tokenizer: Tokenizer, ngrams: Ngrams | None, cleaned: Sequence[str]
) -> list[np.ndarray]:
    """What each part says of cleaned texts, the LSTM by Keras; else as `Predictor.parts`."""
    lstm = log_probabilities(model, tokenizer.encode(cleaned), tokenizer.lengths)
    return [lstm, *(ngrams.log_probabilities(cleaned) if ngrams else ())]


def resolved(data: Data, settings: Train) -> dict[str, int]:
    """Batch size, epochs, patience, epochs of pretraining: the parameters', or where null what the data ask for.

    Pretraining sees some 1,500,000 tokens, in ten epochs at most: as long again as training itself.
    """
    batch_size, epochs, patience = sizes(len(data.plan.rows))
    tokens = np.count_nonzero(data.ids["train"])
    first = 0 if settings.pooling == "last" else int(min(round(1_500_000 / tokens), 10))
    chosen = {"batch_size": batch_size, "epochs": epochs, "patience": patience, "pretraining_epochs": first}
    given = {key: getattr(settings, key) for key in chosen}
    return {key: chosen[key] if value is None else value for key, value in given.items()}
