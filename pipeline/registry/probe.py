"""Smoke: load a registered model as a server would, in a process of its own, and ask it.

It runs as a script and imports nothing of the project: a model must bring all that it needs. It may hold no pickle.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOST_SECONDS = 600  # that a model may take for all texts
ASKED = 30  # rows asked one by one, to measure the time that one takes
# Environment variables that a model gets, by how they begin.
HANDED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_",
    "TMP",
    "TEMP",
    "TZ",
    "LD_LIBRARY",
    "OMP_",
    "ORT_",
    "MLFLOW_DISABLE_TELEMETRY",
)
RAISED = re.compile(r"([\w.]*(?:Error|Exception))(?::|$)")  # the line of a traceback that names the exception
# Those that may be quoted: what others say may hold the texts that the model was asked.
TOLD = ("ModuleNotFoundError", "ImportError", "OSError", "FileNotFoundError", "PermissionError", "AttributeError")
QUESTION, ANSWER, ERRORS, ENDED = "question.json", "answer.json", "errors", "ended"  # files


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Parameters
    ----------
    probabilities : dict of str to list of float
        By class name, one for each row.
    latency : float
        Milliseconds for one row, the median.
    failure : str
        Why there is no answer; empty if there is one.
    """

    probabilities: dict[str, list[float]]
    latency: float = float("nan")
    failure: str = ""


class Processes:
    """A process that imports MLflow, which takes longer than a thousand answers, and forks one for each model.

    It ends, with all that it started, where the `with` block ends.
    """

    def __enter__(self) -> "Processes":
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        return self

    def __exit__(self, *error: object) -> None:
        with self._folder:
            if self._process:
                with self._process, suppress(ProcessLookupError, PermissionError):  # macOS: of one that has ended
                    os.killpg(self._process.pid, signal.SIGKILL)

    def start(self) -> "subprocess.Popen[bytes]":
        """Begin to import, unless it has begun."""
        if self._process is None:
            # A registered model is code that others may have put there: it gets no credentials.
            environment = {key: value for key, value in os.environ.items() if key.startswith(HANDED_ON)}
            environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
            # A process is safely forked while it has one thread.
            environment |= {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
            place = Path(self._folder.name)
            with (place / ERRORS).open("w") as errors:
                self._process = subprocess.Popen(
                    # -I keeps the project's folder off the path: its `tokenize` would shadow the standard library's.
                    [sys.executable, "-I", __file__],
                    cwd=place,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    bufsize=0,
                    start_new_session=True,
                )
        return self._process

    def new(self) -> "Asking":
        """A process for one model."""
        self._asked += 1
        return Asking(self.start(), Path(self._folder.name) / str(self._asked))


class Asking:
    """One model that is asked, in a process of its own.

    Parameters
    ----------
    process : Popen
        The one that forks it.
    folder : Path
        A new folder, that only this user can read, for question and answer, and for the model.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self._process, self.folder = process, folder
        folder.mkdir()

    def ask(self, model: Path, rows: Mapping[str, Sequence[str]]) -> None:
        """Begin.

        Parameters
        ----------
        model : Path
            The folder of a registered model with all that it brings.
        rows : mapping of str to sequence of str
            Raw cells, by kind of input.
        """
        question = {"model": str(model), "rows": {name: list(cells) for name, cells in rows.items()}}
        (self.folder / QUESTION).write_text(json.dumps(question), encoding="utf-8")
        with suppress(OSError):  # it is dead: then there is no answer
            self._process.stdin.write(os.fsencode(self.folder) + b"\n")  # type: ignore[union-attr]

    def answer(self) -> Answer:
        """Wait for it; what fails is said in the answer."""
        ended, stop = self.folder / ENDED, time.monotonic() + MOST_SECONDS
        while not ended.exists() and self._process.poll() is None:
            if time.monotonic() > stop:
                return Answer({}, failure=f"did not answer within {MOST_SECONDS} seconds")
            time.sleep(0.005)
        code = int(ended.read_text()) if ended.exists() else 1
        if code < 0:
            return Answer({}, failure=f"is ended by {signal.Signals(-code).name}")
        if code == 0:
            return Answer(**json.loads((self.folder / ANSWER).read_text(encoding="utf-8")))
        errors = (self.folder if ended.exists() else self.folder.parent).joinpath(ERRORS).read_text(errors="replace")
        raised = [found for line in errors.splitlines() if (found := RAISED.match(line))]
        if not raised:
            return Answer({}, failure="fails: no word of why")
        kind = raised[-1][1]
        return Answer({}, failure=f"fails: {raised[-1].string[:300] if kind in TOLD else kind}")


def ask(model: str, rows: dict[str, list[str]]) -> Answer:
    """Load and ask a model in this process."""
    import mlflow
    import pandas as pd

    loaded = mlflow.pyfunc.load_model(model, suppress_warnings=True)  # to look for them takes longer than to load
    whole = pd.DataFrame(rows)
    tables = [whole.iloc[[row]].reset_index(drop=True) for row in range(min(len(whole), ASKED))]
    loaded.predict(tables[0])  # whatever is compiled or read at first
    seconds = []
    for table in tables:
        started = time.perf_counter()
        loaded.predict(table)
        seconds.append(time.perf_counter() - started)
    found = loaded.predict(whole).filter(regex="^p_")
    probabilities = {name.removeprefix("p_"): found[name].tolist() for name in found}
    return Answer(probabilities, round(1_000 * statistics.median(seconds), 3))


def answer_in(folder: Path) -> None:
    """Ask in a process of its own what stands in `folder`, and say there how it ended, also where that was a crash."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(folder / ERRORS, os.O_CREAT | os.O_WRONLY, 0o600), sys.stderr.fileno())
        answer = ask(**json.loads((folder / QUESTION).read_text(encoding="utf-8")))
        (folder / ANSWER).write_text(json.dumps(answer.__dict__), encoding="utf-8")
        os._exit(0)  # to take all that MLflow has imported apart would take longer than to answer
    status = os.waitpid(child, 0)[1]
    partial = folder / f"{ENDED}.partial"
    partial.write_text(str(os.waitstatus_to_exitcode(status)))
    partial.rename(folder / ENDED)


def main() -> None:
    import mlflow.pyfunc  # noqa: F401 - before anybody asks

    for line in sys.stdin.buffer:
        if os.fork() == 0:
            return answer_in(Path(os.fsdecode(line.rstrip(b"\n"))))


if __name__ == "__main__":
    main()
