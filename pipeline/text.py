"""Raw text to token ids: the one path that training and prediction share."""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .files import read_json, write_json

PADDING, UNKNOWN = 0, 1  # the ids below those of the words

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\ufeff]")
_MARKUP = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
# An address ends before closing punctuation, and before an ellipsis that a sentence follows without a space.
_URL = re.compile(
    r"(?:https?://|(?<!\w)www\.(?=\w))(?:(?!\.\.)[\w\-./?%&=#~:;,+@!$*()\[\]])+(?<![.,;:!?)\]])",
    re.ASCII | re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
_HANDLE = re.compile(r"(?:@\w+)+", re.ASCII)
_TOKEN = re.compile(r"\[(?:url|email|user)\]|\w+(?:['’]\w+)*|[^\w\s]")


def clean_text(text: str) -> str:
    """Lower-case a text, remove markup and extra space, and mask web and e-mail addresses and user names.

    Negation, punctuation, emoji, accents and scripts other than Latin are kept: they carry the emotion.

    Parameters
    ----------
    text : str
        Raw text.

    Returns
    -------
    str
        Cleaned text; empty if nothing but markup and space was there.
    """
    text = _MARKUP.sub(" ", _CONTROL.sub(" ", text))  # before the entities, so that "&lt;3" never looks like a tag
    for _ in range(2):  # real exports escape twice: "R&amp;amp;D"
        text = html.unescape(text)
    text = unicodedata.normalize("NFC", _CONTROL.sub(" ", text))
    text = _URL.sub(" [url] ", text)
    text = _EMAIL.sub(" [email] ", text)
    text = _HANDLE.sub(" [user] ", text)
    return " ".join(text.lower().split())


def words(text: str) -> list[str]:
    """Split a cleaned text into words, single punctuation marks and symbols, and placeholders."""
    return _TOKEN.findall(text)


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary and a length: turns cleaned texts into rows of ids.

    Parameters
    ----------
    vocabulary : tuple of str
        Words by id, the first having id 2 (0 is padding, 1 any other word).
    length : int
        Tokens kept of a text: its last ones, because a text's verdict tends to come at its end.
    """

    vocabulary: tuple[str, ...]
    length: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {word: i for i, word in enumerate(self.vocabulary, start=UNKNOWN + 1)})

    @classmethod
    def fit(cls, texts: Iterable[str], *, vocabulary_size: int, length: int) -> "Tokenizer":
        """Take the `vocabulary_size` most frequent words of cleaned `texts`; equal counts in alphabetical order."""
        counts = Counter(word for text in texts for word in words(text))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(tuple(word for word, _ in ranked[:vocabulary_size]), length)

    @property
    def num_ids(self) -> int:
        """Number of ids: the vocabulary, padding and unknown."""
        return len(self.vocabulary) + UNKNOWN + 1

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Turn cleaned texts into ids.

        Parameters
        ----------
        texts : sequence of str
            Cleaned texts.

        Returns
        -------
        ndarray of shape (n_texts, length), int32
            Token ids, right-padded with 0. An empty text is one unknown word, because cuDNN refuses an empty row.
        """
        ids: dict[str, int] = self._ids  # type: ignore[attr-defined]
        rows = np.full((len(texts), self.length), PADDING, dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            tokens = words(text)[-self.length :]
            row[: len(tokens)] = [ids.get(token, UNKNOWN) for token in tokens]
            if not tokens:
                row[0] = UNKNOWN
        return rows

    def save(self, path: Path) -> None:
        write_json(path, {"length": self.length, "vocabulary": list(self.vocabulary)})

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        content = read_json(path)
        return cls(tuple(content["vocabulary"]), content["length"])
