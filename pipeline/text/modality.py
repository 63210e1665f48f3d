"""The entry of text in the table of modalities, see `base.modalities`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..base.modalities import Modality
from .cleaning import clean_text
from .languages import UNIT_OF_LANGUAGE, detect_language
from .processor import UNKNOWN, Tokenizer

if TYPE_CHECKING:  # at run time, a registered model has this module but not the parameters
    from .settings import Tokenize


def fit(texts: Iterable[str], settings: "Tokenize") -> Tokenizer:
    """Fit a tokenizer to training texts.

    Parameters
    ----------
    texts : iterable of str
        Cleaned training texts.
    settings : Tokenize
        Section `tokenize` of the parameters. A language of null is detected; a unit of null is chosen by the language.
    """
    from tqdm import tqdm

    texts = list(texts)
    language = settings.language or detect_language(texts)
    return Tokenizer.fit(
        tqdm(texts, desc="vocabulary", unit=" texts", disable=None),
        vocabulary_size=settings.vocabulary_size,
        length=settings.length,
        unit=settings.unit or UNIT_OF_LANGUAGE.get(language, "word"),
        language=language,
    )


def describe(tokenizer: Tokenizer) -> str:
    """Return a tokenizer's language, vocabulary size and length, for the log.

    >>> describe(Tokenizer(("good", "bad"), 30))
    'language en; 2 units (word) in the vocabulary; texts are truncated to their last 30 units'
    """
    vocabulary = f"{len(tokenizer.vocabulary):,} units ({tokenizer.unit}) in the vocabulary"
    return f"language {tokenizer.language}; {vocabulary}; texts are truncated to their last {tokenizer.length} units"


def describe_ids(ids: np.ndarray) -> str:
    """Return the mean number of tokens and the share of unknown ones, for the log.

    Parameters
    ----------
    ids : ndarray of shape (n_rows, length), int32
        Token ids, right-padded with 0.

    Examples
    --------
    >>> describe_ids(np.array([[2, 1, 3], [2, 0, 0]]))
    '2.0 tokens per row, 25.0% of them unknown'
    """
    tokens = ids > 0
    return f"{tokens.sum(1).mean():.1f} tokens per row, {(ids == UNKNOWN).sum() / tokens.sum():.1%} of them unknown"


MODALITY = Modality(
    name="text",
    array="ids",
    file="tokenizer.json",
    clean=clean_text,
    fit=fit,
    load=Tokenizer.load,
    describe=describe,
    describe_array=describe_ids,
    examples=("I love this, thank you!", "The flight is late again and nobody tells us why."),
)
