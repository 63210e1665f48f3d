"""Compare the service with `mlflow models serve`, with the same model: `python -m benchmarks.serving`.

All servers run at the same time on the loopback address and get requests in turn, while the others are idle. See
docs/serving.md.
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
from pipeline.inference.part import Inputs
from pipeline.inference.predictor import Predictor, ServedModel
from pipeline.registry import tracking
from pipeline.registry.models import packaged
from pipeline.registry.settings import model_name

HOST = "127.0.0.1"

START, ANSWER = 300, 60  # timeouts in seconds, of a server's start and of a response

WARM_UP = 100  # requests that are not counted

Metrics = dict[str, float]


@dataclass(frozen=True)
class Server:
    """How a server is started, and how it is asked for the label of one text."""

    title: str
    command: tuple[str, ...]  # with {port} for its port
    ready: str  # path that answers 200 when it is ready
    path: str  # of the requests

    def body(self, text: str) -> dict[str, Any]:
        """Return the JSON body of a request."""
        if self.path == "/predict":
            return {"text": text}
        return {"dataframe_split": {"columns": ["text"], "data": [[text]]}}


def all_servers(model: str, keras: Path) -> dict[str, Server]:
    """Return the servers by name; `model` is an MLflow URI, `keras` the folder of the model with Keras inside."""
    python = (sys.executable, "-m")
    mlflow = ("mlflow", "models", "serve", "--env-manager", "local", "--host", HOST, "--port", "{port}", "-m")
    version = model.rpartition("/")[2]
    serve = ("pipeline", "serve", "--model", version, "--port", "{port}", "--quiet")
    return {
        "ours": Server("pipeline serve", (*python, *serve), "/ready", "/predict"),
        "mlflow": Server("mlflow models serve", (*python, *mlflow, model), "/ping", "/invocations"),
        "keras": Server("mlflow models serve, Keras inside", (*python, *mlflow, str(keras)), "/ping", "/invocations"),
    }


@dataclass(frozen=True)
class KerasNetwork:
    """The network in TensorFlow, in place of `pipeline.inference.network.Network`."""

    model: Any
    lengths: tuple[int, ...]

    name = "lstm"
    modality = "text"

    def log_probabilities(self, inputs: Inputs) -> np.ndarray:
        from pipeline.training.forward import log_probabilities

        values: np.ndarray = log_probabilities(self.model, inputs.arrays["text"], self.lengths)
        return values


def _load_pyfunc(path: str) -> ServedModel:
    """Load the same model folder for MLflow, but predict with its Keras weights."""
    from pipeline.training.backend import prepare_keras
    from pipeline.training.encoders.text import build

    folder = Path(path)
    prepare_keras()
    model = build(**read_json(folder / MANIFEST)["network"])
    model.load_weights(folder / WEIGHTS)
    predictor = Predictor.load(folder)
    network: Any = KerasNetwork(model, predictor.tokenizer.lengths)
    return ServedModel(replace(predictor, parts=(network, *predictor.parts[1:])))


def package_keras(folder: Path, model: Path, classes: Sequence[str]) -> Path:
    """Save the MLflow model with Keras inside in `folder`; return it."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    numbers = [ColSpec("double", name) for name in ("confidence", *(f"p_{name}" for name in classes))]
    outputs = Schema([ColSpec("string", "predicted_label"), *numbers])
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module="benchmarks.serving",
        data_path=str(model),
        signature=ModelSignature(inputs=Schema([ColSpec("string", "text")]), outputs=outputs),
        pip_requirements=[],
    )
    return folder


@contextmanager
def running(server: Server, log: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Start a server; yield its port and its process when it is ready."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [part.format(port=port) for part in server.command]
    here = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    here["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]]
    )  # for uvicorn, which MLflow calls
    environment = os.environ | here
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, start_new_session=True)
        try:
            asyncio.run(_until_ready(server, port, process, log))
            yield port, psutil.Process(process.pid)
        finally:
            with suppress(ProcessLookupError):  # it has already ended
                os.killpg(process.pid, signal.SIGTERM)  # with the worker processes of MLflow's server
            process.wait(30)


async def _until_ready(server: Server, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end and process.poll() is None:
            try:
                async with session.get(f"http://{HOST}:{port}{server.ready}") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    output = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
    raise PipelineError(f"{server.title} did not start within {START} seconds:\n{output}")


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a server and its child processes, on all cores."""
    return sum(sum(part.cpu_times()[:2]) for part in (process, *process.children(recursive=True)))


async def load(
    server: Server,
    port: int,
    process: psutil.Process,
    texts: Sequence[str],
    *,
    clients: int,
    requests: int,
    seconds: float,
) -> Metrics:
    """Send requests of one text each from several clients at the same time.

    Parameters
    ----------
    server, port, process
        The server, as `running` starts it.
    texts : sequence of str
        Sent in turn.
    clients : int
        Each keeps its own connection open, and sends a request as soon as it has the previous response.
    requests : int
        Number of requests in all.
    seconds : float
        Time limit.

    Returns
    -------
    dict of str to float
        `p50` and `p99` in milliseconds, `texts` per second, `cpu` milliseconds of the server per text, `errors`.
    """
    times: list[float] = []
    errors, numbers = 0, iter(range(requests))
    address = f"http://{HOST}:{port}{server.path}"
    began, used = time.perf_counter(), cpu_seconds(process)

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal errors
        for number in numbers:
            start = time.perf_counter()
            if start - began > seconds:
                return
            try:
                async with session.post(address, json=server.body(texts[number % len(texts)])) as response:
                    await response.read()
                    errors += response.status != 200
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
        "cpu": 1_000 * (cpu_seconds(process) - used) / len(times),
        "errors": errors,
    }


def results_table(results: dict[str, dict[str, list[Metrics]]], titles: dict[str, str]) -> str:
    """Return the medians over the rounds as Markdown; errors are summed."""

    def medians(name: str) -> list[float]:
        keys = [("one", "p50"), ("one", "p99"), ("many", "texts"), ("many", "p50"), ("many", "p99"), ("many", "cpu")]
        return [float(np.median([metrics[key] for metrics in results[name][kind]])) for kind, key in keys]

    lines = [
        "| server | 1 client: p50 ms | p99 ms | all: texts/s | p50 ms | p99 ms | CPU ms | errors | × texts/s | × p50 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    ours = medians("ours")
    for name in results:
        p50, p99, texts, many_p50, many_p99, cpu = medians(name)
        errors = sum(metrics["errors"] for rounds in results[name].values() for metrics in rounds)
        lines.append(
            f"| {titles[name]} | {p50:.2f} | {p99:.2f} | {texts:,.0f} | {many_p50:.1f} | {many_p99:.1f} | {cpu:.2f} | "
            f"{errors:.0f} | {ours[2] / texts:.1f} | {p50 / ours[0]:.1f} |"
        )
    return "\n".join(lines)


def real_texts() -> list[str]:
    """Return raw texts of the data set, 2,000 at most, drawn at random."""
    texts = read_table(paths.INGEST_TABLE)["text"]
    return [str(text) for text in texts.sample(n=min(2_000, len(texts)), random_state=0)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description="Compare the service with `mlflow models serve`."
    )
    parser.add_argument("--model", default="champion", help="alias or version of the model (default: champion)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, in which each server has its turn (default: 3)")
    parser.add_argument("--clients", type=int, default=64, help="clients at the same time (default: 64)")
    parser.add_argument("--alone", type=int, default=500, help="requests of one client, a round (default: 500)")
    parser.add_argument("--requests", type=int, default=5_000, help="requests of all, a round (default: 5,000)")
    parser.add_argument("--seconds", type=float, default=15, help="time limit of either (default: 15)")
    parser.add_argument("--skip", nargs="*", default=[], choices=("mlflow", "keras"), help="servers to leave out")
    parser.add_argument("--json", type=Path, help="file to write every round's metrics to")
    options = parser.parse_args(arguments)
    texts, name, store = real_texts(), model_name(), tracking.connect()
    version = store.versions.get(name, options.model)
    os.environ["MLFLOW_TRACKING_URI"] = store.address  # where the servers find the model
    results: dict[str, dict[str, list[Metrics]]] = {}
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        model = packaged(name, store.versions.package(version, folder / "model")).folder
        keras = package_keras(folder / "keras", model, read_json(model / MANIFEST)["classes"])
        servers = all_servers(f"models:/{name}/{version.version}", keras)
        servers = {key: server for key, server in servers.items() if key not in options.skip}
        started = {key: stack.enter_context(running(server, folder / f"{key}.log")) for key, server in servers.items()}
        kinds = {"one": (1, options.alone), "many": (options.clients, options.requests)}
        for turn in range(options.rounds + 1):
            for key, server in servers.items() if turn % 2 else reversed(servers.items()):
                for kind, (clients, requests) in kinds.items():
                    number = requests if turn else WARM_UP
                    metrics = asyncio.run(
                        load(server, *started[key], texts, clients=clients, requests=number, seconds=options.seconds)
                    )
                    if turn:
                        results.setdefault(key, {}).setdefault(kind, []).append(metrics)
                        print(f"round {turn}, {server.title}, {clients} clients: {metrics}", file=sys.stderr)
    if options.json:
        write_json(options.json, results)
    print(f"{os.cpu_count()} cores, {platform.machine()}; medians of {options.rounds} rounds\n")
    titles = {key: server.title for key, server in servers.items()}
    print(results_table({key: results[key] for key in servers}, titles))


if __name__ == "__main__":
    command.run("benchmarks.serving", main)
