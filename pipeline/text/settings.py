"""Parameters of tokenize."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..base.params import Section, Values, pattern_field

Language = Annotated[str, pattern_field(r"^[a-z]{2}$", "two letters, such as en")]


class Tokenize(Section):
    """Section `tokenize`: how texts are split and encoded; see the comments in `params.yaml`."""

    name = "tokenize"
    presets: ClassVar[dict[str, Values]] = {
        "textbook": {"vocabulary_size": 10_000, "length": 100},
        "fast": {},  # null: chosen by the data, see text/processor.py
        "best": {},
    }
    language: Language | None
    unit: Literal["word", "character", "chinese"] | None
    vocabulary_size: Annotated[int, Field(ge=100, le=200_000)] | None
    length: Annotated[int, Field(ge=4, le=2_000)] | None
