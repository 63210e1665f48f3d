"""The head of the model card, and what the model is for."""

from ...base.markdown import bullets, escaped, named, pipe_table
from ..facts import Facts
from ..summary import format_metric, verdict
from .formats import first_names


def overview(facts: Facts, version: str | None) -> list[str]:
    """Return title, verdict and key facts."""
    metrics, intervals = facts.metrics["overall"], facts.intervals["overall"]
    rows = [
        ("Version", escaped(version) if version else "not registered yet"),
        ("Task", _task(facts)),
        ("Data", f"{named(facts.ingest['title'])}, {facts.cleaned['kept']:,} rows after cleaning"),
        ("Accuracy", format_metric(metrics["accuracy"], intervals.get("accuracy"))),
        ("Macro-F1", format_metric(metrics["macro_f1"], intervals.get("macro_f1"))),
        ("State", f"`{facts.manifest['state']}`"),
    ]
    return [
        f"# Model card: {named(facts.name)}",
        f"{verdict(facts.metrics, facts.intervals)} Measured on {metrics['num_samples']:,} test rows. Values in "
        "brackets, here and below, are 95 % intervals.",
        pipe_table(("", ""), rows),
    ]


def _task(facts: Facts) -> str:
    task = f"one of {len(facts.counts)} labels for a {' and '.join(facts.inputs)}"
    return f"{task}; language `{facts.tokenizer['language']}`" if facts.tokenizer else task


def intended_use(facts: Facts) -> list[str]:
    """Return what the model is for and not for."""
    labels = first_names([f'"{named(name)}"' for name in facts.counts])
    return [
        f"The model predicts which of these labels a text is most likely to have: {labels}. It is meant for large "
        "numbers of texts like those it was trained on, where people count, sort or review the results.",
        bullets(
            [
                "**For**: shares of the labels over time or by subject; sorting texts so that people read the most "
                "urgent ones first; suggesting a label to annotators.",
                "**Not for**: decisions about individual people without human review, such as hiring, credit, "
                "insurance, discipline, moderation without appeal, or health.",
                "**Not for** what a person feels: a label is how readers, or whoever labelled the data, understood a "
                "text, not what its author felt.",
            ]
        ),
    ]
