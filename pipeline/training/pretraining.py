"""Pretraining: the LSTM learns to guess each token from those before, and from those behind, before it learns labels.

Dai and Le 2015, "Semi-supervised Sequence Learning", on the training texts alone and in both directions.
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

SAMPLED = 256  # tokens that each step tells the right one from
LEARNING_RATE = 0.002
BATCH_SIZE = 64


def pretrain(
    model: "keras.Model",
    ids: np.ndarray,
    lengths: Sequence[int],
    *,
    epochs: int,
    seed: int,
    checkpoint: Checkpoint = NOWHERE,
) -> list[float]:
    """Train the embedding and the LSTM of a network as a language model; its other layers stay as they are.

    Parameters
    ----------
    model : keras.Model
        As `encoders.text.build` made it, with another pooling than "last"; trained in place.
    ids : ndarray of shape (n_rows, lengths[-1]), int32
        Token ids of the training texts, right-padded with 0.
    lengths : sequence of int
        The padded lengths there are, ascending.
    epochs : int
        Passes; the step falls to a twentieth over them.
    seed : int
        Order of the rows, and which tokens are sampled.
    checkpoint : Checkpoint
        As in `train.fit`.

    Returns
    -------
    list of float
        Mean loss of each epoch: cross-entropy among the sampled tokens, in nats.
    """
    import keras

    from .layers import SampledSoftmax

    layers = Layers.of(model)
    counts = np.bincount(ids.ravel(), minlength=layers.embedding.input_dim).astype(np.float64)
    counts[:2] = 0  # padding and unknown tokens are never guessed
    drawn = counts**0.75 / (counts**0.75).sum()  # Mikolov et al. 2013
    inputs = keras.Input((None,), dtype="int32"), keras.Input((SAMPLED,), batch_size=1, dtype="int32")
    vectors = layers.embedding_dropout(layers.embedding(inputs[0]))
    ahead, *behind = layers.lstms
    losses = SampledSoftmax(layers.embedding, np.log(SAMPLED * drawn + 1e-9), np.log(counts + 1))(
        inputs[0], inputs[1], ahead(vectors), *(layer(vectors) for layer in behind)
    )
    plan = [batches(ids, lengths, BATCH_SIZE, np.random.default_rng([seed, 0, epoch])) for epoch in range(epochs)]
    schedule = keras.optimizers.schedules.PolynomialDecay(
        LEARNING_RATE, sum(map(len, plan)), end_learning_rate=LEARNING_RATE / 20
    )
    language_model, optimizer = keras.Model(inputs, losses), keras.optimizers.Adam(schedule, clipnorm=1.0)
    optimizer.build(language_model.trainable_variables)
    carried = [*language_model.variables, *optimizer.variables]
    random = np.random.default_rng([seed, 1])
    history: list[float] = []
    if saved := checkpoint.load("pretraining"):
        saved.restore(carried)
        history, random.bit_generator.state = saved.told["history"], saved.told["random"]
        print(f"resumed after epoch {len(history)} of pretraining")
    step, finish = training_step(
        language_model, optimizer, loss=lambda labels, losses, weights: keras.ops.mean(losses), adversarial=0.0
    )
    for epoch, taken in enumerate(plan[len(history) :], start=len(history) + 1):
        told = []
        for length, rows in tqdm(taken, desc=f"pretraining {epoch}", unit=" steps", leave=False, disable=None):
            sampled = random.choice(len(drawn), (1, SAMPLED), p=drawn).astype(np.int32)
            told.append(step([ids[rows, :length], sampled], *_NOTHING))
        history.append(float(np.mean([float(loss) for loss in told])))
        print(f"pretraining {epoch}: loss {history[-1]:.4f}")
        finish()
        checkpoint.save("pretraining", carried, {"history": history, "random": random.bit_generator.state})
    return history


_NOTHING: tuple[Any, Any] = (np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.float32))  # no labels, no weights
