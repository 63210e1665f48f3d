"""The metrics in short: a sentence, a line, a table, and the names under which MLflow shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..base.markdown import named, pipe_table
from ..evaluation.metrics import HEADLINES, flatten
from .titles import BASELINES, SHORT_METRICS, part_title


def mlflow_metrics(
    metrics: Mapping[str, Any], intervals: Mapping[str, Any], behaviour: Mapping[str, Any]
) -> dict[str, float]:
    """Return the metrics of a run under names that MLflow's UI groups, such as `test/macro_f1`.

    MLflow draws a chart for each metric, so parts, baselines and differences have only the headlines, and behaviour
    tests only their pass rates.

    Parameters
    ----------
    metrics, intervals, behaviour : mapping
        Content of `metrics.json`, `intervals.json` and `behaviour.json`.
    """
    groups = {
        "test": metrics["overall"] | {"temperature": metrics["temperature"]},
        "uncalibrated": metrics["uncalibrated"],
        "part": metrics.get("parts", {}),
        "baseline": {name: {key: values[key] for key in HEADLINES} for name, values in metrics["baselines"].items()},
        "difference": {
            name: {
                key if bound == "difference" else f"{key}_{bound}": value
                for key in HEADLINES
                for bound, value in differences[key].items()
            }
            for name, differences in intervals["differences"].items()
        },
        "per_class": metrics["per_class"],
        "slices": metrics["slices"],
        "behaviour": {name: result["pass_rate"] for name, result in behaviour["tests"].items()},
    }
    return {key: value for key, value in flatten(groups).items() if not key.endswith("/num_samples")}


def verdict(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> str:
    """Return a sentence on whether the model beats the best baseline: by macro-F1, with its paired 95 % interval.

    >>> difference = {"difference": 0.012, "low": 0.003, "high": 0.021}
    >>> verdict({"baselines": {"tfidf": {"macro_f1": 0.6}}}, {"differences": {"tfidf": {"macro_f1": difference}}})
    'The model is ahead of the best baseline (TF-IDF + logistic regression) by 1.2 points of macro-F1 [0.3, 2.1].'
    """
    name = best_baseline(metrics)
    macro_f1 = intervals["differences"][name]["macro_f1"]
    difference, low, high = (100 * macro_f1[key] for key in ("difference", "low", "high"))
    best = f"the best baseline ({BASELINES[name]})"
    if low > 0:
        return f"The model is ahead of {best} by {difference:.1f} points of macro-F1 [{low:.1f}, {high:.1f}]."
    if high < 0:
        return f"The model is behind {best} by {-difference:.1f} points of macro-F1 [{-high:.1f}, {-low:.1f}]."
    return f"No clear difference from {best}: {difference:+.1f} points of macro-F1 [{low:.1f}, {high:.1f}]."


def resolution(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> str:
    """Say which difference of two models these test rows can show, by that to the best baseline.

    >>> difference = {"macro_f1": {"low": 0.01, "high": 0.03}, "loss": {"low": -0.02, "high": 0.0}}
    >>> metrics = {"overall": {"num_samples": 900}, "baselines": {"tfidf": {"macro_f1": 0.6}}}
    >>> resolution(metrics, {"differences": {"tfidf": difference}})
    '900 test rows do not tell models apart that differ by less than 1.0 points of macro-F1, or 0.010 in log-loss.'
    """
    difference = intervals["differences"][best_baseline(metrics)]
    halves = {
        key: (difference[key]["high"] - difference[key]["low"]) / 2
        for key in ("macro_f1", "loss")
        if "low" in difference.get(key, {})
    }
    if len(halves) < 2:
        return ""
    return (
        f"{metrics['overall']['num_samples']:,} test rows do not tell models apart that differ by less than "
        f"{100 * halves['macro_f1']:.1f} points of macro-F1, or {halves['loss']:.3f} in log-loss."
    )


def best_baseline(metrics: Mapping[str, Any]) -> str:
    """Return the name of the baseline with the highest macro-F1.

    >>> best_baseline({"baselines": {"majority": {"macro_f1": 0.2}, "tfidf": {"macro_f1": 0.6}}})
    'tfidf'
    """
    baselines: Mapping[str, Mapping[str, float]] = metrics["baselines"]
    return max(baselines, key=lambda name: baselines[name]["macro_f1"])


def version_description(metrics: Mapping[str, Any], reason: str) -> str:
    """Describe a model version in one line, because MLflow's table of versions shows no Markdown."""
    model, baseline = metrics["overall"], metrics["baselines"][best_baseline(metrics)]
    macro_f1 = f"macro-F1 {model['macro_f1']:.4f} (best baseline {baseline['macro_f1']:.4f})"
    return f"{macro_f1} on {model['num_samples']:,} test rows; {reason}"


def model_description(classes: Sequence[str], inputs: Sequence[str] = ("text",)) -> str:
    """Describe a registered model, which reads these `inputs`, in Markdown: the same text for all of its versions."""
    columns = " and ".join(f"`{name}`" for name in inputs)
    labels = ", ".join(f'"{named(name)}"' for name in classes[:10])
    if classes[10:]:
        labels += f" and {len(classes) - 10} more"
    columns = f"columns {columns}" if len(inputs) > 1 else f"a column {columns}"
    return (
        f"From {columns} to one of {len(classes)} labels ({labels}), with the probability of each. Aliases: "
        "`champion` is in service, `previous` was in service before it, `anchor` is the best one that ever was, "
        "`challenger` is the last version that the gate refused; the tags of each version give the reasons. Each run "
        "has the model card of its version. To go back: "
        '`python -m pipeline rollback --why "..."`.'
    )


def run_description(metrics: Mapping[str, Any], intervals: Mapping[str, Any], first: str, last: str) -> str:
    """Describe a run in Markdown: `first`, the verdict, a table of the model and the baselines, and `last`.

    MLflow's UI shows only the beginning until it is expanded.
    """

    def row(title: str, values: Mapping[str, float], ranges: Mapping[str, Mapping[str, float]]) -> list[str]:
        return [title, *(format_metric(values.get(key), ranges.get(key)) for key in SHORT_METRICS)]

    rows = [row("the model", metrics["overall"], intervals["overall"])]
    rows += [row(f"{part_title(name)} only", values, {}) for name, values in metrics.get("parts", {}).items()]
    for name, values in metrics["baselines"].items():
        rows.append(row(BASELINES[name], values, {}))
        differences = intervals["differences"][name]
        values = {key: interval["difference"] for key, interval in differences.items()}
        rows.append(row("difference to the model", values, differences))
    table = pipe_table([f"{metrics['overall']['num_samples']:,} test rows", *SHORT_METRICS.values()], rows)
    legend = (
        "In brackets: 95 % bootstrap intervals, paired where two models are compared. A difference is the model "
        "minus the baseline."
    )
    sentences = " ".join([verdict(metrics, intervals), resolution(metrics, intervals)]).strip()
    return "\n\n".join([first, sentences, table, legend, last])


def format_metric(value: float | None, interval: Mapping[str, float] | None = None) -> str:
    """Format a metric, and its interval where there is one; "" where the metric is undefined.

    >>> format_metric(0.75, {"low": 0.7, "high": 0.8})
    '0.7500 [0.7000, 0.8000]'
    """
    return "" if value is None else f"{value:.4f} {format_interval(interval)}".rstrip()


def format_interval(interval: Mapping[str, float] | None) -> str:
    """Format an interval; "" where there is none.

    >>> format_interval({"low": -0.1, "high": 0.25})
    '[-0.1000, 0.2500]'
    """
    return f"[{interval['low']:.4f}, {interval['high']:.4f}]" if interval else ""
