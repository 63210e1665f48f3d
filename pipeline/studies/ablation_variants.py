"""Variants of the network that an ablation compares, and their trainings with the cached results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from ..base.errors import PipelineError
from ..base.files import read_arrays, read_json, write_arrays, write_json
from ..evaluation.metrics import Metrics
from ..training import fit
from ..training.settings import PRESETS, Train
from .crossfit import CrossfitResult


class Times(NamedTuple):
    """A multiple of the value in `params.yaml` or its preset."""

    factor: float


NO_LSTM = None  # the n-gram models only
PRESET = "preset"  # the row that all others are compared with: the parameters in params.yaml
# Name of each variant, and what it changes of the parameters in params.yaml; a new one is one line. A variant is left
# out where it changes nothing, or where these parameters exclude it.
VARIANTS: dict[str, Mapping[str, Any] | None] = {
    "textbook": PRESETS["textbook"],
    PRESET: {},
    "LSTM only": {"ngrams": False},
    "n-grams only": NO_LSTM,
    "not bidirectional": {"bidirectional": False},
    "pooling last": {"pooling": "last"},
    "pooling max": {"pooling": "max"},
    "pooling mean": {"pooling": "mean"},
    "pooling max_mean": {"pooling": "max_mean"},
    "no embedding dropout": {"embedding_dropout": 0.0},
    "dropout 0.5": {"dropout": 0.5},
    "no adversarial step": {"adversarial": 0.0},
    "no pretraining": {"pretraining_epochs": 0},
    "ten epochs of pretraining": {"pretraining_epochs": 10},
    "half the units": {"units": Times(0.5)},
    "twice the units": {"units": Times(2)},
    "half the embedding": {"embedding_dim": Times(0.5)},
    "twice the embedding": {"embedding_dim": Times(2)},
}


def variant_settings(base: Train, data: fit.Data) -> dict[str, Train | None]:
    """Return the parameters of each variant for these data, by name; None for the variant without an LSTM.

    Raises
    ------
    PipelineError
        A variant's parameters are out of range.
    """
    variants: dict[str, Train | None] = {}
    preset = base.model_dump() | fit.resolved(data, base)
    for name, changes in VARIANTS.items():
        if changes is NO_LSTM:
            variants[name] = None
            continue
        settings = _changed(base, name, changes)
        if settings and (name == PRESET or settings.model_dump() | fit.resolved(data, settings) != preset):
            variants[name] = settings
    return variants


def _changed(base: Train, variant: str, changes: Mapping[str, Any]) -> Train | None:
    """Return the parameters with a variant's changes; None where the two exclude each other."""
    values = base.model_dump()
    for key, value in changes.items():
        values[key] = int(values[key] * value.factor) if isinstance(value, Times) else value
    try:
        return Train.model_validate(values)
    except ValidationError as error:
        out_of_range = [detail for detail in error.errors() if detail["loc"]]
        if not out_of_range:  # each value is valid, but not together with the others
            return None
        reasons = "; ".join(f"train.{detail['loc'][0]} {detail['input']!r}: {detail['msg']}" for detail in out_of_range)
        raise PipelineError(f"cannot make the variant {variant!r} from params.yaml ({reasons})") from error


@dataclass(frozen=True)
class VariantTraining:
    """One variant under one seed."""

    variant: str
    seed: int | None  # None for the n-grams, which do not depend on it
    settings: Train | None
    folder: Path  # of the cached results

    @property
    def name(self) -> str:
        """The variant, with its seed where it has one."""
        return self.variant if self.seed is None else f"{self.variant} · seed {self.seed}"

    @property
    def content(self) -> dict[str, Any]:
        """What is trained: a cached result counts only if this is the same."""
        settings = self.settings.model_dump() if self.settings else None
        return {"variant": self.variant, "seed": self.seed, "settings": settings}

    @property
    def path(self) -> Path:
        """The cached result's JSON file; the arrays lie next to it."""
        seed = "" if self.seed is None else f"-seed-{self.seed}"
        return self.folder / f"{self.variant.replace(' ', '-')}{seed}.json"

    def load(self) -> CrossfitResult | None:
        """Return the cached result; None where there is none, or one of other parameters."""
        if not self.path.is_file():
            return None
        cached = read_json(self.path)
        if {key: cached[key] for key in self.content} != self.content:
            return None
        arrays = read_arrays(self.path.with_suffix(".npz"))
        return CrossfitResult(arrays["combined"], arrays.get("lstm"), cached["seconds"], cached["history"])

    def save(self, result: CrossfitResult, metrics: Metrics) -> None:
        """Cache a result: the JSON file last, so that its presence proves that the arrays are complete."""
        arrays = {"combined": result.combined} | ({} if result.lstm is None else {"lstm": result.lstm})
        self.path.unlink(missing_ok=True)
        write_arrays(self.path.with_suffix(".npz"), arrays)
        cached = {"seconds": result.seconds, "history": result.history, "metrics": dict(metrics)}
        write_json(self.path, self.content | cached)


def variant_trainings(
    variants: Mapping[str, Train | None], seeds: Sequence[int], folder: Path
) -> list[VariantTraining]:
    """Return every variant under every seed, by variant."""
    return [
        VariantTraining(name, seed, settings and settings.model_copy(update={"seed": seed}), folder)
        for name, settings in variants.items()
        for seed in (seeds if settings else (None,))
    ]
