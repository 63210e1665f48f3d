"""The model card: every value is that of the stages' files, and names from the data are shown as text."""

import dataclasses
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from helpers.project import ROOT

from pipeline.base import paths
from pipeline.base.files import read_json, read_table
from pipeline.data import datasets
from pipeline.evaluation.rates import wilson_interval
from pipeline.reports import page
from pipeline.reports.card import card_markdown, write_card
from pipeline.reports.card.data import DROP_REASONS
from pipeline.reports.facts import Facts, read_facts
from pipeline.reports.titles import BASELINES, METRICS, alone_title

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b",
    "![x](https://example.org/x.png)",
    "[x](javascript:alert(1))",
    "**b** _i_ `c` ~~s~~",
    "line\nbreak",
    "x" * 200,
    "好评",
    "100",
    "\\",
    "&lt;",
    "# h",
]

PNG = b"\x89PNG\r\n\x1a\n"


class Parsed(HTMLParser):
    """What a browser sees of a page: the tags, and the text of each table cell."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.inside = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
            self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = "" if tag == self.inside else self.inside

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def facts(classes: list[str], **changed: Any) -> Facts:
    """Facts of a model that mistakes every second test row of a class for the class before."""
    overall = {
        "accuracy": 0.5,
        "macro_f1": 0.5,
        "loss": 0.75,
        "ece": 0.0625,
        "classwise_ece": 0.04,
        "num_samples": 40 * len(classes),
    }
    class_metrics = {"num_samples": 40, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    interval = {"low": 0.25, "high": 0.625}
    difference = {key: {"difference": 0.125, **interval} for key in ("accuracy", "macro_f1", "loss")}
    neighbours = zip(classes, classes[-1:] + classes[:-1], strict=True)
    values = {
        "name": "reviews-lstm",
        "ingest": {
            "dataset": "file",
            "title": "reviews",
            "path": "/home/somebody/reviews_2024.csv",
            "test_path": "data/none",
            "text_column": "te|xt",
            "label_column": "label",
            **dict.fromkeys(("group_column", "split_column", "time_column", "label_map", "max_rows")),
        },
        "training": {
            "preset": "fast",
            "epochs": 9,
            "batch_size": 32,
            "learning_rate": 0.001,
            "adversarial": 0.0,
            "pretraining_epochs": 0,
            "seed": 0,
            "threads": 2,
        },
        "cleaned": {"rows": 900, "kept": 880, "dropped": {"empty": 0, "duplicate": 20}},
        "rebalance": {"strategy": "none", "prior_correction": 0.5},
        "manifest": {
            "state": "5" * 64,
            "sha256": {"model.weights.h5": "a" * 64},
            "network": {
                "num_ids": 102,
                "embedding_dim": 8,
                "units": 8,
                "bidirectional": True,
                "pooling": "max",
                "embedding_dropout": 0.3,
                "dropout": 0.0,
            },
            "classes": classes,
            "shares": [1.0],
            "offsets": [0.0] * len(classes),
            "class_shares": [1 / len(classes)] * len(classes),
        },
        "metrics": {
            "overall": overall,
            "baselines": {"majority": overall},
            "uncalibrated": overall,
            "temperature": 1.25,
            "weights": {"lstm": 1.0},
            "per_class": dict.fromkeys(classes, class_metrics),
            "slices": {},
            "conflicts": {"num_samples": 0},
            "near_copies": {"num_samples": 0, "share": 0.0},
        },
        "intervals": {
            "overall": dict.fromkeys(("accuracy", "macro_f1"), interval),
            "per_class": {name: dict.fromkeys(("precision", "recall", "f1"), interval) for name in classes},
            "differences": {"majority": difference},
            "alone": {},
            "slices": {},
        },
        "behaviour": {},
        "counts": {name: {"train": 200 + i, "validation": 40, "test": 40} for i, name in enumerate(classes)},
        "confusion": dict.fromkeys(neighbours, 20) | {(name, name): 20 for name in classes},
        "inputs": ["text"],
        "tokenizer": {"language": "en", "unit": "word", "length": 40, "units": 100, "full": 0.125},
        "epochs": 4,
        "best_epoch": 3,
        "num_weights": {"LSTM": 1234},
        "file_sizes": {"model.weights.h5": 5_000_000},
        "lock": "b" * 64,
        "dvc": "",
    }
    return Facts(**(values | changed))


def rendered(text: str, folder: Path) -> Parsed:
    """The page of a card, with stand-ins for its figures."""
    for name in ("confusion_matrix", "reliability"):
        (folder / "evaluate").mkdir(exist_ok=True)
        (folder / "evaluate" / f"{name}.png").write_bytes(PNG)
    return Parsed(page.html(text, folder / "card"))


def test_metrics_are_those_of_the_files(state: Path) -> None:
    text = card_markdown(read_facts())
    metrics, intervals = read_json(paths.EVALUATE_METRICS), read_json(paths.EVALUATE_INTERVALS)

    def interval(bounds: dict[str, float] | None) -> str:
        return f"[{bounds['low']:.4f}, {bounds['high']:.4f}]" if bounds else ""

    def cell(value: float, bounds: dict[str, float] | None) -> str:
        return f"{value:.4f} {interval(bounds)}".rstrip()

    for key, title in METRICS.items():
        assert f"| {title} | {metrics['overall'][key]:.4f} | {interval(intervals['overall'].get(key))} |" in text
    for name, values in metrics["per_class"].items():
        ranges = intervals["per_class"][name]
        cells = [cell(values[key], ranges.get(key)) for key in ("precision", "recall", "f1", "roc_auc", "pr_auc")]
        assert f"| {name} | {values['num_samples']} | {' | '.join(cells)} |" in text
    assert f"a temperature of {metrics['temperature']:.4f}" in text
    for key in ("ece", "classwise_ece", "loss", "accuracy"):
        after = cell(metrics["overall"][key], intervals["overall"][key])
        assert f"| {METRICS[key]} | {metrics['uncalibrated'][key]:.4f} | {after} |" in text


def test_simpler_models_are_compared(state: Path) -> None:
    text = card_markdown(read_facts())
    metrics, intervals = read_json(paths.EVALUATE_METRICS), read_json(paths.EVALUATE_INTERVALS)
    models = {"the model": metrics["overall"]}
    models |= {alone_title(name): values for name, values in metrics["alone"].items()}
    models |= {BASELINES[name]: values for name, values in metrics["baselines"].items()}
    for title, values in models.items():
        assert f"| {title} | {values['accuracy']:.4f} | {values['macro_f1']:.4f} | {values['loss']:.4f} |" in text
    assert set(intervals["differences"]) == set(metrics["baselines"])
    for name, differences in (intervals["differences"] | intervals["alone"]).items():
        cells = [
            f"{values['difference']:+.4f} [{values['low']:.4f}, {values['high']:.4f}]"
            for values in (differences[key] for key in ("accuracy", "macro_f1", "loss"))
        ]
        assert f"| {BASELINES.get(name) or alone_title(name)} | {' | '.join(cells)} |" in text


def test_every_slice_has_a_row(state: Path) -> None:
    text = card_markdown(read_facts())
    rows = {line.strip("| ").split(" | ")[0]: line.strip("| ").split(" | ")[1:] for line in text.splitlines()}
    slices = read_json(paths.EVALUATE_METRICS)["slices"]
    assert slices
    for name, values in slices.items():
        samples, accuracy, *means = rows[name]
        assert (samples, accuracy[:6]) == (str(values["num_samples"]), f"{values['accuracy']:.4f}")
        assert means == [f"{values['balanced_accuracy']:.4f}", f"{values['macro_f1']:.4f}"]


def test_data_and_model_are_those_of_the_files(state: Path) -> None:
    text = card_markdown(read_facts())
    cleaned, manifest = read_json(paths.CLEAN_SUMMARY), read_json(paths.TRAIN_MODEL / "model.json")
    counts = read_table(paths.CLEAN_COUNTS).pivot(index="label", columns="split", values="rows")
    for name, rows in counts.iterrows():
        assert f"| {name} | {rows['train']} | {rows['validation']} | {rows['test']} | {rows.sum()} |" in text
    assert f"| kept |  | {cleaned['kept']:,} |" in text
    for reason, rows in cleaned["dropped"].items():
        assert (f"| dropped | {DROP_REASONS[reason]} | {rows:,} |" in text) == (rows > 0)
    # An embedding of 8 for each id, an LSTM of 8 units, and a layer to 3 classes.
    trained = 8 * manifest["network"]["num_ids"] + 4 * (8 * 8 + 8 * 8 + 8) + 3 * (8 + 1)
    assert f"| trained weights, LSTM | {trained:,} |" in text
    assert f"`{manifest['state']}`" in text
    assert all(digest in text for digest in manifest["sha256"].values())
    assert datasets.SOURCES["tweets"].licence in text


def test_card_is_self_contained_and_reproducible(state: Path) -> None:
    files = write_card(version="3")
    contents = [file.read_bytes() for file in files]
    assert [str(file) for file in files] == ["reports/card/model-card.md", "reports/card/model-card.html"]
    assert [file.read_bytes() for file in write_card(version="3")] == contents
    content = contents[1].decode()
    assert len(contents[1]) < 1_000_000
    tags = Parsed(content).tags
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in tags}
    sources = [
        value or ""
        for _, attributes in tags
        for key, value in attributes.items()
        if key in {"src", "srcset", "href", "data"}
    ]
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert sum(source.startswith("data:") for source in sources) == 2
    assert not re.search(r"https?:|url\(|@import", content)
    ids = {attributes["id"] for _, attributes in tags if "id" in attributes}
    assert {source[1:] for source in sources if source.startswith("#")} == ids


def test_card_holds_no_text(state: Path) -> None:
    written = "\n".join(file.read_text(encoding="utf-8") for file in write_card())
    for table in (paths.INGEST_TABLE, *paths.CLEAN_TABLES.values()):
        assert not [text for text in read_table(table)["text"].dropna() if len(text) > 15 and text in written]


def accuracies(slices: dict[str, Any]) -> dict[str, Any]:
    """Return the intervals of the slices as evaluate writes them."""
    return {
        name: {"accuracy": wilson_interval(values["accuracy"], values["num_samples"])}
        for name, values in slices.items()
    }


def test_names_from_the_data_are_escaped(tmp_path: Path) -> None:
    hostile = facts(HOSTILE)
    slices = {f"source {name}": {"num_samples": 40, "accuracy": 0.1} for name in HOSTILE}
    hostile = dataclasses.replace(
        hostile,
        name="my_own_model",
        metrics=hostile.metrics | {"slices": slices},
        intervals=hostile.intervals | {"slices": accuracies(slices)},
        behaviour={"<i>typos</i>": {"kind": "<b>", "num_samples": 10, "pass_rate": 0.5}},
    )
    check = {"name": "<i>floor</i>", "passed": False, "found": "1 | 2", "limit": None}
    decision = {"promote": False, "reason": "<u>worse</u> | [x](y)", "checks": [check]}
    text = card_markdown(hostile, version="<s>1</s>", decision=decision)
    parsed = rendered(text, tmp_path)
    assert not {"script", "b", "i", "u", "s", "del"} & {tag for tag, _ in parsed.tags}
    images = [attributes["src"] or "" for tag, attributes in parsed.tags if tag == "img"]
    assert [source[:5] for source in images] == ["data:"] * 2
    assert all((attributes["href"] or "").startswith("#") for tag, attributes in parsed.tags if tag == "a")
    firsts = [row[0] for row in parsed.rows]
    for name in HOSTILE[:6] + HOSTILE[7:]:
        line = " ".join(name.split())
        assert firsts.count(line) == 3  # rows, metrics, calibration
        assert f"source {line}" in firsts
    assert max(map(len, firsts)) <= 67
    assert ["<i>typos</i>", "<b>", "10"] in [row[:3] for row in parsed.rows]
    assert ["<i>floor</i>", "failed", "1 | 2", ""] in parsed.rows
    # A stray line would break off code blocks and headings.
    assert [attributes["id"] for tag, attributes in parsed.tags if tag == "h2"][-1] == "how-to-reproduce-it"
    assert "<title>Model card: my_own_model</title>" in page.html(text, tmp_path / "card")


@pytest.mark.parametrize("number", [2, 50])
def test_two_to_fifty_classes(number: int, tmp_path: Path) -> None:
    classes = [f"topic {i}" for i in range(number)]
    text = card_markdown(facts(classes))
    assert f"one of {number} labels" in text
    assert ("and 40 more, listed below" in text) == (number == 50)
    assert '"topic 20"' not in text
    rows = rendered(text, tmp_path).rows
    assert all(sum(row[0] == name for row in rows) == 3 for name in classes)


def test_card_names_the_columns_of_training() -> None:
    manifest = facts(["a", "b"]).manifest
    joined = facts(["a", "b"], manifest=manifest | {"columns": {"text": ["title", "the body"]}})
    assert "OUTPUT.csv --text-column title --text-column 'the body' --model champion" in card_markdown(joined)
    numbered = facts(["a", "b"], manifest=manifest | {"columns": {"text": [2]}})
    assert "OUTPUT.csv --no-header --text-column 2 --model champion" in card_markdown(numbered)


def test_card_of_your_own_file() -> None:
    text = card_markdown(facts(["a", "b"]))
    assert "Your file reviews\\_2024.csv" in text
    assert "/home/somebody" not in text
    assert "yours to state" in text
    assert "package MIT" not in text
    settings = facts(["a", "b"]).ingest | {"time_column": "when", "label_map": {"1": "a"}, "max_rows": 900}
    text = card_markdown(facts(["a", "b"], ingest=settings))
    assert 'the latest, by the column "when"' in text
    assert "`ingest.label_map` renamed labels" in text
    assert "A hash selected 900" in text


def test_limits_name_few_rows_and_confusions() -> None:
    text = card_markdown(facts(["calm", "angry"]))
    assert '"calm" (40), "angry" (40)' in text  # few test rows
    assert "has an accuracy significantly below" in text
    assert '50 % of "angry" are predicted as "calm"; 50 % of "calm" are predicted as "angry"' in text


def test_limits_name_weak_slices_and_imbalance() -> None:
    normal = facts(["calm", "angry"])
    slices = {
        "with emoji": {"num_samples": 200, "accuracy": 0.3},
        "with address": {"num_samples": 200, "accuracy": 0.48},  # not significantly lower
        "language xx": {"num_samples": 20, "accuracy": 0.0},  # too few rows
    }
    counts = {
        "calm": {"train": 900, "validation": 40, "test": 40},
        "angry": {"train": 100, "validation": 40, "test": 40},
    }
    measured, bounds = normal.metrics | {"slices": slices}, normal.intervals | {"slices": accuracies(slices)}
    text = card_markdown(dataclasses.replace(normal, counts=counts, metrics=measured, intervals=bounds))
    weak = next(line for line in text.splitlines() if "Weakest slices" in line)
    assert '"with emoji", 0.3000 [0.2407, 0.3668] of 200 rows' in weak
    assert "address" not in weak
    assert "language" not in weak
    assert '"calm", has 9.0 training rows for each row of the smallest, "angry". Accuracy alone is' in text


def test_limits_name_conflicts_and_near_copies() -> None:
    normal = facts(["calm", "angry"])
    assert "Near copies" not in card_markdown(normal)
    assert "Conflicting rows" not in card_markdown(normal)
    overall = normal.metrics["overall"] | {"accuracy_with_conflicts": 0.4, "accuracy_without_near_copies": 0.45}
    changed = {"overall": overall, "conflicts": {"num_samples": 9}, "near_copies": {"num_samples": 8, "share": 0.1}}
    text = card_markdown(dataclasses.replace(normal, metrics=normal.metrics | changed))
    assert "**Conflicting rows**: 9 test rows were left out" in text
    assert "with them, the accuracy is 0.4000" in text
    sentence = (
        "**Near copies**: 8 test rows (10.0 %) nearly repeat a training row; without them, the accuracy is 0.4500"
    )
    assert sentence in text


def test_card_without_arguments() -> None:
    text = card_markdown(facts(["a", "b"]))
    assert "not registered yet" in text
    assert "Not decided" in text
    assert "None were run" in text
    assert "training time" not in text
    assert not re.search(r"\bgit\b", text)


def test_card_shows_its_arguments() -> None:
    checks = [
        {"name": "macro-F1 floor", "passed": True, "found": 0.75662, "limit": 0.5},
        {"name": "size, bytes", "passed": False, "found": 12_345_678, "limit": 10_000_000},
    ]
    behaviour = {"typos": {"kind": "INV", "num_samples": 100, "pass_rate": 0.5}}
    text = card_markdown(
        facts(["a", "b"], dvc="abc.dir", behaviour=behaviour),
        version="7",
        decision={"promote": True, "reason": "better by 0.02", "checks": checks},
        commit="c0ffee",
        seconds=141.3,
    )
    assert "**Promoted to champion**: better by 0.02" in text
    assert "| macro-F1 floor | passed | 0.7566 | 0.5000 |" in text
    assert "| size, bytes | **failed** | 12,345,678 | 10,000,000 |" in text
    assert "| typos | invariance | 100 | 0.5000 [0.4038, 0.5962] |" in text
    assert "| training time | 141 s |" in text
    assert 'load_model("models:/reviews-lstm/7")' in text
    assert "git checkout c0ffee" in text


def test_uncommitted_state_is_found_in_the_history() -> None:
    text = card_markdown(facts(["a", "b"], dvc="abc.dir"), commit="c0ffee", uncommitted=True)
    assert "git checkout" not in text
    assert "git log --reverse --format=%H -S abc.dir -- dvc.lock" in text


@pytest.mark.parametrize(("passed", "rows"), [(0, 36), (1, 36), (50, 100), (4_093, 5_315), (10, 10)])
def test_wilson_interval(passed: int, rows: int) -> None:
    """The formula of Wilson (1927) for 95 %; shares of 0 and 1 have an interval too."""
    z, share = 1.959963984540054, passed / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    expected = {"low": max(middle - half, 0.0), "high": min(middle + half, 1.0)}
    assert wilson_interval(round(share, 6), rows) == pytest.approx(expected, rel=0, abs=1e-12)


def test_docs_describe_data_sets_as_the_card_does() -> None:
    docs = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert set(datasets.SOURCES) == set(datasets.DATASETS)
    for name, source in datasets.SOURCES.items():
        row = next(line for line in docs.splitlines() if line.startswith(f"| `{name}` | {source.texts}"))
        assert f"| {source.package} | {source.licence}{'. ' if source.limits else ''}{source.limits}" in row


def test_values_are_in_the_row_of_their_class() -> None:
    even = facts(["calm", "angry"])
    known = {"natural": [0.5, 0.5], "implied": [0.75, 0.125], "rows": 9, "estimable": True}
    manifest = even.manifest | {"offsets": [0.25, -0.25], "class_priors": known}
    angry = even.metrics["per_class"]["angry"] | {"num_samples": 200}
    calm = even.metrics["per_class"]["calm"] | {"f1": 0.75}
    gaps = {"origin": {"gap": 0.031}, "gender": {"gap": 0.012}}
    text = card_markdown(
        dataclasses.replace(
            even,
            manifest=manifest,
            metrics=even.metrics | {"per_class": {"angry": angry, "calm": calm}},
            behaviour={"names": {"kind": "INV", "num_samples": 50, "pass_rate": 0.5, "gaps": gaps}},
        )
    )
    assert "| calm | +0.2500 | 0.7500 |" in text
    assert '**Weakest class**: "angry", with an F1 of 0.5000' in text
    assert '50 % of "calm" are predicted as "angry"; 10 % of "angry" are predicted as "calm"' in text
    assert "differs by at most 3.1 points" in text
