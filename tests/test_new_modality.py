"""A new modality, from file to explanation: one folder, one encoder, one rules file and one line of a table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.project import SMALL, Project, copy_project
from mlflow import MlflowClient

pytestmark = pytest.mark.slow  # half a minute: the whole pipeline with another kind of input

FILES = {
    "pipeline/numbers/__init__.py": '"""Rows of numbers as an input."""\n',
    "pipeline/numbers/modality.py": '''"""Rows of numbers, written with spaces between, such as "0.5 -1 3"."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import read_json, write_json
from ..base.modalities import Modality


@dataclass(frozen=True)
class Standardizer:
    """Frames of one number each, with mean 0 and variance 1 on the training rows."""

    mean: float
    deviation: float
    length: int

    @property
    def lengths(self) -> tuple[int, ...]:
        return (self.length,)

    def encode(self, cells: Sequence[str]) -> np.ndarray:
        frames = np.zeros((len(cells), self.length, 1), dtype=np.float32)
        for row, cell in zip(frames, cells, strict=True):
            numbers = np.array(cell.split()[: self.length], dtype=np.float32)
            row[: len(numbers), 0] = (numbers - self.mean) / self.deviation + 1e-6  # a frame of 0 would be padding
        return frames

    def units(self, cell: str) -> list[str]:
        return cell.split()

    def save(self, path: Path) -> None:
        write_json(path, self.__dict__)


def clean(cell: str) -> str:
    return " ".join(cell.split())


def fit(cells: Iterable[str], settings: Any) -> Standardizer:
    rows = [np.array(cell.split(), dtype=float) for cell in cells]
    numbers = np.concatenate(rows)
    return Standardizer(float(numbers.mean()), float(numbers.std()), max(map(len, rows)))


MODALITY = Modality(
    name="numbers",
    array="numbers",
    file="standardizer.json",
    clean=clean,
    fit=fit,
    load=lambda path: Standardizer(**read_json(path)),
    describe=lambda standardizer: f"mean {standardizer.mean:.2f}, {standardizer.length} numbers",
    describe_array=lambda frames: f"{frames.shape[1]} frames",
    examples=("1 2 3", "0.5 -1 0.25"),
)
''',
    "pipeline/data/rules/numbers.py": '''"""Rules of rows of numbers."""

import pandas as pd

from ..settings import Validate
from .engine import Rule, percent

MOST = "ExpectColumnMaxToBeBetween"


def rules(settings: Validate) -> list[Rule]:
    most = settings.max_missing
    return [
        Rule("missing_numbers", "shares", MOST, {"column": "missing_numbers", "max_value": most},
             f"at most {percent(most)} of the rows lack numbers", "validate.max_missing"),
        Rule("not_numbers", "shares", MOST, {"column": "not_numbers", "max_value": 0.0},
             "every cell has numbers only", "ingest.numbers_column"),
    ]


def measure(cells: "pd.Series[str]") -> dict[str, "pd.Series"]:
    filled = cells.fillna("").str.strip()
    return {
        "missing_numbers": filled == "",
        "not_numbers": ~filled.str.fullmatch(r"[-+0-9.eE ]*"),
    }
''',
    "pipeline/training/encoders/numbers.py": '''"""The network of rows of numbers: frames of one number each."""

from typing import Any

from . import frames
from .frames import build as build


def options(processor: Any, num_classes: int, settings: Any) -> dict[str, Any]:
    return frames.options(processor, num_classes, settings, width=1)
''',
}


def rows_of_numbers(count: int, seed: int) -> pd.DataFrame:
    """Rows of eight numbers, whose sum decides the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    numbers = random.normal(size=(count, 8)) + np.where(labels, 1.2, -1.2)[:, None]
    cells = [" ".join(f"{number:.3f}" for number in row) for row in numbers]
    return pd.DataFrame({"measured": cells, "mood": np.array(["calm", "tense"])[labels]})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("numbers"))
    for name, content in FILES.items():
        (project.folder / name).parent.mkdir(exist_ok=True)
        (project.folder / name).write_text(content, encoding="utf-8")
    table = project.folder / "pipeline/base/modalities.py"
    before = table.read_text(encoding="utf-8")
    table.write_text(before.replace('MODALITIES = ("text",)', 'MODALITIES = ("text", "numbers")'), encoding="utf-8")
    assert table.read_text(encoding="utf-8") != before
    rows_of_numbers(600, 0).to_csv(project.folder / "data/moods.csv", index=False)
    project.set(**SMALL | {"dataset": "file", "path": "data/moods.csv", "label_column": "mood", "max_rows": "null"})
    params = project.folder / "params.yaml"
    text = params.read_text(encoding="utf-8").replace(
        "  text_column: text ", "  numbers_column: measured\n  text_column: null "
    )
    params.write_text(text, encoding="utf-8")
    (project.folder / "dvc.lock").unlink(missing_ok=True)
    project.run("git", "init", "-q", "-b", "main")
    project.run("dvc", "repro", XLA_FLAGS="--xla_backend_optimization_level=0")  # it compiles much, computes little
    return project


def test_a_new_modality_is_trained_and_measured(project: Project) -> None:
    metrics = json.loads((project.folder / "data/evaluate/metrics.json").read_text())
    assert metrics["overall"]["accuracy"] > 0.9 > metrics["baselines"]["majority"]["accuracy"]
    passed = json.loads((project.folder / "data/validate/passed.json").read_text())
    assert {"missing_numbers", "not_numbers"} <= {rule["name"] for rule in passed["rules"]}
    manifest = json.loads((project.folder / "data/train/model/model.json").read_text())
    assert manifest["modalities"] == ["numbers"]


def test_a_new_modality_is_registered_and_champion(project: Project) -> None:
    address = f"sqlite:///{project.folder}/mlflow.db"
    version = MlflowClient(address, address).get_model_version_by_alias("moods-lstm", "champion")
    assert str(version.version) == "1"


def test_a_new_modality_is_predicted_by_the_registered_model(project: Project, tmp_path: Path) -> None:
    fresh = rows_of_numbers(100, 1)
    fresh.to_csv(tmp_path / "in.csv", index=False)
    arguments = ["--column", "numbers=measured"]
    project.run("python", "-m", "pipeline", "predict", f"{tmp_path}/in.csv", f"{tmp_path}/out.csv", *arguments)
    predicted = pd.read_csv(tmp_path / "out.csv")
    assert (predicted["predicted_label"] == fresh["mood"]).mean() > 0.9
    assert predicted["measured"].equals(fresh["measured"])


def test_a_new_modality_is_explained(project: Project) -> None:
    done = project.run("python", "-m", "pipeline", "explain", "2.5 2 0.1 2 2 2 2 2")
    explanation = json.loads(done.stdout)
    assert explanation["predicted_label"] == "tense"
    assert [word["word"] for word in explanation["words"]] == ["2.5", "2", "0.1", "2", "2", "2", "2", "2"]
    total = explanation["baseline"]["tense"] + sum(word["adds"]["tense"] for word in explanation["words"])
    assert total == pytest.approx(explanation["scores"]["tense"], abs=1e-4)


def test_commands_for_texts_refuse_another_modality(project: Project, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,label\n" + "1 2 3,calm\n" * 50)
    for command in (["serve"], ["adapt", f"{tmp_path}/in.csv", "--user", "eve"]):
        done = project.run("python", "-m", "pipeline", *command, check=False)
        assert done.returncode == 1
        assert "works on texts, but the model reads numbers" in done.stderr
    predict = ("python", "-m", "pipeline", "predict", f"{tmp_path}/in.csv", f"{tmp_path}/out.csv")
    done = project.run(*predict, check=False)  # the column of training
    assert "has no column 'measured'; it has 'text', 'label'; set --column numbers=COLUMN" in done.stderr
    done = project.run(*predict, "--text-column", "text", check=False)
    assert "reads numbers, not text" in done.stderr


def test_a_cell_that_breaks_its_rules_is_named(project: Project, tmp_path: Path) -> None:
    """Its rules file stops the pipeline; the message names the row and the parameter."""
    text = (project.folder / "data/moods.csv").read_text()
    (project.folder / "data/broken.csv").write_text(text.replace("\n", "\nnot a number,calm\n", 1))
    params = project.folder / "params.yaml"
    before = params.read_text(encoding="utf-8")
    try:
        params.write_text(before.replace("data/moods.csv", "data/broken.csv"), encoding="utf-8")
        project.run("python", "-m", "pipeline.ingest")
        done = project.run("python", "-m", "pipeline.validate", check=False)
    finally:
        params.write_text(before, encoding="utf-8")
    assert done.returncode == 1
    assert "not_numbers: every cell has numbers only (ingest.numbers_column)" in done.stderr
    assert "row 1 of broken.csv" in done.stderr
