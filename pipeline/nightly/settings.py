"""Parameters of retraining."""

from typing import Annotated

from pydantic import Field

from ..base.params import Section, pattern_field


class Retrain(Section):
    name = "retrain"
    incoming: Annotated[str, Field(min_length=1)]
    min_new_rows: Annotated[int, Field(ge=1)]
    on_drift: bool
    max_age: Annotated[float, Field(gt=0)] | None
    min_agreement: Annotated[float, Field(ge=-1, le=0.5)]
    branch: Annotated[str, pattern_field(r"^[A-Za-z0-9][\w./-]*$", "the name of a git branch")] | None
    max_hours: Annotated[float, Field(gt=0, le=168)]
