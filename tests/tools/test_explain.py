"""The explain command."""

import io
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.project import ROOT, Project

from pipeline.base.errors import PipelineError
from pipeline.evaluation.explanation import Explainer, Explanation
from pipeline.tools import explain

# Runs the command where these packages cannot be imported.
WITHOUT_TRAINING_PACKAGES = """
import sys
for name in ("keras", "tensorflow", "jax", "mlflow", "sklearn"):
    sys.modules[name] = None
from pipeline.tools.explain import main
main()
"""


def test_command_works_without_keras_or_tensorflow(reference: Project, tmp_path: Path) -> None:
    model = str(reference.folder / "data/train/model")

    def call(*arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", WITHOUT_TRAINING_PACKAGES, *arguments, "--model", model]
        return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=False)

    done = call("-", text="I love you!\n")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert [word["word"] for word in content["words"]] == ["i", "love", "you", "!"]
    assert call("I love you!").stdout == done.stdout
    page = call("I love you!", "--html", str(tmp_path / "page.html"))
    assert page.stdout.startswith(content["predicted_label"])
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert call("I", "--html", str(tmp_path)).returncode == 1
    assert call("I love you!").stderr == ""
    unknown = call("xqzt wfpb")
    assert json.loads(unknown.stdout)["known_words"] == 0
    assert unknown.stderr == "explain: no word of it occurs in the training texts: take the label with caution\n"
    empty = call(" <br>")
    assert (empty.returncode, empty.stdout) == (1, "")
    assert "the text is empty: nothing is left of it after cleaning" in empty.stderr


@pytest.mark.slow  # half a minute
def test_command_explains_the_champion(reference: Project) -> None:
    expected = Explainer.load(reference.folder / "data/train/model").explain("worst flight ever")
    for which in ("champion", "1"):
        done = reference.run("python", "-m", "pipeline", "explain", "worst flight ever", "--model", which)
        assert json.loads(done.stdout) == expected.to_dict()
    done = reference.run("python", "-m", "pipeline", "explain", "x", "--model", "no", check=False)
    assert done.returncode == 1
    assert "has no no of model tweets-lstm" in done.stderr


def test_text_must_be_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9"), encoding="utf-8"))
    with pytest.raises(PipelineError, match="the text is not UTF-8"):
        explain.main(["-"])


def test_json_is_utf8_on_any_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    spans = ((0, 4), (5, 6))
    explanation = Explanation(
        "good \u2614", ("good", "\u2614"), spans, spans, ("sad", "glad"), np.eye(2), np.zeros(2), np.ones(2), 0.0
    )
    monkeypatch.setattr(explain, "open_model", lambda which: nullcontext(SimpleNamespace(folder=which)))
    monkeypatch.setattr(explain.Explainer, "load", lambda folder: SimpleNamespace(explain=lambda text: explanation))
    explain.main(["good \u2614"])
    assert json.loads(written.getvalue().decode("utf-8"))["text"] == "good \u2614"
