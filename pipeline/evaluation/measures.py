"""Drift measures: one entry of `MEASURES` for each.

Each measure is a two-sample test with a minimum effect size, because with many rows even trivial differences are
statistically significant. Tests of a model's output detect most kinds of shift (Rabanser et al. 2019, "Failing
Loudly"); the other measures show what has changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..base.errors import display_name
from .drift_sample import DriftSample, class_counts, frequent_terms, term_counts
from .settings import Drift
from .two_sample import compare_priors, fall_p_value, kolmogorov_smirnov, permutation_test, psi

NAMED_TERMS = 3  # terms named in the description of a change


class Change(NamedTuple):
    """What one measure finds between two samples: effect, p-value, and a description ("NAME: BEFORE → AFTER")."""

    effect: float
    p_value: float
    description: str


class Measure(NamedTuple):
    """One drift measure.

    Parameters
    ----------
    function : callable
        Takes the reference, the incoming sample and the significance level.
    rule : str
        Parameter in section drift that holds the limit of the effect.
    definition : str
        What the effect is.
    means : str
        What a drift means and what to do about it: a sentence for the report.
    labels, scores : bool
        Whether both samples must have labels, or predicted probabilities.
    """

    function: Callable[[DriftSample, DriftSample, float], Change]
    rule: str
    definition: str
    means: str
    labels: bool = False
    scores: bool = False


@dataclass(frozen=True)
class Shift:
    """The result of one measure, in the fields of the drift report.

    Parameters
    ----------
    measure : str
        Its name in `MEASURES`.
    effect, limit : float
        Effect size, and the limit above which it matters.
    rule : str
        Parameter in section drift that holds the limit.
    p_value, level : float
        The p-value, and the level that it must be below.
    found : str
        Description of the change.
    means : str
        What a drift means.
    """

    measure: str
    effect: float
    limit: float
    rule: str
    p_value: float
    level: float
    found: str
    means: str

    @property
    def drifted(self) -> bool:
        """Whether the effect is above its limit and statistically significant."""
        return self.effect > self.limit and self.p_value < self.level


def label_shift(before: DriftSample, after: DriftSample, level: float) -> Change:
    """Compare the class priors; describe the class that changed most."""
    classes, counts = class_counts(before, after)
    shift = compare_priors(counts)
    priors = counts / counts.sum(axis=1, keepdims=True)
    largest = int(np.abs(priors[1] - priors[0]).argmax())
    return Change(*shift, _before_after(f'"{display_name(classes[largest])}"', priors[:, largest], " % of the rows"))


def class_shift(before: DriftSample, after: DriftSample, level: float) -> Change:
    """Compare each class's prior by Fisher's exact test (Bonferroni-corrected); return the largest significant factor.

    If no class is significant at the level, the largest factor is returned.
    """
    from scipy.stats import fisher_exact

    classes, counts = class_counts(before, after)
    rows = counts.sum(axis=1, keepdims=True)
    smoothed = (counts + 0.5) / (rows + 1)
    factors = np.exp(np.abs(np.log(smoothed[1] / smoothed[0])))
    tables = np.stack([counts, rows - counts]).transpose(2, 0, 1)
    p_values = np.minimum([len(classes) * fisher_exact(table).pvalue for table in tables], 1)
    largest = max(range(len(classes)), key=lambda number: (p_values[number] < level, factors[number]))
    priors = counts[:, largest] / rows[:, 0]
    description = _before_after(f'"{display_name(classes[largest])}"', priors, " % of the rows")
    return Change(factors[largest], p_values[largest], description)


def length_shift(before: DriftSample, after: DriftSample, level: float) -> Change:
    """Compare the distributions of the lengths."""
    return _distribution_shift(before.lengths, after.lengths, "longer than {:.0f} units")


def unknown_word_shift(before: DriftSample, after: DriftSample, level: float) -> Change:
    """Compare the mean fraction of a text's units that are not in the vocabulary."""
    means = [before.unknown.mean(), after.unknown.mean()]
    effect = abs(means[1] - means[0])

    def statistic(old_sum: np.ndarray, new_sum: np.ndarray) -> np.ndarray:
        return np.abs(new_sum / len(after) - old_sum / len(before))

    test = permutation_test(before.unknown, after.unknown, statistic, effect)
    return Change(effect, test.p_value, _before_after("mean share of a text", means))


def term_shift(before: DriftSample, after: DriftSample, level: float) -> Change:
    """Compare how many texts contain the frequent terms: PSI minus its mean under permutation.

    With few rows, chance alone makes the PSI large; subtracting its mean corrects for that.
    """
    names, counts = term_counts(before, after)
    columns = frequent_terms(before)
    contributions = psi(*counts)
    total = contributions.sum()
    old_rows, new_rows = (sample.terms[:, columns].toarray() for sample in (before, after))
    test = permutation_test(old_rows, new_rows, lambda old, new: psi(old, new).sum(axis=1), total)
    shares = counts / np.array([[len(before)], [len(after)]])
    largest = np.argsort(-contributions, kind="stable")[:NAMED_TERMS]
    terms = ", ".join(_before_after(f'"{names[number]}"', shares[:, number]) for number in largest)
    return Change(max(total - test.mean, 0.0), test.p_value, f"{terms} of the texts")


def score_shift(before: DriftSample, after: DriftSample, level: float) -> Change:
    """Compare the distributions of each class's predicted probability; return the largest change."""
    columns = zip(before.classes, before.probabilities.T, after.probabilities.T, strict=True)
    changes = [_distribution_shift(old, new, f'"{display_name(name)}" above {{:.2f}}') for name, old, new in columns]
    effect, p_value, description = max(changes)
    return Change(effect, min(len(changes) * p_value, 1.0), f"probability of {description}")


def accuracy_drop(before: DriftSample, after: DriftSample, level: float) -> Change:
    """Compare the model's accuracy on the labelled rows."""
    hits, totals = [], []
    for sample in (before, after):
        predicted = np.array(sample.classes, dtype=object)[sample.probabilities.argmax(axis=1)]
        hits.append(int((predicted == sample.labels)[sample.labelled].sum()))
        totals.append(int(sample.labelled.sum()))
    old, new = (hit / total for hit, total in zip(hits, totals, strict=True))
    return Change(max(old - new, 0), fall_p_value(hits, totals), _before_after("correct predictions", [old, new]))


def _distribution_shift(before: np.ndarray, after: np.ndarray, above: str) -> Change:
    """Compare two samples of a number, each of shape (n_rows,); `above` is a template that takes the location."""
    test = kolmogorov_smirnov(before, after)
    description = _before_after(above.format(test.location), test.above, " % of the texts")
    return Change(test.distance, test.p_value, description)


def _before_after(name: str, shares: Sequence[float] | np.ndarray, unit: str = " %") -> str:
    """Describe a share before and after, in percent."""
    return f"{name}: {100 * shares[0]:.1f} → {100 * shares[1]:.1f}{unit}"


MEASURES = {
    "labels": Measure(
        label_shift,
        "max_label_shift",
        "fraction of rows whose label would have to change",
        "The class priors have changed: pass the new ones to `python -m pipeline predict --class-shares`, or train "
        "again.",
        labels=True,
    ),
    "classes": Measure(
        class_shift,
        "max_class_factor",
        "factor by which a class became more or less frequent",
        "One class has become much more or less frequent: look at its rows, and train again with them.",
        labels=True,
    ),
    "length": Measure(
        length_shift,
        "max_length_shift",
        "Kolmogorov-Smirnov distance of the lengths",
        "Texts are longer or shorter than those that the model was measured on.",
    ),
    "unknown_words": Measure(
        unknown_word_shift,
        "max_unknown_words",
        "change of the mean fraction of unknown units",
        "More or fewer of the words are not in the vocabulary, so that the model ignores their meaning.",
    ),
    "terms": Measure(
        term_shift,
        "max_psi",
        "PSI of the frequent terms, minus its mean under permutation",
        "The frequencies of common words have changed: other subjects, another style or another language.",
    ),
    "scores": Measure(
        score_shift,
        "max_score_shift",
        "Kolmogorov-Smirnov distance of a class's probabilities",
        "The model's predictions are distributed differently; only labels can show whether it is wrong more often.",
        scores=True,
    ),
    "accuracy": Measure(
        accuracy_drop,
        "max_accuracy_drop",
        "drop of the accuracy",
        "The model is wrong more often than on the reference: train again with these rows.",
        labels=True,
        scores=True,
    ),
}


def measure_shifts(reference: DriftSample, incoming: DriftSample, settings: Drift) -> list[Shift]:
    """Compare incoming rows with the reference.

    Parameters
    ----------
    reference, incoming : DriftSample
        Made with the same model and tokenizer.
    settings : Drift
        Section drift of the parameters.

    Returns
    -------
    list of Shift
        One for each measure that the rows allow: `labels`, `classes` and `accuracy` need labels, `scores` and
        `accuracy` a model. Empty if either sample has fewer than `min_incoming` rows (labelled rows for measures that
        need labels). The level is `significance` divided by the number of measures (Bonferroni).

    Raises
    ------
    ValueError
        If the samples were made with different models or tokenizers.
    """
    if (reference.vocabulary, reference.classes) != (incoming.vocabulary, incoming.classes):
        raise ValueError("reference and incoming must be measured with the same tokenizer and model")
    samples = (reference, incoming)
    enough_rows = min(map(len, samples)) >= settings.min_incoming
    enough_labels = min(sample.labelled.sum() for sample in samples) >= settings.min_incoming
    measures = {
        name: entry
        for name, entry in MEASURES.items()
        if enough_rows and (enough_labels or not entry.labels) and (reference.classes or not entry.scores)
    }
    level = settings.significance / max(len(measures), 1)
    shifts = []
    for name, entry in measures.items():
        effect, p_value, description = entry.function(*samples, level)
        limit = getattr(settings, entry.rule)
        shifts.append(Shift(name, float(effect), limit, entry.rule, float(p_value), level, description, entry.means))
    return shifts
