"""Parameters of train, and the presets that replace null."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ..base.params import Section, Seed, Values

FAST: Values = {
    "ngrams": True,
    "embedding_dim": 64,
    "units": 64,
    "bidirectional": True,
    "pooling": "max",
    "embedding_dropout": 0.3,
    "dropout": 0.0,
    "pretraining_epochs": None,
    "adversarial": 1.0,
    "batch_size": None,
    "epochs": None,
    "learning_rate": 0.001,
    "patience": None,
}
# Null under train means the preset's value; where that is None, the size of the data decides, see training/fit.py.
PRESETS: dict[str, Values] = {
    "textbook": {  # the plain model of most tutorials
        "ngrams": False,
        "embedding_dim": 64,
        "units": 64,
        "bidirectional": False,
        "pooling": "last",
        "embedding_dropout": 0.0,
        "dropout": 0.0,
        "pretraining_epochs": 0,
        "adversarial": 0.0,
        "batch_size": 32,
        "epochs": 10,
        "learning_rate": 0.001,
        "patience": None,
    },
    "fast": FAST,
    "best": FAST | {"embedding_dim": 128, "units": 128, "pretraining_epochs": 10, "patience": 3},
}


class Train(Section):
    name = "train"
    presets: ClassVar[dict[str, Values]] = PRESETS
    preset: Literal["textbook", "fast", "best"]
    ngrams: bool
    embedding_dim: Annotated[int, Field(ge=4, le=1_024)]
    units: Annotated[int, Field(ge=4, le=1_024)]
    bidirectional: bool
    pooling: Literal["last", "max", "mean", "max_mean"]
    embedding_dropout: Annotated[float, Field(ge=0, le=0.9)]
    dropout: Annotated[float, Field(ge=0, le=0.9)]
    pretraining_epochs: Annotated[int, Field(ge=0, le=100)] | None
    adversarial: Annotated[float, Field(ge=0, le=100)]
    batch_size: Annotated[int, Field(ge=4, le=4_096)] | None
    epochs: Annotated[int, Field(ge=1, le=200)] | None
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    patience: Annotated[int, Field(ge=1, le=200)] | None
    threads: Annotated[int, Field(ge=1, le=64)]
    seed: Seed

    @model_validator(mode="after")
    def _pretraining_needs_states(self) -> "Train":
        if self.pretraining_epochs and self.pooling == "last":
            raise ValueError("train.pretraining_epochs needs the states of all tokens: set train.pooling to max")
        return self
