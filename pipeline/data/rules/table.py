"""Rules of every table, whatever its modalities: rows, labels, duplicates and classes; and the tables they need."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pandas as pd

from ...base.errors import PipelineError
from ...base.modalities import modalities_of, module_of
from ...base.params import label_name
from ..columns import ingested_columns
from ..content import content, content_keys
from ..labels import DOUBTFUL
from ..readers.reading import Reading
from ..settings import Validate
from ..spellings import spelling_keys, unmixed
from .engine import MAX_CLASSES, RuleTables
from .rule import Rule, number, percent

MOST, LEAST = "ExpectColumnMaxToBeBetween", "ExpectColumnMinToBeBetween"
OF_LABELS = ("labels", "min_rows_per_class", "max_imbalance")  # what other names of the labels would change
OF_CLASSES = ("spellings", "mixed_scripts", "doubtful_labels", *OF_LABELS)  # what means nothing without good classes
OF_READING = (  # name, what must be true, and the parameter that may make it so
    ("skipped_rows", "no row of the files was skipped", ""),
    ("changed_cells", "all rows were read as they stand in the files", ""),
    ("guessed_encodings", "no file's encoding was detected by its letters", "ingest.encoding"),
    ("folded_labels", "no label got another spelling when it was read, as 1.0 becomes 1", ""),
    ("missing_markers", "no label was read as missing because it is a marker such as NA", "ingest.missing_labels"),
)


def declared_rules(settings: Validate, modalities: Sequence[str] = ("text",)) -> list[Rule]:
    """Return all rules, in the order in which they are reported.

    Parameters
    ----------
    settings : Validate
        Limits, and the rules that only warn, or stop.
    modalities : sequence of str
        The table's modalities.

    Raises
    ------
    PipelineError
        `validate.warn_only` or `validate.stop_on` names an unknown rule, or both name one.
    """
    s, of_inputs = settings, [module_of("rules", name).rules(settings) for name in modalities]
    columns, inputs = ingested_columns(modalities), " or ".join(modalities)
    # fmt: off
    declared = [
        Rule("columns", "table", "ExpectTableColumnsToMatchSet", {"column_set": columns},
             f"the columns are {', '.join(columns)}", consequences=("number_of_classes", *OF_CLASSES)),
        Rule("min_rows", "table", "ExpectTableRowCountToBeBetween", {"min_value": s.min_rows},
             f"there are {s.min_rows:,} rows or more", "validate.min_rows",
             consequences=("number_of_classes", "min_rows_per_class")),
        *(first for first, *_ in of_inputs),
        Rule("missing_labels", "shares", MOST, {"column": "missing_labels", "max_value": s.max_missing},
             f"at most {percent(s.max_missing)} of the rows lack a label", "validate.max_missing",
             consequences=("number_of_classes", "min_rows_per_class", "max_imbalance")),
        *(rule for _, *others in of_inputs for rule in others),
        Rule("duplicates", "shares", MOST, {"column": "duplicates", "max_value": 0.3},
             f"at most 30 % of the rows repeat an earlier {inputs}", severity="warn"),
        Rule("max_duplicates", "shares", MOST, {"column": "duplicates", "max_value": s.max_duplicates},
             f"at most {percent(s.max_duplicates)} of the rows repeat an earlier {inputs}", "validate.max_duplicates",
             consequences=("duplicates", "max_conflicts")),
        Rule("max_conflicts", "shares", MOST, {"column": "conflicts", "max_value": s.max_conflicts},
             f"at most {percent(s.max_conflicts)} of the rows have a {inputs} that also occurs under another label",
             "validate.max_conflicts"),
        *_of_classes(s),
        *(Rule(name, "reading", MOST, {"column": name, "max_value": 0}, description, parameter, severity="warn")
          for name, description, parameter in OF_READING),
        *_of_labels(s),
    ]
    # fmt: on
    return _with_severities(declared, s)


def _of_classes(s: Validate) -> list[Rule]:
    # fmt: off
    return [
        Rule("number_of_classes", "classes", "ExpectTableRowCountToBeBetween",
             {"min_value": 2}, "there are 2 classes or more"),
        Rule("max_classes", "classes", "ExpectTableRowCountToBeBetween", {"max_value": MAX_CLASSES},
             f"there are at most {MAX_CLASSES} classes", "ingest.label_column",
             consequences=("max_conflicts", *OF_CLASSES)),
        Rule("spellings", "classes", MOST, {"column": "spellings", "max_value": 0},
             "the names of all classes look different, and differ in more than case, width of characters and spaces",
             "ingest.label_map", consequences=("max_conflicts", "mixed_scripts", *OF_LABELS)),
        Rule("mixed_scripts", "classes", MOST, {"column": "mixed", "max_value": 0},
             "no word of a class's name has letters of two scripts that look alike", "ingest.label_map",
             severity="warn"),
        Rule("doubtful_labels", "classes", MOST, {"column": "doubtful", "max_value": 0},
             "no class has the name of a missing value, such as None", "ingest.missing_labels", severity="warn"),
        Rule("min_rows_per_class", "classes", LEAST, {"column": "rows", "min_value": s.min_rows_per_class},
             f"every class has {s.min_rows_per_class:,} rows or more", "validate.min_rows_per_class"),
        Rule("max_imbalance", "classes", MOST, {"column": "imbalance", "max_value": s.max_imbalance},
             f"the largest class has at most {number(s.max_imbalance)} times the rows of any other",
             "validate.max_imbalance"),
    ]
    # fmt: on


def _of_labels(s: Validate) -> list[Rule]:
    if s.labels is None:
        return []
    allowed = [label_name(label) for label in s.labels]
    return [
        Rule(
            "labels", "rows", "ExpectColumnValuesToBeInSet", {"column": "label", "value_set": allowed},
            f"every label is one of the {len(allowed)} allowed", "validate.labels",
            consequences=("number_of_classes", "doubtful_labels", "min_rows_per_class", "max_imbalance"),
        )
    ]  # fmt: skip


def _with_severities(rules: Sequence[Rule], settings: Validate) -> list[Rule]:
    known = [rule.name for rule in rules]
    keys: dict[str, Literal["warn", "stop"]] = {"warn_only": "warn", "stop_on": "stop"}
    wanted: dict[str, Literal["warn", "stop"]] = {}
    for key, severity in keys.items():
        for name in getattr(settings, key):
            if name not in known:
                raise PipelineError(f"validate.{key}: unknown rule {name!r}; known: {', '.join(known)}")
            if wanted.setdefault(name, severity) != severity:
                raise PipelineError(f"validate.warn_only and validate.stop_on both name {name!r}; name it in one")
    return [replace(rule, severity=wanted.get(rule.name, rule.severity)) for rule in rules]


def rule_tables(
    table: pd.DataFrame,
    readings: Mapping[str, Reading] | None = None,
    label_map: Mapping[Any, str | None] | None = None,
) -> RuleTables:
    """Return the tables that rules are about; what needs a column that the raw table lacks is left out.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, n_columns)
        The raw table, with the columns of `ingested_columns`; inputs and labels are null or blank where missing.
    readings : mapping of str to Reading, or None
        How the files were read, by source.
    label_map : mapping or None
        The `ingest.label_map` that gave the labels their names.
    """
    rows, done = _rows(table), _done(list((readings or {}).values()))
    return RuleTables(
        table=table,
        rows=rows,
        shares=rows.select_dtypes("bool").mean().to_frame().T,
        classes=_classes(rows["label"] if "label" in rows else pd.Series(dtype="str")),
        reading=pd.DataFrame({name: [sum(counts.values())] for name, counts in done.items()}),
        done=done,
        label_map=label_map,
    )


def _done(readings: Sequence[Reading]) -> dict[str, Counter[str]]:
    """Return what was done when the files were read, and how often, by the name of the rule."""
    done: dict[str, Counter[str]] = {name: Counter() for name, *_ in OF_READING}
    for reading in readings:
        done["skipped_rows"].update({reason: len(rows) for reason, rows in reading.skipped.items()})
        done["changed_cells"].update(reading.changed)
        done["folded_labels"].update(reading.folded)
        done["guessed_encodings"].update([f"in {reading.encoding}"] if reading.guessed else [])
        done["missing_markers"].update({f"labels {marker}": count for marker, count in reading.missing.items()})
    return done


def _rows(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[[name for name in ("source", "row") if name in table]].copy()
    if "label" in table:
        labels = table["label"].astype("str")
        rows["label"] = labels.where(labels.str.strip() != "")
        rows["missing_labels"] = rows["label"].isna()
    modalities = modalities_of(table)
    for name in modalities:
        for column, values in module_of("rules", name).measure(table[name].astype("str")).items():
            rows[column] = values
    if modalities:
        # Rows with equal keys are duplicates, which clean puts into one split.
        keys = content_keys(content(table))
        present, key_ids = keys != "", pd.Series(pd.factorize(keys)[0], index=table.index)
        rows["duplicates"] = present & key_ids.duplicated()
        if "label" in table:
            pairs = pd.DataFrame({"content": key_ids, "label": rows["label"]})[present].dropna().drop_duplicates()
            rows["conflicts"] = key_ids.isin(pairs.loc[pairs["content"].duplicated(), "content"])
    return rows


def _classes(labels: "pd.Series[str]") -> pd.DataFrame:
    counts = labels.value_counts() if len(labels) else pd.Series(dtype="int64")
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    keys = spelling_keys(counts.index)
    spellings = Counter(keys)
    return pd.DataFrame(
        {
            "label": counts.index,
            "rows": counts.to_numpy(),
            "imbalance": counts.max() / counts.to_numpy(),
            "spellings": [spellings[key] - 1 for key in keys],
            "mixed": [int(unmixed(label) != label) for label in counts.index],
            "doubtful": [int(label.casefold() in DOUBTFUL) for label in counts.index],
        }
    )
