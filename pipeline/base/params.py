"""Load `params.yaml`: check all of it, return one section.

The class of a section is defined with the code that uses it, so that a change for one stage does not rerun the others.
"""

import difflib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import PipelineError
from .files import read_yaml

PARAMS_FILE = Path("params.yaml")

# The class of each section. The modules are imported by name, so that checking a section does not make its owner's code
# a dependency of the stage that checks it.
SECTIONS = {
    "ingest": "data.settings:Ingest",
    "validate": "data.settings:Validate",
    "clean": "data.settings:Clean",
    "tokenize": "text.settings:Tokenize",
    "rebalance": "training.rebalancing:Rebalance",
    "train": "training.settings:Train",
    "evaluate": "evaluation.settings:Evaluate",
    "publish": "registry.settings:Publish",
    "gate": "registry.settings:Gate",
    "retrain": "nightly.settings:Retrain",
    "drift": "evaluation.settings:Drift",
}

Values = dict[str, int | float | str | None]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
_DESCRIPTIONS: dict[str, str] = {}  # of regular expressions, for messages


def pattern_field(pattern: str, description: str) -> Any:
    """Constrain a string to a regular expression, with a description for messages."""
    _DESCRIPTIONS[pattern] = description
    return Field(pattern=pattern)


Label = Annotated[str, pattern_field(r"^\S(.*\S)?$", "a name without spaces around it")]
AnyLabel = Label | int | bool  # a label in YAML may be a number or a boolean


def label_name(label: str | int | bool) -> str:
    """Return a label of `params.yaml` as the string that it is in the data.

    >>> label_name(1), label_name(True), label_name("joy")
    ('1', 'true', 'joy')
    """
    return str(label).lower() if isinstance(label, bool) else str(label)


class Section(BaseModel):
    """One section of `params.yaml`; its fields are the keys, with their types and ranges."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Values]] = {}  # values that replace null, by `train.preset`


S = TypeVar("S", bound=Section)


def load(section: type[S], path: Path = PARAMS_FILE) -> S:
    """Check all of a parameter file, then return one section.

    Parameters
    ----------
    section : type[Section]
        The section's class, such as `Train`.
    path : Path
        The parameter file.

    Returns
    -------
    Section
        The section's values, each null replaced by the preset's value.

    Raises
    ------
    PipelineError
        The file is missing or not YAML, or a key is unknown, missing, of the wrong type or out of range.
    """
    document = read_document(path)
    check(document, path)
    return _validated(section, document, path)


def check(document: Mapping[str, Any], path: Path = PARAMS_FILE) -> None:
    """Check the values of all sections of a document from `read`; errors as in `load`."""
    train = document.get("train")
    preset = train.get("preset") if isinstance(train, dict) else None
    known = section_class("train").presets
    if preset not in list(known):
        raise PipelineError(f"{path}: train.preset must be one of {', '.join(known)}, got {preset!r}")
    for name in SECTIONS:
        _validated(section_class(name), document, path)


def read_document(path: Path) -> dict[str, Any]:
    """Read a parameter file and check the names of its sections."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise PipelineError(f"{path} must contain the sections {', '.join(SECTIONS)}")
    for key in document:
        if key not in SECTIONS:
            raise PipelineError(f"{path}: unknown section {key}{_suggestion(str(key), list(SECTIONS))}")
    return document


def section_class(name: str) -> type[Section]:
    """Return the class of a section, by its name."""
    module, _, class_name = SECTIONS[name].partition(":")
    section: type[Section] = getattr(import_module(f"..{module}", __package__), class_name)
    return section


def _validated(section: type[S], document: Mapping[str, Any], path: Path) -> S:
    values = document.get(section.name)
    if not isinstance(values, dict):
        raise PipelineError(
            f"{path}: section {section.name} is missing; it must contain {', '.join(section.model_fields)}"
        )
    defaults = section.presets.get(document["train"]["preset"], {})
    try:
        return section.model_validate({k: defaults.get(k) if v is None else v for k, v in values.items()})
    except ValidationError as error:
        raise PipelineError(f"{path}: " + "; ".join(_sentence(section, e) for e in error.errors())) from error


def _sentence(section: type[Section], error: Any) -> str:
    key = ".".join(
        [section.name, *(str(part) for part in error["loc"] if not str(part).startswith(("function-", "as-")))]
    )
    if error["type"] == "extra_forbidden":
        last = str(error["loc"][-1])
        return f"unknown parameter {key}{_suggestion(last, list(section.model_fields), section.name)}"
    if error["type"] == "missing":
        return f"{key} is missing"
    rule = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        rule = _DESCRIPTIONS[error["ctx"]["pattern"]]
    return rule if error["type"] == "value_error" else f"{key} must be {rule}, got {error['input']!r}"


def _suggestion(word: str, known: list[str], section: str = "") -> str:
    close = difflib.get_close_matches(word, known, n=1)
    prefix = f"{section}." if section else ""
    return f"; did you mean {prefix}{close[0]}?" if close else f"; known: {', '.join(known)}"
