"""Smoke: a packaged model is loaded and asked in a process of its own, which knows nothing of the project."""

from pathlib import Path

from pipeline import smoke

CODE = """
import os, sys
import pandas as pd

class Model:
    def predict(self, table, params=None):
        if "{mood}" == "angry":
            raise ValueError(f"what is {table['text'][0]}")
        assert "pipeline" not in sys.modules and "MLFLOW_RUN_ID" not in os.environ
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


def test_models_answer_or_say_why_not_and_no_process_stays(tmp_path: Path) -> None:
    texts = ["four", "Ω", ""]
    with smoke.Processes() as processes:
        processes.start(4)
        calm, angry, gone, dead = (processes.take() for _ in range(4))
        waiting = smoke.Asking()
        calm.ask(packaged(tmp_path, "calm"), texts)
        angry.ask(packaged(tmp_path, "angry"), texts)
        gone.ask(tmp_path / "nowhere", texts)
        dead._process.kill()
        dead.ask(tmp_path / "calm", texts)
        said = calm.answer()
        assert (said.failure, said.probabilities) == ("", {"long": [0.4, 0.1, 0.0], "short": [0.6, 0.9, 1.0]})
        assert said.latency > 0
        assert angry.answer().failure == "fails: ValueError"  # and not the text
        assert "nowhere" in gone.answer().failure
        assert dead.answer().failure == "fails: no word of why"
        waiting.close()
        folders = [each.folder for each in (calm, angry, gone, dead, waiting)]
        unasked = processes.take()
    assert unasked._process.returncode not in (None, 0)
    assert not [folder for folder in [*folders, unasked.folder] if folder.exists()]


def test_a_process_that_nobody_asks_ends_with_the_one_that_started_it() -> None:
    asking = smoke.Asking()
    assert asking._process.stdin is not None
    asking._process.stdin.close()
    asking._process.stdin = None
    assert asking._process.wait(60) == 0
    asking.close()
