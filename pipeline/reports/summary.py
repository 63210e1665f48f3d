"""Summary: what a person reads of the figures first: a sentence, a line, a table; and their names in MLflow."""

from collections.abc import Sequence
from typing import Any

from ..base.markdown import named, pipe_table
from ..evaluation import metrics
from ..evaluation.text import baselines

HEADLINES = ("accuracy", "macro_f1", "loss")
PARTS = {"lstm": "the LSTM", "tfidf": "TF-IDF n-grams", "nb": "naive Bayes n-grams"}


def shown(figures: dict[str, Any], intervals: dict[str, Any], behaviour: dict[str, Any]) -> dict[str, float]:
    """What MLflow shows, under names that its UI groups: `test/macro_f1`, `difference/tfidf/macro_f1_low`.

    Of parts, baselines and differences it is the headlines alone, of `behaviour`, as `behaviour.measure` gives it, the
    pass rates: the UI draws a chart for each metric.
    """
    groups = {
        "test": figures["overall"] | {"temperature": figures["temperature"]},
        "uncalibrated": figures["uncalibrated"],
        "part": figures.get("parts", {}),
        "baseline": {name: {key: of[key] for key in HEADLINES} for name, of in figures["baselines"].items()},
        "difference": {
            name: {
                key if bound == "difference" else f"{key}_{bound}": value
                for key in HEADLINES
                for bound, value in of[key].items()
            }
            for name, of in intervals["differences"].items()
        },
        "per_class": figures["per_class"],
        "slices": figures["slices"],
        "behaviour": {name: of["pass_rate"] for name, of in behaviour["tests"].items()},
    }
    return {key: value for key, value in metrics.flatten(groups).items() if not key.endswith("/num_samples")}


def verdict(figures: dict[str, Any], intervals: dict[str, Any]) -> str:
    """Whether the model beats the best baseline, in a sentence: by macro-F1, with its paired 95 % interval."""
    name = best_baseline(figures)
    found = intervals["differences"][name]["macro_f1"]
    difference, low, high = (100 * found[key] for key in ("difference", "low", "high"))
    best = f"the best baseline ({baselines.TITLES[name]})"
    if low > 0:
        return f"The model is ahead of {best} by {difference:.1f} points of macro-F1 [{low:.1f}, {high:.1f}]."
    if high < 0:
        return f"The model is behind {best} by {-difference:.1f} points of macro-F1 [{-high:.1f}, {-low:.1f}]."
    return f"No clear difference from {best}: {difference:+.1f} points of macro-F1 [{low:.1f}, {high:.1f}]."


def best_baseline(figures: dict[str, Any]) -> str:
    """The baseline of highest macro-F1."""
    names: dict[str, dict[str, float]] = figures["baselines"]
    return max(names, key=lambda name: names[name]["macro_f1"])


def line(figures: dict[str, Any], reason: str) -> str:
    """One line, because MLflow's table of versions shows no Markdown."""
    model, baseline = figures["overall"], figures["baselines"][best_baseline(figures)]
    compared = f"macro-F1 {model['macro_f1']:.4f} (best baseline {baseline['macro_f1']:.4f})"
    return f"{compared} on {model['num_samples']:,} test rows; {reason}"


def registered(classes: Sequence[str]) -> str:
    """What a registered model is, in Markdown: the same for all of its versions."""
    listed = ", ".join(f'"{named(name)}"' for name in classes[:10]) + (
        f" and {len(classes) - 10} more" if classes[10:] else ""
    )
    return (
        f"From a column `text` to one of {len(classes)} labels ({listed}), with the probability of each. The alias "
        "`champion` is in service, `previous` was before it, `challenger` is the last version that the gate refused; "
        "each version's tags say why. Each run has the model card of its version. Back: "
        '`python -m pipeline rollback --why "..."`.'
    )


def note(figures: dict[str, Any], intervals: dict[str, Any], first: str, last: str) -> str:
    """The run's description, in Markdown: `first`, the verdict, the model beside the baselines, and `last`.

    MLflow's UI shows the beginning alone, until one asks for more.
    """
    columns = {"accuracy": "accuracy", "macro_f1": "macro-F1", "mcc": "MCC", "loss": "loss (nats)", "ece": "ECE"}

    def row(title: str, of: dict[str, float], ranges: dict[str, dict[str, float]]) -> list[str]:
        return [title, *(f"{of[key]:.4f}" + _range(ranges.get(key)) if key in of else "" for key in columns)]

    rows = [row("the model", figures["overall"], intervals["overall"])]
    rows += [row(f"of it, {PARTS[name]} alone", of, {}) for name, of in figures.get("parts", {}).items()]
    for name, of in figures["baselines"].items():
        rows.append(row(baselines.TITLES[name], of, {}))
        differences = intervals["differences"][name]
        rows.append(row("the model minus it", {k: d["difference"] for k, d in differences.items()}, differences))
    table = pipe_table([f"{figures['overall']['num_samples']:,} test rows", *columns.values()], rows)
    brackets = "In brackets: 95 % bootstrap intervals, paired where two models are compared."
    return "\n".join([first, "", verdict(figures, intervals), "", table, "", brackets, "", last])


def _range(interval: dict[str, float] | None) -> str:
    return f" [{interval['low']:.4f}, {interval['high']:.4f}]" if interval else ""
