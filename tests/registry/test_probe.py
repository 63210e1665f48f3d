"""A packaged model is loaded and asked in a separate process, without the project."""

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
    """Write a model as MLflow packages it; return its folder."""
    for name in ("code", "data"):
        (folder / mood / name).mkdir(parents=True)
    (folder / mood / f"code/toy_{mood}.py").write_text(CODE.replace("{mood}", mood))
    (folder / mood / "MLmodel").write_text(PACKAGE.replace("{module}", f"toy_{mood}"))
    return folder / mood


def test_probes_answer_or_fail_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")  # code from the registry must not see it
    rows = {"text": ["four", "Ω", ""]}
    with probe.Processes() as processes:
        calm, angry, gone, crashing, waiting = (processes.new() for _ in range(5))
        calm.ask(packaged(tmp_path, "calm"), rows)
        angry.ask(packaged(tmp_path, "angry"), rows)
        gone.ask(tmp_path / "nowhere", rows)
        crashing.ask(packaged(tmp_path, "crashing"), rows)
        waiting.ask(packaged(tmp_path, "waiting"), rows)
        answer = calm.answer()
        assert (answer.failure, answer.probabilities) == ("", {"long": [0.4, 0.1, 0.0], "short": [0.6, 0.9, 1.0]})
        assert answer.latency > 0
        assert angry.answer().failure == "failed: ValueError"  # without the text
        assert gone.answer().failure == "failed: mlflow.exceptions.MlflowException"
        assert crashing.answer().failure == "crashed with SIGSEGV"
        until((tmp_path / "waiting/pid").exists, 60)
        waiting_process = psutil.Process(int((tmp_path / "waiting/pid").read_text()))
    psutil.wait_procs([waiting_process], timeout=10)
    assert not waiting_process.is_running() or waiting_process.status() == psutil.STATUS_ZOMBIE
    assert not calm.folder.parent.exists()


def test_dead_process_has_no_error_message(tmp_path: Path) -> None:
    with probe.Processes() as processes:
        processes.start().kill()
        dead = processes.new()
        dead.ask(tmp_path, {"text": ["four"]})
        assert dead.answer().failure == "failed without an error message"


def test_process_ends_with_its_parent() -> None:
    with probe.Processes() as processes:
        process = processes.start()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
