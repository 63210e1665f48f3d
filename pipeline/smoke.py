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
from contextlib import ExitStack, closing, suppress
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
    """A process for one model. It imports MLflow as soon as it is made, and then waits to be asked; to be closed."""

    def __init__(self) -> None:
        self._texts: Sequence[str] = ()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)  # that only this user can read; removed at the end
        self._question, self._answer = self.folder / "question.json", self.folder / "answer.json"
        environment = {key: value for key, value in os.environ.items() if key not in {"MLFLOW_RUN_ID", "PYTHONPATH"}}
        environment |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        # -I keeps the project's folder off the path: its `tokenize` would shadow the standard library's.
        command = [sys.executable, "-I", __file__, str(self._question), str(self._answer)]
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def ask(self, model: Path, texts: Sequence[str]) -> None:
        """Begin.

        Parameters
        ----------
        model : Path
            The folder of a registered model with all that it brings.
        texts : sequence of str
            Raw texts.
        """
        self._texts = texts
        self._question.write_text(json.dumps({"model": str(model), "texts": list(texts)}), encoding="utf-8")
        with suppress(OSError):  # it is dead: its answer says why
            print("go", file=self._process.stdin, flush=True)

    def answer(self) -> Answer:
        """Wait for it; what fails is said in the answer."""
        try:
            errors = self._process.communicate(timeout=MOST_SECONDS)[1]
        except subprocess.TimeoutExpired:
            return Answer({}, failure=f"did not answer within {MOST_SECONDS} seconds")
        if self._process.returncode:
            said = next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), "no word of why")
            quoted = any(text and text in said for text in self._texts)  # no user's text gets into a report
            return Answer({}, failure=f"fails: {said.partition(':')[0] if quoted else said[:300]}")
        return Answer(**json.loads(self._answer.read_text(encoding="utf-8")))

    def close(self) -> None:
        """End the process, whatever it does."""
        with self._folder, self._process:
            self._process.kill()


class Processes(ExitStack):
    """Processes to ask models in, that end with the `with` block."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Asking] = []

    def start(self, number: int = 1) -> None:
        """Let so many wait: what they import takes longer than the answers to a thousand texts."""
        while len(self._waiting) < number:
            self._waiting.append(self.enter_context(closing(Asking())))

    def take(self) -> Asking:
        """One that nobody asked yet."""
        self.start()
        return self._waiting.pop()


def ask(model: str, texts: list[str]) -> Answer:
    """Load and ask a model in this process."""
    import mlflow
    import pandas as pd

    loaded = mlflow.pyfunc.load_model(model, suppress_warnings=True)  # to look for them takes longer than to load
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
    import mlflow.pyfunc  # noqa: F401 - before anybody asks

    question, target = map(Path, sys.argv[1:])
    if sys.stdin.readline():  # nothing where who started this needs no answer
        answer = ask(**json.loads(question.read_text(encoding="utf-8")))
        target.write_text(json.dumps(answer.__dict__), encoding="utf-8")


if __name__ == "__main__":
    main()
