"""Smoke: a packaged model is loaded and asked in a process of its own, which knows nothing of the project."""

from pathlib import Path

import psutil
import pytest
from helpers.faults import until

from pipeline.registry import probe

CODE = """
import os, pathlib, signal, sys, time
import pandas as pd

class Model:
    def predict(self, table, params=None):
        if "{mood}" == "angry":
            raise ValueError(f"what\\n is {table['text'][0]!r}\\nand {table['text'][0]}")
        if "{mood}" == "crashing":
            os.kill(os.getpid(), signal.SIGSEGV)
        if "{mood}" == "waiting":
            pathlib.Path(__file__).parents[1].joinpath("pid").write_text(str(os.getpid()))
            time.sleep(600)
        assert not any("SECRET" in key for key in os.environ)
        assert "pipeline" not in sys.modules and "MLFLOW_RUN_ID" not in os.environ
        assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
        lengths = table["text"].str.len() / 10
        return pd.DataFrame({"predicted_label": "short", "p_long": lengths, "p_short": 1 - lengths})

def _load_pyfunc(path):
    return Model()
"""

PACKAGE = """
flavors:
  python_function:
    loader_module: {module}
    code: code
    data: data
model_uuid: {module}
"""


def packaged(folder: Path, mood: str) -> Path:
    """A model as MLflow packages one."""
    for part in ("code", "data"):
        (folder / mood / part).mkdir(parents=True)
    (folder / mood / f"code/toy_{mood}.py").write_text(CODE.replace("{mood}", mood))
    (folder / mood / "MLmodel").write_text(PACKAGE.replace("{module}", f"toy_{mood}"))
    return folder / mood


def test_models_answer_or_say_why_not_and_no_process_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")  # which code from the registry need not know
    rows = {"text": ["four", "Ω", ""]}
    with probe.Processes() as processes:
        calm, angry, gone, crashing, waiting = (processes.new() for _ in range(5))
        calm.ask(packaged(tmp_path, "calm"), rows)
        angry.ask(packaged(tmp_path, "angry"), rows)
        gone.ask(tmp_path / "nowhere", rows)
        crashing.ask(packaged(tmp_path, "crashing"), rows)
        waiting.ask(packaged(tmp_path, "waiting"), rows)
        said = calm.answer()
        assert (said.failure, said.probabilities) == ("", {"long": [0.4, 0.1, 0.0], "short": [0.6, 0.9, 1.0]})
        assert said.latency > 0
        assert angry.answer().failure == "fails: ValueError"  # and not the text
        assert gone.answer().failure == "fails: mlflow.exceptions.MlflowException"
        assert crashing.answer().failure == "is ended by SIGSEGV"
        until((tmp_path / "waiting/pid").exists, 60)
        asleep = psutil.Process(int((tmp_path / "waiting/pid").read_text()))
    psutil.wait_procs([asleep], timeout=10)
    assert not asleep.is_running() or asleep.status() == psutil.STATUS_ZOMBIE
    assert not calm.folder.parent.exists()


def test_a_process_that_is_gone_says_nothing(tmp_path: Path) -> None:
    with probe.Processes() as processes:
        processes.start().kill()
        asking = processes.new()
        asking.ask(tmp_path, {"text": ["four"]})
        assert asking.answer().failure == "fails: no word of why"


def test_a_process_ends_with_the_one_that_started_it() -> None:
    with probe.Processes() as processes:
        process = processes.start()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
