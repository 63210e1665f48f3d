"""Card: what to know about a model before it is used (Mitchell et al. 2019, "Model Cards for Model Reporting").

No stage: it reads what DVC's stages left. The same state, told the same, gives the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..base import paths
from ..base.markdown import bullets, escaped, fenced, named, pipe_table
from ..data.datasets import SOURCES, Source
from ..data.settings import NO_FILE
from ..evaluation.intervals import wilson
from ..evaluation.text import baselines
from . import page, summary
from .facts import Facts, gather

FOLDER = paths.REPORTS / "card"
DECISION = paths.REPORTS / "publish/decision.json"  # the last one made here
FEW_ROWS = 100  # test rows of a class, below which its figures say little: an interval of 20 points or so
FEW_IN_SLICE = 30
TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "mcc": "Matthews' correlation",
    "roc_auc": "ROC-AUC, mean of the classes",
    "pr_auc": "average precision, mean of the classes",
    "loss": "loss, nats (lower is better)",
    "ece": "calibration error, ECE (lower is better)",
}
DROPPED = {
    "unlabelled": "no label",
    "empty": "no text left after cleaning",
    "held_out": "a copy, or a row of the same group, is in the given validation or test rows",
    "conflicting": "the same text has another label at least as often",
    "duplicate": "the text stands in an earlier row",
    "surplus": "taken out to make the classes unequal on purpose (`ingest.skew`)",
}
STRATEGIES = {
    "none": "every row counts the same",
    "random_over": "rows of smaller classes are repeated at random",
    "random_under": "rows of larger classes are left out at random",
    "class_weight": "rows of smaller classes weigh more in the loss",
    "effective_number": "classes are weighted by their effective number of rows (Cui et al. 2019)",
    "focal": "rows that the model gets right weigh less (focal loss, Lin et al. 2017)",
    "balanced_batches": "each epoch draws as many rows of each class",
    "logit_adjustment": "margins in the loss favour smaller classes (Menon et al. 2021)",
}
KINDS = {"INV": "invariance", "DIR": "directional", "MFT": "minimum functionality"}
UNITS = {"word": "words and punctuation marks", "character": "characters", "chinese": "Chinese words, cut by jieba"}


def markdown(
    facts: Facts,
    *,
    version: str | None = None,
    decision: Mapping[str, Any] | None = None,
    commit: str | None = None,
    uncommitted: bool = False,
    seconds: float | None = None,
) -> str:
    """The card in Markdown (CommonMark with tables), without HTML.

    Parameters
    ----------
    facts : Facts
        Of the state.
    version : str, optional
        The model's in the registry.
    decision : mapping, optional
        `promote`: bool; `reason`: a sentence; `checks`: mappings with `name`, `passed`, `found` and `limit`.
    commit : str, optional
        Git's, on which the state was made.
    uncommitted : bool
        Whether files differed from the commit.
    seconds : float, optional
        That training took: no file of the state holds it.
    """
    sections = {
        "": _head(facts, version),
        "Intended use": _use(facts),
        "Limits": _limits(facts),
        "Data": _data(facts),
        "Preprocessing": _preprocessing(facts),
        "Model and training": _training(facts),
        "Figures": _figures(facts),
        "Calibration": _calibration(facts),
        "Behaviour tests": _behaviour(facts),
        "Promotion": _promotion(decision),
        "Cost": _cost(facts, seconds),
        "Privacy and ethics": _privacy(facts),
        "How to use it": _usage(facts, version),
        "How to reproduce it": _reproduction(facts, commit, uncommitted),
    }
    blocks = [block for title, of in sections.items() for block in ([f"## {title}"] if title else []) + of]
    return "\n\n".join(blocks) + "\n"


def _head(facts: Facts, version: str | None) -> list[str]:
    overall, of = facts.figures["overall"], facts.intervals["overall"]
    rows = [
        ("Version", escaped(version) if version else "not registered yet"),
        ("Task", f"one of {len(facts.counts)} labels for a text; language `{facts.tokenizer['language']}`"),
        ("Data", f"{named(facts.ingest['title'])}, {facts.cleaned['kept']:,} rows after cleaning"),
        ("Accuracy", _figure(overall["accuracy"], of.get("accuracy"))),
        ("Macro-F1", _figure(overall["macro_f1"], of.get("macro_f1"))),
        ("State", f"`{facts.manifest['state']}`"),
    ]
    return [
        f"# Model card: {named(facts.name)}",
        f"{summary.verdict(facts.figures, facts.intervals)} Measured on {overall['num_samples']:,} test rows; in "
        "brackets, here and below, stand 95 % intervals.",
        pipe_table(("", ""), rows),
    ]


def _use(facts: Facts) -> list[str]:
    classes = [f'"{named(name)}"' for name in facts.counts]
    return [
        f"The model tells which of these labels a text is most likely to get: {_listed(classes)}. It is meant for many "
        "texts of the kind that it learnt from, whose results are counted, sorted or looked through by people.",
        bullets(
            [
                "**For**: shares of the labels over time or by subject; sorting texts so that people read the most "
                "urgent ones first; a first suggestion to those who label.",
                "**Not for**: decisions about individual people without a person's review, such as hiring, credit, "
                "insurance, discipline, moderation without appeal, or health.",
                "**Not for** what a person feels: a label says how readers, or whoever labelled the data, took a text, "
                "not what went on in its author.",
            ]
        ),
    ]


def _limits(facts: Facts) -> list[str]:
    overall, per_class = facts.figures["overall"], facts.figures["per_class"]
    subject = "the texts of your file" if facts.ingest["dataset"] == "file" else _source(facts).texts
    said = [
        f"**Subjects**: it knows {subject}. Figures do not transfer to other subjects, sources or times: measure it on "
        "a few hundred labelled texts of your own first.",
        f"**Language**: it learnt from texts in `{facts.tokenizer['language']}`; for texts in others it answers too, "
        "with no warning.",
        f"**Length**: the LSTM reads the last {facts.tokenizer['length']:,} units of a text; "
        f"{100 * facts.tokenizer['full']:.1f} % of the test rows are as long or longer and may lose their beginning.",
    ]
    weakest = min(per_class, key=lambda name: per_class[name]["f1"])
    said.append(
        f'**Weakest class**: "{named(weakest)}", with an F1 of '
        f"{_figure(per_class[weakest]['f1'], facts.intervals['per_class'][weakest].get('f1'))}."
    )
    wrong = _confusions(facts)
    if wrong:
        said.append(f"**Most often confused**: {'; '.join(wrong)}.")
    few = [f'"{named(name)}" ({of["num_samples"]:,})' for name, of in per_class.items() if of["num_samples"] < FEW_ROWS]
    if few:
        said.append(
            f"**Few test rows**: {_listed(few)}. Figures of classes with fewer than {FEW_ROWS} rows are rough: read "
            "their intervals."
        )
    train = {name: rows["train"] for name, rows in facts.counts.items()}
    large, small = max(train, key=lambda name: train[name]), min(train, key=lambda name: train[name])
    ratio = train[large] / train[small]
    said.append(
        f'**Imbalance**: the largest class, "{named(large)}", has {ratio:.1f} training rows for each of the '
        f'smallest, "{named(small)}"'
        + (
            f"; accuracy alone says little here. Guessing the most frequent class gives "
            f"{facts.figures['baselines']['majority']['accuracy']:.4f}."
            if ratio > 1.5
            else "."
        )
    )
    weak = _weak_slices(facts)
    said.append(
        f"**Weakest parts of the test rows**: {'; '.join(weak)}. Overall accuracy is {overall['accuracy']:.4f}."
        if weak
        else f"**Parts of the test rows**: of those with {FEW_IN_SLICE} rows or more, none has an accuracy that is "
        "clearly below the overall one."
    )
    said += [
        "**Probabilities** are right on average over texts like the validation rows, not for each text, and only "
        "where the labels are as frequent as there; see Calibration.",
        "**Intervals** show chance in the test rows alone: another seed, another split and live texts add to it.",
    ]
    if facts.ingest["dataset"] != "file" and _source(facts).limits:
        said.insert(1, f"**Labels**: {_source(facts).limits[0].lower()}{_source(facts).limits[1:]}.")
    return [bullets(said)]


def _confusions(facts: Facts) -> list[str]:
    """The three classes that are most often taken for a certain other one, of those with enough rows to tell."""
    samples = {name: of["num_samples"] for name, of in facts.figures["per_class"].items()}
    shares = {
        pair: rows / samples[pair[0]]
        for pair, rows in facts.confusion.items()
        if pair[0] != pair[1] and samples[pair[0]] >= FEW_IN_SLICE
    }
    worst = sorted(shares, key=lambda pair: (-shares[pair], pair))[:3]
    return [f'{100 * shares[pair]:.0f} % of "{named(pair[0])}" are called "{named(pair[1])}"' for pair in worst]


def _weak_slices(facts: Facts) -> list[str]:
    """The three weakest of the slices whose accuracy is below the overall one by more than chance explains."""
    overall = facts.figures["overall"]["accuracy"]
    found = {}
    for name, of in facts.figures["slices"].items():
        interval = wilson(of["accuracy"], of["num_samples"])
        if of["num_samples"] >= FEW_IN_SLICE and interval["high"] < overall:
            found[name] = f'"{named(name)}", {_figure(of["accuracy"], interval)} of {of["num_samples"]:,} rows'
    return [found[name] for name in sorted(found, key=lambda name: facts.figures["slices"][name]["accuracy"])[:3]]


def _data(facts: Facts) -> list[str]:
    settings, cleaned = facts.ingest, facts.cleaned
    if settings["dataset"] == "file":
        origin = [
            f"Your own: {named(Path(settings['path']).name)}, texts in the column "
            f'"{named(settings["text_column"])}", labels in "{named(settings["label_column"])}".',
            "**Licence**: that of your file is yours to state, and so is whether its authors may expect this use.",
        ]
    else:
        source = _source(facts)
        origin = [
            f"`{settings['dataset']}`: {source.texts} ({source.package}).",
            f"**Licence**: {source.licence}. The licence of a package does not settle that of the texts in it.",
        ]
    notes = [_split(facts)]
    if settings["label_map"]:
        notes.append("`ingest.label_map` renamed labels or left out those that it maps to null, before the rows below.")
    if settings["max_rows"]:
        notes.append(f"Of more rows, a hash chose {settings['max_rows']:,} (`ingest.max_rows`).")
    rows = [("read", "", f"{cleaned['rows']:,}")]
    rows += [("dropped", DROPPED[why], f"{count:,}") for why, count in cleaned["dropped"].items() if count]
    rows.append(("kept", "", f"{cleaned['kept']:,}"))
    by_class = [
        (named(name), *(f"{of[split]:,}" for split in paths.SPLITS), f"{sum(of.values()):,}")
        for name, of in facts.counts.items()
    ]
    sums = [sum(of[split] for of in facts.counts.values()) for split in paths.SPLITS]
    by_class.append(("all", *(f"{rows:,}" for rows in sums), f"{sum(sums):,}"))
    return [
        *origin,
        " ".join(notes),
        pipe_table(("rows", "why", "number"), rows, right=1),
        "### Rows of each class",
        pipe_table(("class", *paths.SPLITS, "all"), by_class, right=4),
    ]


def _split(facts: Facts) -> str:
    """Which rows test."""
    settings = facts.ingest
    if settings["test_path"] != NO_FILE.as_posix():
        return f"The test rows are those of your test file, {named(Path(settings['test_path']).name)}."
    if settings["split_column"]:
        return f'The column "{named(settings["split_column"])}" says which rows train, validate and test.'
    if settings["time_column"]:
        return f'The test rows are the latest, by the column "{named(settings["time_column"])}".'
    if settings["dataset"] == "keras_imdb":
        return "The test rows are the official ones."
    key = f'"{named(settings["group_column"])}"' if settings["group_column"] else "text"
    if settings["dataset"] == "imdb":
        key = "group of neighbouring reviews, often of one film,"
    return f"A hash of each {key} draws the splits, whatever the class; none, and no text, is in two of them."


def _preprocessing(facts: Facts) -> list[str]:
    tokenizer = facts.tokenizer
    return [
        "The same code prepares texts in training and in prediction:",
        bullets(
            [
                "mojibake is mended, text is lower-cased, markup and extra space are removed; negation, punctuation, "
                "emoji and accents stay;",
                "web, e-mail and IP addresses, user names, phone, card and identity numbers become `[url]`, `[email]`, "
                "`[ip]`, `[user]`, `[phone]`, `[card]` and `[id]`;",
                f"texts are cut into {UNITS[tokenizer['unit']]}; the {tokenizer['units']:,} most frequent of the "
                f"training texts have an id, all others share one; the last {tokenizer['length']:,} of a text are "
                "kept.",
            ]
        ),
        f"Language `{tokenizer['language']}`: detected from the training texts, or set by `tokenize.language`.",
    ]


def _training(facts: Facts) -> list[str]:
    settings, network, strategy = facts.training, facts.manifest["network"], facts.rebalance["strategy"]
    shares = dict(zip(summary.PARTS, facts.manifest["shares"], strict=False))
    said = "an LSTM" + (" and two linear models of n-grams beside it" if "n-grams" in facts.weights else "")
    rows = [
        ("preset", f"`{settings['preset']}`"),
        ("vectors of words", f"{network['num_ids']:,} of {network['embedding_dim']}"),
        ("LSTM", f"{network['units']} units{' in each direction' if network['bidirectional'] else ''}"),
        ("classes told from", f"{network['pooling'].replace('_', ' and ')} of the states"),
        ("dropout", f"{network['embedding_dropout']:g} of the vectors, {network['dropout']:g} before the classes"),
        (
            "language model first",
            f"{settings['pretraining_epochs']} epochs" if settings["pretraining_epochs"] else "no",
        ),
        ("adversarial training", f"length {settings['adversarial']:g}" if settings["adversarial"] else "no"),
        ("optimiser", f"Adam, step {settings['learning_rate']:g}, {settings['batch_size']} texts a batch"),
        ("epochs", f"{facts.epochs} of at most {settings['epochs']}; epoch {facts.kept} kept, by validation loss"),
        ("rebalancing", f"`{strategy}`: {STRATEGIES[strategy]}"),
        ("seed, threads", f"{settings['seed']}, {settings['threads']}"),
        *(
            [("shares of the parts", ", ".join(f"{summary.PARTS[part]} {share:.2f}" for part, share in shares.items()))]
            if len(shares) > 1
            else []
        ),
    ]
    return [f"The model is {said}.", pipe_table(("", ""), rows)]


def _figures(facts: Facts) -> list[str]:
    figures, intervals = facts.figures, facts.intervals
    overall = [
        (title, f"{figures['overall'][key]:.4f}", interval(intervals["overall"].get(key)))
        for key, title in TITLES.items()
        if key in figures["overall"]
    ]
    columns = {key: TITLES[key].partition(",")[0] for key in summary.HEADLINES}
    others = [("the model", *_cells(figures["overall"], columns, {}))]
    others += [
        (f"of it, {summary.PARTS[name]} alone", *_cells(of, columns, {}))
        for name, of in figures.get("parts", {}).items()
    ]
    others += [(baselines.TITLES[name], *_cells(of, columns, {})) for name, of in figures["baselines"].items()]
    differences = [
        (baselines.TITLES[name], *(f"{of[key]['difference']:+.4f} {interval(of[key])}" for key in columns))
        for name, of in intervals["differences"].items()
    ]
    by_class = {
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
        "roc_auc": "ROC-AUC",
        "pr_auc": "avg. precision",
    }
    classes = [
        (named(name), f"{of['num_samples']:,}", *_cells(of, by_class, intervals["per_class"].get(name, {})))
        for name, of in figures["per_class"].items()
    ]
    slices = [
        (
            named(name),
            f"{of['num_samples']:,}",
            _figure(of["accuracy"], wilson(of["accuracy"], of["num_samples"])),
            *_cells(of, {"balanced_accuracy": "", "macro_f1": ""}, {}),
        )
        for name, of in figures["slices"].items()
    ]
    blocks = [
        f"All on the {figures['overall']['num_samples']:,} test rows, which training never saw. Intervals are of "
        "the bootstrap over test rows; that of the calibration error lies too high, since each resample adds chance.",
        pipe_table(("figure", "value", "95 % interval"), overall, right=2),
        "### Beside simpler models",
        "They learnt from the same training rows, or from a sample of them (`evaluate.baseline_rows`).",
        pipe_table(("", *columns.values()), others, right=3),
        "The model minus each of them, on the same resamples of the test rows: an interval that holds 0 shows no clear "
        "difference.",
        pipe_table(("the model minus", *columns.values()), differences, right=3),
        "### By class",
        pipe_table(("class", "rows", *by_class.values()), classes, right=6),
        "![Confusion matrix of the test rows](../evaluate/confusion_matrix.png)",
    ]
    if slices:
        blocks += [
            "### By part of the test rows",
            "The two means are over the classes that occur in the part. Intervals are Wilson's (1927); with many "
            "parts, some look weak or strong by chance.",
            pipe_table(("part", "rows", "accuracy", "balanced accuracy", "macro-F1"), slices, right=4),
        ]
    return blocks


def _calibration(facts: Facts) -> list[str]:
    manifest, before, after = facts.manifest, facts.figures["uncalibrated"], facts.figures["overall"]
    rows = [
        (TITLES[key], f"{before[key]:.4f}", _figure(after[key], facts.intervals["overall"].get(key)))
        for key in ("ece", "loss", "accuracy")
    ]
    classes = [
        (named(name), f"{offset:+.4f}", f"{share:.4f}")
        for name, offset, share in zip(manifest["classes"], manifest["offsets"], manifest["class_shares"], strict=True)
    ]
    return [
        f"The logits are divided by a temperature of {facts.figures['temperature']:.4f} (Guo et al. 2017) and shifted "
        "by an offset for each class, all fitted on the validation rows. Of the texts that get a probability of 80 %, "
        "about 80 % should have that label; the calibration error is the mean gap.",
        pipe_table(("on the test rows", "before", "after"), rows, right=2),
        "The probabilities expect the classes in these shares. Where yours are others, name them (`--class-shares`, "
        "below): else rare classes are found too rarely or too often. From the shares that rebalancing asked for, they "
        f"are {facts.rebalance['prior_correction']:.0%} of the way to the natural ones (`rebalance.prior_correction`).",
        pipe_table(("class", "offset", "expected share"), classes, right=2),
        "![How often the model is right, by how sure it is](../evaluate/reliability.png)",
    ]


def _behaviour(facts: Facts) -> list[str]:
    if not facts.behaviour:
        return ["None were run for this state."]
    rows = [
        (
            named(name.replace("_", " ")),
            KINDS.get(of["kind"], escaped(of["kind"])),
            f"{of['num_samples']:,}",
            _figure(of["pass_rate"], wilson(of["pass_rate"], of["num_samples"])),
        )
        for name, of in facts.behaviour.items()
    ]
    return [
        "As in CheckList (Ribeiro et al. 2020). *Invariance*: a change that should not matter keeps the label. "
        "*Directional*: a change moves the probabilities the way it should. *Minimum functionality*: plain cases are "
        "right.",
        pipe_table(("test", "kind", "cases", "passed"), rows, right=2),
    ]


def _promotion(decision: Mapping[str, Any] | None) -> list[str]:
    if decision is None:
        return ["Not decided, or decided elsewhere: the version's tags in the registry tell."]
    verdict = "Promoted to champion" if decision["promote"] else "Not promoted"
    rows = [
        (
            named(str(check["name"])),
            "passed" if check["passed"] else "**failed**",
            _plain(check["found"]),
            _plain(check["limit"]),
        )
        for check in decision.get("checks", ())
    ]
    said = [f"**{verdict}**: {escaped(decision['reason'])}"]
    return said + ([pipe_table(("check", "result", "found", "limit"), rows)] if rows else [])


def _cost(facts: Facts, seconds: float | None) -> list[str]:
    rows = [(f"trained numbers, {part}", f"{number:,}") for part, number in facts.weights.items()]
    rows.append(("model folder", f"{sum(facts.files.values()) / 1e6:,.1f} MB"))
    rows.append(("passes over the training rows", f"{facts.epochs}"))
    if seconds is not None:
        rows.append(("time of training", f"{seconds:,.0f} s"))
    return [pipe_table(("", ""), rows, right=1), "No GPU is needed, neither to train nor to predict."]


def _privacy(facts: Facts) -> list[str]:
    said = [
        "Web and e-mail addresses, user names, and phone, card, identity and IP numbers are masked before anything is "
        "learnt. **Names in running text stay.**",
        "Raw texts lie in `data/ingest/`, cleaned ones in `data/clean/`, and both in DVC's cache and remote: protect "
        "these as the texts themselves. Whoever must delete a text uses `python -m pipeline.forget`.",
        "This card, logs, reports, metrics and the MLflow store hold no texts. The model folder holds "
        f"{facts.tokenizer['units']:,} single units of the training texts"
        + (", and n-grams that occur in two training rows or more." if "n-grams" in facts.weights else ".")
        + " Names can be among them.",
    ]
    for name, how in (("names", "texts are signed with other names"), ("gender", "he and she change places")):
        gaps = facts.behaviour.get(name, {}).get("gaps", {})
        if gaps:
            most = max(of["gap"] for of in gaps.values())
            said.append(
                f"Where {how}, the mean probability of a class differs by at most {100 * most:.1f} points between the "
                "groups."
            )
    said.append(
        "Nobody looked further whether the model treats groups of people alike: check those that matter to you."
    )
    return [bullets(said)]


def _usage(facts: Facts, version: str | None) -> list[str]:
    at = f"/{version}" if version else "@champion"
    return [
        "A CSV file, labelled row by row:",
        fenced(
            f"python -m pipeline.predict INPUT.csv OUTPUT.csv --text-column text --model {version or 'champion'}", "sh"
        ),
        "From Python, in any folder, with `MLFLOW_TRACKING_URI` set to the store:",
        fenced(
            "import mlflow\nimport pandas as pd\n\n"
            f'model = mlflow.pyfunc.load_model("models:/{facts.name}{at}")\n'
            'model.predict(pd.DataFrame({"text": ["The text to label."]}))',
            "python",
        ),
        "The answer has the columns `predicted_label`, `confidence` and `p_<class>` for each class. Files that were "
        "altered are refused; none is a pickle.",
    ]


def _reproduction(facts: Facts, commit: str | None, uncommitted: bool) -> list[str]:
    said, commands = [], ["make env"]
    if commit and not uncommitted:
        commands = [f"git checkout {commit}", *commands]
    elif facts.dvc:
        said.append(
            (f"Made on git commit `{commit}` with changes that were not committed. " if commit else "")
            + "The commit that holds this state is the first of those that this prints:"
        )
        said.append(fenced(f"git log --reverse --format=%H -S {facts.dvc} -- dvc.lock", "sh"))
    said.append(
        fenced(
            "\n".join(
                [
                    *commands,
                    "dvc pull    # the outputs from a DVC remote, where there is one; or",
                    "dvc repro   # all of it again",
                ]
            ),
            "sh",
        )
    )
    rows = [
        ("state, in `data/train/model/model.json`", f"`{facts.manifest['state']}`"),
        *((f"SHA-256 of `{name}`", f"`{digest}`") for name, digest in facts.manifest["sha256"].items()),
        ("SHA-256 of `requirements.lock`", f"`{facts.lock}`"),
        *([("DVC's digest of the model", f"`{facts.dvc}`")] if facts.dvc else []),
    ]
    said += [
        "The same data, parameters, code and lock on the same kind of machine give the same bytes, and these digests:",
        pipe_table(("", ""), rows),
    ]
    return said


def _source(facts: Facts) -> Source:
    return SOURCES[facts.ingest["dataset"]]


def interval(of: Mapping[str, float] | None) -> str:
    return f"[{of['low']:.4f}, {of['high']:.4f}]" if of else ""


def _figure(value: float, of: Mapping[str, float] | None) -> str:
    return f"{value:.4f} {interval(of)}".rstrip()


def _cells(of: Mapping[str, float], columns: Iterable[str], ranges: Mapping[str, Any]) -> list[str]:
    return [_figure(of[key], ranges.get(key)) if key in of else "" for key in columns]


def _plain(value: Any) -> str:
    """What a check found, or its limit."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escaped(str(value))


def _listed(names: Sequence[str]) -> str:
    """The first ten: tables name them all."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more, listed below" if len(names) > 10 else "")


def write(**told: Any) -> list[Path]:
    """Write the card of what `data/` holds into `reports/card/`, as Markdown and as HTML; give the two files.

    The pictures of `reports/evaluate/` are in it. `told` is what `markdown` takes besides the facts.
    """
    return page.write(FOLDER, "model-card", markdown(gather(), **told))
