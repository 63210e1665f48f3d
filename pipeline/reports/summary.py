"""The metrics in short: a sentence, a line, a table, and the names under which MLflow shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..base.markdown import named, pipe_table
from ..evaluation.metrics import HEADLINES, flatten
from .titles import BASELINES, SHORT_METRICS, alone_title, part_title


def mlflow_metrics(
    metrics: Mapping[str, Any], intervals: Mapping[str, Any], behaviour: Mapping[str, Any]
) -> dict[str, float]:
    """Return the metrics of a run under names that MLflow's UI groups, such as `test/macro_f1`.

    MLflow draws a chart for each metric, so baselines, models of some parts, and differences have only the headlines,
    behaviour tests only their pass rates, and the near copies of training rows only their share of the test rows.

    Parameters
    ----------
    metrics, intervals, behaviour : mapping
        Content of `metrics.json`, `intervals.json` and `behaviour.json`.
    """
    groups = {
        "test": metrics["overall"]
        | {
            "temperature": metrics["temperature"],
            "near_copies": metrics["near_copies"]["share"],
            "conflicts": metrics["conflicts"]["num_samples"],
        },
        "uncalibrated": metrics["uncalibrated"],
        "weight": metrics["weights"],
        "alone": metrics.get("alone", {}),
        "baseline": {name: {key: values[key] for key in HEADLINES} for name, values in metrics["baselines"].items()},
        "difference": {
            name: {
                key if bound == "difference" else f"{key}_{bound}": value
                for key in HEADLINES
                for bound, value in differences[key].items()
            }
            for name, differences in {**intervals["differences"], **intervals["alone"]}.items()
        },
        "per_class": metrics["per_class"],
        "slices": metrics["slices"],
        "behaviour": {name: result["pass_rate"] for name, result in behaviour["tests"].items()},
    }
    return {key: value for key, value in flatten(groups).items() if not key.endswith("/num_samples")}


def closing_lines(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[str]:
    """Return the last lines of evaluate: the model, its parts and the baselines, and what the differences say."""
    models = {"model": metrics["overall"]}
    models |= {alone_title(name): values for name, values in metrics.get("alone", {}).items()}
    models |= {BASELINES[name]: values for name, values in metrics["baselines"].items()}
    lines = []
    for title, overall in models.items():
        accuracy, macro_f1, loss = (overall[key] for key in HEADLINES)
        lines.append(f"{title}: accuracy {accuracy:.4f}, macro-F1 {macro_f1:.4f}, log-loss {loss:.4f}")
    return lines + [line for line in sentences(metrics, intervals) if line]


def sentences(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[str]:
    """Return what the differences say of the model, the network in it, and the test rows."""
    return [verdict(metrics, intervals), gain_of_network(intervals), resolution(metrics, intervals)]


def verdict(metrics: Mapping[str, Any], intervals: Mapping[str, Any]) -> str:
    """Return a sentence on whether the model beats the best baseline, with paired 95 % intervals.

    >>> macro_f1 = {"difference": 0.012, "low": 0.003, "high": 0.021}
    >>> loss = {"difference": -0.01, "low": -0.02, "high": 0.001}
    >>> differences = {"tfidf": {"macro_f1": macro_f1, "loss": loss}}
    >>> print(verdict({"baselines": {"tfidf": {"macro_f1": 0.6}}}, {"differences": differences}))
    The model is ahead of the best baseline (TF-IDF + logistic regression) by 1.2 points of macro-F1 [0.3, 2.1], \
and level in log-loss (-0.010 [-0.020, 0.001]).
    """
    name = best_baseline(metrics)
    differences = intervals["differences"][name]
    best = f"the best baseline ({BASELINES[name]})"
    difference, low, high = (100 * differences["macro_f1"][key] for key in ("difference", "low", "high"))
    if low > 0:
        first = f"The model is ahead of {best} by {difference:.1f} points of macro-F1 [{low:.1f}, {high:.1f}]"
    elif high < 0:
        first = f"The model is behind {best} by {-difference:.1f} points of macro-F1 [{-high:.1f}, {-low:.1f}]"
    else:
        first = f"No clear difference from {best}: {difference:+.1f} points of macro-F1 [{low:.1f}, {high:.1f}]"
    if "low" not in differences.get("loss", {}):
        return f"{first}."
    loss = differences["loss"]
    word = "ahead" if loss["high"] < 0 else "behind" if loss["low"] > 0 else "level"
    return f"{first}, and {word} in log-loss ({loss['difference']:+.3f} [{loss['low']:.3f}, {loss['high']:.3f}])."


def gain_of_network(intervals: Mapping[str, Any]) -> str:
    """Return a sentence on what the network adds to the other parts; "" for a model of one part.

    >>> macro_f1 = {"difference": 0.007, "low": 0.0, "high": 0.014}
    >>> loss = {"difference": -0.03, "low": -0.04, "high": -0.02}
    >>> gain_of_network({"alone": {"lstm": {}, "without_lstm": {"macro_f1": macro_f1, "loss": loss}}})
    'The LSTM adds +0.7 points of macro-F1 [0.0, 1.4] and -0.030 in log-loss [-0.040, -0.020].'
    """
    for name, differences in intervals.get("alone", {}).items():
        if name.startswith("without_") and all("low" in differences.get(key, {}) for key in ("macro_f1", "loss")):
            part = part_title(name.removeprefix("without_"))
            difference, low, high = (100 * differences["macro_f1"][key] for key in ("difference", "low", "high"))
            loss = differences["loss"]
            return (
                f"The {part} adds {difference:+.1f} points of macro-F1 [{low:.1f}, {high:.1f}] and "
                f"{loss['difference']:+.3f} in log-loss [{loss['low']:.3f}, {loss['high']:.3f}]."
            )
    return ""


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
    others = {name: (alone_title(name), values) for name, values in metrics.get("alone", {}).items()}
    others |= {name: (BASELINES[name], values) for name, values in metrics["baselines"].items()}
    for name, (title, values) in others.items():
        rows.append(row(title, values, {}))
        differences = {**intervals["differences"], **intervals["alone"]}[name]
        values = {key: interval["difference"] for key, interval in differences.items()}
        rows.append(row("difference to the model", values, differences))
    table = pipe_table([f"{metrics['overall']['num_samples']:,} test rows", *SHORT_METRICS.values()], rows)
    legend = (
        "In brackets: 95 % intervals, Wilson's for the accuracy, and of the bootstrap over test rows, or their groups, "
        "for the others. A difference is the model minus the other one, on the same resamples (paired bootstrap, "
        "Student's t times the standard error); all were calibrated on the validation rows."
    )
    summary = " ".join(filter(None, sentences(metrics, intervals)))
    return "\n\n".join([first, summary, table, legend, last])


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
