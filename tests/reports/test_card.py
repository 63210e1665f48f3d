"""The model card: every figure is that of the stages' files, and names from the data are text, whatever they hold."""

import base64
import dataclasses
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT, Project

from pipeline.base import paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json, read_table, write_arrays, write_json, write_table
from pipeline.data import datasets
from pipeline.evaluation import intervals
from pipeline.reports import card, page
from pipeline.reports.facts import Facts, gather
from pipeline.reports.page import html

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
    """What a browser would see: the tags, and the text of each table cell."""

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
    """Facts of a model with one test row in two of each class wrong, always taken for the class before."""
    figure = {"accuracy": 0.5, "macro_f1": 0.5, "loss": 0.75, "ece": 0.0625, "num_samples": 40 * len(classes)}
    of_class = {"num_samples": 40, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    interval = {"low": 0.25, "high": 0.625}
    difference = {key: {"difference": 0.125, **interval} for key in ("accuracy", "macro_f1", "loss")}
    neighbours = zip(classes, classes[-1:] + classes[:-1], strict=True)
    given = {
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
        "figures": {
            "overall": figure,
            "baselines": {"majority": figure},
            "uncalibrated": figure,
            "temperature": 1.25,
            "per_class": dict.fromkeys(classes, of_class),
            "slices": {},
        },
        "intervals": {
            "overall": dict.fromkeys(("accuracy", "macro_f1"), interval),
            "per_class": {name: dict.fromkeys(("precision", "recall", "f1"), interval) for name in classes},
            "differences": {"majority": difference},
        },
        "behaviour": {},
        "counts": {name: {"train": 200 + i, "validation": 40, "test": 40} for i, name in enumerate(classes)},
        "confusion": dict.fromkeys(neighbours, 20) | {(name, name): 20 for name in classes},
        "tokenizer": {"language": "en", "unit": "word", "length": 40, "units": 100, "full": 0.125},
        "epochs": 4,
        "kept": 3,
        "weights": {"LSTM": 1234},
        "files": {"model.weights.h5": 5_000_000},
        "lock": "b" * 64,
        "dvc": "",
    }
    return Facts(**(given | changed))


def rendered(text: str, folder: Path) -> Parsed:
    for name in ("confusion_matrix", "reliability"):
        (folder / "evaluate").mkdir(exist_ok=True)
        (folder / "evaluate" / f"{name}.png").write_bytes(PNG)
    return Parsed(page.html(text, folder / "card"))


@pytest.fixture
def project(reference: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small reference run's files, which is the current folder."""
    for name in ("data", "reports"):
        shutil.copytree(reference.folder / name, tmp_path / name)
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "requirements.lock"):
        shutil.copy(reference.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_figure_is_that_of_the_files(project: Path) -> None:
    text = card.markdown(gather())
    figures, intervals = read_json(paths.EVALUATE_METRICS), read_json(paths.EVALUATE_INTERVALS)

    def cell(value: float, of: dict[str, float] | None) -> str:
        return f"{value:.4f}" + (f" [{of['low']:.4f}, {of['high']:.4f}]" if of else "")

    rows = {line.strip("| ").split(" | ")[0]: line.strip("| ").split(" | ")[1:] for line in text.splitlines()}
    for key, title in card.TITLES.items():
        value, of = figures["overall"][key], intervals["overall"][key]
        assert f"| {title} | {value:.4f} | [{of['low']:.4f}, {of['high']:.4f}] |" in text
    for name, of in figures["per_class"].items():
        ranges = intervals["per_class"][name]
        cells = [cell(of[key], ranges.get(key)) for key in ("precision", "recall", "f1", "roc_auc", "pr_auc")]
        assert f"| {name} | {of['num_samples']} | {' | '.join(cells)} |" in text
    shown = {"the model": figures["overall"]}
    shown |= {f"of it, {card.summary.PARTS[name]} alone": of for name, of in figures["parts"].items()}
    for name, of in figures["baselines"].items():
        title = card.baselines.TITLES[name]
        shown[title] = of
        found = intervals["differences"][name]
        cells = [
            f"{found[key]['difference']:+.4f} {cell(0, found[key])[7:]}" for key in ("accuracy", "macro_f1", "loss")
        ]
        assert f"| {title} | {' | '.join(cells)} |" in text
    for title, of in shown.items():
        assert f"| {title} | {of['accuracy']:.4f} | {of['macro_f1']:.4f} | {of['loss']:.4f} |" in text
    assert figures["slices"]
    for name, of in figures["slices"].items():
        samples, accuracy, *means = rows[name]
        assert (samples, accuracy[:6]) == (str(of["num_samples"]), f"{of['accuracy']:.4f}")
        assert means == [f"{of['balanced_accuracy']:.4f}", f"{of['macro_f1']:.4f}"]
    assert f"a temperature of {figures['temperature']:.4f}" in text
    for key in ("ece", "loss", "accuracy"):
        after = cell(figures["overall"][key], intervals["overall"][key])
        assert f"| {card.TITLES[key]} | {figures['uncalibrated'][key]:.4f} | {after} |" in text


def test_the_data_and_the_model_are_those_of_the_files(project: Path) -> None:
    text = card.markdown(gather())
    cleaned, manifest = read_json(paths.CLEAN_SUMMARY), read_json(paths.TRAIN_MODEL / "model.json")
    counts = read_table(paths.CLEAN_COUNTS).pivot(index="label", columns="split", values="rows")
    for name, of in counts.iterrows():
        assert f"| {name} | {of['train']} | {of['validation']} | {of['test']} | {of.sum()} |" in text
    assert f"| kept |  | {cleaned['kept']:,} |" in text
    for why, rows in cleaned["dropped"].items():
        assert (f"| dropped | {card.DROPPED[why]} | {rows:,} |" in text) == (rows > 0)
    # An embedding of 8 for each id, an LSTM of 8 units, and a layer to 3 classes.
    trained = 8 * manifest["network"]["num_ids"] + 4 * (8 * 8 + 8 * 8 + 8) + 3 * (8 + 1)
    assert f"| trained numbers, LSTM | {trained:,} |" in text
    assert f"`{manifest['state']}`" in text
    assert all(digest in text for digest in manifest["sha256"].values())
    assert datasets.SOURCES["tweets"].licence in text


def test_the_page_needs_nothing_else_and_is_the_same_twice(project: Path) -> None:
    files = card.write(version="3")
    contents = [file.read_bytes() for file in files]
    assert [str(file) for file in files] == ["reports/card/model-card.md", "reports/card/model-card.html"]
    assert [file.read_bytes() for file in card.write(version="3")] == contents
    content = contents[1].decode()
    assert len(contents[1]) < 1_000_000
    tags = Parsed(content).tags
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in tags}
    sources = [value or "" for _, of in tags for key, value in of.items() if key in {"src", "srcset", "href", "data"}]
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert sum(source.startswith("data:") for source in sources) == 2
    assert not re.search(r"https?:|url\(|@import", content)
    ids = {of["id"] for _, of in tags if "id" in of}
    assert {source[1:] for source in sources if source.startswith("#")} == ids


def test_no_text_is_in_the_card(project: Path) -> None:
    written = "\n".join(file.read_text(encoding="utf-8") for file in card.write())
    for table in (paths.INGEST_TABLE, *paths.CLEAN_TABLES.values()):
        assert not [text for text in read_table(table)["text"].dropna() if len(text) > 15 and text in written]


def test_figures_of_another_model_are_refused(project: Path) -> None:
    measured = read_json(paths.EVALUATE_MEASURED)
    write_json(paths.EVALUATE_MEASURED, measured | {"model": {"model.weights.h5": "0" * 64}})
    with pytest.raises(PipelineError, match="of another model"):
        gather()


def test_names_from_the_data_are_text(tmp_path: Path) -> None:
    slices = {f"source {name}": {"num_samples": 40, "accuracy": 0.1} for name in HOSTILE}
    given = facts(HOSTILE)
    given = dataclasses.replace(
        given,
        name="my_own_model",
        figures=given.figures | {"slices": slices},
        behaviour={"<i>typos</i>": {"kind": "<b>", "num_samples": 10, "pass_rate": 0.5}},
    )
    check = {"name": "<i>floor</i>", "passed": False, "found": "1 | 2", "limit": None}
    decision = {"promote": False, "reason": "<u>worse</u> | [x](y)", "checks": [check]}
    text = card.markdown(given, version="<s>1</s>", decision=decision)
    found = rendered(text, tmp_path)
    assert not {"script", "b", "i", "u", "s", "del"} & {tag for tag, _ in found.tags}
    assert [of["src"][:5] for tag, of in found.tags if tag == "img" and of["src"]] == ["data:"] * 2
    assert all((of["href"] or "").startswith("#") for tag, of in found.tags if tag == "a")
    firsts = [row[0] for row in found.rows]
    for name in HOSTILE[:6] + HOSTILE[7:]:
        line = " ".join(name.split())
        assert firsts.count(line) == 3  # rows, figures, calibration
        assert f"source {line}" in firsts
    assert max(map(len, firsts)) <= 67
    assert ["<i>typos</i>", "<b>", "10"] in [row[:3] for row in found.rows]
    assert ["<i>floor</i>", "failed", "1 | 2", ""] in found.rows
    # Code blocks and headings would be broken off by a stray line.
    assert [of["id"] for tag, of in found.tags if tag == "h2"][-1] == "how-to-reproduce-it"
    assert "<title>Model card: my_own_model</title>" in page.html(text, tmp_path / "card")


@pytest.mark.parametrize("number", [2, 50])
def test_two_to_fifty_classes(number: int, tmp_path: Path) -> None:
    classes = [f"topic {i}" for i in range(number)]
    text = card.markdown(facts(classes))
    assert f"one of {number} labels" in text
    assert ("and 40 more, listed below" in text) == (number == 50)
    assert '"topic 20"' not in text
    rows = rendered(text, tmp_path).rows
    assert all(sum(row[0] == name for row in rows) == 3 for name in classes)


def test_your_own_file_is_named_and_its_licence_is_yours_to_state() -> None:
    text = card.markdown(facts(["a", "b"]))
    assert "Your own: reviews\\_2024.csv" in text
    assert "/home/somebody" not in text
    assert "yours to state" in text
    assert "package MIT" not in text
    settings = facts(["a", "b"]).ingest | {"time_column": "when", "label_map": {"1": "a"}, "max_rows": 900}
    text = card.markdown(facts(["a", "b"], ingest=settings))
    assert 'the latest, by the column "when"' in text
    assert "`ingest.label_map` renamed labels" in text
    assert "a hash chose 900" in text


def test_the_limits_are_those_of_the_data() -> None:
    given = facts(["calm", "angry"])
    assert '"calm" (40), "angry" (40)' in card.markdown(given)  # few test rows
    assert "none has an accuracy that is clearly below" in card.markdown(given)
    assert '50 % of "angry" are called "calm"; 50 % of "calm" are called "angry"' in card.markdown(given)
    slices = {
        "with emoji": {"num_samples": 200, "accuracy": 0.3},
        "with address": {"num_samples": 200, "accuracy": 0.48},  # chance explains it
        "language xx": {"num_samples": 20, "accuracy": 0.0},  # too few to tell
    }
    counts = {
        "calm": {"train": 900, "validation": 40, "test": 40},
        "angry": {"train": 100, "validation": 40, "test": 40},
    }
    text = card.markdown(dataclasses.replace(given, counts=counts, figures=given.figures | {"slices": slices}))
    weak = next(line for line in text.splitlines() if "Weakest parts" in line)
    assert '"with emoji", 0.3000 [0.2407, 0.3668] of 200 rows' in weak
    assert "address" not in weak
    assert "language" not in weak
    assert '"calm", has 9.0 training rows for each of the smallest, "angry"; accuracy alone says little' in text


def test_what_is_told_beside_the_files_is_shown() -> None:
    given = facts(["a", "b"])
    silent = card.markdown(given)
    assert "not registered yet" in silent
    assert "Not decided" in silent
    assert "None were run" in silent
    assert "time of training" not in silent
    assert not re.search(r"\bgit\b", silent)
    checks = [
        {"name": "macro-F1 floor", "passed": True, "found": 0.75662, "limit": 0.5},
        {"name": "size, bytes", "passed": False, "found": 12_345_678, "limit": 10_000_000},
    ]
    told = card.markdown(
        dataclasses.replace(
            given, dvc="abc.dir", behaviour={"typos": {"kind": "INV", "num_samples": 100, "pass_rate": 0.5}}
        ),
        version="7",
        decision={"promote": True, "reason": "better by 0.02", "checks": checks},
        commit="c0ffee",
        seconds=141.3,
    )
    assert "**Promoted to champion**: better by 0.02" in told
    assert "| macro-F1 floor | passed | 0.7566 | 0.5000 |" in told
    assert "| size, bytes | **failed** | 12,345,678 | 10,000,000 |" in told
    assert "| typos | invariance | 100 | 0.5000 [0.4038, 0.5962] |" in told
    assert "| time of training | 141 s |" in told
    assert 'load_model("models:/reviews-lstm/7")' in told
    assert "git checkout c0ffee" in told
    changed = card.markdown(dataclasses.replace(given, dvc="abc.dir"), commit="c0ffee", uncommitted=True)
    assert "git checkout" not in changed
    assert "git log --reverse --format=%H -S abc.dir -- dvc.lock" in changed


def test_a_page_shows_html_as_text_and_keeps_intervals_on_a_line() -> None:
    content = page.html("# a <b>\n\n0.5 [-0.1, 0.2] of 80 %, [1, a]\n\n<script>x</script>\n", Path())
    assert "<p>0.5 [-0.1,\u00a00.2] of 80\u00a0%, [1, a]</p>" in content
    assert "<title>a &lt;b&gt;</title>" in content
    assert "<script" not in content


def test_wilson() -> None:
    """Brown, Cai and DasGupta (2001): shares of 0 and 1 have an interval too."""
    assert intervals.wilson(0.5, 100) == pytest.approx({"low": 0.40383, "high": 0.59617}, abs=1e-5)
    assert intervals.wilson(1.0, 10) == pytest.approx({"low": 0.72247, "high": 1.0}, abs=1e-5)


def test_the_docs_say_of_each_data_set_what_the_card_says() -> None:
    docs = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    assert set(datasets.SOURCES) == set(datasets.DATASETS)
    for name, source in datasets.SOURCES.items():
        row = next(line for line in docs.splitlines() if line.startswith(f"| `{name}` | {source.texts}"))
        assert f"| {source.package} | {source.licence}{'. ' if source.limits else ''}{source.limits}" in row


def test_the_facts_are_those_of_the_files(project: Path) -> None:
    ids = np.array([[2, 3], [2, 0], [4, 0], [5, 0]], dtype=np.int32)
    write_arrays(paths.TOKENIZE_ARRAYS["test"], {"ids": ids})
    losses = {"epoch": [1, 2, 3], "train_loss": [0.9, 0.5, 0.1], "validation_loss": [0.9, 0.5, 0.7]}
    write_table(paths.TRAIN_HISTORY, pd.DataFrame(losses))
    names = {"id": list("abc"), "actual": ["01", "01", "x"], "predicted": ["x", "x", "x"]}
    write_table(paths.EVALUATE_PREDICTIONS, pd.DataFrame(names))
    write_json(paths.TRAIN_SETTINGS, {"batch_size": 77, "epochs": 9})
    found = gather()
    assert (found.epochs, found.kept, found.tokenizer["full"]) == (3, 2, 0.25)
    assert found.confusion == {("01", "x"): 2, ("x", "x"): 1}
    assert (found.training["batch_size"], found.training["epochs"]) == (77, 9)


def test_the_figures_of_each_class_stand_in_its_row() -> None:
    given = facts(["calm", "angry"])
    manifest = given.manifest | {"offsets": [0.25, -0.25], "class_shares": [0.75, 0.125]}
    per_class = {
        "calm": given.figures["per_class"]["calm"] | {"f1": 0.75},
        "angry": given.figures["per_class"]["angry"],
    }
    few = {"angry": per_class["angry"] | {"num_samples": 200}, "calm": per_class["calm"]}
    gaps = {"names": {"kind": "INV", "num_samples": 50, "pass_rate": 0.5}}
    gaps["names"]["gaps"] = {"origin": {"gap": 0.031}, "gender": {"gap": 0.012}}  # type: ignore[assignment]
    text = card.markdown(
        dataclasses.replace(given, manifest=manifest, figures=given.figures | {"per_class": few}, behaviour=gaps)
    )
    assert "| calm | +0.2500 | 0.7500 |" in text
    assert '**Weakest class**: "angry", with an F1 of 0.5000' in text
    assert '50 % of "calm" are called "angry"; 10 % of "angry" are called "calm"' in text
    assert "differs by at most 3.1 points" in text


def test_a_page_takes_in_pictures_alone(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "a.png").write_bytes(b"picture")
    page = html("# Title\n\n![x](secret.txt) ![y](a.png)\n", tmp_path)
    assert base64.b64encode(b"picture").decode() in page
    assert base64.b64encode(b"secret").decode() not in page
