"""Words of texts: their spans in the raw text, and those that matter most to a model."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ...base.characters import without_invisible
from ...text.cleaning import fold_letters
from ...text.languages import UNITS
from ...text.markup import MARKUP
from ...text.masking import PLACEHOLDERS
from ..attribution import Span, locate

if TYPE_CHECKING:
    import pandas as pd

    from ..explanation import Explainer

LOOK_AHEAD = 200  # units of the raw text searched for the next unit of the clean text: more than markup takes
QUOTES = str.maketrans("‘’“”", "''\"\"")  # cleaning makes them straight
# Tags, entities, e-mail addresses, user names and web addresses: the clean text contains none of their words.
HIDDEN = re.compile(
    rf"{MARKUP.pattern}|(?<=&)#?\w+;|\\[nrt]|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+|@[\w-]+|(?:[a-z]{{3,5}}://|www\.)[\x21-\x7e]+"
)
MAX_TEXTS, MAX_UNITS = 1_000, 20_000  # explained to find the words that matter most: some seconds
COARSE = 0.1  # tolerance for each of these texts: the errors cancel out over the texts
WORDS_PER_CLASS = 30  # listed for each class
MIN_TEXTS = 5  # that a listed word occurs in: fewer could identify a text


def trace(raw: str, units: Sequence[str], unit: str) -> Iterator[Span | None]:
    """Yield the span of each unit of a clean text in its raw text; None if unknown.

    A unit is matched with the next equal one, ignoring case, outside of markup, addresses and user names, which
    cleaning removes. Consecutive placeholders are matched with the words between their neighbours if there are as many.

    Parameters
    ----------
    raw : str
        Raw text.
    units : sequence of str
        Units of the clean text.
    unit : str
        Kind of unit, a key of `UNITS`.

    Examples
    --------
    >>> list(trace("<b>So</b> good", ["so", "good", "!"], "word"))
    [(3, 5), (10, 14), None]
    """
    spans = _equal_units(raw, units, unit)
    number = 0
    while number < len(units):
        run = 0
        while number + run < len(units) and units[number + run] in PLACEHOLDERS:
            run += 1
        before = spans[number - 1] if number else (0, 0)
        after = spans[number + run] if number + run < len(units) else (len(raw), len(raw))
        if run and before and after:
            masked = [piece.span() for piece in re.compile(r"\S+").finditer(raw, before[1], after[0])]
            if len(masked) == run:
                spans[number : number + run] = masked
        number += run + 1
    yield from spans


def _equal_units(raw: str, units: Sequence[str], unit: str) -> list[Span | None]:
    """Return the span of each unit in the raw text; None for placeholders and units that are not there."""
    seen = [number for number in range(len(raw)) if _is_seen(raw, number)]
    folded = "".join(map(_folded, (raw[number] for number in seen)))
    folded = HIDDEN.sub(lambda match: " " * len(match[0]), folded.translate(QUOTES))
    raw_units = UNITS[unit](folded)
    raw_spans = [(seen[start], seen[end - 1] + 1) for start, end in locate(folded, raw_units)]
    spans: list[Span | None] = []
    start = 0
    for clean_unit in units:
        ahead = [] if clean_unit in PLACEHOLDERS else raw_units[start : start + LOOK_AHEAD]
        if clean_unit in ahead:
            start += ahead.index(clean_unit) + 1
            spans.append(raw_spans[start - 1])
        else:
            spans.append(None)
    return spans


def _is_seen(raw: str, number: int) -> bool:
    """Return whether cleaning keeps a character or makes it a space, which may depend on its neighbours."""
    if raw[number].isascii():
        return True
    before, after = raw[max(number - 1, 0) : number], raw[number + 1 : number + 2]
    return without_invisible(before + raw[number] + after) != without_invisible(before + after)


def _folded(character: str) -> str:
    """Return a character as cleaning folds it, if the result is one character."""
    small = (character if character.isascii() else fold_letters(character)).lower()
    return small if len(small) == 1 else character


def telling_words(explainer: "Explainer", texts: Sequence[str]) -> "pd.DataFrame":
    """Return the words with the largest mean contribution to each class's score in the texts that contain them.

    Parameters
    ----------
    explainer : Explainer
        Explains the model's prediction for each text, whether correct or not.
    texts : sequence of str
        Clean texts; only the first `MAX_TEXTS`, or `MAX_UNITS` units, are explained.

    Returns
    -------
    DataFrame of shape (<= n_classes * 30, 4)
        `class`; `word`, of the vocabulary, in at least five texts, and not a placeholder; `contribution`, its mean
        contribution, above 0; `rows`, the number of texts that contain it. In the order of the classes, the largest
        contribution first.
    """
    import pandas as pd

    sums: dict[str, np.ndarray] = {}
    rows: Counter[str] = Counter()
    num_units = 0
    for text in tqdm(texts[:MAX_TEXTS], desc="words", unit=" texts", disable=None):
        units, contributions, _, _ = explainer.contributions(text, COARSE)
        num_units += len(units)
        if num_units > MAX_UNITS:
            break
        for unit, contribution in zip(units, contributions, strict=True):
            sums[unit] = sums.get(unit, 0) + contribution
        rows.update(set(units))
    vocabulary = set(explainer.predictor.tokenizer.vocabulary)
    words = sorted(
        word
        for word, count in rows.items()
        if count >= MIN_TEXTS and word in vocabulary and word not in PLACEHOLDERS and word.strip()
    )
    classes = explainer.predictor.classes
    means = np.array([sums[word] / rows[word] for word in words]).reshape(-1, len(classes)).round(4)
    lines: list[tuple[str, str, float, int]] = []
    for number, name in enumerate(classes):
        best = np.argsort(-means[:, number], kind="stable")[:WORDS_PER_CLASS]
        lines += [(name, words[i], means[i, number], rows[words[i]]) for i in best if means[i, number] > 0]
    return pd.DataFrame(lines, columns=["class", "word", "contribution", "rows"])
