"""Export: a trained model becomes a folder that predicts without TensorFlow, its network written as ONNX too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PipelineError
from ..base.files import sha256, write_json
from ..base.modalities import Processor, modality
from ..inference.calibration import Calibration
from ..inference.manifest import FORMATS, MANIFEST, ONNX, WEIGHTS, Manifest, network_file
from ..inference.network import OnnxNetwork
from ..inference.ngrams import GRAMS, Ngrams
from ..inference.ngrams import WEIGHTS as NGRAM_WEIGHTS
from .encoders.chain import Layers
from .forward import log_probabilities
from .onnx_graph import to_onnx

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-5  # most that a log-probability of the two networks may differ, by its size where that is above 1
CHECKED = 64  # rows of each length class that they are compared on


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, and what its encoder built it with."""

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
    state: str,
) -> None:
    """Write a model folder: weights, networks as ONNX, processors, n-grams if any, and a manifest with their digests.

    The weights are a file of their own because a `.keras` file contains its date, and so differs between equal models.

    Parameters
    ----------
    folder : Path
        A new one.
    networks, processors : mapping
        By modality.
    ngrams : Ngrams or None
        The two linear models on texts.
    classes, calibration, class_shares, state
        As the manifest has them, see `Manifest`.

    Raises
    ------
    PipelineError
        An ONNX network is not the Keras network; see `check`.
    """
    names, files = list(networks), []
    contents = {name: to_onnx(network.model) for name, network in networks.items()}
    for name, network in networks.items():
        check(network.model, OnnxNetwork(contents[name]), processors[name].lengths)
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
        files += [GRAMS, NGRAM_WEIGHTS]
    manifest = Manifest(
        format=FORMATS[names != ["text"]],
        state=state,
        classes=list(classes),
        network=networks[names[0]].options,
        shares=list(calibration.weights),
        temperature=calibration.temperature,
        offsets=list(calibration.offsets),
        class_shares=list(class_shares),
        sha256={name: sha256(folder / name) for name in files},
    )
    if names != ["text"]:
        manifest["modalities"] = names
    write_json(folder / MANIFEST, manifest)


def check(model: "keras.Model", network: OnnxNetwork, lengths: Sequence[int]) -> None:
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
        array = _random_rows(model, lengths[-1], random)
        array[np.arange(lengths[-1]) >= tokens[:, None]] = 0
        expected = log_probabilities(model, array, lengths)
        # Float32 holds seven digits: an unlikely class, with a large logarithm, is as exact as they are.
        difference = (np.abs(network.log_probabilities(array) - expected) / np.maximum(1, np.abs(expected))).max()
        if not difference <= TOLERANCE:  # also where it is NaN
            raise PipelineError(
                f"the ONNX network differs from the Keras network by {difference:.1e} on rows of {shortest} to "
                f"{length} steps, {TOLERANCE:.0e} is allowed; train with a lower train.learning_rate, or report it"
            )
        shortest = length + 1


def _random_rows(model: "keras.Model", length: int, random: np.random.Generator) -> np.ndarray:
    """Return token ids, (CHECKED, length), or frames, (CHECKED, length, width), without padding."""
    embedding = Layers.of(model).embedding
    if embedding is not None:
        return random.integers(1, embedding.input_dim, (CHECKED, length), dtype=np.int32)
    return random.normal(size=(CHECKED, length, model.input_shape[-1])).astype(np.float32)
