"""Slices: named parts of the test rows on which a model may be better or worse than overall."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...text.languages import HAN, PLACEHOLDER

MOST_SOURCES = 20  # of a folder of many files, those with the most rows; the others share one slice
MIN_LANGUAGE_ROWS = 30  # languages with fewer share one slice
# Another language than the main one must be this probable. On 5,315 English tweets, the likeliest of all languages is
# another one for 176, and at 0.7 for none; short sentences in Spanish, French, German or Russian exceed it.
SURE = 0.7
LANGUAGE_CHARACTERS = 1_000  # read of a text to tell its language

PLACEHOLDERS = {"address": "[url]", "user name": "[user]", "phone number": "[phone]"}
# Pictographs, emoticons, flags, and the older symbols and dingbats (☀ to ➿) with the stars and circles beside them.
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55]")
# English words of negation, n't with either apostrophe or none; Chinese characters of negation, without the commonest
# words in which they negate nothing: 特别 (especially), 别人 (others), 非常 (very).
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|nowhere|neither|nor|without|cannot|\w+n['’]t"
    r"|(?:ai|are|ca|could|did|do|does|had|has|have|is|must|need|should|was|were|wo|would)nt)\b"
    r"|[不没无未]|(?<!特)别(?!人)|非(?!常)",
    re.IGNORECASE,
)
_KANA = re.compile(r"[\u3040-\u30ff]")


def members(table: pd.DataFrame, lengths: np.ndarray, bounds: Sequence[int] | None) -> dict[str, np.ndarray]:
    """Which rows belong to which slice.

    Parameters
    ----------
    table : DataFrame
        Has the column `text` (cleaned), and may have `source`.
    lengths : ndarray of shape (n_rows,), int
        Tokens of each row.
    bounds : sequence of int, optional
        Tokens at which the slices by length end, ascending; the quartiles of `lengths` by default.

    Returns
    -------
    dict of str to ndarray of shape (n_rows,), bool
        Members by slice; some may have no rows, or all of them.
    """
    texts = table["text"]
    found = by_length(lengths, bounds)
    if "source" in table:
        sources = table["source"].value_counts()
        for name in sorted(sources.index[:MOST_SOURCES]):
            found[f"source {name}"] = (table["source"] == name).to_numpy(bool)
        found["other source"] = table["source"].isin(sources.index[MOST_SOURCES:]).to_numpy(bool)
    found |= by_language(texts.to_list())
    for name, pattern in (("emoji", _EMOJI), ("negation", _NEGATION)):
        found[f"with {name}"] = np.array([bool(pattern.search(text)) for text in texts], dtype=bool)
    for name, placeholder in PLACEHOLDERS.items():
        found[f"with {name}"] = texts.str.contains(placeholder, regex=False).to_numpy(bool)
    return found


def by_length(lengths: np.ndarray, bounds: Sequence[int] | None) -> dict[str, np.ndarray]:
    """Slices by length, as in `members`."""
    if bounds is None:
        quartiles = np.percentile(lengths, [25, 50, 75]).astype(int).tolist()
        bounds = sorted({bound for bound in quartiles if 1 <= bound < lengths.max()})
    lows = [1, *(bound + 1 for bound in bounds)]
    found = {
        f"{low} to {high} tokens": (low <= lengths) & (lengths <= high) for low, high in zip(lows, bounds, strict=False)
    }
    return found | {f"{lows[-1]} tokens or more": lengths >= lows[-1]}


def by_language(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Slices by the language of each row; one with fewer than 30 rows is part of "other language".

    A row counts as the commonest language unless another one is at least 70 % probable: a few words, names and
    hashtags tell too little. Where no row is that clear, there are no slices.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def language(text: str) -> str:
        text = re.sub(PLACEHOLDER, " ", text[:LANGUAGE_CHARACTERS])
        if len(HAN.findall(text)) * 2 > sum(map(str.isalpha, text)) and not _KANA.search(text):
            return "zh"
        name, probability = identifier.classify(text)
        return str(name) if probability >= SURE else ""

    sure = [language(text) for text in texts]
    counts = Counter(name for name in sure if name)
    if not counts:
        return {}
    main = max(counts, key=lambda name: (counts[name], name))
    common = {name for name, rows in counts.items() if rows >= MIN_LANGUAGE_ROWS} | {main}
    rows = np.array([name or main if (name or main) in common else "other" for name in sure])
    found = {f"language {name}": rows == name for name in sorted(common)}
    return found | {"other language": rows == "other"}
