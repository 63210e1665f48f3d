"""Parameters: `params.yaml` checked as a whole, handed out one section at a time."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from .files import read_yaml
from .stage import PipelineError

PARAMS_FILE = Path("params.yaml")

Values = dict[str, int | float | str | None]
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
# What `null` means under tokenize and train: the preset's value, or None: chosen by the size of the data, see
# pipeline/text.py and pipeline/train.py. `textbook` is the plain model that most tutorials teach.
PRESETS: dict[str, dict[str, Values]] = {
    "textbook": {
        "tokenize": {"vocabulary_size": 10_000, "length": 100},
        "train": {
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
    },
    "fast": {"tokenize": {"vocabulary_size": None, "length": None}, "train": FAST},
    "best": {
        "tokenize": {"vocabulary_size": None, "length": None},
        "train": FAST | {"embedding_dim": 128, "units": 128, "pretraining_epochs": 10, "patience": 3},
    },
}
NO_FILE = Path("data/none")  # stands for no file where dvc.yaml needs one to depend on
# Strategies of rebalance that aim at a number of rows for each class, and those with a strength, by its default.
AIMED = ("random_over", "random_under", "class_weight", "balanced_batches", "logit_adjustment")
STRENGTHS = {"effective_number": 0.9999, "focal": 2.0, "logit_adjustment": 1.0}

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0.05, le=0.4)]
Name = Annotated[str, Field(pattern=r"^[\w.-]+( [\w.-]+)*$")]
Column = Annotated[str, Field(min_length=1)]
Label = Annotated[str, Field(pattern=r"^\S(.*\S)?$")]
AnyLabel = Label | int | bool  # as YAML reads a label of the data
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
Target = Annotated[  # told apart first, so that an error is of one of them
    Annotated[float, Field(gt=0, le=1), Tag("as-ratio")]
    | Annotated[dict[AnyLabel, Annotated[int, Field(ge=1)]], Tag("as-rows")],
    Discriminator(lambda value: "as-rows" if isinstance(value, dict) else "as-ratio"),
]
IN_WORDS = {
    r"^[\w.-]+( [\w.-]+)*$": "letters, digits and . _ - with single spaces",
    r"^\S(.*\S)?$": "a name without space around it",
    r"^[A-Za-z0-9][\w./-]*$": "the name of a git branch",
    r"^[a-z]{2}$": "two letters, such as en",
    r"^[\x01-\x7f]$": "one ASCII character",
}


class Section(BaseModel):
    """One section of `params.yaml`; its fields are the keys, with their types and ranges."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    name: ClassVar[str]


class Ingest(Section):
    name = "ingest"
    dataset: Literal["tweets", "imdb", "rotten_tomatoes", "chinese_reviews", "keras_imdb", "file"]
    path: Annotated[str, Field(min_length=1)]
    test_path: Annotated[str, Field(min_length=1)]
    text_column: Column
    label_column: Column
    group_column: Column | None
    split_column: Column | None
    time_column: Column | None
    encoding: str | None
    delimiter: Annotated[str, Field(pattern=r"^[\x01-\x7f]$")] | None
    label_map: dict[AnyLabel, Label | None] | None
    max_rows: Annotated[int, Field(ge=200)] | None
    skew: Annotated[float, Field(ge=1, le=1_000)] | None

    @property
    def title(self) -> str:
        """What runs and models are called after: the data set, or the user's file or folder without its ending."""
        stem = re.sub(r"[^\w-]+", "-", Path(self.path).name.partition(".")[0]).strip("-")
        return (stem or "file") if self.dataset == "file" else self.dataset

    @model_validator(mode="after")
    def _file(self) -> "Ingest":
        given = [key for key, default in FILE_DEFAULTS.items() if getattr(self, key) != default]
        if self.dataset != "file" and given:
            raise ValueError(f"ingest.{given[0]} is for ingest.dataset: file alone; the data set is {self.dataset}")
        if self.dataset == "file" and self.path == NO_FILE.as_posix():
            raise ValueError("ingest.path must name the file or folder of ingest.dataset: file")
        if "://" in self.path + self.test_path:
            raise ValueError(
                "ingest.path must be a file or folder; bring an address with `dvc import-url`, see docs/data.md"
            )
        splits = [key for key in ("test_path", "split_column", "time_column") if key in given]
        if len(splits) > 1:
            raise ValueError(f"ingest.{splits[0]} and ingest.{splits[1]} both name the test rows; set one of them")
        columns = [column for key in FILE_DEFAULTS if key.endswith("_column") and (column := getattr(self, key))]
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"ingest names the column {column!r} for two purposes")
        if self.encoding is not None:
            try:
                "a".encode(self.encoding)
            except (LookupError, UnicodeError):
                raise ValueError(f"ingest.encoding {self.encoding!r} is no text encoding that Python knows") from None
        return self


class Validate(Section):
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


class Clean(Section):
    name = "clean"
    validation_share: Share
    test_share: Share
    split_seed: Seed


class Tokenize(Section):
    name = "tokenize"
    language: Language | None
    unit: Literal["word", "character", "chinese"] | None
    vocabulary_size: Annotated[int, Field(ge=100, le=200_000)] | None
    length: Annotated[int, Field(ge=4, le=2_000)] | None


class Rebalance(Section):
    name = "rebalance"
    strategy: Literal[
        "auto",
        "none",
        "random_over",
        "random_under",
        "class_weight",
        "effective_number",
        "focal",
        "balanced_batches",
        "logit_adjustment",
    ]
    target: Target | None
    strength: Annotated[float, Field(gt=0, le=10)] | None
    prior_correction: Annotated[float, Field(ge=0, le=1)]
    seed: Seed

    @field_validator("strategy", mode="before")
    @classmethod
    def _no_mixture(cls, value: Any) -> Any:
        name = re.sub(r"\W|_", "", str(value)).lower()
        if "smote" in name or name in {"adasyn", "rose", "mixup", "clustercentroids"}:
            raise ValueError(
                f"rebalance.strategy {value} makes rows between rows, but between the ids of two words there is no "
                "word; random_over repeats whole texts"
            )
        return value

    @model_validator(mode="after")
    def _of_the_strategy(self) -> "Rebalance":
        if self.target is not None and self.strategy not in AIMED:
            raise ValueError(f"rebalance.target is for {', '.join(AIMED)}; the strategy is {self.strategy}")
        if self.strength is not None and self.strategy not in STRENGTHS:
            raise ValueError(f"rebalance.strength is for {', '.join(STRENGTHS)}; the strategy is {self.strategy}")
        if self.strategy == "effective_number" and self.strength is not None and self.strength >= 1:
            raise ValueError(f"rebalance.strength of effective_number must be below 1, got {self.strength}")
        return self


class Train(Section):
    name = "train"
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
    def _every_state(self) -> "Train":
        if self.pretraining_epochs and self.pooling == "last":
            raise ValueError("train.pretraining_epochs needs the states of all tokens: set train.pooling to max")
        return self


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


class Gate(Section):
    name = "gate"
    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    min_macro_f1: Annotated[float, Field(ge=0, le=1)]
    min_gain: Annotated[float, Field(ge=-1, le=1)]
    min_class_recall: Annotated[float, Field(ge=0, le=1)]
    min_slice_accuracy: Annotated[float, Field(ge=0, le=1)]
    min_samples: Annotated[int, Field(ge=1)]
    max_ece: Annotated[float, Field(ge=0, le=1)]
    max_latency: Annotated[float, Field(gt=0)]
    max_size: Annotated[float, Field(gt=0)]
    change: Literal["not_worse", "better"]
    margin: Annotated[float, Field(ge=0, le=1)]
    max_class_drop: Annotated[float, Field(ge=0, le=1)]
    max_slice_drop: Annotated[float, Field(ge=0, le=1)]


class Retrain(Section):
    name = "retrain"
    incoming: Annotated[str, Field(min_length=1)]
    min_new_rows: Annotated[int, Field(ge=1)]
    on_drift: bool
    max_age: Annotated[float, Field(gt=0)] | None
    min_agreement: Annotated[float, Field(ge=-1, le=1)]
    branch: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w./-]*$")] | None
    max_hours: Annotated[float, Field(gt=0, le=168)]


class Publish(Section):
    name = "publish"
    experiment: Name
    model: Name | None


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


SECTIONS: tuple[type[Section], ...] = (
    Ingest,
    Validate,
    Clean,
    Tokenize,
    Rebalance,
    Train,
    Evaluate,
    Publish,
    Gate,
    Retrain,
    Drift,
)
FILE_DEFAULTS: dict[str, str | None] = {
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
}
S = TypeVar("S", bound=Section)


def load(section: type[S], path: Path = PARAMS_FILE) -> S:
    """Check all of `path`, then give one section of it.

    Parameters
    ----------
    section : type[Section]
        The section wanted, such as `Train`.
    path : Path
        The parameter file.

    Returns
    -------
    Section
        The section's values, with each null replaced by the preset's value.

    Raises
    ------
    PipelineError
        The file is missing or no YAML, or a key is unknown, missing, of a wrong type or out of range.
    """
    document = read(path)
    check(document, path)
    return _check(section, document, path)


def check(document: Mapping[str, Any], path: Path = PARAMS_FILE) -> None:
    """Check the values of all sections of what `read` gave; errors as in `load`."""
    train = document.get("train")
    preset = train.get("preset") if isinstance(train, dict) else None
    if preset not in list(PRESETS):
        raise PipelineError(f"{path}: train.preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    for each in SECTIONS:
        _check(each, document, path)


def label_name(label: str | int | bool) -> str:
    """A label as the table has it: YAML's `1` is "1", and its `true` is "true"."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def model_name(path: Path = PARAMS_FILE) -> str:
    """The name in the model registry."""
    return load(Publish, path).model or f"{load(Ingest, path).title}-lstm"


def read(path: Path) -> dict[str, Any]:
    """Read `path` and check its sections' names."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise PipelineError(f"{path} must hold the sections {', '.join(s.name for s in SECTIONS)}")
    known = [each.name for each in SECTIONS]
    for key in document:
        if key not in known:
            raise PipelineError(f"{path}: {key} is no section{_suggest(str(key), known)}")
    return document


def _check(section: type[S], document: Mapping[str, Any], path: Path) -> S:
    values = document.get(section.name)
    if not isinstance(values, dict):
        raise PipelineError(
            f"{path}: section {section.name} is missing; it must hold {', '.join(section.model_fields)}"
        )
    defaults = PRESETS[document["train"]["preset"]].get(section.name, {})
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
        return f"{key} is no parameter of {section.name}{_suggest(last, list(section.model_fields), section.name)}"
    if error["type"] == "missing":
        return f"{key} is missing"
    rule = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        rule = IN_WORDS[error["ctx"]["pattern"]]
    return rule if error["type"] == "value_error" else f"{key} must be {rule}, got {error['input']!r}"


def _suggest(word: str, known: list[str], section: str = "") -> str:
    close = difflib.get_close_matches(word, known, n=1)
    prefix = f"{section}." if section else ""
    return f"; did you mean {prefix}{close[0]}?" if close else f"; there are {', '.join(known)}"


def main() -> None:
    """Check `params.yaml` before any work: `python -m pipeline.params`."""
    settings = load(Ingest)  # which checks all sections
    for key in ("path", "test_path"):
        if not Path(getattr(settings, key)).exists():
            raise PipelineError(f"{PARAMS_FILE}: ingest.{key} names {getattr(settings, key)}, which does not exist")


if __name__ == "__main__":
    from .stage import run

    run("params", main)
