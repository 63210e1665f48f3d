"""Language-model pretraining: the LSTM predicts each token from those before it, and from those after it.

Dai and Le 2015, "Semi-supervised Sequence Learning"; here on the training texts only, and in both directions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from .backend import training_step
from .batches import batches
from .checkpoint import NOWHERE, Checkpoint
from .encoders.chain import Layers

if TYPE_CHECKING:
    import keras

SAMPLED = 256  # tokens per step that the correct one is distinguished from
LEARNING_RATE = 0.002
BATCH_SIZE = 64
_LABELS, _WEIGHTS = np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.float32)  # a step takes them; the loss does not


def pretrain(
    model: "keras.Model",
    ids: np.ndarray,
    lengths: Sequence[int],
    *,
    epochs: int,
    seed: int,
    checkpoint: Checkpoint = NOWHERE,
) -> list[float]:
    """Train the embedding and the LSTM of a network as a language model; its other layers are unchanged.

    Parameters
    ----------
    model : keras.Model
        As built by `encoders.text.build`, with a pooling other than "last"; trained in place.
    ids : ndarray of shape (n_rows, lengths[-1]), int32
        Token ids of the training texts, right-padded with 0.
    lengths : sequence of int
        Padded lengths, ascending.
    epochs : int
        Number of passes, during which the learning rate falls to a twentieth.
    seed : int
        Decides the order of the rows and which tokens are sampled.
    checkpoint : Checkpoint
        See `loop.train_epochs`.

    Returns
    -------
    list of float
        Mean loss of each epoch: cross-entropy among the sampled tokens, in nats.
    """
    import keras

    counts = token_counts(ids, Layers.of(model).embedding.input_dim)
    probabilities = sampling_probabilities(counts)
    lm = language_model(model, counts)
    plan = [batches(ids, lengths, BATCH_SIZE, np.random.default_rng([seed, 0, epoch])) for epoch in range(epochs)]
    optimizer = _optimizer(num_steps=sum(map(len, plan)))
    optimizer.build(lm.trainable_variables)
    variables = [*lm.variables, *optimizer.variables]
    random = np.random.default_rng([seed, 1])
    history: list[float] = []
    if saved := checkpoint.load("pretraining"):
        saved.restore(variables)
        history, random.bit_generator.state = saved.metadata["history"], saved.metadata["random"]
        print(f"resumed after epoch {len(history)} of pretraining")
    step, finish = training_step(
        lm, optimizer, loss=lambda labels, losses, weights: keras.ops.mean(losses), adversarial=0.0
    )
    for epoch, selected in enumerate(plan[len(history) :], start=len(history) + 1):
        step_losses = []
        for length, rows in tqdm(selected, desc=f"pretraining {epoch}", unit=" steps", leave=False, disable=None):
            sampled = random.choice(len(probabilities), (1, SAMPLED), p=probabilities).astype(np.int32)
            step_losses.append(step([ids[rows, :length], sampled], _LABELS, _WEIGHTS))
        history.append(float(np.mean([float(loss) for loss in step_losses])))
        print(f"pretraining {epoch}: loss {history[-1]:.4f}")
        finish()
        checkpoint.save("pretraining", variables, {"history": history, "random": random.bit_generator.state})
    return history


def token_counts(ids: np.ndarray, num_ids: int) -> np.ndarray:
    """Count each token that is predicted: padding, 0, and unknown tokens, 1, never are.

    Parameters
    ----------
    ids : ndarray of shape (n_rows, length), int32
        Token ids.
    num_ids : int
        Number of different ids.

    Returns
    -------
    ndarray of shape (num_ids,), float64

    Examples
    --------
    >>> token_counts(np.array([[2, 1, 0], [2, 3, 2]]), 5)
    array([0., 0., 3., 1., 0.])
    """
    counts = np.bincount(ids.ravel(), minlength=num_ids).astype(np.float64)
    counts[:2] = 0
    return counts


def sampling_probabilities(counts: np.ndarray) -> np.ndarray:
    """Return the probability of each token to be sampled: its frequency to the power of 3/4 (Mikolov et al. 2013).

    >>> sampling_probabilities(np.array([0.0, 16.0, 1.0])).round(3)
    array([0.   , 0.889, 0.111])
    """
    probabilities: np.ndarray = counts**0.75 / (counts**0.75).sum()
    return probabilities


def language_model(model: "keras.Model", counts: np.ndarray) -> "keras.Model":
    """Build a language model that shares the embedding and the LSTM of a network.

    Parameters
    ----------
    model : keras.Model
        As in `pretrain`.
    counts : ndarray of shape (num_ids,), float64
        Frequency of each token, as returned by `token_counts`.

    Returns
    -------
    keras.Model
        From token ids (n_rows, length), int32, and sampled ids (1, SAMPLED), int32, to losses (n_rows,), float32.
    """
    import keras

    from .layers import SampledSoftmax

    layers = Layers.of(model)
    ids, sampled = keras.Input((None,), dtype="int32"), keras.Input((SAMPLED,), batch_size=1, dtype="int32")
    vectors = layers.embedding_dropout(layers.embedding(ids))
    ahead, *behind = layers.lstms
    log_expected = np.log(SAMPLED * sampling_probabilities(counts) + 1e-9)
    losses = SampledSoftmax(layers.embedding, log_expected, np.log(counts + 1))(
        ids, sampled, ahead(vectors), *(lstm(vectors) for lstm in behind)
    )
    return keras.Model((ids, sampled), losses)


def _optimizer(num_steps: int) -> Any:
    """Adam with a learning rate that falls linearly to a twentieth over so many steps."""
    import keras

    schedule = keras.optimizers.schedules.PolynomialDecay(
        LEARNING_RATE, num_steps, end_learning_rate=LEARNING_RATE / 20
    )
    return keras.optimizers.Adam(schedule, clipnorm=1.0)
