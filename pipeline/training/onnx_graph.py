"""Write a network as an ONNX graph, node by node, so that equal weights give equal bytes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .encoders.chain import Layers

if TYPE_CHECKING:
    import keras

OPSET, IR_VERSION = 17, 8  # supported by every onnxruntime of the last years


def to_onnx(model: "keras.Model") -> bytes:
    """Convert a network that an encoder built to an ONNX model.

    Padding changes nothing: the LSTM gets the number of steps of each row, where Keras has masks.

    Returns
    -------
    bytes
        From int32 `ids` of shape (n_rows, length), or float32 `frames` of shape (n_rows, length, width), right-padded
        with 0, to float32 `logits` of shape (n_rows, num_classes).
    """
    from onnx import TensorProto, helper, numpy_helper

    layers = Layers.of(model)
    constants = _constants(layers)
    graph = _Graph()
    if layers.embedding is not None:
        values = helper.make_tensor_value_info("ids", TensorProto.INT32, ["n_rows", "length"])
    else:
        width = model.input_shape[-1]
        values = helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["n_rows", "length", width])
    graph.vectors(layers)
    graph.lstm(layers)
    graph.pool(layers.pooling)
    graph.add("Gemm", ["summary", "kernel", "bias"], "logits")
    onnx_model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "lstm",
            [values],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n_rows", len(constants["bias"])])],
            [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    content: bytes = onnx_model.SerializeToString(deterministic=True)
    return content


def _constants(layers: Layers) -> dict[str, np.ndarray]:
    """Return the weights and the other constants of the graph, by name."""
    parts = zip(*(_lstm_weights(lstm) for lstm in layers.lstms), strict=True)
    input_weights, recurrent, biases = (np.stack(arrays) for arrays in parts)
    kernel, bias = (np.asarray(array) for array in layers.dense.get_weights())
    embedding = {} if layers.embedding is None else {"embedding": layers.embedding.get_weights()[0]}
    return {
        **embedding,
        "input_weights": input_weights,
        "recurrent": recurrent,
        "biases": biases,
        "kernel": kernel,
        "bias": bias,
        "zero": np.array(0, dtype=np.int32 if embedding else np.float32),
        "one": np.array(1, dtype=np.float32),
        "two": np.array(2, dtype=np.float32),
        "first": np.array([0], dtype=np.int64),
        "second": np.array([1], dtype=np.int64),
        "around": np.array([1, 3], dtype=np.int64),
        "side_by_side": np.array([0, len(layers.lstms) * layers.lstms[0].units], dtype=np.int64),
    }


class _Graph:
    """The nodes of a graph, in order."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []

    def add(self, kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, outputs, name=f"{kind}_{len(self.nodes)}", **attributes))

    def vectors(self, layers: Layers) -> None:
        """Add `is_token`, (n_rows, length), its sum `tokens`, and `vectors`, (length, n_rows, width)."""
        from onnx import TensorProto

        if layers.embedding is None:  # a frame of zeros is padding
            self.add("Abs", ["frames"], "sizes")
            self.add("ReduceMax", ["sizes"], "largest", axes=[2], keepdims=0)
        self.add("Greater", ["ids" if layers.embedding is not None else "largest", "zero"], "is_token")
        self.add("Cast", ["is_token"], "counted", to=TensorProto.INT32)
        self.add("ReduceSum", ["counted", "second"], "tokens", keepdims=0)
        if layers.embedding is None:
            self.add("Transpose", ["frames"], "vectors", perm=[1, 0, 2])
        else:
            self.add("Transpose", ["ids"], "steps", perm=[1, 0])
            self.add("Gather", ["embedding", "steps"], "vectors")

    def lstm(self, layers: Layers) -> None:
        """Add `states`, (length, directions, n_rows, units), and `last`, (directions, n_rows, units)."""
        self.add(
            "LSTM",
            ["vectors", "input_weights", "recurrent", "biases", "tokens"],
            *("states", "last"),
            hidden_size=layers.lstms[0].units,
            direction="bidirectional" if len(layers.lstms) == 2 else "forward",
        )

    def pool(self, pooling: str) -> None:
        """Add `summary`, the pooled states, (n_rows, width)."""
        from onnx import TensorProto

        if pooling == "last":
            self.flatten("last", "summary")
            return
        self.add("Transpose", ["is_token"], "is_token_by_step", perm=[1, 0])
        self.add("Cast", ["is_token_by_step"], "real_by_step", to=TensorProto.FLOAT)
        self.add("Unsqueeze", ["real_by_step", "around"], "real")
        pooled = []
        if "max" in pooling:  # states are above -1, padding is below
            self.add("Sub", ["one", "real"], "padding")
            self.add("Mul", ["padding", "two"], "lowered_by")
            self.add("Sub", ["states", "lowered_by"], "lowered")
            self.add("ReduceMax", ["lowered"], "highest", axes=[0], keepdims=0)
            self.flatten("highest", "max")
            pooled.append("max")
        if "mean" in pooling:
            self.add("Mul", ["states", "real"], "real_states")
            self.add("ReduceSum", ["real_states", "first"], "total", keepdims=0)
            self.add("ReduceSum", ["real", "first"], "number", keepdims=0)
            self.add("Div", ["total", "number"], "average")
            self.flatten("average", "mean")
            pooled.append("mean")
        self.add("Concat", pooled, "summary", axis=1)

    def flatten(self, states: str, name: str) -> None:
        """Reshape (directions, n_rows, units) to (n_rows, directions * units)."""
        self.add("Transpose", [states], f"{name}_by_row", perm=[1, 0, 2])
        self.add("Reshape", [f"{name}_by_row", "side_by_side"], name)


def _lstm_weights(lstm: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights of a Keras LSTM in ONNX's layout.

    Keras has the gates by column: input, forget, candidate, output. ONNX has them by row: input, output, forget,
    candidate; and a second bias, for the state, which Keras lacks.

    Returns
    -------
    input_weights : ndarray of shape (4 * units, width), float32
    recurrent : ndarray of shape (4 * units, units), float32
    biases : ndarray of shape (8 * units,), float32
    """
    kernel, recurrent, bias = (np.asarray(array) for array in lstm.get_weights())

    def reorder(weights: np.ndarray) -> np.ndarray:
        i, f, c, o = np.split(weights, 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1)

    return reorder(kernel).T, reorder(recurrent).T, np.concatenate([reorder(bias), np.zeros_like(bias)])
