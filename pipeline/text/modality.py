"""Text as a kind of input: what the table `base.modalities.MODALITIES` finds of it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..base.modalities import Modality
from .cleaning import clean_text
from .languages import UNIT_OF_LANGUAGE, detect_language
from .processor import UNKNOWN, Tokenizer

if TYPE_CHECKING:  # a registered model brings this module, and not what checks parameters
    from .settings import Tokenize


def fit(texts: Iterable[str], settings: "Tokenize") -> Tokenizer:
    """Fit a vocabulary to cleaned training texts, by their language where the parameters name none."""
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
    """Return what a person wants to know of a tokenizer, in a line."""
    units = f"{len(tokenizer.vocabulary):,} {tokenizer.unit} units"
    return f"language {tokenizer.language}; {units}, the last {tokenizer.length} of a text are used"


def describe_ids(ids: np.ndarray) -> str:
    """Return the tokens per row of padded ids, and the share of unknown ones, in a line."""
    tokens = ids > 0
    return f"{tokens.sum(1).mean():.1f} tokens a row, {(ids == UNKNOWN).sum() / tokens.sum():.1%} of them unknown"


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
