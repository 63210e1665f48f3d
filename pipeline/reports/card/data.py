"""The data of the model, and how texts are prepared."""

from pathlib import Path
from typing import Any

from ...base import paths
from ...base.markdown import bullets, named, pipe_table
from ...base.modalities import MODALITIES
from ...data.datasets import SOURCES
from ...data.settings import NO_FILE
from ..facts import Facts

# Why clean dropped a row, by the keys of data/clean/summary.json.
DROP_REASONS = {
    "unlabelled": "no label",
    "empty": "no text left after cleaning",
    "held_out": "a copy, or a row of the same group, is in the given validation or test rows",
    "conflicting": "the same text has another label at least as often",
    "duplicate": "the text is in an earlier row",
    "surplus": "removed to make the classes unequal on purpose (`ingest.skew`)",
}
UNIT_NAMES = {
    "word": "words and punctuation marks",
    "character": "characters",
    "chinese": "Chinese words, split by jieba",
}


def data(facts: Facts) -> list[str]:
    """Return origin, licence and split of the data, and the tables of rows."""
    settings = facts.ingest
    notes = [_split(settings)]
    if settings["label_map"]:
        notes.append(
            "`ingest.label_map` renamed labels, and left out rows whose label it maps to null, before the counts below."
        )
    if settings["max_rows"]:
        notes.append(f"A hash selected {settings['max_rows']:,} of more rows (`ingest.max_rows`).")
    return [*_origin(settings), " ".join(notes), _dropped_rows(facts), "### Rows per class", _class_rows(facts)]


def _origin(settings: dict[str, Any]) -> list[str]:
    if settings["dataset"] == "file":
        columns = [f'{plural} in the column "{_column(settings[key])}"' for key, plural in _input_columns(settings)]
        return [
            f"Your file {named(Path(settings['path']).name)}, with {', '.join(columns)} and labels in "
            f'"{_column(settings["label_column"])}".',
            "**Licence**: yours to state, as is whether the authors of the texts may expect this use.",
        ]
    source = SOURCES[settings["dataset"]]
    return [
        f"`{settings['dataset']}`: {source.texts} ({source.package}).",
        f"**Licence**: {source.licence}. The licence of a package does not cover the texts in it.",
    ]


def _input_columns(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the parameter that names each input's column, and what the column holds."""
    inputs = {f"{name}_column": "texts" if name == "text" else name for name in MODALITIES}
    return [(key, held) for key, held in inputs.items() if settings[key]]


def _column(column: str | int | list[str | int]) -> str:
    """Return a column of the user's file, by name or number, or several that are joined."""
    return " + ".join(named(str(name)) for name in (column if isinstance(column, list) else [column]))


def _split(settings: dict[str, Any]) -> str:
    """Return how the test rows were chosen."""
    if settings["test_path"] != NO_FILE.as_posix():
        return f"The test rows are those of your test file {named(Path(settings['test_path']).name)}."
    if settings["split_column"]:
        return f'The column "{_column(settings["split_column"])}" assigns rows to training, validation and test.'
    if settings["time_column"]:
        return f'The test rows are the latest, by the column "{_column(settings["time_column"])}".'
    if settings["dataset"] == "keras_imdb":
        return "The test rows are the official ones."
    key = f'each "{_column(settings["group_column"])}"' if settings["group_column"] else "each text"
    if settings["dataset"] == "imdb":
        key = "each group of neighbouring reviews, which are often of one film,"
    return f"A hash of {key} assigns rows to the splits, whatever their class, so that no text is in two splits."


def _dropped_rows(facts: Facts) -> str:
    cleaned = facts.cleaned
    rows = [("read", "", f"{cleaned['rows']:,}")]
    rows += [("dropped", DROP_REASONS[key], f"{count:,}") for key, count in cleaned["dropped"].items() if count]
    rows.append(("kept", "", f"{cleaned['kept']:,}"))
    return pipe_table(("rows", "reason", "number"), rows, right=1)


def _class_rows(facts: Facts) -> str:
    rows = [
        (named(name), *(f"{counts[split]:,}" for split in paths.SPLITS), f"{sum(counts.values()):,}")
        for name, counts in facts.counts.items()
    ]
    totals = [sum(counts[split] for counts in facts.counts.values()) for split in paths.SPLITS]
    rows.append(("all", *(f"{total:,}" for total in totals), f"{sum(totals):,}"))
    return pipe_table(("class", *paths.SPLITS, "all"), rows, right=4)


def preprocessing(facts: Facts) -> list[str]:
    """Return how texts become input of the model."""
    tokenizer = facts.tokenizer
    if not tokenizer:
        return [f"The same code prepares the inputs ({' and '.join(facts.inputs)}) for training and for prediction."]
    return [
        "The same code prepares texts for training and for prediction:",
        bullets(
            [
                "mojibake is repaired, text is lower-cased, markup and extra spaces are removed; negation, "
                "punctuation, emoji and accents stay;",
                "web, e-mail and IP addresses, user names, phone, card and identity numbers become `[url]`, `[email]`, "
                "`[ip]`, `[user]`, `[phone]`, `[card]` and `[id]`;",
                f"texts are split into {UNIT_NAMES[tokenizer['unit']]}; the {tokenizer['units']:,} most frequent in "
                f"the training texts have an id each, all others share one; the last {tokenizer['length']:,} of a text "
                "are used.",
            ]
        ),
        f"Language `{tokenizer['language']}`: detected in the training texts, or set by `tokenize.language`.",
    ]
