"""Loop."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..base.errors import PipelineError
from ..evaluation import metrics
from .backend import training_step
from .batches import batches
from .checkpoint import NOWHERE, Checkpoint
from .forward import log_probabilities

if TYPE_CHECKING:
    import keras

Figures = dict[str, float]
OnEpoch = Callable[[int, Figures], None]


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
