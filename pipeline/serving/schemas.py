"""Schemas of the answers, as the OpenAPI description shows them, and the messages about invalid requests.

The schemas of the requests depend on the limits of the service, and stand with their routes.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Probability = Annotated[float, Field(ge=0, le=1)]
ModelTitle = Annotated[str, Field(description="name and version of the model that answered")]


class RequestBody(BaseModel):
    """A body of which only the first error is found: to collect 150,000 unknown fields makes every client wait."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _forbid_unknown_fields(cls, body: Any) -> Any:
        if isinstance(body, dict) and not body.keys() <= cls.model_fields.keys():
            raise PydanticCustomError("extra_forbidden", "unknown field")
        return body


class Prediction(BaseModel):
    """The predicted label of a text, and the probability of every label."""

    predicted_label: str
    confidence: Probability = Field(description="probability of the predicted label")
    probabilities: dict[str, Probability]
    known_words: int = Field(
        ge=0, description="words that the training texts have too; with 0, take the label with caution"
    )


class PredictResponse(Prediction):
    model: ModelTitle


class BatchResponse(BaseModel):
    model: ModelTitle
    predictions: list[Prediction] = Field(description="one for each text, in the order of the request")


class WordContribution(BaseModel):
    word: str
    span: tuple[int, int] = Field(description="start and end in `text` of this answer, in characters")
    source: tuple[int, int] | None = Field(description="start and end in the raw text; null if uncertain")
    adds: dict[str, float] = Field(description="contribution to the score of each class; above 0 raises it")


class ExplainResponse(PredictResponse):
    """A prediction, and what each word contributes to it."""

    text: str = Field(description="the text as the model reads it: cleaned, and masked as in training")
    scores: dict[str, float] = Field(
        description="the softmax of the scores gives the probabilities; a score is the baseline plus all contributions"
    )
    baseline: dict[str, float] = Field(description="the scores of an empty text")
    words: list[WordContribution]


class RefusedVersion(BaseModel):
    version: str
    reason: str


class ModelInfo(BaseModel):
    """The model in service."""

    name: str
    version: str | None = Field(description="null for a model folder")
    alias: str | None = Field(description="the alias that the service follows; null for a fixed model")
    classes: list[str]
    language: str = Field(description="language of the training texts")
    state: str = Field(description="hash of the pipeline state that trained the model")
    figures: dict[str, float] = Field(description="metrics on the test set, where the model store has them")
    loaded: str = Field(description="time of loading, in UTC")
    refused: RefusedVersion | None = Field(description="the last promoted version that was refused, and why")
    trouble: str | None = Field(description="the current problem with the model store")


class ServiceStatus(BaseModel):
    status: str


class ErrorResponse(BaseModel):
    error: str = Field(description="what is wrong, in one sentence")


def validation_message(error: Mapping[str, Any]) -> str:
    """Describe one of pydantic's validation errors without repeating the invalid content.

    >>> validation_message({"type": "string_type", "loc": ("body", "texts", 1)})
    'texts[1] must be a string'
    """
    field, *indices = [part for part in error["loc"] if part != "body"] or ["the body"]
    where = f"{field}{''.join(f'[{index}]' for index in indices)}"
    limit = error.get("ctx", {}).get("max_length", 0)
    messages = {
        "json_invalid": "the body is not valid JSON",
        "missing": f"{where} is missing",
        "extra_forbidden": "unknown field in the body; see /openapi.json",
        "string_type": f"{where} must be a string",
        "string_unicode": f"{where} must be valid Unicode, without unpaired surrogates",
        "string_too_long": f"{where} must have at most {limit:,} characters",
        "list_type": f"{where} must be a list of strings",
        "too_long": f"{where} must have at most {limit:,} items",
        "too_short": f"{where} must have at least one item",
    }
    return messages.get(error["type"], "the body must be a JSON object with content type application/json")
