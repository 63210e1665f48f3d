"""All code that differs between Keras on TensorFlow (the default) and on JAX (`KERAS_BACKEND=jax`)."""

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
SHARD = 16  # minimum rows of a batch per thread: with fewer, another thread gains nothing


def prepare_keras() -> None:
    """Choose Keras's backend and silence its log; call it before the first import of keras.

    Raises
    ------
    PipelineError
        The environment variable `KERAS_BACKEND` has an unknown value.
    """
    chosen = os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])
    if chosen not in BACKENDS:
        raise PipelineError(f"KERAS_BACKEND must be {' or '.join(BACKENDS)}, got {chosen!r}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # oneDNN chooses kernels by the kind of processor, so that the last bits would differ between processors.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # XLA allocates its buffers again in each step. TensorFlow's own allocator caches what was freed; malloc returns
    # large blocks to the system, which clears them each time: a third of the time of steps on long texts.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")


def make_repeatable(*, threads: int, seed: int) -> None:
    """Set the number of CPU threads and the seed of the weights; call it before the first network of the process.

    Each thread computes its own rows of a batch, since XLA gains little from a second thread within an LSTM. JAX
    always uses one thread per core.
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
    """Return the versions of Keras and its backend, and the device: with others, the last bits of results differ."""
    import keras

    name = keras.backend.backend()
    versions = [f"{module.__name__} {module.__version__}" for module in (keras, importlib.import_module(name))]
    return ", ".join([*versions, "GPU" if on_gpu() else "CPU"])


def compiled(model: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    """Compile the forward pass of a network, once for each shape of its input; it uses the weights at each call.

    Returns
    -------
    callable
        From an array of shape (n_rows, length), int32, or (n_rows, length, width), float32, to logits of shape
        (n_rows, num_classes), float32.
    """
    import keras

    if keras.backend.backend() == "jax":
        import jax

        forward = jax.jit(lambda *state: model.stateless_call(*state, training=False)[0])
        return lambda ids: np.asarray(
            forward([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables], ids)
        )
    import tensorflow as tf

    # XLA cannot compile cuDNN's LSTM, which needs it less.
    call = tf.function(lambda ids: model(ids, training=False), jit_compile=not on_gpu())
    return lambda ids: call(tf.constant(ids)).numpy()


def training_step(
    model: "keras.Model", optimizer: "keras.Optimizer", *, loss: Callable[..., Any], adversarial: float
) -> tuple[Step, Callable[[], None]]:
    """Compile one training step: the gradients of the loss and of the loss under attack, and the optimizer's update.

    The attack moves the embedding by `adversarial` along its gradient, which increases the loss most (Miyato et al.
    2017, "Adversarial Training Methods for Semi-Supervised Text Classification"; here the whole table moves, instead
    of the vectors of each text).

    Parameters
    ----------
    model : keras.Model
        From ids or frames to logits; without an embedding, there is no attack.
    optimizer : keras.Optimizer
        For the trainable variables of the model; is built here if necessary.
    loss : callable
        From labels, logits and weights to a scalar.
    adversarial : float
        Length of the attack; 0 for none.

    Returns
    -------
    step : callable
        From ids of shape (n_rows, length), int32, or frames of shape (n_rows, length, width), float32, labels
        (n_rows,), int32, and weights (n_rows,), float32, to the loss. It compiles again for each new shape.
    finish : callable
        Updates the variables of the model; call it before reading them.
    """
    import keras

    variables = model.trainable_variables
    optimizer.build(variables)
    table = Layers.of(model).embedding
    if table is None:  # frames
        adversarial, attacked = 0.0, 0
    else:
        attacked = next(i for i, v in enumerate(variables) if v is table.embeddings)
    if keras.backend.backend() == "jax":
        return _jax_step(model, optimizer, loss, adversarial, attacked)
    return _tensorflow_step(model, optimizer, loss, adversarial, attacked)


def _tensorflow_step(
    model: "keras.Model", optimizer: "keras.Optimizer", loss: Callable[..., Any], adversarial: float, attacked: int
) -> tuple[Step, Callable[[], None]]:
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it would warn of each new length, which is compiled once as intended
    xla = tf.function(jit_compile=not on_gpu())
    threads = 1 if on_gpu() else tf.config.threading.get_inter_op_parallelism_threads()
    variables, others = model.trainable_variables, model.non_trainable_variables

    @xla
    def compute_gradients(values: list[Any], rest: list[Any], share: float, ids: Any, labels: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            logits, rest = model.stateless_call(values, rest, ids, training=True)
            value = loss(labels, logits, weights) * share
        return value, tape.gradient(value, values), rest

    @xla
    def attack(table: Any, by_shard: list[Any]) -> Any:
        gradient = _sum(by_shard)
        return table + adversarial * gradient / (tf.norm(gradient) + 1e-12)

    @xla
    def update(by_shard: list[list[Any]]) -> None:
        optimizer.apply([_sum(gradients) for gradients in zip(*by_shard, strict=True)], variables)

    @tf.function
    def step(*batch: Any) -> Any:
        # Tensors, not variables: calls that share a variable wait for one another.
        values, rest = ([tf.convert_to_tensor(v.value) for v in group] for group in (variables, others))
        value, by_shard, rest = _in_shards(compute_gradients, values, rest, batch, threads)
        if adversarial:
            embedding = attack(values[attacked], [gradients[attacked] for gradients in by_shard])
            values = [embedding if i == attacked else v for i, v in enumerate(values)]
            _, of_attack, rest = _in_shards(compute_gradients, values, rest, batch, threads)
            by_shard += of_attack
        update(by_shard)
        for variable, after in zip(others, rest, strict=True):
            variable.assign(after)
        return value

    return _with_graph_cache(step), lambda: None


def _in_shards(
    compute_gradients: Callable[..., Any], values: list[Any], rest: list[Any], batch: Any, threads: int
) -> tuple[Any, list[list[Any]], list[Any]]:
    """Divide a batch among threads, which TensorFlow runs in parallel.

    Parameters
    ----------
    compute_gradients : callable
        From values, rest, the share of the batch, and the shard's ids, labels and weights to loss, gradients and rest.
    values, rest : list of tensor
        Trainable and other variables.
    batch : nested tensors
        Ids, labels and weights; a tensor with one row belongs to every shard.
    threads : int
        Maximum number of shards.

    Returns
    -------
    loss : tensor of shape (), float32
    gradients : list of list of tensor
        By shard, then by variable.
    rest : list of tensor
        The other variables after the step.
    """
    import keras
    import tensorflow as tf

    rows = keras.tree.flatten(batch)[0].shape[0]
    shards = max(1, min(threads, rows // SHARD))
    bounds = [rows * number // shards for number in range(shards + 1)]
    results = []
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        shard = keras.tree.map_structure(lambda x, a=start, b=end: x if x.shape[0] == 1 else x[a:b], batch)
        seeds = [seed + number * 1_000_003 for seed in rest]  # no two shards drop the same values
        results.append(compute_gradients(values, seeds, (end - start) / rows, *shard))
    losses, gradients, after = zip(*results, strict=True)
    return tf.add_n(losses), list(gradients), after[0]


def _with_graph_cache(step: Any) -> Step:
    """Find the graph for the shapes of a batch in a dictionary: tf.function takes as long for it as a small step."""
    import keras
    import tensorflow as tf

    graphs: dict[Any, Any] = {}

    def cached_step(*batch: Any) -> Any:
        shapes = tuple(x.shape for x in keras.tree.flatten(batch))
        if shapes not in graphs:
            graphs[shapes] = step.get_concrete_function(*keras.tree.map_structure(tf.constant, batch))
        return graphs[shapes](*keras.tree.map_structure(tf.constant, batch))

    return cached_step


def _sum(gradients: Sequence[Any]) -> Any:
    """Sum the gradients of one variable; those of an embedding, which hold only the rows looked up, become dense."""
    import tensorflow as tf

    first = gradients[0]
    if not isinstance(first, tf.IndexedSlices):
        return tf.add_n(gradients)
    values, indices = (tf.concat([getattr(part, key) for part in gradients], 0) for key in ("values", "indices"))
    return tf.convert_to_tensor(tf.IndexedSlices(values, indices, first.dense_shape))


def _jax_step(
    model: "keras.Model", optimizer: "keras.Optimizer", loss: Callable[..., Any], adversarial: float, attacked: int
) -> tuple[Step, Callable[[], None]]:
    import jax
    import jax.numpy as jnp

    def loss_and_rest(variables: list[Any], rest: list[Any], ids: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        logits, rest = model.stateless_call(variables, rest, ids, training=True)
        return loss(labels, logits, weights), rest

    compute_gradients = jax.value_and_grad(loss_and_rest, has_aux=True)

    @jax.jit
    def step(variables: list[Any], rest: list[Any], slots: list[Any], *batch: Any) -> tuple[Any, tuple[Any, Any, Any]]:
        (value, rest), gradients = compute_gradients(variables, rest, *batch)
        if adversarial:
            moved = list(variables)
            moved[attacked] += adversarial * gradients[attacked] / (jnp.linalg.norm(gradients[attacked]) + 1e-12)
            (_, rest), of_attack = compute_gradients(moved, rest, *batch)
            gradients = [a + b for a, b in zip(gradients, of_attack, strict=True)]
        variables, slots = optimizer.stateless_apply(slots, gradients, variables)
        return value, (variables, rest, slots)

    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state = [[v.value for v in group] for group in groups]

    def take_step(*batch: np.ndarray) -> float:
        value, state[:] = step(*state, *batch)
        return value

    def finish() -> None:
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    return take_step, finish
