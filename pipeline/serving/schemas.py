"""Schemas: what the service takes and gives, as its OpenAPI description shows it."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

Share = Annotated[float, Field(ge=0, le=1)]
Model = Annotated[str, Field(description="name and version of the model that answered")]


class Prediction(BaseModel):
    """The label of a text, and how probable each label is."""

    predicted_label: str
    confidence: Share = Field(description="the label's probability")
    probabilities: dict[str, Share]


class Answer(Prediction):
    model: Model


class Answers(BaseModel):
    model: Model
    predictions: list[Prediction] = Field(description="one for each text, in their order")


class Word(BaseModel):
    word: str
    span: tuple[int, int] = Field(description="where it stands in `text` of the answer, in characters: start and end")
    source: tuple[int, int] | None = Field(description="where it stands in the raw text; null where that is not sure")
    adds: dict[str, float] = Field(description="to the score of each class; above 0 where it speaks for it")


class Explained(Answer):
    """Which words made the probabilities what they are."""

    text: str = Field(description="as the model reads it: cleaned, and masked as in training")
    scores: dict[str, float] = Field(
        description="their softmax are the probabilities; baseline and words add up to them"
    )
    baseline: dict[str, float] = Field(description="the scores of a text without words")
    words: list[Word]


class Refused(BaseModel):
    version: str
    reason: str


class Information(BaseModel):
    """The model in service."""

    name: str
    version: str | None = Field(description="null for a folder")
    alias: str | None = Field(description="the alias that is followed; null for a model that stays")
    classes: list[str]
    language: str = Field(description="of the training texts")
    state: str = Field(description="identity of the pipeline state that made it")
    figures: dict[str, float] = Field(description="on the test rows, where the store has them")
    loaded: str = Field(description="when, in UTC")
    refused: Refused | None = Field(description="a promoted version that was not taken, and why")
    trouble: str | None = Field(description="what is wrong with the model store")


class Status(BaseModel):
    status: str


class Problem(BaseModel):
    error: str = Field(description="what was wrong, in one sentence")


def requests(max_length: int, max_texts: int) -> tuple[Any, Any]:
    """The bodies that ask for one text and for many; types depend on the limits."""
    raw = Annotated[str, Field(max_length=max_length, description="raw text")]
    one = {"extra": "forbid", "json_schema_extra": {"examples": [{"text": "I love this, thank you!"}]}}
    many = {"extra": "forbid", "json_schema_extra": {"examples": [{"texts": ["I love this, thank you!", "Oh no."]}]}}
    listed = Annotated[list[raw], Field(min_length=1, max_length=max_texts)]
    return (
        create_model("Text", __config__=ConfigDict(**one), text=(raw, ...)),  # type: ignore[typeddict-item]
        create_model("Texts", __config__=ConfigDict(**many), texts=(listed, ...)),  # type: ignore[typeddict-item]
    )


def sentence(error: Mapping[str, Any]) -> str:
    """What was wrong with a body, without what was in it."""
    first, *rest = [part for part in error["loc"] if part != "body"] or ["the body"]
    where = f"{first}{''.join(f'[{part}]' for part in rest)}"
    most = error.get("ctx", {}).get("max_length", 0)
    sentences = {
        "json_invalid": "the body is not valid JSON",
        "missing": f"{where} is missing",
        "extra_forbidden": "the body has a field that is not known; see /openapi.json",
        "string_type": f"{where} must be a string",
        "string_unicode": f"{where} must be valid Unicode, without half a surrogate pair",
        "string_too_long": f"{where} must have at most {most:,} characters",
        "list_type": f"{where} must be a list of strings",
        "too_long": f"{where} must hold at most {most:,} texts",
        "too_short": f"{where} must hold at least one text",
    }
    return sentences.get(error["type"], "the body must be a JSON object, sent as application/json; see /openapi.json")
