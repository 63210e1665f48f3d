"""Export: a trained model becomes a folder that predicts without TensorFlow, its network written as ONNX too."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PipelineError
from ..base.files import sha256, write_json
from ..inference.calibration import Calibration
from ..inference.network import ONNX, Network
from ..inference.ngrams import GRAMS, Ngrams
from ..inference.ngrams import WEIGHTS as NGRAM_WEIGHTS
from ..inference.predictor import FORMAT, MANIFEST, TOKENIZER, WEIGHTS
from ..text.processor import Tokenizer
from .encoders import log_probabilities

if TYPE_CHECKING:
    import keras

OPSET, IR_VERSION = 17, 8  # old enough for every onnxruntime of the last years
TOLERANCE = 1e-5  # most that a log-probability of the two networks may differ, by its size where that is above 1
CHECKED = 64  # rows of each length class that they are compared on


def save(
    folder: Path,
    model: "keras.Model",
    tokenizer: Tokenizer,
    ngrams: Ngrams | None,
    *,
    classes: Sequence[str],
    network: Mapping[str, Any],
    calibration: Calibration,
    class_shares: Sequence[float],
    state: str,
) -> None:
    """Write a model folder: weights, the network as ONNX, tokenizer, n-grams if any, and a manifest with their digests.

    The weights stand alone because a `.keras` file holds its date, and so differs between equal models.

    Raises
    ------
    PipelineError
        The ONNX network is not the Keras network; see `check`.
    """
    content = to_onnx(model)
    check(model, Network(content), tokenizer.lengths)
    folder.mkdir(parents=True)
    model.save_weights(folder / WEIGHTS)
    (folder / ONNX).write_bytes(content)
    tokenizer.save(folder / TOKENIZER)
    files = [WEIGHTS, ONNX, TOKENIZER]
    if ngrams:
        ngrams.save(folder)
        files += [GRAMS, NGRAM_WEIGHTS]
    write_json(
        folder / MANIFEST,
        {
            "format": FORMAT,
            "state": state,
            "classes": list(classes),
            "network": dict(network),
            **calibration._asdict(),
            "class_shares": list(class_shares),
            "sha256": {name: sha256(folder / name) for name in files},
        },
    )


def check(model: "keras.Model", network: Network, lengths: Sequence[int]) -> None:
    """Compare a network with the Keras model that it was made of, on random rows of every length class.

    Raises
    ------
    PipelineError
        A log-probability differs by more than 0.00001, or than as much of itself where it is below -1.
    """
    random = np.random.default_rng(0)
    shortest = 1
    for length in lengths:
        tokens = random.integers(shortest, length + 1, CHECKED)
        tokens[:2] = shortest, length
        ids = random.integers(1, model.get_layer("embedding").input_dim, (CHECKED, lengths[-1]), dtype=np.int32)
        ids[np.arange(lengths[-1]) >= tokens[:, None]] = 0
        expected = log_probabilities(model, ids, lengths)
        # Float32 holds seven digits: an unlikely class, with a large logarithm, is as exact as they are.
        difference = (np.abs(network.log_probabilities(ids) - expected) / np.maximum(1, np.abs(expected))).max()
        if not difference <= TOLERANCE:  # also where it is no number
            raise PipelineError(
                f"the ONNX network differs from the Keras network by {difference:.1e} on texts of {shortest} to "
                f"{length} tokens, {TOLERANCE:.0e} is allowed; train with a lower train.learning_rate, or report it"
            )
        shortest = length + 1


def to_onnx(model: "keras.Model") -> bytes:
    """The network of `model.build` as an ONNX model, of the same bytes for the same weights.

    ONNX's LSTM is told how many tokens each row has, so that padding changes nothing, as the masks do in Keras.

    Returns
    -------
    bytes
        From int32 `ids` of shape (n_rows, length), right-padded with 0, to float32 `logits` of shape
        (n_rows, num_classes).
    """
    from onnx import TensorProto, helper, numpy_helper

    layers = {layer.name: layer for layer in model.layers}
    both = layers.get("bidirectional")
    lstms = [both.forward_layer, both.backward_layer] if both else [layers["lstm"]]
    pooling = layers["pooling"].kind if "pooling" in layers else "last"
    input_weights, recurrent, biases = (np.stack(each) for each in zip(*(_lstm_weights(x) for x in lstms), strict=True))
    kernel, bias = (np.asarray(each) for each in layers["logits"].get_weights())
    constants = {
        "embedding": layers["embedding"].get_weights()[0],
        "input_weights": input_weights,
        "recurrent": recurrent,
        "biases": biases,
        "kernel": kernel,
        "bias": bias,
        "zero": np.array(0, dtype=np.int32),
        "one": np.array(1, dtype=np.float32),
        "two": np.array(2, dtype=np.float32),
        "first": np.array([0], dtype=np.int64),
        "second": np.array([1], dtype=np.int64),
        "around": np.array([1, 3], dtype=np.int64),
        "side_by_side": np.array([0, len(lstms) * lstms[0].units], dtype=np.int64),
    }
    nodes: list[Any] = []

    def add(kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs, outputs, name=f"{kind}_{len(nodes)}", **attributes))

    def flat(states: str, name: str) -> None:
        """(directions, n_rows, units) to (n_rows, directions * units)."""
        add("Transpose", [states], f"{name}_by_row", perm=[1, 0, 2])
        add("Reshape", [f"{name}_by_row", "side_by_side"], name)

    add("Greater", ["ids", "zero"], "is_token")
    add("Cast", ["is_token"], "counted", to=TensorProto.INT32)
    add("ReduceSum", ["counted", "second"], "tokens", keepdims=0)
    add("Transpose", ["ids"], "steps", perm=[1, 0])
    add("Gather", ["embedding", "steps"], "vectors")
    add(
        "LSTM",
        ["vectors", "input_weights", "recurrent", "biases", "tokens"],
        *("states", "last"),
        hidden_size=lstms[0].units,
        direction="bidirectional" if both else "forward",
    )
    if pooling == "last":
        flat("last", "summary")
    else:
        add("Transpose", ["is_token"], "is_token_by_step", perm=[1, 0])
        add("Cast", ["is_token_by_step"], "real_by_step", to=TensorProto.FLOAT)
        add("Unsqueeze", ["real_by_step", "around"], "real")
        pooled = []
        if "max" in pooling:  # a state is above -1, and what is no token below
            add("Sub", ["one", "real"], "padding")
            add("Mul", ["padding", "two"], "lowered_by")
            add("Sub", ["states", "lowered_by"], "lowered")
            add("ReduceMax", ["lowered"], "highest", axes=[0], keepdims=0)
            flat("highest", "max")
            pooled.append("max")
        if "mean" in pooling:
            add("Mul", ["states", "real"], "real_states")
            add("ReduceSum", ["real_states", "first"], "total", keepdims=0)
            add("ReduceSum", ["real", "first"], "number", keepdims=0)
            add("Div", ["total", "number"], "average")
            flat("average", "mean")
            pooled.append("mean")
        add("Concat", pooled, "summary", axis=1)
    add("Gemm", ["summary", "kernel", "bias"], "logits")

    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, ["n_rows", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n_rows", len(bias)])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def _lstm_weights(lstm: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keras's weights, gates by column: input, forget, candidate, output; as ONNX's, by row: input, output, forget,
    candidate, and with a second bias, of the state, which Keras has none of."""
    kernel, recurrent, bias = (np.asarray(each) for each in lstm.get_weights())

    def in_order(weights: np.ndarray) -> np.ndarray:
        i, f, c, o = np.split(weights, 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1)

    return in_order(kernel).T, in_order(recurrent).T, np.concatenate([in_order(bias), np.zeros_like(bias)])
