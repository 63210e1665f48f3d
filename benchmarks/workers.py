"""Contestants in processes of their own, which do one thing at a time on request."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.training.backend import make_repeatable, prepare_keras

from .contestants import CONTESTANTS, Contestant, PipelineTrainer, TorchTrainer
from .work import Work


class Worker:
    """A contestant's process, seen from the process that started it."""

    def __init__(self, name: str, work: Work, *, threads: int, seed: int, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, self.log = name, folder / name
        self.pipe, other = context.Pipe()
        arguments = (other, self.log, name, work, threads, seed)
        self.process = context.Process(target=handle_requests, args=arguments, daemon=True)
        self.process.start()
        other.close()

    def receive(self) -> dict[str, Any]:
        """Wait for the worker's next answer.

        Raises
        ------
        PipelineError
            Its process ended.
        """
        pipe: Connection = self.pipe
        try:
            return dict(pipe.recv())
        except EOFError:
            output = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
            raise PipelineError(f"contestant {self.name} failed:\n{output}") from None

    def ask(self, *request: object) -> dict[str, Any]:
        """Send a request (see `handle_requests`), and wait for its metrics."""
        self.pipe.send(request)
        return self.receive()

    def end(self) -> None:
        """Kill the process; it has nothing to save."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextmanager
def running_workers(names: Sequence[str], work: Work, *, threads: int, seed: int) -> Iterator[list[Worker]]:
    """Start contestants, import what they need, and end them after the block."""
    with tempfile.TemporaryDirectory() as folder:
        workers = [Worker(name, work, threads=threads, seed=seed, folder=Path(folder)) for name in names]
        try:
            for worker in workers:
                worker.receive()
            yield workers
        finally:
            for worker in workers:
                worker.end()


def prepare(contestant: Contestant, threads: int) -> None:
    """Import a contestant's libraries, and set the number of threads; JAX uses one for each core it may use."""
    os.environ["CUDA_VISIBLE_DEVICES"], os.environ["JAX_PLATFORMS"] = "", "cpu"
    if contestant.trainer is TorchTrainer:
        import torch

        torch.set_num_threads(threads)
        return
    os.environ["KERAS_BACKEND"] = contestant.backend
    if contestant.trainer is PipelineTrainer:
        prepare_keras()
        make_repeatable(threads=threads, seed=0)
        import_module("pipeline.training.layers")
    else:
        import tensorflow as tf

        # TensorFlow's own defaults on a machine with so many cores.
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        import_module("keras")


def handle_requests(pipe: Connection, log: Path, name: str, work: Work, threads: int, seed: int) -> None:
    """Handle the requests that arrive on the pipe, one after another, until the process is killed.

    Parameters
    ----------
    pipe : Connection
        Receives ("build", whether to warm up), ("epoch", its number) or ("validate",); sends a dict of metrics for
        each, and an empty one as soon as everything is imported.
    log : Path
        File that receives the libraries' standard error.
    name : str
        The contestant.
    work : Work
        What to train on.
    threads : int
        Number of threads.
    seed : int
        For the initial weights and the order of the rows.
    """
    with log.open("w") as stream:
        os.dup2(stream.fileno(), 2)
    contestant = CONTESTANTS[name]
    prepare(contestant, threads)
    pipe.send({})
    while True:
        request = pipe.recv()
        wall, cpu = time.perf_counter(), time.process_time()
        values: dict[str, float] = {}
        if request[0] == "build":
            trainer = contestant.trainer(work, seed=seed, **contestant.options)
            if request[1]:
                trainer.warm_up()
        elif request[0] == "epoch":
            values["loss"], values["padded_tokens"] = trainer.epoch(request[1])
        elif work.validation is not None:
            ids, labels = work.validation
            values = metrics.overall(labels, np.exp(trainer.log_probabilities(ids)))
        # process_time counts all of the process's threads.
        pipe.send({"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu, **values})
