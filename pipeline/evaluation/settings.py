"""Sections evaluate and drift of the parameters."""

from typing import Annotated

from pydantic import Field, model_validator

from ..base.params import Section, Seed


class Evaluate(Section):
    name = "evaluate"
    length_bounds: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=10)] | None
    bootstrap: Annotated[int, Field(ge=100, le=10_000)]
    baseline_rows: Annotated[int, Field(ge=1_000)]
    seed: Seed

    @model_validator(mode="after")
    def _ascending(self) -> "Evaluate":
        if self.length_bounds is not None and sorted(set(self.length_bounds)) != self.length_bounds:
            raise ValueError(f"evaluate.length_bounds must ascend, got {self.length_bounds}")
        return self


class Drift(Section):
    name = "drift"
    significance: Annotated[float, Field(ge=0.01, le=0.2)]
    max_label_shift: Annotated[float, Field(ge=0, le=1)]
    max_class_factor: Annotated[float, Field(ge=1)]
    max_length_shift: Annotated[float, Field(ge=0, le=1)]
    max_unknown_words: Annotated[float, Field(ge=0, le=1)]
    max_psi: Annotated[float, Field(ge=0)]
    max_score_shift: Annotated[float, Field(ge=0, le=1)]
    max_accuracy_drop: Annotated[float, Field(ge=0, le=1)]
    min_incoming: Annotated[int, Field(ge=20)]
