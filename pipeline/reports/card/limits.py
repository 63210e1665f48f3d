"""The limits of the model, as far as the data and the test rows show them."""

from collections.abc import Mapping

from ...base.markdown import bullets, named
from ...data.datasets import SOURCES
from ..facts import Facts
from ..summary import format_metric
from .formats import first_names

FEW_ROWS = 100  # test rows of a class, below which its metrics are rough: an interval of about 20 points
FEW_ROWS_OF_SLICE = 30
NOTABLE_IMBALANCE = 1.5  # training rows of the largest class for each of the smallest


def limits(facts: Facts) -> list[str]:
    """Return the limits as one list."""
    points = [*_domain(facts), *_classes(facts), *_imbalance(facts), *_slices(facts), *_test_rows(facts)]
    return [bullets([*points, *_statistics()])]


def _domain(facts: Facts) -> list[str]:
    """Return subjects, labels, language and length of the texts that the model is for."""
    source = SOURCES.get(facts.ingest["dataset"])
    tokenizer = facts.tokenizer
    points = [
        f"**Subjects**: trained on {source.texts if source else 'the texts of your file'}. The metrics do not carry "
        "over to other subjects, sources or times: first measure the model on a few hundred labelled texts of your own."
    ]
    if source and source.limits:
        points.append(f"**Labels**: {source.limits[0].lower()}{source.limits[1:]}.")
    if not tokenizer:
        return points
    return [
        *points,
        f"**Language**: trained on texts in `{tokenizer['language']}`; it also labels texts in other languages, "
        "without a warning.",
        f"**Length**: the LSTM reads the last {tokenizer['length']:,} units of a text; "
        f"{100 * tokenizer['full']:.1f} % of the test rows are that long or longer and may lose their beginning.",
    ]


def _classes(facts: Facts) -> list[str]:
    """Return the weakest class, the most frequent confusions, and the classes with few test rows."""
    per_class = facts.metrics["per_class"]
    weakest = min(per_class, key=lambda name: per_class[name]["f1"])
    f1 = format_metric(per_class[weakest]["f1"], facts.intervals["per_class"][weakest].get("f1"))
    points = [f'**Weakest class**: "{named(weakest)}", with an F1 of {f1}.']
    confusions = _confusions(facts)
    if confusions:
        points.append(f"**Most frequent confusions**: {'; '.join(confusions)}.")
    few = [
        f'"{named(name)}" ({values["num_samples"]:,})'
        for name, values in per_class.items()
        if values["num_samples"] < FEW_ROWS
    ]
    if few:
        points.append(
            f"**Few test rows**: {first_names(few)}. Metrics of classes with fewer than {FEW_ROWS} rows are rough: "
            "look at their intervals."
        )
    return points


def _confusions(facts: Facts) -> list[str]:
    """Return the three confusions with the largest share of their class's rows, among classes with enough rows."""
    samples = {name: values["num_samples"] for name, values in facts.metrics["per_class"].items()}
    shares = {
        (actual, predicted): rows / samples[actual]
        for (actual, predicted), rows in facts.confusion.items()
        if actual != predicted and samples[actual] >= FEW_ROWS_OF_SLICE
    }
    worst = sorted(shares, key=lambda pair: (-shares[pair], pair))[:3]
    return [
        f'{100 * shares[actual, predicted]:.0f} % of "{named(actual)}" are predicted as "{named(predicted)}"'
        for actual, predicted in worst
    ]


def _imbalance(facts: Facts) -> list[str]:
    rows = {name: counts["train"] for name, counts in facts.counts.items()}
    largest, smallest = max(rows, key=lambda name: rows[name]), min(rows, key=lambda name: rows[name])
    ratio = rows[largest] / rows[smallest]
    point = (
        f'**Imbalance**: the largest class, "{named(largest)}", has {ratio:.1f} training rows for each row of the '
        f'smallest, "{named(smallest)}".'
    )
    if ratio > NOTABLE_IMBALANCE:
        majority = facts.metrics["baselines"]["majority"]["accuracy"]
        point += f" Accuracy alone is misleading here: always predicting the most frequent class gives {majority:.4f}."
    return [point]


def _slices(facts: Facts) -> list[str]:
    """Return the three weakest slices whose accuracy is significantly below the overall one."""
    overall = facts.metrics["overall"]["accuracy"]
    slices: Mapping[str, Mapping[str, float]] = facts.metrics["slices"]
    weak = [
        name
        for name, values in slices.items()
        if values["num_samples"] >= FEW_ROWS_OF_SLICE and facts.intervals["slices"][name]["accuracy"]["high"] < overall
    ]
    if not weak:
        return [
            f"**Slices of the test rows**: none with {FEW_ROWS_OF_SLICE} rows or more has an accuracy significantly "
            "below the overall one."
        ]
    weakest = [
        f'"{named(name)}", {format_metric(slices[name]["accuracy"], facts.intervals["slices"][name]["accuracy"])} '
        f"of {slices[name]['num_samples']:,} rows"
        for name in sorted(weak, key=lambda name: slices[name]["accuracy"])[:3]
    ]
    return [f"**Weakest slices of the test rows**: {'; '.join(weakest)}. Overall accuracy is {overall:.4f}."]


def _test_rows(facts: Facts) -> list[str]:
    """Return how far the choice of the test rows flatters the model."""
    overall, copies = facts.metrics["overall"], facts.metrics["near_copies"]
    points = []
    if conflicts := facts.metrics["conflicts"]["num_samples"]:
        points.append(
            f"**Conflicting rows**: {conflicts:,} test rows were left out because copies of their text have other "
            f"labels; with them, the accuracy is {overall['accuracy_with_conflicts']:.4f}."
        )
    if copies["num_samples"] and "accuracy_without_near_copies" in overall:
        points.append(
            f"**Near copies**: {copies['num_samples']:,} test rows ({100 * copies['share']:.1f} %) nearly repeat a "
            f"training row; without them, the accuracy is {overall['accuracy_without_near_copies']:.4f}."
        )
    return points


def _statistics() -> list[str]:
    return [
        "**Probabilities** are right on average over texts like the validation rows, not for each text, and only "
        "where the labels are as frequent as there; see Calibration.",
        "**Intervals** cover only the choice of the test rows: another seed, another split and new texts add to the "
        "variation.",
    ]
