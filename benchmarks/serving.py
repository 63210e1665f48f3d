"""Time the service beside `mlflow models serve`, with the same model: `python -m benchmarks.serving`.

See docs/serving.md. All servers run at the same time on this machine's loopback, and are asked in turn; the others wait
meanwhile.
"""

import argparse
import asyncio
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil

from pipeline.base import command, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import read_json, read_table, write_json
from pipeline.inference.manifest import MANIFEST, WEIGHTS
from pipeline.inference.predictor import Predictor, ServedModel
from pipeline.registry import tracking
from pipeline.registry.models import packaged
from pipeline.registry.settings import model_name

HOST = "127.0.0.1"

START, ANSWER = 300, 60  # seconds to wait for a server to start, and for an answer

WARM = 100  # requests that are not counted

Figures = dict[str, float]


@dataclass(frozen=True)
class Contestant:
    """A server: how it is started, and how it is asked for one text."""

    title: str
    command: tuple[str, ...]  # {port} stands for its port
    ready: str
    ask: str

    def body(self, text: str) -> dict[str, Any]:
        return (
            {"text": text} if self.ask == "/predict" else {"dataframe_split": {"columns": ["text"], "data": [[text]]}}
        )


def contestants(model: str, keras: Path) -> dict[str, Contestant]:
    """The servers by name; `model` is an MLflow address, `keras` the folder of the model with Keras inside."""
    python = (sys.executable, "-m")
    mlflow = ("mlflow", "models", "serve", "--env-manager", "local", "--host", HOST, "--port", "{port}", "-m")
    version = model.rpartition("/")[2]
    serve = ("pipeline.serve", "--model", version, "--port", "{port}", "--quiet")
    return {
        "ours": Contestant("pipeline.serve", (*python, *serve), "/ready", "/predict"),
        "mlflow": Contestant("mlflow models serve", (*python, *mlflow, model), "/ping", "/invocations"),
        "keras": Contestant(
            "mlflow models serve, Keras inside", (*python, *mlflow, str(keras)), "/ping", "/invocations"
        ),
    }


@dataclass(frozen=True)
class KerasNetwork:
    """The network as TensorFlow runs it, in the place of `pipeline.network.Network`."""

    model: Any
    lengths: tuple[int, ...]

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        from pipeline.training.encoders import log_probabilities

        found: np.ndarray = log_probabilities(self.model, ids, self.lengths)
        return found


def _load_pyfunc(path: str) -> ServedModel:
    """What MLflow calls for the model with Keras inside: the same folder, but its Keras weights predict."""
    from pipeline.training.backend import prepare_keras
    from pipeline.training.encoders import build

    folder = Path(path)
    prepare_keras()
    model = build(**read_json(folder / MANIFEST)["network"])
    model.load_weights(folder / WEIGHTS)
    predictor = Predictor.load(folder)
    network: Any = KerasNetwork(model, predictor.tokenizer.lengths)
    return ServedModel(replace(predictor, network=network))


def package_keras(folder: Path, model: Path, classes: Sequence[str]) -> Path:
    """Make the MLflow model with Keras inside; `folder` gets it."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    figures = [ColSpec("double", name) for name in ("confidence", *(f"p_{name}" for name in classes))]
    outputs = Schema([ColSpec("string", "predicted_label"), *figures])
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module="benchmarks.serving",
        data_path=str(model),
        signature=ModelSignature(inputs=Schema([ColSpec("string", "text")]), outputs=outputs),
        pip_requirements=[],
    )
    return folder


@contextmanager
def running(contestant: Contestant, log: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The server in a process of its own; gives its port, and the process, when it is ready."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [part.format(port=port) for part in contestant.command]
    here = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    here["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow calls uvicorn
    environment = os.environ | here
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, start_new_session=True)
        try:
            asyncio.run(_until_ready(contestant, port, process, log))
            yield port, psutil.Process(process.pid)
        finally:
            with suppress(ProcessLookupError):  # it has ended already
                os.killpg(process.pid, signal.SIGTERM)  # MLflow's server has processes of its own
            process.wait(30)


async def _until_ready(contestant: Contestant, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end and process.poll() is None:
            try:
                async with session.get(f"http://{HOST}:{port}{contestant.ready}") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    said = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
    raise PipelineError(f"{contestant.title} did not start within {START} seconds:\n{said}")


def cpu_seconds(server: psutil.Process) -> float:
    """What a server and its processes have used of all cores."""
    return sum(sum(each.cpu_times()[:2]) for each in (server, *server.children(recursive=True)))


async def load(
    contestant: Contestant,
    port: int,
    server: psutil.Process,
    texts: Sequence[str],
    *,
    clients: int,
    requests: int,
    seconds: float,
) -> Figures:
    """Ask for one text at a time, by so many clients at the same time.

    Parameters
    ----------
    contestant, port, server
        Who is asked, where, and the process that answers.
    texts : sequence of str
        Asked for in turn.
    clients : int
        Each has a connection of its own, which stays open, and asks when it has its answer.
    requests : int
        In all.
    seconds : float
        When to stop all the same.

    Returns
    -------
    dict of str to float
        `p50` and `p99` in milliseconds, `texts` a second, `cpu` milliseconds of the server for a text, `errors`.
    """
    times: list[float] = []
    errors, left = 0, iter(range(requests))
    address = f"http://{HOST}:{port}{contestant.ask}"
    began, used = time.perf_counter(), cpu_seconds(server)

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal errors
        for number in left:
            start = time.perf_counter()
            if start - began > seconds:
                return
            try:
                async with session.post(address, json=contestant.body(texts[number % len(texts)])) as answer:
                    await answer.read()
                    errors += answer.status != 200
            except (aiohttp.ClientError, TimeoutError):
                errors += 1
            times.append(time.perf_counter() - start)

    timeout = aiohttp.ClientTimeout(total=ANSWER)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients), timeout=timeout) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    p50, p99 = 1_000 * np.percentile(times, (50, 99))
    return {
        "p50": float(p50),
        "p99": float(p99),
        "texts": len(times) / (time.perf_counter() - began),
        "cpu": 1_000 * (cpu_seconds(server) - used) / len(times),
        "errors": errors,
    }


def table(found: dict[str, dict[str, list[Figures]]], titles: dict[str, str]) -> str:
    """Medians over the rounds, as Markdown; errors are summed."""

    def medians(name: str) -> list[float]:
        keys = [("one", "p50"), ("one", "p99"), ("many", "texts"), ("many", "p50"), ("many", "p99"), ("many", "cpu")]
        return [float(np.median([figures[key] for figures in found[name][kind]])) for kind, key in keys]

    lines = [
        "| server | 1 client: p50 ms | p99 ms | all: texts/s | p50 ms | p99 ms | CPU ms | errors | × texts/s | × p50 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    ours = medians("ours")
    for name in found:
        p50, p99, texts, many_p50, many_p99, cpu = medians(name)
        errors = sum(figures["errors"] for kind in found[name].values() for figures in kind)
        lines.append(
            f"| {titles[name]} | {p50:.2f} | {p99:.2f} | {texts:,.0f} | {many_p50:.1f} | {many_p99:.1f} | {cpu:.2f} | "
            f"{errors:.0f} | {ours[2] / texts:.1f} | {p50 / ours[0]:.1f} |"
        )
    return "\n".join(lines)


def real_texts() -> list[str]:
    """Raw texts of the data set, 2,000 at most, drawn at random."""
    texts = read_table(paths.INGEST_TABLE)["text"]
    return [str(text) for text in texts.sample(n=min(2_000, len(texts)), random_state=0)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description="Time the service beside `mlflow models serve`."
    )
    parser.add_argument("--model", default="champion", help="alias or version of the model (default: champion)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each is asked, in turn (default: 3)")
    parser.add_argument("--clients", type=int, default=64, help="clients at the same time (default: 64)")
    parser.add_argument("--alone", type=int, default=500, help="requests of one client, a round (default: 500)")
    parser.add_argument("--requests", type=int, default=5_000, help="requests of all, a round (default: 5,000)")
    parser.add_argument("--seconds", type=float, default=15, help="most seconds of either (default: 15)")
    parser.add_argument("--skip", nargs="*", default=[], choices=("mlflow", "keras"), help="servers to leave out")
    parser.add_argument("--json", type=Path, help="file that gets every figure of every round")
    options = parser.parse_args()
    texts, name, store = real_texts(), model_name(), tracking.connect()
    version = store.versions.get(name, options.model)
    os.environ["MLFLOW_TRACKING_URI"] = store.address  # what the servers look for the model in
    found: dict[str, dict[str, list[Figures]]] = {}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        model = packaged(name, store.versions.package(version, folder / "model")).folder
        keras = package_keras(folder / "keras", model, read_json(model / MANIFEST)["classes"])
        chosen = contestants(f"models:/{name}/{version.version}", keras)
        chosen = {key: each for key, each in chosen.items() if key not in options.skip}
        servers = {key: stack.enter_context(running(each, folder / f"{key}.log")) for key, each in chosen.items()}
        kinds = {"one": (1, options.alone), "many": (options.clients, options.requests)}
        for turn in range(options.rounds + 1):
            for key, each in chosen.items() if turn % 2 else reversed(chosen.items()):
                for kind, (clients, requests) in kinds.items():
                    most = requests if turn else WARM
                    figures = asyncio.run(
                        load(each, *servers[key], texts, clients=clients, requests=most, seconds=options.seconds)
                    )
                    if turn:
                        found.setdefault(key, {}).setdefault(kind, []).append(figures)
                        print(f"round {turn}, {each.title}, {clients} clients: {figures}", file=sys.stderr)
    if options.json:
        write_json(options.json, found)
    print(f"{os.cpu_count()} cores, {platform.machine()}; medians of {options.rounds} rounds\n")
    print(table({key: found[key] for key in chosen}, {key: each.title for key, each in chosen.items()}))


if __name__ == "__main__":
    command.run("benchmarks.serving", main)
