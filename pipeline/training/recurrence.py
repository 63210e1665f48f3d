"""The steps of an LSTM and their gradient, written by hand for speed on a CPU."""

from typing import Any

import keras
from keras import ops


def reorder_gates(weights: Any) -> Any:
    """Reorder Keras's gates (input, forget, candidate, output) to input, forget, output, all three halved, candidate.

    The sigmoid of x is tanh(x / 2) / 2 + 1 / 2: so all four gates are computed by one tanh, without a division.
    """
    i, f, c, o = ops.split(weights, 4, axis=-1)
    return ops.concatenate([i / 2, f / 2, o / 2, c], axis=-1)


def _sigmoids(tanhs: Any) -> list[Any]:
    """Return input, forget and output gate, each (..., units), from the tanhs of all four, (..., 4 * units)."""
    return [gate / 2 + 0.5 for gate in ops.split(tanhs, 4, axis=-1)[:3]]


def _recur(inputs: Any, recurrent: Any, real: Any) -> Any:
    """Compute all steps of an LSTM, time first.

    Parameters
    ----------
    inputs : tensor of shape (length, n_rows, 4 * units), float32
        What the token of each step contributes to the gates, in the order of `reorder_gates`.
    recurrent : tensor of shape (units, 4 * units), float32
        Weights from the state to the gates, in the same order.
    real : tensor of shape (length, n_rows, 1), float32
        1 for a token; 0 for padding, where the state stays as it is.

    Returns
    -------
    states, cells : tensor of shape (length, n_rows, units), float32
        Gradients flow through the states only.
    """
    length, rows, width = inputs.shape
    units = width // 4
    zeros, unwritten = ops.zeros((rows, units)), ops.zeros((length, rows, units))

    def step(carry: Any, slices: Any) -> Any:
        (state, cell), (is_real, _, _, from_input) = carry, slices
        tanhs = ops.tanh(from_input + ops.matmul(state, recurrent))
        i, f, o = _sigmoids(tanhs)
        new_cell = f * cell + i * tanhs[:, 3 * units :]
        new_state = o * ops.tanh(new_cell)
        state, cell = state + is_real * (new_state - state), cell + is_real * (new_cell - cell)
        return (state, cell), (state, cell, tanhs)

    states, cells, tanhs = _loop(step, (zeros, zeros), (real,), (unwritten, unwritten, inputs))

    def gradient(*outside: Any, upstream: Any = None) -> Any:
        d_states = keras.tree.flatten(outside if upstream is None else upstream)[0]
        return _gradient(d_states, states, cells, tanhs, recurrent, real)

    return (states, cells), gradient


recur = ops.custom_gradient(_recur)


def _gradient(d_states: Any, states: Any, cells: Any, tanhs: Any, recurrent: Any, real: Any) -> Any:
    """Compute the gradients of `recur`.

    Parameters
    ----------
    d_states : tensor of shape (length, n_rows, units), float32
        Gradient of the loss by the states.
    states, cells : tensor of shape (length, n_rows, units), float32
        Results of `recur`.
    tanhs : tensor of shape (length, n_rows, 4 * units), float32
        The gates, before they become sigmoids.
    recurrent, real
        Arguments of `recur`.

    Returns
    -------
    tuple of tensor
        Gradients by `inputs`, `recurrent` and `real` (zeros).
    """
    _, rows, width = tanhs.shape
    units = width // 4
    zeros = ops.zeros((rows, units))
    transposed = ops.transpose(recurrent)
    # All that does not depend on later steps is computed for all steps at once.
    i, f, o = _sigmoids(tanhs)
    slopes = ops.split(1 - tanhs * tanhs, 4, axis=2)
    cells_before = ops.concatenate([zeros[None], cells[:-1]], axis=0)
    cell_tanhs = ops.tanh(cells)
    to_cell = real * o * (1 - cell_tanhs * cell_tanhs)
    factors = (tanhs[..., 3 * units :] / 2, cells_before / 2, real * cell_tanhs / 2, i)
    to_z = ops.concatenate([factor * slope for factor, slope in zip(factors, slopes, strict=True)], axis=2)
    padding = 1 - real

    def step_back(carry: Any, slices: Any) -> Any:
        (d_state, d_cell), (d_outside, real, padding, to_cell, f, to_z) = carry, slices
        d_state = d_state + d_outside
        d_new = real * d_cell + d_state * to_cell
        d_z = ops.concatenate([d_new, d_new, d_state, d_new], axis=1) * to_z
        return (ops.matmul(d_z, transposed) + padding * d_state, d_new * f + padding * d_cell), (d_z,)

    (d_inputs,) = _loop(step_back, (zeros, zeros), (d_states, real, padding, to_cell, f), (to_z,), backwards=True)
    states_before = ops.concatenate([zeros[None], states[:-1]], axis=0)
    d_recurrent = ops.matmul(ops.transpose(ops.reshape(states_before, (-1, units))), ops.reshape(d_inputs, (-1, width)))
    return d_inputs, d_recurrent, ops.zeros_like(real)


def _loop(step: Any, carry: Any, inputs: Any, outputs: Any, *, backwards: bool = False) -> Any:
    """Loop over the first axis of all `inputs` and `outputs`, and overwrite the outputs.

    Overwriting saves memory, which is what a long loop spends its time on. `ops.scan` takes twice the time on
    TensorFlow.

    Parameters
    ----------
    step : callable
        From the carry and the slices of `inputs` and `outputs` to the next carry and the new slices of `outputs`.
    carry : nested tensors
        First carry.
    inputs, outputs : tuple of tensor of shape (length, ...)
        What the steps read; what they read and overwrite.
    backwards : bool
        Whether to start at the end.

    Returns
    -------
    tuple of tensor
        The outputs.
    """
    length = outputs[0].shape[0]

    def body(i: Any, carry: Any, outputs: Any) -> Any:
        start = (length - 1 - i if backwards else i, 0, 0)
        slices = [ops.squeeze(ops.slice(x, start, (1, *x.shape[1:])), 0) for x in (*inputs, *outputs)]
        carry, values = step(carry, slices)
        return i + 1, carry, tuple(ops.slice_update(o, start, v[None]) for o, v in zip(outputs, values, strict=True))

    return ops.while_loop(lambda i, *_: i < length, body, (ops.convert_to_tensor(0, "int32"), carry, outputs))[2]
