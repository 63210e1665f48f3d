"""Sections `ingest`, `validate` and `clean` of params.yaml."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator, create_model, model_validator
from pydantic_core import PydanticCustomError

from ..base.modalities import MODALITIES
from ..base.params import AnyLabel, Label, Section, Seed, pattern_field

NO_FILE = Path("data/none")  # stands for no file: dvc.yaml's stages need a path to depend on

Share = Annotated[float, Field(ge=0.05, le=0.4)]
Name = Annotated[str, pattern_field(r"^[\w.-]+( [\w.-]+)*$", "letters, digits and . _ - with single spaces")]


def _column(value: Any) -> str | int:
    if (isinstance(value, str) and value) or (type(value) is int and value >= 1):
        return value
    raise PydanticCustomError("column", "a column's name, or its number from 1 if the file has no header")


def _one_or_more(value: Any) -> str | int | list[str | int]:
    if isinstance(value, list) and len(value) < 2:
        raise PydanticCustomError("column", "a column, or a list of two or more")
    return [_column(name) for name in value] if isinstance(value, list) else _column(value)


Column = Annotated[str | int, PlainValidator(_column)]
Columns = Annotated[str | int | list[str | int], PlainValidator(_one_or_more)]


class IngestOfTexts(Section):
    """Section `ingest` without the columns of other modalities, which `Ingest` adds."""

    name = "ingest"
    dataset: Literal["tweets", "imdb", "rotten_tomatoes", "chinese_reviews", "keras_imdb", "file"]
    path: Annotated[str, Field(min_length=1)]
    test_path: Annotated[str, Field(min_length=1)]
    text_column: Columns | None
    label_column: Column
    group_column: Column | None
    split_column: Column | None
    time_column: Column | None
    encoding: str | None
    delimiter: Annotated[str, pattern_field(r"^[\x01-\x7f]$", "one ASCII character")] | None
    label_map: dict[AnyLabel, Label | None] | None
    missing_labels: list[str] | None
    max_broken: Annotated[float, Field(ge=0, le=0.5)]
    max_rows: Annotated[int, Field(ge=200)] | None
    skew: Annotated[float, Field(ge=1, le=1_000)] | None

    @property
    def title(self) -> str:
        """Name of the data for runs and models: the data set, or the user's file or folder without its extension."""
        stem = re.sub(r"[^\w-]+", "-", Path(self.path).name.partition(".")[0]).strip("-")
        return (stem or "file") if self.dataset == "file" else self.dataset

    @property
    def columns(self) -> dict[str, list[str | int]]:
        """The user's columns of each modality that the rows have, by modality; several are joined to one text."""
        named = {name: getattr(self, f"{name}_column") for name in MODALITIES}
        return {name: column if isinstance(column, list) else [column] for name, column in named.items() if column}

    @model_validator(mode="after")
    def _check(self) -> "IngestOfTexts":
        defaults = dict.fromkeys(OTHER_COLUMNS) | FILE_DEFAULTS
        changed = [key for key, default in defaults.items() if getattr(self, key) != default]
        if self.dataset != "file" and changed:
            raise ValueError(f"ingest.{changed[0]} requires ingest.dataset: file; the data set is {self.dataset}")
        if self.dataset == "file" and self.path == NO_FILE.as_posix():
            raise ValueError("ingest.dataset: file requires ingest.path, the path of your file or folder")
        if not self.columns:
            raise ValueError("ingest must name a column of inputs, such as ingest.text_column")
        if "://" in self.path + self.test_path:
            raise ValueError(
                "ingest.path must be a local path; download from an address with `dvc import-url`, see docs/data.md"
            )
        splits = [key for key in ("test_path", "split_column", "time_column") if key in changed]
        if len(splits) > 1:
            raise ValueError(f"ingest.{splits[0]} and ingest.{splits[1]} both name the test rows; set one of them")
        inputs = [column for columns in self.columns.values() for column in columns]
        others = (f"{role}_column" for role in ("label", "group", "split", "time"))
        columns = inputs + [column for key in others if (column := getattr(self, key))]
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"ingest names the column {column!r} for two purposes")
        if len({type(column) for column in columns}) > 1:
            raise ValueError(
                "ingest names some columns by number and others by name; name all by number if the file has no header"
            )
        if self.encoding is not None:
            _check_encoding(self.encoding)
        return self


def _check_encoding(encoding: str) -> None:
    try:
        "a".encode(encoding)
    except (LookupError, UnicodeError):
        raise ValueError(f"ingest.encoding {encoding!r} is not a text encoding of Python") from None


class Validate(Section):
    """Section `validate`: limits of the rules."""

    name = "validate"
    min_rows: Annotated[int, Field(ge=1)]
    min_rows_per_class: Annotated[int, Field(ge=3)]
    max_imbalance: Annotated[float, Field(ge=1)]
    max_text_length: Annotated[int, Field(ge=1)]
    max_missing: Annotated[float, Field(ge=0, le=1)]
    max_undecodable: Annotated[float, Field(ge=0, le=1)]
    max_duplicates: Annotated[float, Field(ge=0, le=1)]
    max_conflicts: Annotated[float, Field(ge=0, le=1)]
    labels: Annotated[list[AnyLabel], Field(min_length=2, max_length=50)] | None
    warn_only: list[str]
    stop_on: list[str]


class Clean(Section):
    """Section `clean`: the split."""

    name = "clean"
    validation_share: Share
    test_share: Share
    split_seed: Seed


# The columns of other modalities, such as speech_column; null or absent if the rows have none.
OTHER_COLUMNS = tuple(f"{name}_column" for name in MODALITIES if name != "text")
if TYPE_CHECKING:
    Ingest = IngestOfTexts
else:
    _columns: dict[str, Any] = dict.fromkeys(OTHER_COLUMNS, (Column | None, None))
    Ingest = create_model("Ingest", __base__=IngestOfTexts, __module__=__name__, **_columns)

FILE_DEFAULTS: dict[str, str | float | None] = {
    "path": NO_FILE.as_posix(),
    "test_path": NO_FILE.as_posix(),
    "text_column": "text",
    "label_column": "label",
    "group_column": None,
    "split_column": None,
    "time_column": None,
    "encoding": None,
    "delimiter": None,
    "label_map": None,
    "missing_labels": None,
    "max_broken": 0.0,
}
