"""The package of a registered model: the code and the pinned packages that it needs without the project."""

from pathlib import Path

from ..base.files import sha256, sha256_json
from ..base.modalities import modality
from ..inference.manifest import Manifest, modalities

RUNTIME_LOCK = Path("requirements.lock")

# Prediction and all that it imports, except other modalities than text; and the packages that these modules need.
SERVED_MODULES = (
    "__init__",
    "base/__init__",
    "base/characters",
    "base/errors",
    "base/files",
    "base/modalities",
    "inference/__init__",
    "inference/calibration",
    "inference/lexicon",
    "inference/manifest",
    "inference/network",
    "inference/ngrams",
    "inference/part",
    "inference/predictor",
    "inference/priors",
    "text/__init__",
    "text/cleaning",
    "text/languages",
    "text/markup",
    "text/masking",
    "text/modality",
    "text/negation",
    "text/ngrams",
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


def examples(manifest: Manifest) -> dict[str, list[str]]:
    """Return raw cells by which a model is tested, by modality.

    >>> examples({"modalities": ["text"]})["text"][0]
    'I love this, thank you!'
    """
    return {name: list(modality(name).examples) for name in modalities(manifest)}


def served_modules(manifest: Manifest) -> list[str]:
    """Return the modules that a model needs: those of prediction, and the folders of its modalities.

    >>> "inference/predictor" in served_modules({"modalities": ["text"]})
    True
    """
    folders = (Path(__file__).parents[1] / name for name in modalities(manifest) if name != "text")
    own = [f"{folder.name}/{module.stem}" for folder in folders for module in sorted(folder.glob("*.py"))]
    return [*SERVED_MODULES, *own]


def copy_code(folder: Path, manifest: Manifest) -> Path:
    """Copy the modules of prediction into a new package; its name may be any, because their imports are relative."""
    for module in served_modules(manifest):
        target = (folder / module).with_suffix(".py")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_source(module).read_bytes())
    return folder


def _source(module: str) -> Path:
    return (Path(__file__).parents[1] / module).with_suffix(".py")


def digest(manifest: Manifest) -> str:
    """Return the digest of a registered model: of its manifest, with weights and tokenizer, and of the served code.

    Two states of the pipeline that yield the same model and code share one version.
    """
    code = [sha256(_source(module)) for module in served_modules(manifest)]
    return sha256_json([{key: value for key, value in manifest.items() if key != "state"}, code])


def requirements() -> list[str]:
    """Return the lines of the lock for `SERVED_PACKAGES`, without hashes, such as "numpy==2.4.6"."""
    lines = (line.rstrip(" \\") for line in RUNTIME_LOCK.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line.partition("==")[0] in SERVED_PACKAGES]
