"""Cleaned texts to token ids: the one path that training and prediction share."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_json, write_json
from .languages import UNITS, Remembered

PADDING, UNKNOWN = 0, 1  # the ids below those of the units
MOST_UNITS, LENGTHS = 20_000, (16, 400)  # bounds of what the data may choose
MANY_UNITS = 1_000_000


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary, a unit and a length: turns cleaned texts into rows of ids.

    Parameters
    ----------
    vocabulary : tuple of str
        Units by id, the first having id 2 (0 is padding, 1 any other unit).
    length : int
        Units kept of a text: its last ones, because a text's verdict tends to come at its end.
    unit : {"word", "character", "chinese"}
        How a text is split.
    language : str
        Of the training texts, two letters.
    lengths : tuple of int
        The padded lengths there are, ascending, the last being `length`: a network pads a text to the shortest that
        holds it, because padding costs as much time as tokens do.
    """

    vocabulary: tuple[str, ...]
    length: int
    unit: str = "word"
    language: str = "en"
    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.lengths:
            object.__setattr__(self, "lengths", (self.length,))

    @cached_property
    def _of_run(self) -> Remembered[list[int]]:
        ids = {word: i for i, word in enumerate(self.vocabulary, start=UNKNOWN + 1)}
        split = UNITS[self.unit]
        return Remembered(lambda run: [ids.get(unit, UNKNOWN) for unit in split(run)])

    def __reduce__(self) -> tuple[Any, ...]:  # to another process it goes without what it remembers
        return Tokenizer, (self.vocabulary, self.length, self.unit, self.language, self.lengths)

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        *,
        vocabulary_size: int | None,
        length: int | None,
        unit: str = "word",
        language: str = "en",
    ) -> "Tokenizer":
        """Take the most frequent units of cleaned `texts`, equal counts in alphabetical order.

        Parameters
        ----------
        texts : iterable of str
            Cleaned training texts.
        vocabulary_size : int or None
            Most units; None for those that occur twice or more, at most 20,000: what occurs once teaches nothing.
        length : int or None
            Units kept of a text; None for as many as 95 of 100 texts have, 16 to 400.
        unit, language
            As above.
        """
        counts: Counter[str] = Counter()
        lengths = []
        for text in texts:
            units = UNITS[unit](text)
            counts.update(units)
            lengths.append(len(units))
        if vocabulary_size is None:
            repeated = sum(count > 1 for count in counts.values())
            vocabulary_size = min(max(repeated, 1), MOST_UNITS)
        if length is None:
            length = int(np.clip(np.percentile(lengths, 95, method="higher"), *LENGTHS))
        # Each padded length takes some seconds to compile, and only many units save as much in padding.
        steps = 8 if sum(lengths) > MANY_UNITS else 4
        bounds = np.percentile(lengths, np.linspace(0, 100, steps + 1)[1:], method="higher")
        padded = {min(int(4 * np.ceil(bound / 4)), length) for bound in bounds} - {0} | {length}
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        vocabulary = tuple(each for each, _ in ranked[:vocabulary_size])
        return cls(vocabulary, length, unit, language, tuple(sorted(padded)))

    @property
    def num_ids(self) -> int:
        """Number of ids: the vocabulary, padding and unknown."""
        return len(self.vocabulary) + UNKNOWN + 1

    def units(self, text: str) -> list[str]:
        """Split a cleaned text into its units."""
        return UNITS[self.unit](text)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Turn cleaned texts into ids.

        Parameters
        ----------
        texts : sequence of str
            Cleaned texts.

        Returns
        -------
        ndarray of shape (n_texts, length), int32
            Token ids, right-padded with 0. An empty text is one unknown unit, because cuDNN refuses an empty row.
        """
        rows = np.full((len(texts), self.length), PADDING, dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            # No unit but a space itself, of characters, holds a space: a text is cut as its runs are.
            runs = [text] if self.unit == "character" else text.split()
            ids = [each for run in runs for each in self._of_run[run]][-self.length :] or [UNKNOWN]
            row[: len(ids)] = ids
        return rows

    def save(self, path: Path) -> None:
        write_json(
            path,
            {
                "unit": self.unit,
                "language": self.language,
                "length": self.length,
                "lengths": list(self.lengths),
                "vocabulary": list(self.vocabulary),
            },
        )

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        content = read_json(path)
        return cls(tuple(content.pop("vocabulary")), lengths=tuple(content.pop("lengths")), **content)
