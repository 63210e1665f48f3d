"""Rules of every table, whatever its modalities: rows, labels, duplicates and classes; and the tables they need."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from ...base.errors import PipelineError
from ...base.modalities import modalities_of, module_of
from ...base.params import label_name
from ..columns import ingested_columns
from ..content import content, content_keys
from ..labels import DOUBTFUL
from ..readers.reading import Reading
from ..settings import Validate
from ..split import split_key
from .engine import MAX_CLASSES, Rule, RuleTables, number, percent


def declared_rules(settings: Validate, modalities: Sequence[str] = ("text",)) -> list[Rule]:
    """Return all rules, in the order in which they are reported.

    Parameters
    ----------
    settings : Validate
        Limits, and the rules that only warn.
    modalities : sequence of str
        The table's modalities.

    Raises
    ------
    PipelineError
        `validate.warn_only` names an unknown rule.
    """
    s, of_inputs = settings, [module_of("rules", name).rules(settings) for name in modalities]
    columns, inputs = ingested_columns(modalities), " or ".join(modalities)
    most, least = "ExpectColumnMaxToBeBetween", "ExpectColumnMinToBeBetween"
    # fmt: off
    declared = [
        Rule("columns", "table", "ExpectTableColumnsToMatchSet", {"column_set": columns},
             f"the columns are {', '.join(columns)}"),
        Rule("min_rows", "table", "ExpectTableRowCountToBeBetween", {"min_value": s.min_rows},
             f"there are {s.min_rows:,} rows or more", "validate.min_rows"),
        *(first for first, *_ in of_inputs),
        Rule("missing_labels", "shares", most, {"column": "missing_labels", "max_value": s.max_missing},
             f"at most {percent(s.max_missing)} of the rows lack a label", "validate.max_missing"),
        *(rule for _, *others in of_inputs for rule in others),
        Rule("duplicates", "shares", most, {"column": "duplicates", "max_value": 0.3},
             f"at most 30 % of the rows repeat an earlier {inputs}", severity="warn"),
        Rule("max_duplicates", "shares", most, {"column": "duplicates", "max_value": s.max_duplicates},
             f"at most {percent(s.max_duplicates)} of the rows repeat an earlier {inputs}", "validate.max_duplicates"),
        Rule("max_conflicts", "shares", most, {"column": "conflicts", "max_value": s.max_conflicts},
             f"at most {percent(s.max_conflicts)} of the rows have a {inputs} that also occurs under another label",
             "validate.max_conflicts"),
        Rule("number_of_classes", "classes", "ExpectTableRowCountToBeBetween",
             {"min_value": 2, "max_value": MAX_CLASSES}, f"there are 2 to {MAX_CLASSES} classes"),
        Rule("min_rows_per_class", "classes", least, {"column": "rows", "min_value": s.min_rows_per_class},
             f"every class has {s.min_rows_per_class:,} rows or more", "validate.min_rows_per_class"),
        Rule("max_imbalance", "classes", most, {"column": "imbalance", "max_value": s.max_imbalance},
             f"the largest class has at most {number(s.max_imbalance)} times the rows of any other",
             "validate.max_imbalance"),
        Rule("spellings", "classes", most, {"column": "spellings", "max_value": 0},
             "the names of all classes differ in more than case, width of characters and spaces", "ingest.label_map"),
        Rule("doubtful_labels", "classes", most, {"column": "doubtful", "max_value": 0},
             "no class has the name of a missing value, such as None", "ingest.missing_labels", severity="warn"),
        Rule("skipped_rows", "reading", most, {"column": "skipped", "max_value": 0},
             "no row of the files was skipped", severity="warn"),
        Rule("changed_cells", "reading", most, {"column": "changed", "max_value": 0},
             "no cell of the files was changed when they were read", severity="warn"),
    ]
    if s.labels is not None:
        allowed = [label_name(label) for label in s.labels]
        declared.append(
            Rule("labels", "rows", "ExpectColumnValuesToBeInSet", {"column": "label", "value_set": allowed},
                 f"every label is one of the {len(s.labels)} allowed", "validate.labels"))
    # fmt: on
    return _with_warnings(declared, s.warn_only)


def _with_warnings(rules: Sequence[Rule], warn_only: Sequence[str]) -> list[Rule]:
    known = [rule.name for rule in rules]
    for name in warn_only:
        if name not in known:
            raise PipelineError(f"validate.warn_only: unknown rule {name!r}; known: {', '.join(known)}")
    return [replace(rule, severity="warn") if rule.name in warn_only else rule for rule in rules]


def rule_tables(table: pd.DataFrame, readings: Mapping[str, Reading] | None = None) -> RuleTables:
    """Return the tables that rules are about; what needs a column that the raw table lacks is left out.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, n_columns)
        The raw table, with the columns of `ingested_columns`; inputs and labels are null or blank where missing.
    readings : mapping of str to Reading, or None
        How the files were read, by source.
    """
    rows, read = _rows(table), list((readings or {}).values())
    return RuleTables(
        table=table,
        rows=rows,
        shares=rows.select_dtypes("bool").mean().to_frame().T,
        classes=_classes(rows["label"] if "label" in rows else pd.Series(dtype="str")),
        reading=pd.DataFrame(
            {
                "skipped": [sum(len(rows) for reading in read for rows in reading.skipped.values())],
                "changed": [sum(sum(reading.changed.values()) for reading in read)],
            }
        ),
    )


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
    keys = [split_key(label) for label in counts.index]
    spellings = Counter(keys)
    return pd.DataFrame(
        {
            "label": counts.index,
            "rows": counts.to_numpy(),
            "imbalance": counts.max() / counts.to_numpy(),
            "spellings": [spellings[key] - 1 for key in keys],
            "doubtful": [int(label.casefold() in DOUBTFUL) for label in counts.index],
        }
    )
