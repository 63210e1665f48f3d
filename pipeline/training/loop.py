"""The training loop: epochs of batches, early stopping, and resuming from a checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ..base.errors import PipelineError
from ..evaluation import metrics
from .backend import Step, training_step
from .batches import Batch, batches
from .checkpoint import NOWHERE, Checkpoint
from .forward import log_probabilities

if TYPE_CHECKING:
    import keras

EpochMetrics = dict[str, float]
OnEpoch = Callable[[int, EpochMetrics], None]


class DivergedError(PipelineError):
    """The validation loss is NaN."""


class TrainRows(NamedTuple):
    """Training rows, and how they count in the loss.

    Parameters
    ----------
    inputs : ndarray of shape (n_rows, length), int32, or (n_rows, length, width), float32
        Token ids or frames, right-padded with 0.
    labels : ndarray of shape (n_rows,), int32
        Class numbers.
    weights : ndarray of shape (n_rows,), float32
        Weight of each row in the loss.
    margins : ndarray of shape (n_classes,), float32, or 0
        See `weighted_loss`.
    gamma : float
        See `weighted_loss`.
    draw : ndarray of shape (n_classes,), int, optional
        Number of rows of each class that an epoch draws, with the same mix of classes in every batch; None to use each
        row once.
    """

    inputs: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    margins: np.ndarray | float = 0.0
    gamma: float = 0.0
    draw: np.ndarray | None = None


@dataclass(frozen=True)
class LoopSettings:
    """Length and speed of a training.

    Parameters
    ----------
    batch_size : int
        Rows per step; see `batches`.
    epochs : int
        Maximum number of passes.
    patience : int
        Number of epochs without a lower validation loss after which training stops.
    learning_rate : float
        Adam's learning rate.
    adversarial : float
        Length of the attack on the embedding in each step, 0 for none; see `backend.training_step`.
    seed : int
        Decides the order of the rows.
    """

    batch_size: int
    epochs: int
    patience: int
    learning_rate: float
    adversarial: float
    seed: int


def train_epochs(
    model: "keras.Model",
    train: TrainRows,
    validation: tuple[np.ndarray, np.ndarray],
    settings: LoopSettings,
    *,
    lengths: Sequence[int],
    on_epoch: OnEpoch = lambda epoch, metrics: None,
    checkpoint: Checkpoint = NOWHERE,
) -> list[EpochMetrics]:
    """Train with Adam (Kingma and Ba 2015) on cross-entropy, stop early, and restore the weights of the best epoch.

    Parameters
    ----------
    model : keras.Model
        Trained in place.
    train : TrainRows
        Rows to learn from.
    validation : tuple of ndarray
        Inputs and class numbers of the rows that decide which epoch is best.
    settings : LoopSettings
        Length and speed of the training.
    lengths : sequence of int
        Padded lengths, ascending.
    on_epoch : callable
        Called with the number (from 1) and the metrics of each epoch, including those before a kill.
    checkpoint : Checkpoint
        Where each epoch is saved, and training resumes from; by default nowhere.

    Returns
    -------
    list of dict
        For each epoch `epoch`, `train_loss` (weighted as in training), and `validation_loss`, `validation_accuracy`
        and `validation_macro_f1` (with natural class priors).
    """
    import keras

    optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(model.trainable_variables)
    variables = [*model.variables, *optimizer.variables]  # including the seeds of dropout
    progress = _Progress.start(model, variables, checkpoint)
    for past in progress.history:
        on_epoch(int(past["epoch"]), past)
    loss = partial(weighted_loss, margins=train.margins, gamma=train.gamma)
    step, finish = training_step(model, optimizer, loss=loss, adversarial=settings.adversarial)
    for epoch in range(len(progress.history) + 1, settings.epochs + 1):
        if epoch > progress.best_epoch + settings.patience:
            break
        random = np.random.default_rng([settings.seed, epoch])
        losses = _take_steps(step, train, epoch_batches(train, lengths, settings.batch_size, random), epoch)
        finish()
        measured = _validate(model, validation, lengths, epoch, settings.learning_rate)
        current: EpochMetrics = {"epoch": epoch, "train_loss": round(float(np.mean(losses)), 6), **measured}
        on_epoch(epoch, current)
        print(f"epoch {epoch}: " + ", ".join(f"{key} {value:.4f}" for key, value in list(current.items())[1:]))
        progress.add(current, model)
        checkpoint.save("training", variables, progress.metadata(), progress.best_weights)
    model.set_weights(progress.best_weights)
    return progress.history


@dataclass
class _Progress:
    """What one epoch passes on to the next, in addition to the variables."""

    best_weights: list[np.ndarray]
    history: list[EpochMetrics] = field(default_factory=list)
    best_loss: float = np.inf
    best_epoch: int = 0

    @classmethod
    def start(cls, model: "keras.Model", variables: Sequence["keras.Variable"], checkpoint: Checkpoint) -> "_Progress":
        """Start, or resume from the checkpoint and restore the variables."""
        saved = checkpoint.load("training")
        if saved is None:
            return cls(model.get_weights())
        saved.restore(variables)
        progress = cls(saved.best, **saved.metadata)
        print(f"resumed after epoch {len(progress.history)}")
        return progress

    def add(self, current: EpochMetrics, model: "keras.Model") -> None:
        """Append an epoch's metrics; keep the weights if it is the best one."""
        self.history.append(current)
        if current["validation_loss"] < self.best_loss:
            self.best_loss, self.best_epoch = current["validation_loss"], int(current["epoch"])
            self.best_weights = model.get_weights()

    def metadata(self) -> dict[str, Any]:
        """Return everything but the weights, for JSON."""
        return {"history": self.history, "best_loss": self.best_loss, "best_epoch": self.best_epoch}


def _take_steps(step: Step, train: TrainRows, selected: list[Batch], epoch: int) -> list[float]:
    """Take a step for each batch, and return their losses."""
    progress_bar = tqdm(selected, desc=f"epoch {epoch}", unit=" steps", leave=False, disable=None)
    losses = [
        step(train.inputs[rows, :length], train.labels[rows], train.weights[rows]) for length, rows in progress_bar
    ]
    return [float(loss) for loss in losses]  # only now: each conversion waits for its step


def _validate(
    model: "keras.Model",
    validation: tuple[np.ndarray, np.ndarray],
    lengths: Sequence[int],
    epoch: int,
    learning_rate: float,
) -> EpochMetrics:
    """Measure the network on the validation rows."""
    inputs, labels = validation
    logs = log_probabilities(model, inputs, lengths)
    if np.isnan(logs).any():
        raise DivergedError(
            f"training diverged in epoch {epoch}: the validation loss is NaN; "
            f"lower train.learning_rate (now {learning_rate:g})"
        )
    measured = metrics.overall(labels, np.exp(logs))
    return {f"validation_{name}": measured[name] for name in ("loss", "accuracy", "macro_f1")}


def weighted_loss(
    labels: Any, logits: Any, weights: Any, *, margins: np.ndarray | float = 0.0, gamma: float = 0.0
) -> Any:
    """Mean cross-entropy of a batch, weighted by row.

    Parameters
    ----------
    labels : tensor of shape (n_rows,), int32
        Class numbers.
    logits : tensor of shape (n_rows, n_classes), float32
        Output of the network.
    weights : tensor of shape (n_rows,), float32
        Weight of each row.
    margins : ndarray of shape (n_classes,), float32
        Added to the logits (Menon et al. 2021).
    gamma : float
        The loss of a row is scaled by (1 - the probability of its class) to this power (Lin et al. 2017).

    Returns
    -------
    tensor of shape (), float32
        The loss.
    """
    from keras import ops

    losses = ops.sparse_categorical_crossentropy(labels, logits + margins, from_logits=True)
    if gamma:
        # The slope of a power below 1 is infinite at 0, which is where rows predicted with certainty are.
        losses *= ops.maximum(1 - ops.exp(-losses), 1e-6) ** gamma
    return ops.mean(losses * weights)


def epoch_batches(
    train: TrainRows, lengths: Sequence[int], batch_size: int, random: np.random.Generator
) -> list[Batch]:
    """Draw the batches of one epoch; arguments and result are those of `batches`."""
    if train.draw is None:
        return batches(train.inputs, lengths, batch_size, random)
    rows = draw_rows(train.labels, train.draw, random)
    drawn = batches(train.inputs[rows], lengths, batch_size, random, classes=train.labels[rows])
    return [(length, rows[positions]) for length, positions in drawn]


def draw_rows(labels: np.ndarray, draw: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw `draw` rows of each class; within a class, each row as often as any other, or once more.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        Class numbers.
    draw : ndarray of shape (n_classes,), int
        Number of rows to draw of each class.
    random : Generator
        Decides which.

    Returns
    -------
    ndarray of shape (draw.sum(),), int64
        Row numbers, class by class.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1])
    >>> labels[draw_rows(labels, np.array([2, 3]), np.random.default_rng(0))]
    array([0, 0, 1, 1, 1])
    """
    drawn = []
    for number, size in enumerate(draw):
        members = random.permutation(np.flatnonzero(labels == number))
        drawn.append(np.resize(members, size))
    return np.concatenate(drawn)
