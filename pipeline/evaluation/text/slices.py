"""Slices of the test rows, on which a model may be better or worse than overall: length, source, language, content."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...text.languages import HAN, PLACEHOLDER

MAX_SOURCES = 20  # slices of source files, those with the most rows; the others share one slice
MIN_LANGUAGE_ROWS = 30  # languages with fewer share one slice
# Minimum probability of a language. Of 5,315 English tweets, 176 are more probably in another language, but none with a
# probability of 0.7; short sentences in Spanish, French, German or Russian exceed it.
MIN_PROBABILITY = 0.7
LANGUAGE_CHARACTERS = 1_000  # of a text, used to identify its language

MASKED_KINDS = {"address": "[url]", "user name": "[user]", "phone number": "[phone]"}
# Pictographs, emoticons, flags, older symbols and dingbats (☀ to ➿), stars and circles.
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55]")
# English negations, n't with either apostrophe or none; Chinese characters of negation, except in the most common words
# in which they do not negate: 特别 (especially), 别人 (others), 非常 (very).
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|nowhere|neither|nor|without|cannot|\w+n['’]t"
    r"|(?:ai|are|ca|could|did|do|does|had|has|have|is|must|need|should|was|were|wo|would)nt)\b"
    r"|[不没无未]|(?<!特)别(?!人)|非(?!常)",
    re.IGNORECASE,
)
_KANA = re.compile(r"[\u3040-\u30ff]")


def masks(table: pd.DataFrame, lengths: np.ndarray, bounds: Sequence[int] | None) -> dict[str, np.ndarray]:
    """Return the rows of each slice.

    Parameters
    ----------
    table : DataFrame
        Has the column `text` (clean), and may have `source`.
    lengths : ndarray of shape (n_rows,), int
        Number of tokens of each row.
    bounds : sequence of int, optional
        Largest number of tokens of each slice by length but the last, ascending; the quartiles of `lengths` by default.

    Returns
    -------
    dict of str to ndarray of shape (n_rows,), bool
        Masks by slice; some may select no rows, or all of them.

    Examples
    --------
    >>> table = pd.DataFrame({"text": ["not good", "[url]"]})
    >>> masks(table, np.array([2, 1]), [1])["with negation"].tolist()
    [True, False]
    """
    texts = table["text"]
    slices = length_slices(lengths, bounds)
    if "source" in table:
        sources = table["source"].value_counts()
        for name in sorted(sources.index[:MAX_SOURCES]):
            slices[f"source {name}"] = (table["source"] == name).to_numpy(bool)
        slices["other source"] = table["source"].isin(sources.index[MAX_SOURCES:]).to_numpy(bool)
    slices |= by_language(texts.to_list())
    for name, pattern in (("emoji", _EMOJI), ("negation", _NEGATION)):
        slices[f"with {name}"] = np.array([bool(pattern.search(text)) for text in texts], dtype=bool)
    for name, placeholder in MASKED_KINDS.items():
        slices[f"with {name}"] = texts.str.contains(placeholder, regex=False).to_numpy(bool)
    return slices


def length_slices(lengths: np.ndarray, bounds: Sequence[int] | None) -> dict[str, np.ndarray]:
    """Return the slices by length; parameters as in `masks`.

    >>> {name: mask.tolist() for name, mask in length_slices(np.array([1, 5]), [3]).items()}
    {'1 to 3 tokens': [True, False], '4 tokens or more': [False, True]}
    """
    if bounds is None:
        quartiles = np.percentile(lengths, [25, 50, 75]).astype(int).tolist()
        bounds = sorted({bound for bound in quartiles if 1 <= bound < lengths.max()})
    lows = [1, *(bound + 1 for bound in bounds)]
    slices = {
        f"{low} to {high} tokens": (low <= lengths) & (lengths <= high) for low, high in zip(lows, bounds, strict=False)
    }
    return slices | {f"{lows[-1]} tokens or more": lengths >= lows[-1]}


def by_language(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the slices by language; languages with fewer than 30 rows share the slice "other language".

    A row counts as the most frequent language unless another one is at least 70 % probable: a few words, names or
    hashtags do not identify a language. If no row is that clear, there are no slices.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def language(text: str) -> str:
        text = re.sub(PLACEHOLDER, " ", text[:LANGUAGE_CHARACTERS])
        if len(HAN.findall(text)) * 2 > sum(map(str.isalpha, text)) and not _KANA.search(text):
            return "zh"
        name, probability = identifier.classify(text)
        return str(name) if probability >= MIN_PROBABILITY else ""

    languages = [language(text) for text in texts]
    counts = Counter(name for name in languages if name)
    if not counts:
        return {}
    main = max(counts, key=lambda name: (counts[name], name))
    common = {name for name, rows in counts.items() if rows >= MIN_LANGUAGE_ROWS} | {main}
    rows = np.array([name or main if (name or main) in common else "other" for name in languages])
    slices = {f"language {name}": rows == name for name in sorted(common)}
    return slices | {"other language": rows == "other"}
