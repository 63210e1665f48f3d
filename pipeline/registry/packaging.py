"""Packaging: what a registered model brings along to work without the project: its code, its pinned packages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.files import sha256, sha256_json

RUNTIME_LOCK = Path("requirements.lock")

# Prediction with all that it imports, and the packages that those need.
SERVED_MODULES = (
    "__init__",
    "base/__init__",
    "base/errors",
    "base/files",
    "base/modalities",
    "inference/__init__",
    "inference/calibration",
    "inference/manifest",
    "inference/network",
    "inference/ngrams",
    "inference/part",
    "inference/predictor",
    "text/__init__",
    "text/cleaning",
    "text/languages",
    "text/masking",
    "text/modality",
    "text/processor",
)
SERVED_PACKAGES = (
    "mlflow",
    "numpy",
    "onnxruntime",
    "pandas",
    "ftfy",
    "jieba",
    "python-stdnum",
)
EXAMPLES = ["I love this, thank you!", "The flight is late again and nobody tells us why."]


def copy_code(folder: Path) -> Path:
    """Copy the modules that predict into a new package, of any name: they import one another relatively."""
    for module in SERVED_MODULES:
        target = (folder / module).with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_source(module).read_bytes())
    return folder


def _source(module: str) -> Path:
    return (Path(__file__).parents[1] / module).with_suffix(".py")


def digest(manifest: Mapping[str, Any]) -> str:
    """What identifies a registered model: weights, tokenizer, classes and network, and the code that predicts.

    Two states of the pipeline that give the same model and code share one version.
    """
    code = [sha256(_source(module)) for module in SERVED_MODULES]
    return sha256_json([{key: value for key, value in manifest.items() if key != "state"}, code])


def requirements() -> list[str]:
    """The packages' lines of the lock, without hashes: "numpy==2.4.6", with markers where they have any."""
    lines = (line.rstrip(" \\") for line in RUNTIME_LOCK.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line.partition("==")[0] in SERVED_PACKAGES]
