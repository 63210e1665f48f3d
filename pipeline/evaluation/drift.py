"""Samples that drift is measured on: the reference rows of the current state, and incoming rows in the same form."""

import numpy as np
import pandas as pd

from ..base import paths
from ..base.files import read_table
from ..data import selection, tables
from ..inference.calibration import combine
from ..inference.predictor import Predictor
from ..text.cleaning import clean_text
from ..text.languages import UNITS
from ..text.processor import Tokenizer
from .drift_sample import DriftSample

MAX_SAMPLE_ROWS = 20_000  # of a sample, those of lowest hash: more rows only detect shifts too small to matter


def draw_sample(table: pd.DataFrame, predictor: Predictor | None, tokenizer: Tokenizer) -> DriftSample:
    """Measure cleaned texts; of more than 20,000 rows, those of lowest hash.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `id` and `text` (cleaned), and may have `label`, null or "" where missing; see `prepare`.
    predictor : Predictor or None
        The model whose predictions are compared; None to compare none.
    tokenizer : Tokenizer
        The model's or the state's tokenizer.

    Examples
    --------
    >>> table = pd.DataFrame({"text": ["good film", "bad"]})
    >>> draw_sample(table, None, Tokenizer(("good", "bad"), length=2)).unknown.tolist()
    [0.5, 0.0]
    """
    from scipy.sparse import csr_matrix

    table = selection.sample(table, MAX_SAMPLE_ROWS)
    texts = table["text"].to_list()
    column_of, split = {unit: column for column, unit in enumerate(tokenizer.vocabulary)}, UNITS[tokenizer.unit]
    lengths, unknown, columns, row_ends = [], [], [], [0]
    for text in texts:
        units = split(text)
        known = [column_of[unit] for unit in units if unit in column_of]
        lengths.append(len(units))
        unknown.append(1 - len(known) / max(len(units), 1))
        columns.extend(sorted(set(known)))
        row_ends.append(len(columns))
    labels = table["label"].fillna("") if "label" in table else pd.Series("", index=table.index)
    ones = np.ones(len(columns), np.float32)
    return DriftSample(
        labels=labels.to_numpy(dtype=object),
        lengths=np.array(lengths, dtype=np.int64),
        unknown=np.array(unknown, dtype=np.float64),
        terms=csr_matrix((ones, columns, row_ends), shape=(len(texts), len(column_of))),
        vocabulary=tokenizer.vocabulary,
        classes=predictor.classes if predictor else (),
        probabilities=(
            combine(predictor.log_probabilities(texts), predictor.calibration)
            if predictor
            else np.empty((len(texts), 0))
        ),
    )


def reference(predictor: Predictor | None, tokenizer: Tokenizer) -> DriftSample:
    """Measure the validation and test rows of the current state; parameters as in `sample`.

    Training rows would look too familiar: the vocabulary was built from them, and the model is overconfident on them.
    """
    rows = pd.concat([read_table(paths.CLEAN_TABLES[split]) for split in ("validation", "test")], ignore_index=True)
    return draw_sample(rows, predictor, tokenizer)


def prepare(raw: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Bring raw rows into the form of the reference: cleaned, each text once, and not in the current state.

    Parameters
    ----------
    raw : DataFrame of shape (n_rows, >= 2)
        `text` and `label`, null where missing.

    Returns
    -------
    table : DataFrame
        `id`, `text`, `label` ("" where missing) and further columns.
    dropped : dict of str to int
        Number of rows left out, by reason: those of `selection.unusable`, and "known" for texts in the state.
    """
    table = tables.complete(raw, source="incoming")
    cleaned = [clean_text(text) for text in raw["text"].fillna("")]
    table = table.assign(text=pd.Series(cleaned, index=raw.index, dtype="str"), label=table["label"].fillna(""))
    masks = selection.unusable(table)
    unusable = np.logical_or.reduce(list(masks.values()))
    state_texts = pd.concat([read_table(path)["text"] for path in paths.CLEAN_TABLES.values()])
    masks["known"] = table["text"].isin(state_texts).to_numpy() & ~unusable
    usable = table[~unusable & ~masks["known"]].reset_index(drop=True)
    return usable, {reason: int(mask.sum()) for reason, mask in masks.items() if mask.any()}
