"""Rules of every table, whatever its input is: rows, labels, copies, classes; and what all rules look at."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from ...base.errors import PipelineError
from ...base.modalities import modalities_of, module_of
from ...base.params import label_name
from ..content import content, content_keys
from ..settings import Validate
from ..split import split_key
from .engine import MAX_CLASSES, Rule, number, percent


def columns(modalities: Sequence[str]) -> list[str]:
    """Return the columns of a table that ingest wrote, with these kinds of input.

    >>> columns(["text"])
    ['id', 'text', 'label', 'source', 'group', 'split', 'time', 'row']
    """
    return ["id", *modalities, "label", "source", "group", "split", "time", "row"]


def rules(settings: Validate, modalities: Sequence[str] = ("text",)) -> list[Rule]:
    """Return all rules, in the order in which they are reported.

    Raises
    ------
    PipelineError
        `validate.warn_only` names an unknown rule.
    """
    s, own = settings, [module_of("rules", name).rules(settings) for name in modalities]
    names, what = columns(modalities), " or ".join(modalities)
    most, least = "ExpectColumnMaxToBeBetween", "ExpectColumnMinToBeBetween"
    # fmt: off
    declared = [
        Rule("columns", "table", "ExpectTableColumnsToMatchSet", {"column_set": names},
             f"the columns are {', '.join(names)}"),
        Rule("min_rows", "table", "ExpectTableRowCountToBeBetween", {"min_value": s.min_rows},
             f"there are {s.min_rows:,} rows or more", "validate.min_rows"),
        *(first for first, *_ in own),
        Rule("missing_labels", "shares", most, {"column": "missing_labels", "max_value": s.max_missing},
             f"at most {percent(s.max_missing)} of the rows lack a label", "validate.max_missing"),
        *(rule for _, *others in own for rule in others),
        Rule("duplicates", "shares", most, {"column": "duplicates", "max_value": 0.3},
             f"at most 30 % of the rows repeat an earlier {what}", severity="warn"),
        Rule("max_duplicates", "shares", most, {"column": "duplicates", "max_value": s.max_duplicates},
             f"at most {percent(s.max_duplicates)} of the rows repeat an earlier {what}", "validate.max_duplicates"),
        Rule("max_conflicts", "shares", most, {"column": "conflicts", "max_value": s.max_conflicts},
             f"at most {percent(s.max_conflicts)} of the rows have a {what} that also occurs under another label",
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
    ]
    if s.labels is not None:
        allowed = [label_name(label) for label in s.labels]
        declared.append(
            Rule("labels", "rows", "ExpectColumnValuesToBeInSet", {"column": "label", "value_set": allowed},
                 f"every label is one of the {len(s.labels)} allowed", "validate.labels"))
    # fmt: on
    known = [rule.name for rule in declared]
    for name in s.warn_only:
        if name not in known:
            raise PipelineError(f"validate.warn_only: unknown rule {name!r}; known: {', '.join(known)}")
    return [replace(rule, severity="warn") if rule.name in s.warn_only else rule for rule in declared]


def measure(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables that rules look at; what needs a column that the raw table lacks is left out.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, 8)
        The raw table, with the columns of `columns`; cells and labels are null or blank where missing.

    Returns
    -------
    dict of str to DataFrame
        `table`: the raw table. `rows`: one row a row, with its label (null where missing or blank), source and row
        number, what the rules of its kinds of input look at, and whether it counts for each share. `shares`: one row,
        with shares of all rows. `classes`: one row a label, the largest first, with `label`, `rows`, `imbalance`, the
        largest class's rows per row of this one, and `spellings`, how many other labels are this one but for case,
        width and spaces.
    """
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
        # Equal but for compatible forms, case and spaces: what clean keeps in one split.
        keys = content_keys(content(table))
        present, same = keys != "", pd.Series(pd.factorize(keys)[0], index=table.index)
        rows["duplicates"] = present & same.duplicated()
        if "label" in table:
            pairs = pd.DataFrame({"content": same, "label": rows["label"]})[present].dropna().drop_duplicates()
            rows["conflicts"] = same.isin(pairs.loc[pairs["content"].duplicated(), "content"])
    return {
        "table": table,
        "rows": rows,
        "shares": rows.select_dtypes("bool").mean().to_frame().T,
        "classes": _classes(rows["label"] if "label" in rows else pd.Series(dtype="str")),
    }


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
        }
    )
