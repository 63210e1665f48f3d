"""Smoke: load a registered model as a server would, in a process of its own, and ask it.

It runs as a script and imports nothing of the project: a model must bring all that it needs. It may hold no pickle.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_SECONDS = 600  # that a model may take for all texts
ASKED = 30  # texts asked one by one, to tell the time that one takes


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Parameters
    ----------
    probabilities : dict of str to list of float
        By class name, one for each text.
    latency : float
        Milliseconds for one text, the median.
    failure : str
        Why there is no answer; empty if there is one.
    """

    probabilities: dict[str, list[float]]
    latency: float = float("nan")
    failure: str = ""


class Asking:
    """A model asked in a process that is running; several can run at once."""

    def __init__(self, address: str, model: str, texts: Sequence[str]) -> None:
        """Start it.

        Parameters
        ----------
        address : str
            The MLflow store's.
        model : str
            The model's in it, such as "models:/tweets-lstm/3".
        texts : sequence of str
            Raw texts; they pass through a file that only this user can read, and that is removed.
        """
        self._texts = texts
        self._folder = tempfile.TemporaryDirectory()
        question, self._answer = (Path(self._folder.name) / name for name in ("question.json", "answer.json"))
        question.write_text(json.dumps(list(texts)), encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if key not in {"MLFLOW_RUN_ID", "PYTHONPATH"}}
        environment |= {
            "MLFLOW_TRACKING_URI": address,
            "MLFLOW_REGISTRY_URI": address,
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        # -I keeps the project's folder off the path: its `tokenize` would shadow the standard library's.
        command = [sys.executable, "-I", __file__, model, str(question), str(self._answer)]
        self._process = subprocess.Popen(
            command,
            cwd=self._folder.name,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def answer(self) -> Answer:
        """Wait for it; what fails is said in the answer."""
        with self._folder:
            try:
                errors = self._process.communicate(timeout=MOST_SECONDS)[1]
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()
                return Answer({}, failure=f"did not answer within {MOST_SECONDS} seconds")
            if self._process.returncode:
                said = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "no word of why")
                quoted = any(text and text in said for text in self._texts)  # no user's text gets into a report
                return Answer({}, failure=f"fails: {said.partition(':')[0] if quoted else said[:300]}")
            return Answer(**json.loads(self._answer.read_text(encoding="utf-8")))


def ask(model: str, texts: list[str]) -> Answer:
    """Load and ask a model in this process."""
    import mlflow
    import pandas as pd

    loaded = mlflow.pyfunc.load_model(model)
    tables = [pd.DataFrame({"text": [text]}) for text in texts[:ASKED]]
    loaded.predict(tables[0])  # whatever is compiled or read at first
    seconds = []
    for table in tables:
        started = time.perf_counter()
        loaded.predict(table)
        seconds.append(time.perf_counter() - started)
    found = loaded.predict(pd.DataFrame({"text": texts})).filter(regex="^p_")
    probabilities = {name.removeprefix("p_"): found[name].tolist() for name in found}
    return Answer(probabilities, round(1_000 * statistics.median(seconds), 3))


def main() -> None:
    model, question, target = sys.argv[1:]
    answer = ask(model, json.loads(Path(question).read_text(encoding="utf-8")))
    Path(target).write_text(json.dumps(answer.__dict__), encoding="utf-8")


if __name__ == "__main__":
    main()
