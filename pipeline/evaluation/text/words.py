"""Words of a text: where they stand in the raw text, and which of them matter most to a model."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ...text.languages import UNITS
from ...text.masking import PLACEHOLDERS
from ..attribution import Span, locate

if TYPE_CHECKING:
    import pandas as pd

    from ..explanation import Explainer

AHEAD = 200  # units of a raw text looked through for the next one of the cleaned text: more than markup takes
QUOTES = str.maketrans("‘’“”", "''\"\"")  # which cleaning makes straight
# Tags, entities, e-mail addresses, user names and web addresses: no word of theirs is one of the cleaned text.
HIDDEN = re.compile(
    r"</?[a-zA-Z][^<>]*>|(?<=&)#?\w+;|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+|@[\w-]+|(?:[a-z]{3,5}://|www\.)[\x21-\x7e]+"
)
MOST_TEXTS, MOST_UNITS = 1_000, 20_000  # explained for the words that matter most: some seconds
COARSE = 0.1  # tolerance of each of these texts: over all of them, what the steps miss cancels out
MOST_WORDS, FEWEST_ROWS = 30, 5  # of a class; texts that a word occurs in


def trace(raw: str, units: Sequence[str], unit: str) -> Iterator[Span | None]:
    """Yield where the units of a cleaned text stand in the raw text: each the next equal one there, but for case.

    Not in markup, addresses and user names, which cleaning takes away.

    Placeholders in a row stand for the pieces between the units before and after, if these are as many.
    """
    places = _equal_units(raw, units, unit)
    number = 0
    while number < len(units):
        run = 0
        while number + run < len(units) and units[number + run] in PLACEHOLDERS:
            run += 1
        before = places[number - 1] if number else (0, 0)
        after = places[number + run] if number + run < len(units) else (len(raw), len(raw))
        if run and before and after:
            masked = [piece.span() for piece in re.compile(r"\S+").finditer(raw, before[1], after[0])]
            if len(masked) == run:
                places[number : number + run] = masked
        number += run + 1
    yield from places


def _equal_units(raw: str, units: Sequence[str], unit: str) -> list[Span | None]:
    """Return where each unit stands in the raw text; None for placeholders and what is not there."""
    folded = "".join(small if len(small := character.lower()) == 1 else character for character in raw)
    folded = HIDDEN.sub(lambda match: " " * len(match[0]), folded.translate(QUOTES))
    theirs = UNITS[unit](folded)
    spans = list(locate(folded, theirs))
    places: list[Span | None] = []
    start = 0
    for own in units:
        ahead = [] if own in PLACEHOLDERS else theirs[start : start + AHEAD]
        if own in ahead:
            start += ahead.index(own) + 1
            places.append(spans[start - 1])
        else:
            places.append(None)
    return places


def telling_words(explainer: "Explainer", texts: Sequence[str]) -> "pd.DataFrame":
    """Return the words that add most to each class's score, in the mean of the texts that have them.

    Parameters
    ----------
    explainer : Explainer
        Explains what the model predicts of each text, right or wrong.
    texts : sequence of str
        Cleaned texts; only the first are read, `MOST_TEXTS` of them or `MOST_UNITS` units together at most.

    Returns
    -------
    DataFrame of shape (<= n_classes * 30, 4)
        `class`; `word`, of the vocabulary, in five texts or more, and not a placeholder; `contribution`, the mean of
        what it adds where it occurs, above 0; `rows`, the texts that have it. By class in order, the largest first.
    """
    import pandas as pd

    sums: dict[str, np.ndarray] = {}
    rows: Counter[str] = Counter()
    read = 0
    for text in tqdm(texts[:MOST_TEXTS], desc="words", unit=" texts", disable=None):
        units, adds, _, _ = explainer.contributions(text, COARSE)
        read += len(units)
        if read > MOST_UNITS:
            break
        for unit, add in zip(units, adds, strict=True):
            sums[unit] = sums.get(unit, 0) + add
        rows.update(set(units))
    known = set(explainer.predictor.tokenizer.vocabulary)
    words = sorted(
        w for w, n in rows.items() if n >= FEWEST_ROWS and w in known and w not in PLACEHOLDERS and w.strip()
    )
    classes = explainer.predictor.classes
    means = np.array([sums[word] / rows[word] for word in words]).reshape(-1, len(classes)).round(4)
    lines = []
    for number, name in enumerate(classes):
        best = np.argsort(-means[:, number], kind="stable")[:MOST_WORDS]
        lines += [(name, words[i], means[i, number], rows[words[i]]) for i in best if means[i, number] > 0]
    return pd.DataFrame(lines, columns=["class", "word", "contribution", "rows"])
