"""Write a trained model to a folder, with its network as ONNX, so that prediction needs no TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PipelineError
from ..base.files import sha256, write_json
from ..base.modalities import Processor, modality
from ..inference.calibration import Calibration
from ..inference.manifest import MANIFEST, MODEL_FORMATS, ONNX, WEIGHTS, Manifest, network_file
from ..inference.network import OnnxNetwork
from ..inference.ngrams import Ngrams
from ..inference.priors import ClassPriors
from .encoders.chain import Layers
from .forward import log_probabilities
from .onnx_graph import to_onnx

if TYPE_CHECKING:
    import keras

ONNX_TOLERANCE = 1e-5  # of a log-probability of the ONNX network; relative where the log-probability is below -1
CHECKED = 64  # rows of each length class on which the two networks are compared


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, and the arguments with which its encoder built it."""

    model: "keras.Model"
    options: dict[str, Any]


def save(
    folder: Path,
    networks: Mapping[str, TrainedNetwork],
    processors: Mapping[str, Processor],
    ngrams: Ngrams | None,
    *,
    classes: Sequence[str],
    calibration: Calibration,
    class_shares: Sequence[float],
    class_priors: ClassPriors | None = None,
    columns: Mapping[str, list[str | int]],
    state: str,
) -> None:
    """Write a model folder: weights, networks as ONNX, processors, n-grams if any, and a manifest with their digests.

    The weights are in a separate file, since a `.keras` file contains its date, and so differs between equal models.

    Parameters
    ----------
    folder : Path
        Path of the new folder.
    networks, processors : mapping
        By modality.
    ngrams : Ngrams or None
        The linear models on texts.
    classes, calibration, class_shares, columns, state
        See `Manifest`.
    class_priors : ClassPriors or None
        See `Manifest`; without it, the model cannot estimate class priors.

    Raises
    ------
    PipelineError
        An ONNX network differs from the Keras network; see `check_onnx`.
    """
    names, files = list(networks), []
    contents = {name: to_onnx(network.model) for name, network in networks.items()}
    for name, network in networks.items():
        check_onnx(network.model, OnnxNetwork(contents[name]), processors[name].lengths)
    folder.mkdir(parents=True)
    for name, network in networks.items():
        weights, onnx = (network_file(file, name, names) for file in (WEIGHTS, ONNX))
        processor = modality(name).file
        network.model.save_weights(folder / weights)
        (folder / onnx).write_bytes(contents[name])
        processors[name].save(folder / processor)
        files += [weights, onnx, processor]
    if ngrams:
        ngrams.save(folder)
        files += ngrams.files
    manifest = Manifest(
        format=MODEL_FORMATS[names != ["text"]],
        state=state,
        classes=list(classes),
        network=networks[names[0]].options,
        shares=list(calibration.weights),
        temperature=calibration.temperature,
        offsets=list(calibration.offsets),
        class_shares=list(class_shares),
        columns=dict(columns),
        sha256={name: sha256(folder / name) for name in files},
    )
    if class_priors:
        manifest["class_priors"] = class_priors
    write_json(folder / MANIFEST, manifest if names == ["text"] else manifest | {"modalities": names})


def check_onnx(model: "keras.Model", network: OnnxNetwork, lengths: Sequence[int]) -> None:
    """Compare an ONNX network with the Keras network that it was converted from, on random rows of each length class.

    Parameters
    ----------
    model : keras.Model
        The original network.
    network : OnnxNetwork
        The converted one.
    lengths : sequence of int
        Padded lengths, ascending.

    Raises
    ------
    PipelineError
        A log-probability differs by more than 0.00001, or by more than that share of it where it is below -1.
    """
    random = np.random.default_rng(0)
    shortest = 1
    for length in lengths:
        tokens = random.integers(shortest, length + 1, CHECKED)
        tokens[:2] = shortest, length
        array = _random_rows(model, lengths[-1], random)
        array[np.arange(lengths[-1]) >= tokens[:, None]] = 0
        expected = log_probabilities(model, array, lengths)
        # Float32 has seven digits: the large log-probability of an unlikely class has a large absolute error.
        difference = (np.abs(network.log_probabilities(array) - expected) / np.maximum(1, np.abs(expected))).max()
        if not difference <= ONNX_TOLERANCE:  # also where it is NaN
            raise PipelineError(
                f"the ONNX network differs from the Keras network by {difference:.1e} on rows of {shortest} "
                f"to {length} steps (allowed: {ONNX_TOLERANCE:.0e}); train with a lower "
                "train.learning_rate, or report a bug"
            )
        shortest = length + 1


def _random_rows(model: "keras.Model", length: int, random: np.random.Generator) -> np.ndarray:
    """Return token ids (CHECKED, length), int32, or frames (CHECKED, length, width), float32, without padding."""
    embedding = Layers.of(model).embedding
    if embedding is not None:
        return random.integers(1, embedding.input_dim, (CHECKED, length), dtype=np.int32)
    return random.normal(size=(CHECKED, length, model.input_shape[-1])).astype(np.float32)
