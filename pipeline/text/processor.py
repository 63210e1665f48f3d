"""The tokenizer: cleaned texts to token ids, by the same code in training and in prediction."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_json, write_json
from .languages import UNITS, RunCache
from .masking import PLACEHOLDERS

PADDING, UNKNOWN = 0, 1  # token ids; those of the vocabulary follow
MAX_VOCABULARY = 20_000  # if the data choose its size
MIN_LENGTH, MAX_LENGTH = 16, 400  # units, if the data choose the length
LENGTH_PERCENTILE = 95  # of the training texts' units
MANY_UNITS = 1_000_000  # in the training texts; with more, padding is saved by eight padded lengths instead of four


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary, a unit and a length: turns cleaned texts into rows of token ids.

    Parameters
    ----------
    vocabulary : tuple of str
        Units by id; the first has id 2 (0 is padding, 1 any unknown unit).
    length : int
        Units kept of a text: the last ones, because the verdict of a text tends to be at its end.
    unit : {"word", "character", "chinese"}
        How a text is split.
    language : str
        Language of the training texts, two letters.
    lengths : tuple of int
        Padded lengths, ascending; the last one is `length`, and by default the only one. A network pads a text to the
        shortest that fits, because padding takes as much time as tokens do.

    Examples
    --------
    >>> Tokenizer(("good", "film"), length=4).encode(["a good film", "film"]).tolist()
    [[1, 2, 3, 0], [3, 0, 0, 0]]
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
    def _ids_of_run(self) -> RunCache[list[int]]:
        ids = {unit: number for number, unit in enumerate(self.vocabulary, start=UNKNOWN + 1)}
        split = UNITS[self.unit]
        return RunCache(lambda run: [ids.get(unit, UNKNOWN) for unit in split(run)])

    def __reduce__(self) -> tuple[Any, ...]:  # other processes get it without its cache
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
        """Build a vocabulary of the most frequent units; equal counts are in alphabetical order.

        Parameters
        ----------
        texts : iterable of str
            Cleaned training texts.
        vocabulary_size : int or None
            Maximum number of units; None for all that occur at least twice, at most 20,000: nothing can be learned from
            a unit that occurs once.
        length : int or None
            Units kept of a text; None for the length that 95 % of the texts do not exceed, from 16 to 400.
        unit, language
            As above.

        Examples
        --------
        >>> Tokenizer.fit(["b a", "b c", "a b"], vocabulary_size=2, length=4).vocabulary
        ('b', 'a')
        """
        counts: Counter[str] = Counter()
        num_units = []
        for text in texts:
            units = UNITS[unit](text)
            counts.update(units)
            num_units.append(len(units))
        if vocabulary_size is None:
            repeated = sum(count > 1 for count in counts.values())
            vocabulary_size = min(max(repeated, 1), MAX_VOCABULARY)
        if length is None:
            percentile = np.percentile(num_units, LENGTH_PERCENTILE, method="higher")
            length = int(np.clip(percentile, MIN_LENGTH, MAX_LENGTH))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        vocabulary = tuple(unit for unit, _ in ranked[:vocabulary_size])
        return cls(vocabulary, length, unit, language, _padded_lengths(num_units, length))

    @property
    def num_ids(self) -> int:
        """Number of ids: the vocabulary, padding and unknown."""
        return len(self.vocabulary) + UNKNOWN + 1

    def units(self, text: str) -> list[str]:
        """Split a cleaned text into its units.

        >>> Tokenizer((), 4).units("[user] isn't sad")
        ['[user]', "isn't", 'sad']
        """
        return UNITS[self.unit](text)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Turn cleaned texts into token ids.

        Parameters
        ----------
        texts : sequence of str
            Cleaned texts.

        Returns
        -------
        ndarray of shape (n_texts, length), int32
            Token ids, right-padded with 0. An empty text is one unknown unit, because cuDNN rejects an empty row.
        """
        rows = np.full((len(texts), self.length), PADDING, dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            # Runs can be split one by one, because no unit contains a space; but a space is a character itself.
            runs = [text] if self.unit == "character" else text.split()
            ids = [number for run in runs for number in self._ids_of_run[run]][-self.length :] or [UNKNOWN]
            row[: len(ids)] = ids
        return rows

    @cached_property
    def _is_word(self) -> np.ndarray:
        words = (unit not in PLACEHOLDERS and any(map(_in_words, unit)) for unit in self.vocabulary)
        return np.array([False] * (UNKNOWN + 1) + list(words))

    def known_words(self, ids: np.ndarray) -> np.ndarray:
        """Count the words of the vocabulary; neither punctuation nor a placeholder is a word, but an emoji is.

        Parameters
        ----------
        ids : ndarray of shape (n_texts, length), int32
            As returned by `encode`.

        Returns
        -------
        ndarray of shape (n_texts,), int64
            Number of known words in each text.

        Examples
        --------
        >>> tokenizer = Tokenizer(("good", "!", "[user]"), length=4)
        >>> tokenizer.known_words(tokenizer.encode(["[user] good, good!", "[user] xyz!"])).tolist()
        [2, 0]
        """
        counts: np.ndarray = self._is_word[ids].sum(axis=1)
        return counts

    def save(self, path: Path) -> None:
        """Write the tokenizer as JSON."""
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
        """Read a tokenizer that `save` wrote."""
        content = read_json(path)
        return cls(tuple(content.pop("vocabulary")), lengths=tuple(content.pop("lengths")), **content)


def _in_words(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) == "So"


def _padded_lengths(num_units: Sequence[int], length: int) -> tuple[int, ...]:
    """Return the padded lengths: quantiles of the texts' units, rounded up to multiples of 4, at most `length`.

    There are few, because compiling the network for each takes some seconds.
    """
    count = 8 if sum(num_units) > MANY_UNITS else 4
    quantiles = np.percentile(num_units, np.linspace(0, 100, count + 1)[1:], method="higher")
    rounded = {min(int(4 * np.ceil(quantile / 4)), length) for quantile in quantiles}
    return tuple(sorted(rounded - {0} | {length}))
