"""N-grams of cleaned texts: runs of units and of characters."""

from collections.abc import Iterator, Sequence

from .languages import UNITS
from .negation import negated

NEGATED = "\n"  # begins the n-grams of a negated word; no text has a line break


def ngrams_of(text: str, unit: str, *, long: bool, language: str = "") -> Iterator[str]:
    """Yield the n-grams of a cleaned text, with repetitions: one and two units, and characters.

    Words that a negator turns round are marked, and so are their characters, see `text.negation`.

    Parameters
    ----------
    text : str
        Cleaned text.
    unit : {"word", "character", "chinese"}
        How the tokenizer splits texts.
    long : bool
        Whether the texts are long: three units instead of characters.
    language : str
        Two letters, for its negators; "" for none.

    Examples
    --------
    Runs of characters begin with a tab, which distinguishes them from words, and marked words with a line break:

    >>> list(ngrams_of("no go", "word", long=True, language="en"))
    ['no', '\\ngo', 'no go']
    >>> list(ngrams_of("a", "word", long=False))
    ['a', '\\t a ']
    """
    if unit == "word" and not long:
        before, left = "", 0
        for run in text.split():
            first, last, left, grams = grams_of_run(run, unit, language, left)
            if before:
                yield f"{before} {first}"
            yield from grams
            before = last
        return
    units = UNITS[unit](text)
    yield from _marked(units, negated(units, language)[0])
    for n in (2, 3) if long or unit == "character" else (2,):
        yield from _runs(units, n)
    if unit == "chinese" and not long:
        for n in (1, 2, 3):
            for start in range(len(text) - n + 1):
                yield "\t" + text[start : start + n]


def grams_of_run(run: str, unit: str, language: str, left: int) -> tuple[str, str, int, list[str]]:
    """Return a run between two spaces as n-grams.

    Returns
    -------
    first, last : str
        Its first and its last unit.
    left : int
        See `negation.negated`; also a parameter.
    grams : list of str
        The n-grams within the run.
    """
    units = UNITS[unit](run)
    marks, left = negated(units, language, left)
    mark = NEGATED if marks[0] else ""
    grams = [*_marked(units, marks), *_runs(units, 2), *(mark + gram for gram in _characters(run))]
    return units[0], units[-1], left, grams


def _marked(units: Sequence[str], marks: Sequence[bool]) -> Iterator[str]:
    return (NEGATED + unit if is_negated else unit for unit, is_negated in zip(units, marks, strict=True))


def _characters(word: str) -> Iterator[str]:
    """Yield runs of three to five characters of a word with a space on either side."""
    padded = f" {word} "
    for n in (3, 4, 5):
        for start in range(max(len(padded) - n, 0) + 1):
            yield "\t" + padded[start : start + n]
        if n >= len(padded):
            break


def _runs(units: Sequence[str], n: int) -> Iterator[str]:
    return (" ".join(units[start : start + n]) for start in range(len(units) - n + 1))


def has_words(gram: str) -> bool:
    """Return whether an n-gram consists of words; otherwise of characters.

    >>> [has_words(gram) for gram in ("so good", "\\ngood", "\\t goo", "\\n\\t goo")]
    [True, True, False, False]
    """
    return not gram.lstrip(NEGATED).startswith("\t")
