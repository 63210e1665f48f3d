"""Backend: the few lines that differ between Keras on TensorFlow (the default) and on JAX (`KERAS_BACKEND=jax`)."""

import importlib
import itertools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PipelineError
from .encoders.chain import Layers

if TYPE_CHECKING:
    import keras

BACKENDS = ("tensorflow", "jax")
Step = Callable[[Any, np.ndarray, np.ndarray], float]
SHARD = 16  # fewest rows of a batch that are worth a thread of their own


def prepare_keras() -> None:
    """Choose Keras's backend and quiet it; before the first import of keras."""
    chosen = os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
    if chosen not in BACKENDS:
        raise PipelineError(f"KERAS_BACKEND must be {' or '.join(BACKENDS)}, got {chosen!r}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN picks kernels by the processor's kind, and so changes the last bits from one to another.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # XLA asks for its buffers anew in each step. TensorFlow's own allocator keeps what was freed; malloc gives what is
    # large back to the system, which clears it each time: a third of the time of steps on long texts.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")


def make_repeatable(*, threads: int, seed: int) -> None:
    """Fix the number of CPU threads and the seed of the weights; before the first network of the process.

    Each thread takes its own rows of a batch, since XLA gains little from more than one within an LSTM. JAX sets its
    threads by itself, one a core.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)


def on_gpu() -> bool:
    """Whether the backend computes on a GPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() == "gpu")
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def description() -> str:
    """What computes: another one's numbers differ in their last bits."""
    import keras

    name = keras.backend.backend()
    versions = [f"{module.__name__} {module.__version__}" for module in (keras, importlib.import_module(name))]
    return ", ".join([*versions, "GPU" if on_gpu() else "CPU"])


def compiled(model: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    """The network's forward pass, compiled once for each shape of its ids; it follows the weights as they change."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        forward = jax.jit(lambda *state: model.stateless_call(*state, training=False)[0])
        return lambda ids: np.asarray(
            forward([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables], ids)
        )
    import tensorflow as tf

    # cuDNN's LSTM cannot be compiled by XLA, and needs it less.
    call = tf.function(lambda ids: model(ids, training=False), jit_compile=not on_gpu())
    return lambda ids: call(tf.constant(ids)).numpy()


def training_step(
    model: "keras.Model", optimizer: "keras.Optimizer", *, loss: Callable[..., Any], adversarial: float
) -> tuple[Step, Callable[[], None]]:
    """Compile one step of training: the loss's gradient, that of the loss under attack, and the optimizer's update.

    The attack moves the embedding by `adversarial` along the loss's gradient there, in the direction that hurts most
    (Miyato et al. 2017, "Adversarial Training Methods for Semi-Supervised Text Classification"; here the whole table
    moves, not each text's own vectors).

    Parameters
    ----------
    model : keras.Model
        From ids or frames to logits; its embedding, if any, is what the attack moves.
    optimizer : keras.Optimizer
        Built by now for the model's trainable variables, or not yet.
    loss : callable
        Of labels, logits and weights; a scalar.
    adversarial : float
        Length of the attack's step; 0 for none.

    Returns
    -------
    step : callable
        Of ids (n_rows, length), labels (n_rows,) and weights (n_rows,); returns the loss. It recompiles for another
        shape of its ids.
    finish : callable
        Brings the model's variables up to date, before anybody reads them.
    """
    import keras

    variables = model.trainable_variables
    optimizer.build(variables)
    table = Layers.of(model).embedding
    if table is None:  # frames: nothing that an attack could move
        adversarial, attacked = 0.0, 0
    else:
        attacked = next(i for i, v in enumerate(variables) if v is table.embeddings)
    if keras.backend.backend() == "jax":
        return _jax_step(model, optimizer, loss, adversarial, attacked)
    return _tensorflow_step(model, optimizer, loss, adversarial, attacked)


def _tensorflow_step(
    model: "keras.Model", optimizer: "keras.Optimizer", loss: Callable[..., Any], adversarial: float, attacked: int
) -> tuple[Step, Callable[[], None]]:
    import keras
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # else it warns of each new length, which is compiled once as it should be
    compiled = tf.function(jit_compile=not on_gpu())
    threads = 1 if on_gpu() else tf.config.threading.get_inter_op_parallelism_threads()
    variables, others = model.trainable_variables, model.non_trainable_variables

    @compiled
    def gradients(values: list[Any], rest: list[Any], share: float, ids: Any, labels: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            logits, rest = model.stateless_call(values, rest, ids, training=True)
            value = loss(labels, logits, weights) * share
        return value, tape.gradient(value, values), rest

    @compiled
    def attack(table: Any, found: list[Any]) -> Any:
        gradient = _sum(found)
        return table + adversarial * gradient / (tf.norm(gradient) + 1e-12)

    @compiled
    def update(found: list[list[Any]]) -> None:
        optimizer.apply([_sum(each) for each in zip(*found, strict=True)], variables)

    def by_shard(values: list[Any], rest: list[Any], batch: Any) -> tuple[Any, list[list[Any]], list[Any]]:
        """Loss, each shard's gradients, and what the other variables become; the calls run side by side."""
        rows = keras.tree.flatten(batch)[0].shape[0]
        shards = max(1, min(threads, rows // SHARD))
        bounds = [rows * number // shards for number in range(shards + 1)]
        told = []
        for number, (start, end) in enumerate(itertools.pairwise(bounds)):
            own = keras.tree.map_structure(lambda x, a=start, b=end: x if x.shape[0] == 1 else x[a:b], batch)
            seeds = [each + number * 1_000_003 for each in rest]  # no two shards drop alike
            told.append(gradients(values, seeds, (end - start) / rows, *own))
        losses, found, after = zip(*told, strict=True)
        return tf.add_n(losses), list(found), after[0]

    @tf.function
    def step(*batch: Any) -> Any:
        # Tensors, not variables: calls that share a variable wait for one another.
        values, rest = ([tf.convert_to_tensor(v.value) for v in place] for place in (variables, others))
        value, found, rest = by_shard(values, rest, batch)
        if adversarial:
            moved = [attack(v, [f[i] for f in found]) if i == attacked else v for i, v in enumerate(values)]
            _, hurt, rest = by_shard(moved, rest, batch)
            found += hurt
        update(found)
        for variable, after in zip(others, rest, strict=True):
            variable.assign(after)
        return value

    known: dict[Any, Any] = {}  # tf.function takes as long to find the right one as a small step takes

    def take(*batch: Any) -> Any:
        shapes = tuple(x.shape for x in keras.tree.flatten(batch))
        if shapes not in known:
            known[shapes] = step.get_concrete_function(*keras.tree.map_structure(tf.constant, batch))
        return known[shapes](*keras.tree.map_structure(tf.constant, batch))

    return take, lambda: None


def _sum(gradients: Sequence[Any]) -> Any:
    """Of gradients of one variable; of an embedding's, which hold the rows that were looked up, the whole table's."""
    import tensorflow as tf

    first = gradients[0]
    if not isinstance(first, tf.IndexedSlices):
        return tf.add_n(gradients)
    values, indices = (tf.concat([getattr(each, key) for each in gradients], 0) for key in ("values", "indices"))
    return tf.convert_to_tensor(tf.IndexedSlices(values, indices, first.dense_shape))


def _jax_step(
    model: "keras.Model", optimizer: "keras.Optimizer", loss: Callable[..., Any], adversarial: float, attacked: int
) -> tuple[Step, Callable[[], None]]:
    import jax
    import jax.numpy as jnp

    def scalar(variables: list[Any], rest: list[Any], ids: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        logits, rest = model.stateless_call(variables, rest, ids, training=True)
        return loss(labels, logits, weights), rest

    gradients = jax.value_and_grad(scalar, has_aux=True)

    @jax.jit
    def step(variables: list[Any], rest: list[Any], slots: list[Any], *batch: Any) -> tuple[Any, tuple[Any, Any, Any]]:
        (value, rest), found = gradients(variables, rest, *batch)
        if adversarial:
            moved = list(variables)
            moved[attacked] += adversarial * found[attacked] / (jnp.linalg.norm(found[attacked]) + 1e-12)
            (_, rest), hurt = gradients(moved, rest, *batch)
            found = [a + b for a, b in zip(found, hurt, strict=True)]
        variables, slots = optimizer.stateless_apply(slots, found, variables)
        return value, (variables, rest, slots)

    places = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state = [[v.value for v in place] for place in places]

    def take(*batch: np.ndarray) -> float:
        value, state[:] = step(*state, *batch)
        return value

    def finish() -> None:
        for place, values in zip(places, state, strict=True):
            for variable, value in zip(place, values, strict=True):
                variable.assign(value)

    return take, finish
