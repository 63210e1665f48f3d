"""Parameters of publish and the gate, and the registered model's name."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ..base.params import PARAMS_FILE, Section, load
from ..data.settings import Ingest, Name


class Gate(Section):
    name = "gate"
    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    min_macro_f1: Annotated[float, Field(ge=0, le=1)]
    min_gain: Annotated[float, Field(ge=-1, le=1)]
    min_class_recall: Annotated[float, Field(ge=0, le=1)]
    min_slice_accuracy: Annotated[float, Field(ge=0, le=1)]
    min_samples: Annotated[int, Field(ge=1)]
    max_ece: Annotated[float, Field(ge=0, le=1)]
    max_classwise_ece: Annotated[float, Field(ge=0, le=1)]
    max_latency: Annotated[float, Field(gt=0)]
    max_size: Annotated[float, Field(gt=0)]
    not_behind: bool
    change: Literal["not_worse", "better"]
    max_loss_rise: Annotated[float, Field(ge=0, le=1)]
    max_f1_drop: Annotated[float, Field(ge=0, le=1)]
    max_class_drop: Annotated[float, Field(ge=0, le=1)]
    max_slice_drop: Annotated[float, Field(ge=0, le=1)]


class Publish(Section):
    name = "publish"
    experiment: Name
    model: Name | None


def model_name(path: Path = PARAMS_FILE) -> str:
    """Return the name in the model registry: `publish.model`, by default the data set's title and "-lstm"."""
    return load(Publish, path).model or f"{load(Ingest, path).title}-lstm"
