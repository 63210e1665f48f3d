"""The manifest of a model folder: its settings, and the digest of every file."""

from pathlib import Path
from typing import Any, NotRequired, TypedDict

from ..base.errors import PipelineError
from ..base.files import read_json, sha256
from .priors import ClassPriors

MANIFEST = "model.json"
WEIGHTS, ONNX, TOKENIZER = "model.weights.h5", "model.onnx", "tokenizer.json"
# Increased when older code cannot read the folder: 7 has other modalities than text.
MODEL_FORMATS = (6, 7)


class Manifest(TypedDict):
    """Content of `model.json`."""

    format: int
    state: str  # of the pipeline that wrote it, see base/state.py
    classes: list[str]
    network: dict[str, Any]  # arguments that its encoder was built with
    shares: list[float]  # weights of the parts, see calibration.py
    temperature: float
    offsets: list[float]
    class_shares: list[float]  # means of the probabilities over the validation rows
    class_priors: NotRequired[ClassPriors]  # older models lack it
    sha256: dict[str, str]
    modalities: NotRequired[list[str]]  # from format 7 on
    columns: NotRequired[dict[str, list[str | int]]]  # of the training file, by modality; older models lack it


def read_manifest(folder: Path) -> Manifest:
    """Read a model folder's manifest and compare the files with their digests.

    Raises
    ------
    PipelineError
        A file is missing or altered, or the folder has a format that this code does not read.
    """
    manifest: Manifest = read_json(folder / MANIFEST)
    if manifest.get("format") not in MODEL_FORMATS:
        known = " and ".join(map(str, MODEL_FORMATS))
        raise PipelineError(
            f"{folder} has format {manifest.get('format')}, this code reads {known}; use the code that wrote it, or "
            "train the model again"
        )
    needed = {ONNX, TOKENIZER} if modalities(manifest) == ["text"] else {ONNX}
    if missing := needed - set(manifest["sha256"]):
        names = " and ".join(sorted(missing))
        raise PipelineError(f"{folder / MANIFEST} has no digest of {names}; train the model again")
    for name, digest in manifest["sha256"].items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise PipelineError(
                f"{folder / name} is missing or altered; restore it with `dvc repro` or register it again"
            )
    return manifest


def modalities(manifest: Manifest) -> list[str]:
    """Return the modalities that a model reads; manifests of format 6, which do not list them, are of text models.

    >>> modalities({"format": 6})
    ['text']
    """
    return manifest.get("modalities", ["text"])


def columns(manifest: Manifest) -> dict[str, list[str | int]]:
    """Return the columns of the file that a model was trained on, by modality; several of one modality were joined.

    >>> columns({"format": 6})
    {'text': ['text']}
    """
    return manifest.get("columns") or {name: [name] for name in modalities(manifest)}


def require_text(manifest: Manifest, command: str) -> None:
    """Refuse a model that reads anything else than text.

    Raises
    ------
    PipelineError
        It does; the message names the command that needs texts.
    """
    if modalities(manifest) != ["text"]:
        raise PipelineError(f"{command} works on texts, but the model reads {' and '.join(modalities(manifest))}")


def network_file(name: str, modality: str, manifest_modalities: list[str]) -> str:
    """Return the file name of a modality's network: `name` with a prefix, except for the first modality.

    >>> network_file("model.onnx", "image", ["text", "image"])
    'image.model.onnx'
    """
    return name if modality == manifest_modalities[0] else f"{modality}.{name}"
