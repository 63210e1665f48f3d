"""Drift."""

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
from .measures import Sample

MOST_ROWS = 20_000  # of a sample, drawn by hash: more show no smaller shift that matters


def sample(table: pd.DataFrame, predictor: Predictor | None, tokenizer: Tokenizer) -> Sample:
    """Measure cleaned texts; of more than 20,000 rows, those of lowest hash.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 2)
        Has `id` and `text` (cleaned), and may have `label`, null or "" where missing; see `prepare`.
    predictor : Predictor or None
        The model whose answers are compared; None for none.
    tokenizer : Tokenizer
        That of the model, or of the state.
    """
    from scipy.sparse import csr_matrix

    table = selection.sample(table, MOST_ROWS)
    texts = table["text"].to_list()
    numbers, split = {unit: number for number, unit in enumerate(tokenizer.vocabulary)}, UNITS[tokenizer.unit]
    lengths, unknown, held, ends = [], [], [], [0]
    for text in texts:
        units = split(text)
        known = [numbers[unit] for unit in units if unit in numbers]
        lengths.append(len(units))
        unknown.append(1 - len(known) / max(len(units), 1))
        held.extend(sorted(set(known)))
        ends.append(len(held))
    labels = table["label"].fillna("") if "label" in table else pd.Series("", index=table.index)
    return Sample(
        labels.to_numpy(dtype=object),
        np.array(lengths, dtype=np.int64),
        np.array(unknown, dtype=np.float64),
        csr_matrix((np.ones(len(held), np.float32), held, ends), shape=(len(texts), len(numbers))),
        tokenizer.vocabulary,
        predictor.classes if predictor else (),
        combine(predictor.log_probabilities(texts), predictor.calibration) if predictor else np.empty((len(texts), 0)),
    )


def reference(predictor: Predictor | None, tokenizer: Tokenizer) -> Sample:
    """The validation and test rows of the current state; parameters as in `sample`.

    Training rows would look too familiar: the vocabulary was made of them, and the model is too sure of them.
    """
    rows = pd.concat([read_table(paths.CLEAN_TABLES[split]) for split in ("validation", "test")], ignore_index=True)
    return sample(rows, predictor, tokenizer)


def prepare(raw: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Bring raw rows into the form that the reference has: cleaned, each text once, and new to the current state.

    Parameters
    ----------
    raw : DataFrame of shape (n_rows, >= 2)
        `text` and `label`, null where missing.

    Returns
    -------
    table : DataFrame
        `id`, `text`, `label` ("" where missing) and more.
    dropped : dict of str to int
        Rows left out, by reason: as in `clean.unusable`, and "known" to the state.
    """
    table = tables.complete(raw, source="incoming")
    cleaned = [clean_text(text) for text in raw["text"].fillna("")]
    table = table.assign(text=pd.Series(cleaned, index=raw.index, dtype="str"), label=table["label"].fillna(""))
    reasons = selection.unusable(table)
    texts = [read_table(path)["text"] for path in paths.CLEAN_TABLES.values()]
    gone = np.logical_or.reduce(list(reasons.values()))
    reasons["known"] = table["text"].isin(pd.concat(texts)).to_numpy() & ~gone
    left = table[~gone & ~reasons["known"]].reset_index(drop=True)
    return left, {reason: int(rows.sum()) for reason, rows in reasons.items() if rows.any()}
