"""Train: the LSTM, its learning curve, and everything that prediction from raw text needs."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from . import calibration, metrics, params, paths, stage, tracking
from .backend import description, make_repeatable, prepare_keras, training_step
from .calibration import Calibration
from .checkpoint import NOWHERE, Checkpoint
from .export import save
from .files import read_arrays, read_json, read_table, write_json, write_table
from .model import batches, build, log_probabilities
from .ngrams import Ngrams
from .prediction import PARTS
from .pretraining import pretrain
from .process import apart
from .rebalance import Plan
from .stage import PipelineError
from .state import state_id
from .text import Tokenizer

if TYPE_CHECKING:
    import keras

Figures = dict[str, float]
OnEpoch = Callable[[int, Figures], None]
NETWORK = ("embedding_dim", "units", "bidirectional", "pooling", "embedding_dropout", "dropout")  # of the parameters


def fit(
    model: "keras.Model",
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    lengths: Sequence[int],
    batch_size: int,
    epochs: int,
    learning_rate: float,
    adversarial: float,
    patience: int,
    seed: int,
    margins: np.ndarray | float = 0.0,
    gamma: float = 0.0,
    draw: np.ndarray | None = None,
    on_epoch: OnEpoch = lambda epoch, figures: None,
    checkpoint: Checkpoint = NOWHERE,
) -> list[Figures]:
    """Train with Adam (Kingma and Ba 2015) on cross-entropy; stop early, and leave the best epoch's weights.

    Parameters
    ----------
    model : keras.Model
        The network; trained in place.
    train : tuple of ndarray
        Ids of shape (n_rows, lengths[-1]), int32; class numbers (n_rows,), int32; weights (n_rows,), float32.
    validation : tuple of ndarray
        Ids and class numbers of the rows that choose the epoch.
    lengths : sequence of int
        The padded lengths there are, ascending.
    batch_size : int
        Rows a step; see `batches`.
    epochs : int
        Most passes.
    learning_rate : float
        Adam's step.
    adversarial : float
        Length of the attack on the embedding in each step, 0 for none; see `backend.training_step`.
    patience : int
        Epochs without a lower validation loss before training stops.
    seed : int
        Order of the rows.
    margins, gamma : ndarray of shape (n_classes,), float32, and float
        As in `weighted_loss`.
    draw : ndarray of shape (n_classes,), int, optional
        How many rows of each class an epoch draws, every batch with its part of each; None for each row once.
    on_epoch : callable
        Told each epoch's number (from 1) and figures; of those before a kill, again.
    checkpoint : Checkpoint
        Keeps each epoch, and what it has is gone on from; by default, none.

    Returns
    -------
    list of dict
        `epoch`, `train_loss` (weighted as trained), and `validation_loss`, `validation_accuracy` and
        `validation_macro_f1` (natural shares), by epoch.
    """
    import keras

    ids, labels, weights = train
    loss = partial(weighted_loss, margins=margins, gamma=gamma)
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)
    carried = [*model.variables, *optimizer.variables]  # from one epoch to the next; the seeds of dropout among them
    history: list[Figures] = []
    best_loss, best_epoch, best_weights = np.inf, 0, model.get_weights()
    if saved := checkpoint.load("training"):
        saved.restore(carried)
        history, best_loss, best_epoch = (saved.told[key] for key in ("history", "best_loss", "best_epoch"))
        best_weights = saved.best
        print(f"resumed after epoch {len(history)}")
        for figures in history:
            on_epoch(int(figures["epoch"]), figures)
    step, finish = training_step(model, optimizer, loss=loss, adversarial=adversarial)
    for epoch in range(len(history) + 1, epochs + 1):
        if epoch > best_epoch + patience:
            break
        random = np.random.default_rng([seed, epoch])
        if draw is None:
            taken = batches(ids, lengths, batch_size, random)
        else:
            rows = draw_rows(labels, draw, random)
            found = batches(ids[rows], lengths, batch_size, random, classes=labels[rows])
            taken = [(length, rows[numbers]) for length, numbers in found]
        shown = tqdm(taken, desc=f"epoch {epoch}", unit=" steps", leave=False, disable=None)
        losses = [step(ids[rows, :length], labels[rows], weights[rows]) for length, rows in shown]
        finish()
        said = log_probabilities(model, validation[0], lengths)
        if np.isnan(said).any():
            raise DivergedError(
                f"training diverged in epoch {epoch}: the validation loss is no number; "
                f"lower train.learning_rate, now {learning_rate:g}"
            )
        measured = metrics.overall(validation[1], np.exp(said))
        figures = {
            "epoch": epoch,
            "train_loss": round(float(np.mean([float(loss) for loss in losses])), 6),
            **{f"validation_{name}": measured[name] for name in ("loss", "accuracy", "macro_f1")},
        }
        history.append(figures)
        on_epoch(epoch, figures)
        print(f"epoch {epoch}: " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items() if k != "epoch"))
        if measured["loss"] < best_loss:
            best_loss, best_epoch, best_weights = measured["loss"], epoch, model.get_weights()
        told = {"history": history, "best_loss": best_loss, "best_epoch": best_epoch}
        checkpoint.save("training", carried, told, best_weights)
    model.set_weights(best_weights)
    return history


class DivergedError(PipelineError):
    """The network says no numbers any more."""


def weighted_loss(
    labels: Any, logits: Any, weights: Any, *, margins: np.ndarray | float = 0.0, gamma: float = 0.0
) -> Any:
    """Mean cross-entropy of a batch, each row counted by its weight.

    Parameters
    ----------
    labels, weights : tensor of shape (n_rows,)
        Class numbers, and what each row counts for.
    logits : tensor of shape (n_rows, n_classes)
        What the network says.
    margins : ndarray of shape (n_classes,), float32
        Added to the logits (Menon et al. 2021).
    gamma : float
        A row counts for (1 - the probability of its class) to this power of its weight (Lin et al. 2017).
    """
    from keras import ops

    losses = ops.sparse_categorical_crossentropy(labels, logits + margins, from_logits=True)
    if gamma:
        # The slope of a power below 1 has no bound at 0, where a row that is called right for certain lies.
        losses *= ops.maximum(1 - ops.exp(-losses), 1e-6) ** gamma
    return ops.mean(losses * weights)


def draw_rows(labels: np.ndarray, draw: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw `draw` rows of each class: each as often as any other, or once more; row numbers, class by class."""
    drawn = []
    for number, wanted in enumerate(draw):
        members = random.permutation(np.flatnonzero(labels == number))
        drawn.append(np.resize(members, wanted))
    return np.concatenate(drawn)


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
    settings: params.Train,
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
    return Ngrams.fit(data.texts["train"], labels, weights, num_classes=len(data.classes), unit=data.tokenizer.unit)


def parts(
    model: "keras.Model", tokenizer: Tokenizer, ngrams: Ngrams | None, cleaned: Sequence[str]
) -> list[np.ndarray]:
    """What each part says of cleaned texts, the LSTM by Keras; else as `Predictor.parts`."""
    lstm = log_probabilities(model, tokenizer.encode(cleaned), tokenizer.lengths)
    return [lstm, *(ngrams.log_probabilities(cleaned) if ngrams else ())]


def resolved(data: Data, settings: params.Train) -> dict[str, int]:
    """Batch size, epochs, patience, epochs of pretraining: the parameters', or where null what the data ask for.

    Pretraining sees some 1,500,000 tokens, in ten epochs at most: as long again as training itself.
    """
    batch_size, epochs, patience = sizes(len(data.plan.rows))
    tokens = np.count_nonzero(data.ids["train"])
    first = 0 if settings.pooling == "last" else int(min(round(1_500_000 / tokens), 10))
    chosen = {"batch_size": batch_size, "epochs": epochs, "patience": patience, "pretraining_epochs": first}
    given = {key: getattr(settings, key) for key in chosen}
    return {key: chosen[key] if value is None else value for key, value in given.items()}


def main() -> None:
    settings = params.load(params.Train)
    data = Data.load()
    prepare_keras()
    state = state_id()
    checkpoint = Checkpoint.of(state, description(), tracking.root())
    # First, and apart: on long texts both need more than a gigabyte, and a process gives back little of it.
    ngrams = apart(train_ngrams, data) if settings.ngrams else None
    with tracking.live_run(state) as on_epoch:
        model, network, history = train_lstm(data, settings, on_epoch, checkpoint)
    found = parts(model, data.tokenizer, ngrams, data.texts["validation"])
    fitted = data.calibrate(found)
    said = ", ".join(f"{name} {share:.2f}" for name, share in zip(PARTS, fitted.shares, strict=False))
    offsets = ", ".join(f"{name} {each:+.2f}" for name, each in zip(data.classes, fitted.offsets, strict=True))
    print(f"shares: {said}; temperature {fitted.temperature:.2f}; offsets: {offsets}")
    write_json(paths.TRAIN_SETTINGS, resolved(data, settings))
    write_table(paths.TRAIN_HISTORY, pd.DataFrame(history))
    partial_model = paths.TRAIN_MODEL.with_name(".partial-model")
    shutil.rmtree(partial_model, ignore_errors=True)  # of a kill
    save(
        partial_model,
        model,
        data.tokenizer,
        ngrams,
        classes=data.classes,
        network=network,
        calibration=fitted,
        class_shares=np.maximum(calibration.combine(found, fitted).mean(axis=0), 1e-6).round(6).tolist(),
        state=state,
    )
    shutil.rmtree(paths.TRAIN_MODEL, ignore_errors=True)
    partial_model.rename(paths.TRAIN_MODEL)
    checkpoint.remove()


if __name__ == "__main__":
    stage.run("train", main)
