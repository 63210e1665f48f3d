"""Probe a registered model: load it in a separate process, as a server would, and ask it for predictions.

This file also runs as a script, and imports nothing of the project: a model must bring all that it needs. A model with
pickled code is refused.
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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..inference.part import Rows

MAX_SECONDS = 600  # to load a model and predict all rows
TIMED_ROWS = 30  # predicted one by one, to measure the latency
# Prefixes of the environment variables that a model gets.
ENVIRONMENT = (
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
EXCEPTION = re.compile(r"([\w.]*(?:Error|Exception))(?::|$)")  # the line of a traceback that names the exception
# Exceptions whose messages are quoted; those of others may contain texts that the model was asked.
QUOTED = ("ModuleNotFoundError", "ImportError", "OSError", "FileNotFoundError", "PermissionError", "AttributeError")
QUESTION, ANSWER, ERRORS, EXIT_CODE = "question.json", "answer.json", "errors", "exit_code"  # files


@dataclass(frozen=True)
class Answer:
    """A model's predictions for all rows, or why there are none.

    Parameters
    ----------
    probabilities : dict of str to list of float
        By class name, one for each row.
    latency : float
        Milliseconds for one row, the median; NaN if not measured.
    failure : str
        What happened instead, as a predicate such as "failed: ImportError"; empty if there is an answer.
    """

    probabilities: dict[str, list[float]]
    latency: float = float("nan")
    failure: str = ""


class Processes:
    """A process that imports MLflow, which takes longer than a thousand predictions, and forks one for each model.

    All of them end with the `with` block. `asked` are the versions that were asked for all test rows, by number.
    """

    asked: "dict[str, Callable[[], Answer]]"

    def __enter__(self) -> "Processes":
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[bytes] | None = None
        self._probes = 0
        self.asked = {}
        return self

    def __exit__(self, *error: object) -> None:
        with self._folder:
            if self._process:
                with self._process, suppress(ProcessLookupError, PermissionError):  # it has ended; macOS: the second
                    os.killpg(self._process.pid, signal.SIGKILL)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the process that imports MLflow, unless it is running."""
        if self._process is None:
            # Registered models are code that others may have put there: they get no credentials.
            environment = {key: value for key, value in os.environ.items() if key.startswith(ENVIRONMENT)}
            environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
            # Forking is safe only while there is one thread.
            environment |= {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
            folder = Path(self._folder.name)
            with (folder / ERRORS).open("w") as errors:
                self._process = subprocess.Popen(
                    # -I keeps the project's folder off the path: its `tokenize` would shadow the standard library's.
                    [sys.executable, "-I", __file__],
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    bufsize=0,
                    start_new_session=True,
                )
        return self._process

    def new(self) -> "Probe":
        """Return a probe for one model."""
        self._probes += 1
        return Probe(self.start(), Path(self._folder.name) / str(self._probes))


class Probe:
    """One model, in a separate process.

    Parameters
    ----------
    process : Popen
        The process that forks it.
    folder : Path
        A new folder for the model, the rows and the answer; only this user can read it.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self._process, self.folder = process, folder
        folder.mkdir()

    def ask(self, model: Path, rows: "Rows") -> None:
        """Ask a model for predictions; do not wait for the answer.

        Parameters
        ----------
        model : Path
            Folder of a registered model with all that it brings.
        rows : mapping of str to sequence of str
            Raw cells by modality.
        """
        question = {"model": str(model), "rows": {name: list(cells) for name, cells in rows.items()}}
        (self.folder / QUESTION).write_text(json.dumps(question), encoding="utf-8")
        with suppress(OSError):  # the process is dead; `answer` reports it
            self._process.stdin.write(os.fsencode(self.folder) + b"\n")  # type: ignore[union-attr]

    def answer(self) -> Answer:
        """Wait for the answer; a failure of the model is not an exception, but in the answer."""
        exit_code, deadline = self.folder / EXIT_CODE, time.monotonic() + MAX_SECONDS
        while not exit_code.exists() and self._process.poll() is None:
            if time.monotonic() > deadline:
                return Answer({}, failure=f"did not answer within {MAX_SECONDS} seconds")
            time.sleep(0.005)
        if not exit_code.exists():  # the process that forks is dead
            return Answer({}, failure=read_failure(self.folder.parent / ERRORS))
        code = int(exit_code.read_text())
        if code < 0:
            return Answer({}, failure=f"crashed with {signal.Signals(-code).name}")
        if code > 0:
            return Answer({}, failure=read_failure(self.folder / ERRORS))
        return Answer(**json.loads((self.folder / ANSWER).read_text(encoding="utf-8")))


def read_failure(errors: Path) -> str:
    """Return which exception ended a process, from its standard error; with its message if that holds no texts."""
    lines = errors.read_text(errors="replace").splitlines()
    exceptions = [match for line in lines if (match := EXCEPTION.match(line))]
    if not exceptions:
        return "failed without an error message"
    last = exceptions[-1]
    return f"failed: {last.string[:300] if last[1] in QUOTED else last[1]}"


def ask(model: str, rows: dict[str, list[str]]) -> Answer:
    """Load a model in this process, time it on single rows, and predict all rows."""
    import mlflow
    import pandas as pd

    # A row that this model's own, perhaps older, cleaning leaves empty is a row like any other here.
    params = {"allow_empty": True}
    loaded = mlflow.pyfunc.load_model(model, suppress_warnings=True)  # looking for warnings takes longer than loading
    whole = pd.DataFrame(rows)
    tables = [whole.iloc[[row]].reset_index(drop=True) for row in range(min(len(whole), TIMED_ROWS))]
    loaded.predict(tables[0], params)  # untimed: the first call may compile or read something
    seconds = []
    for table in tables:
        started = time.perf_counter()
        loaded.predict(table, params)
        seconds.append(time.perf_counter() - started)
    predictions = loaded.predict(whole, params).filter(regex="^p_")
    probabilities = {name.removeprefix("p_"): predictions[name].tolist() for name in predictions}
    return Answer(probabilities, round(1_000 * statistics.median(seconds), 3))


def answer_in(folder: Path) -> None:
    """Answer the question in `folder` in a child process, and write its exit code, also after a crash."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(folder / ERRORS, os.O_CREAT | os.O_WRONLY, 0o600), sys.stderr.fileno())
        answer = ask(**json.loads((folder / QUESTION).read_text(encoding="utf-8")))
        (folder / ANSWER).write_text(json.dumps(answer.__dict__), encoding="utf-8")
        os._exit(0)  # without the clean-up of MLflow's modules, which would take longer than the answer
    status = os.waitpid(child, 0)[1]
    partial = folder / f"{EXIT_CODE}.partial"
    partial.write_text(str(os.waitstatus_to_exitcode(status)))
    partial.rename(folder / EXIT_CODE)


def main() -> None:
    import mlflow.pyfunc  # noqa: F401 - once, before the forks

    for line in sys.stdin.buffer:
        if os.fork() == 0:
            return answer_in(Path(os.fsdecode(line.rstrip(b"\n"))))


if __name__ == "__main__":
    main()
