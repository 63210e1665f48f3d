"""Compare: changes are shown with their sign, and a real comparison leaves no trace in the checkout."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from helpers.project import Project, set_params

from pipeline.base import params
from pipeline.data.settings import Ingest
from pipeline.tools import compare

FIGURES = {
    "overall": {"num_samples": 4, "accuracy": 0.5, "macro_f1": 0.4, "loss": 0.9},
    "per_class": {
        "bad|worse": {"num_samples": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        "good": {"num_samples": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
    },
}

BEFORE = compare.Side(
    "main",
    FIGURES,
    {"overall": {"accuracy": {"low": 0.3, "high": 0.7}}},
    pd.DataFrame({"id": list("abcd"), "actual": ["bad|worse"] * 2 + ["good"] * 2, "predicted": ["good"] * 4}),
    pd.DataFrame({"epoch": [1], "train_loss": [1.0], "validation_loss": [1.1]}),
)


def test_each_change_is_shown_with_its_sign() -> None:
    overall = FIGURES["overall"] | {"accuracy": 0.75, "loss": 0.8}
    better = FIGURES["per_class"] | {"good": FIGURES["per_class"]["good"] | {"recall": 0.75}}
    after = replace(
        BEFORE,
        title="HEAD",
        figures={"overall": overall, "per_class": better},
        predictions=BEFORE.predictions.assign(predicted=["bad|worse", "good", "good", "good"]),
        history=pd.DataFrame({"epoch": [1, 2], "train_loss": [0.9, 0.8], "validation_loss": [1.0, 0.95]}),
    )
    text = compare.markdown(BEFORE, after, 1_000)
    assert "| --- | ---: | ---: | ---: | ---: |" in text
    assert "| accuracy | 0.5000 | 0.7500 | +0.2500 | [0.3000, 0.7000] |" in text
    assert "| loss, nats (lower is better) | 0.9000 | 0.8000 | -0.1000 |  |" in text
    assert "| good | 2 | 0.500 (+0.000) | 0.750 (+0.250) | 0.500 (+0.000) |" in text
    assert "| bad\\|worse | 1 (+1) | 1 (-1) |" in text
    assert "| 1 | 0.9000 | 1.0000 | 1.1000 |\n| 2 | 0.8000 | 0.9500 |  |" in text
    assert "which are not those before" not in text
    other = replace(after, predictions=after.predictions.iloc[::-1].reset_index(drop=True))
    assert "4 test rows, which are not those before (4)" in compare.markdown(BEFORE, other, 1_000)


@pytest.mark.slow
def test_a_change_is_compared_in_checkouts_of_their_own(small: Project) -> None:
    before = {path: path.read_bytes() for path in (small.folder / "data/evaluate").iterdir()}
    runs = small.run("python", "-m", "pipeline", "compare", "HEAD~1", "--max-rows", "900")
    assert "## Confusion matrix" in runs.stdout
    assert "+0.0000" in runs.stdout  # both commits train the same
    assert (small.folder / "reports/compare/comparison.html").is_file()
    assert {path: path.read_bytes() for path in (small.folder / "data/evaluate").iterdir()} == before
    assert small.run("git", "worktree", "list").stdout.count("\n") == 1
    wrong = small.run("python", "-m", "pipeline", "compare", "no-such-branch", check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("compare: `git worktree` failed")


@pytest.mark.parametrize(("before", "after"), [("null", 900), ("5000", 900), ("300", 300)])
def test_a_sample_is_no_larger_than_the_parameters_say(tmp_path: Path, before: str, after: int) -> None:
    path = tmp_path / "params.yaml"
    text = params.PARAMS_FILE.read_text(encoding="utf-8")
    path.write_text(set_params(text, {"max_rows": before}), encoding="utf-8")
    compare._set_sample(path, 900)
    assert params.load(Ingest, path).max_rows == after
    assert path.read_text(encoding="utf-8").count(" # ") == text.count(" # ")
