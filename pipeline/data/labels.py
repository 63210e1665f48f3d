"""Labels: which are missing, which are one class in two spellings, and their new names."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import PipelineError, display_name
from ..base.params import label_name
from .readers.reading import Reading
from .spellings import shown_label, spelling_keys

# What exports write for a missing value, whatever the case; `ingest.missing_labels` replaces the list.
MISSING_MARKERS = ("NA", "N/A", "#N/A", "<NA>", "NULL", "\\N", "nan")
DOUBTFUL = frozenset({"none", "nil", "undefined", "missing", "-", "?"})  # may be a class, or a missing value
MAX_LISTED = 50  # labels in a message: if there are more, they may be texts
UNSEEN = "labels with characters that nobody sees"
NUMBER = re.compile(r"([+\-\u2212]?)(0|[1-9]\d*|(?=\.))(?:\.(\d+))?")
LIST = re.compile(r"""\[\s*(?:'([^'"]*)'|"([^'"]*)"|([^\[\]'",]*))\s*\]""")
LIST_OF_SEVERAL = re.compile(r"\[[^\[\]]*,[^\[\]]*\]")
SELECTORS = re.compile("[\ufe00-\ufe0f]")  # of a character's variant, such as a coloured heart


def as_labels(
    cells: "pd.Series[Any]", file: Path, missing: Sequence[str] | None = None, reading: Reading | None = None
) -> "pd.Series[str]":
    """Return a column of labels as strings, null where missing; the same in every file format.

    A number has one spelling, true and false are lower-case, and a list of one label is that label.

    Parameters
    ----------
    cells : Series of shape (n_rows,)
        Raw cells; the index is the number of the row in the file.
    file : Path
        For messages.
    missing : sequence of str or None
        As in `ingest.missing_labels`; None for `MISSING_MARKERS`.
    reading : Reading or None
        Gets how many labels were missing or got another spelling.

    Raises
    ------
    PipelineError
        A cell has several labels, or is of a type that labels cannot have.

    Examples
    --------
    >>> as_labels(pd.Series(["0", "+1", "2.0", "n/a", ["joy"]], dtype=object), Path("a.jsonl")).fillna("").to_list()
    ['0', '1', '2', '', 'joy']
    """
    if cells.dtype == object:
        cells = pd.Series(
            [_cell(cell, row, cells, file) for row, cell in cells.items()], cells.index, dtype="str", name=cells.name
        )
    labels = cells.str.strip()
    labels = labels.where(labels != "")
    counts = labels.value_counts()
    names = _without_brackets(counts.index.to_list(), cells, labels, file)
    reading, markers = reading or Reading(), {marker.casefold() for marker in missing or ()}
    if missing is None:
        markers = {marker.casefold() for marker in MISSING_MARKERS}
    booleans = {name.lower() for name in names.values()} - markers <= {"true", "false"}
    new: dict[str, str | None] = {}
    for label, name in names.items():
        shown = visible(name)
        if shown != name:
            reading.fold(UNSEEN, counts[label])
        if shown.casefold() in markers or not shown:
            new[label] = None
            reading.miss(display_name(shown), counts[label])
            continue
        new[label] = shown.lower() if booleans else _number(shown)
        if new[label] != shown or name != label:
            reading.fold("labels in another spelling of a number, truth value or list", counts[label])
    return labels.map(new).astype("str").where(labels.map(new).notna())


def _cell(cell: Any, row: Any, cells: "pd.Series[Any]", file: Path) -> str | None:
    if isinstance(cell, list | tuple | np.ndarray):
        if len(cell) > 1:
            raise _several(row, cells, file)
        cell = cell[0] if len(cell) else None
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool | np.bool_):
        return str(cell).lower()
    if isinstance(cell, int | np.integer):
        return str(cell)
    if isinstance(cell, float | np.floating | Decimal):
        return None if cell != cell else format(Decimal(str(cell)), "f")
    raise PipelineError(
        f"{file}, row {row}: column {cells.name!r} must hold names, numbers, or true and false, "
        f"not {type(cell).__name__}"
    )


def _several(row: Any, cells: "pd.Series[Any]", file: Path) -> PipelineError:
    return PipelineError(
        f"{file}, row {row}: column {cells.name!r} holds several labels in a list (multi-label); each row has one "
        "class here: write one label a row"
    )


def _without_brackets(
    labels: Sequence[str], cells: "pd.Series[Any]", column: "pd.Series[str]", file: Path
) -> dict[str, str]:
    """Return each label without the brackets of a list, if all labels of a CSV are lists."""
    if not labels or not all(LIST.fullmatch(label) or LIST_OF_SEVERAL.fullmatch(label) for label in labels):
        return {label: label for label in labels}
    names = {}
    for label in labels:
        match = LIST.fullmatch(label)
        if match is None:
            raise _several(column.index[(column == label).to_numpy()][0], cells, file)
        names[label] = next((group for group in match.groups() if group), "").strip()
    return names


def _number(label: str) -> str:
    match = NUMBER.fullmatch(label)
    if match is None:
        return label
    sign, whole, fraction = match.groups()
    digits = (whole or "0") + (f".{decimals}" if (decimals := (fraction or "").rstrip("0")) else "")
    return digits if sign in ("", "+") or digits == "0" else f"-{digits}"


def visible(label: str) -> str:
    r"""Return a label without characters that nobody sees.

    >>> visible("neu\u200b"), visible("so\u00a0 so")
    ('neu', 'so so')
    """
    composed = unicodedata.normalize("NFC", label)
    joiners = "\u200c\u200d"  # which change the look of what they join
    shown = "".join(c for c in composed if unicodedata.category(c) not in ("Cf", "Cc") or c in joiners or c.isspace())
    return " ".join(shown.strip(joiners).split())


def unify_labels(labels: "pd.Series[str]", reading: Reading) -> "pd.Series[str]":
    """Give labels that differ in nothing visible one name, the shortest of them.

    >>> unify_labels(pd.Series(["sad", "sad\u200b", None], dtype="str"), Reading()).fillna("").to_list()
    ['sad', 'sad', '']
    """
    counts = labels.value_counts()
    spellings: dict[str, set[str]] = defaultdict(set)
    for label in counts.index:
        spellings[SELECTORS.sub("", visible(label))].add(visible(label))
    shortest = {key: min(names, key=lambda name: (len(name), name)) for key, names in spellings.items()}
    new = {label: shortest[SELECTORS.sub("", visible(label))] for label in counts.index}
    changed = [label for label in counts.index if new[label] != label]
    reading.fold(UNSEEN, int(counts[changed].sum()) if changed else 0)
    return labels.replace({label: new[label] for label in changed}) if changed else labels


def map_labels(table: pd.DataFrame, label_map: Mapping[Any, str | None] | None, *, strict: bool = True) -> pd.DataFrame:
    """Rename labels; drop the rows of labels whose new name is null.

    Parameters
    ----------
    table : DataFrame
        Has `label`, null where missing.
    label_map : mapping or None
        New names by label, as in `ingest.label_map`; other labels stay.
    strict : bool
        Whether the table must have every label of the map.

    Raises
    ------
    PipelineError
        The map names a label twice, or one that the table lacks.

    Examples
    --------
    >>> map_labels(pd.DataFrame({"label": ["1", "2", "1"]}), {1: "joy", 2: None})["label"].to_list()
    ['joy', 'joy']
    """
    if label_map is None:
        return table
    mapping = {visible(_number(label_name(key))): name for key, name in label_map.items()}
    if len(mapping) < len(label_map):
        raise PipelineError("ingest.label_map names a label twice, such as 1 and '1'; name each once")
    labels = sorted(table["label"].dropna().unique())
    unknown = [label for label in mapping if label not in labels]
    if unknown and strict:
        raise PipelineError(f"ingest.label_map names {_listed(unknown)}, but the labels are {_listed(labels)}")
    dropped = table["label"].isin([label for label, name in mapping.items() if name is None])
    names = table["label"].map({label: mapping.get(label, label) for label in labels})
    return table.assign(label=names)[~dropped].reset_index(drop=True)


def unknown_labels(labels: Iterable[str], known: Sequence[str]) -> str:
    """Name labels that are not known, with the known one that each may be; others are counted, since they may be texts.

    >>> unknown_labels(["Negative", "so sad", "negative"], ["negative", "positive"])
    "'Negative' (did you mean 'negative'?) and 1 other label"
    """
    unknown = sorted(set(labels) - set(known))
    keys = spelling_keys([*known, *unknown])
    folded = dict(zip(keys, known, strict=False))
    named: list[str] = []
    others = 0
    for label, key in zip(unknown, keys[len(known) :], strict=True):
        close = difflib.get_close_matches(key, folded, n=1, cutoff=0.75)
        if close and len(named) < 5:
            meant = folded[close[0]]
            named.append(f"'{shown_label(label, meant)}' (did you mean {display_name(meant)!r}?)")
        else:
            others += 1
    rest = [f"{others:,} other label{'s' if others > 1 else ''}"] if others else []
    return " and ".join([*([", ".join(named)] if named else []), *rest])


def _listed(labels: list[str]) -> str:
    """Return labels for a message, or only their number if they may be texts."""
    if len(labels) > MAX_LISTED:
        return f"{len(labels):,} labels"
    return ", ".join(repr(display_name(label)) for label in labels)
