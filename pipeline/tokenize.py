"""Tokenize: a vocabulary from the training texts alone, and every split as padded rows of ids."""

import numpy as np
import pandas as pd
from tqdm import tqdm

from .base import command, params, paths
from .base.files import read_json, read_table, write_arrays
from .text.languages import UNIT_OF_LANGUAGE, detect_language
from .text.processor import UNKNOWN, Tokenizer
from .text.settings import Tokenize


def encode(table: pd.DataFrame, tokenizer: Tokenizer, classes: list[str]) -> dict[str, np.ndarray]:
    """One split as arrays.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 3)
        Has the columns `id`, `text` (cleaned) and `label`.
    tokenizer : Tokenizer
        Fitted on the training texts.
    classes : list of str
        Class names; their order gives the class numbers.

    Returns
    -------
    dict of str to ndarray
        `row`: shape (n_rows,), str, the row ids; `ids`: shape (n_rows, length), int32, token ids, right-padded
        with 0; `label`: shape (n_rows,), int32, class numbers.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    return {
        "row": table["id"].to_numpy(dtype="U16"),
        "ids": tokenizer.encode(table["text"].to_list()),
        "label": table["label"].map(numbers).to_numpy(dtype=np.int32),
    }


def main() -> None:
    settings = params.load(Tokenize)
    classes = read_json(paths.CLEAN_CLASSES)
    tables = {split: read_table(path) for split, path in paths.CLEAN_TABLES.items()}
    texts = tqdm(tables["train"]["text"], desc="vocabulary", unit=" texts", disable=None)
    language = settings.language or detect_language(tables["train"]["text"])
    tokenizer = Tokenizer.fit(
        texts,
        vocabulary_size=settings.vocabulary_size,
        length=settings.length,
        unit=settings.unit or UNIT_OF_LANGUAGE.get(language, "word"),
        language=language,
    )
    tokenizer.save(paths.TOKENIZE_TOKENIZER)
    print(
        f"language {language}; {len(tokenizer.vocabulary):,} {tokenizer.unit} units, {tokenizer.length} kept of a text"
    )
    for split, table in tables.items():
        arrays = encode(table, tokenizer, classes)
        write_arrays(paths.TOKENIZE_ARRAYS[split], arrays)
        tokens = arrays["ids"] > 0
        unknown = (arrays["ids"] == UNKNOWN).sum() / tokens.sum()
        print(f"{split}: {len(table):,} rows, {tokens.sum(1).mean():.1f} tokens a row, {unknown:.1%} of them unknown")


if __name__ == "__main__":
    command.run_stage("tokenize", __doc__, main)
