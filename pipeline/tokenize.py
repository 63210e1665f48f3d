"""Tokenize: fit a processor for each modality on the training rows, such as a vocabulary; encode every split."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .base import command, params, paths
from .base.files import read_json, read_table, write_arrays
from .base.modalities import Processor, modalities_of, modality
from .text.settings import Tokenize


def encode(table: pd.DataFrame, processors: Mapping[str, Processor], classes: list[str]) -> dict[str, np.ndarray]:
    """Turn one split into arrays.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, >= 3)
        Columns `id`, `label` and, for each modality, one of clean cells.
    processors : mapping of str to Processor
        By modality, fitted on the training rows.
    classes : list of str
        Class names; their order gives the class numbers.

    Returns
    -------
    dict of str to ndarray
        `row`: shape (n_rows,), str, the row ids; `label`: shape (n_rows,), int32, the class numbers; and an array for
        each modality, such as `ids`: shape (n_rows, length), int32, token ids, right-padded with 0.

    Examples
    --------
    >>> from pipeline.text.processor import Tokenizer
    >>> table = pd.DataFrame({"id": ["f0"], "text": ["good film"], "label": ["joy"]})
    >>> arrays = encode(table, {"text": Tokenizer(("good",), length=3)}, ["anger", "joy"])
    >>> arrays["ids"].tolist(), arrays["label"].tolist()
    ([[2, 1, 0]], [1])
    """
    numbers = {name: number for number, name in enumerate(classes)}
    arrays = {modality(name).array: processor.encode(table[name].to_list()) for name, processor in processors.items()}
    return {
        "row": table["id"].to_numpy(dtype="U16"),
        **arrays,
        "label": table["label"].map(numbers).to_numpy(dtype=np.int32),
    }


def main() -> None:
    settings = params.load(Tokenize)
    classes = read_json(paths.CLEAN_CLASSES)
    tables = {split: read_table(path) for split, path in paths.CLEAN_TABLES.items()}
    processors = {name: modality(name).fit(tables["train"][name], settings) for name in modalities_of(tables["train"])}
    for name, processor in processors.items():
        processor.save(paths.TOKENIZE_PROCESSORS / modality(name).file)
        print(f"{name}: {modality(name).describe(processor)}")
    for split, table in tables.items():
        arrays = encode(table, processors, classes)
        write_arrays(paths.TOKENIZE_ARRAYS[split], arrays)
        descriptions = [modality(name).describe_array(arrays[modality(name).array]) for name in processors]
        print(f"{split}: {len(table):,} rows, {'; '.join(descriptions)}")


if __name__ == "__main__":
    command.run_stage("tokenize", __doc__, main)
