"""Time an epoch of training in comparison with textbook Keras and PyTorch: `python -m benchmarks.speed`.

See docs/speed.md.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from pipeline.base import command, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import write_json

from .contestants import CONTESTANTS
from .speed_report import LARGE, Metrics, accuracy_table, machine_facts, speed_table, spread, summarize_speed
from .work import Work, synthetic, tokenized
from .workers import running_workers

ACCURACY = ("keras", "keras_unmasked", "ours", "ours_lengths", "torch")  # contestants of --accuracy

SECONDS = 0.3  # for which a matrix product is repeated


def measure_speed(
    names: Sequence[str], work: Work, *, rounds: int, threads: int
) -> tuple[dict[str, list[Metrics]], Metrics]:
    """Train an epoch of each contestant at a time, in turn.

    Parameters
    ----------
    names : sequence of str
        The contestants.
    work : Work
        What to train on.
    rounds : int
        Epochs of each that count, after one that does not. Every second round has the reverse order.
    threads : int
        Threads of each contestant.

    Returns
    -------
    measured : dict of str to list of dict
        By contestant: metrics of building and compiling, then those of each epoch.
    ceiling : dict
        GFLOP/s of matrix products (see `ceiling`), of each round.
    """
    with running_workers(names, work, threads=threads, seed=0) as workers:
        measured = {worker.name: [worker.ask("build", True)] for worker in workers}
        products = []
        for number in tqdm(range(rounds + 1), desc="rounds", leave=False, disable=None):
            for worker in workers if number % 2 else reversed(workers):
                epoch = worker.ask("epoch", number)
                if number:
                    measured[worker.name].append(epoch)
            if number:
                products.append(ceiling(work, threads))
    return measured, {key: [values[key] for values in products] for key in products[0]}


def ceiling(work: Work, threads: int) -> dict[str, float]:
    """Return the GFLOP/s of NumPy's matrix products in float32: one of a step of the LSTM, and a large one.

    A product as small as a step's may be faster on one thread than on several: the better value counts.
    """
    step = (work.batch_size, 2 * work.units, 4 * work.units)
    best = {"step_gflops": 0.0}
    for number in sorted({1, threads}):
        with threadpool_limits(number):
            best["step_gflops"] = max(best["step_gflops"], product(*step))
            best["large_gflops"] = product(LARGE, LARGE, LARGE)
    return best


def product(rows: int, inner: int, columns: int) -> float:
    """Return the GFLOP/s of a product of matrices of shapes (rows, inner) and (inner, columns)."""
    random = np.random.default_rng(0)
    a, b = random.random((rows, inner), dtype=np.float32), random.random((inner, columns), dtype=np.float32)
    out = a @ b
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS:
        np.matmul(a, b, out=out)
        done += 1
    return done * 2 * rows * inner * columns / elapsed / 1e9


def measure_accuracy(names: Sequence[str], work: Work, *, seeds: int, epochs: int, threads: int) -> Metrics:
    """Train each contestant from several seeds; return its validation metrics.

    Returns
    -------
    dict
        By contestant: `seeds`, a list of accuracy, macro-F1 and number of the epoch with the lowest validation loss;
        and `mean`, `low` and `high` of accuracy and macro-F1 over the seeds.
    """
    best_epochs: dict[str, list[Metrics]] = {name: [] for name in names}
    for seed in tqdm(range(seeds), desc="seeds", leave=False, disable=None):
        for name in names:
            with running_workers([name], work, threads=threads, seed=seed) as (worker,):
                worker.ask("build", False)
                history = []
                for epoch in range(1, epochs + 1):
                    worker.ask("epoch", epoch)
                    history.append({"epoch": epoch, **worker.ask("validate")})
                best = min(history, key=lambda metrics: float(metrics["loss"]))
                best_epochs[name].append({key: best[key] for key in ("accuracy", "macro_f1", "epoch")})
    return {
        name: {"seeds": epochs}
        | {key: spread([epoch[key] for epoch in epochs], np.mean) for key in ("accuracy", "macro_f1")}
        for name, epochs in best_epochs.items()
    }


def pin_to_cores(threads: int) -> None:
    """Pin this process, and those it starts, to as many cores as there are threads, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if threads > len(cores):
            raise PipelineError(f"--threads must be at most {len(cores)}, the number of cores, got {threads}")
        os.sched_setaffinity(0, cores[:threads])


def select_contestants(names: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    """Return the named contestants, or those of the default that are installed.

    Raises
    ------
    PipelineError
        A named one is unknown or not installed.
    """
    for name in names or []:
        if name not in CONTESTANTS:
            raise PipelineError(f"--contestants: unknown contestant {name}; choose from {', '.join(CONTESTANTS)}")
        if not CONTESTANTS[name].installed:
            raise PipelineError(f"--contestants: {name} needs {CONTESTANTS[name].backend}, which is not installed")
    if names:
        return list(dict.fromkeys(names))
    for backend in sorted({CONTESTANTS[name].backend for name in default if not CONTESTANTS[name].installed}):
        print(f"{backend} is not installed: its contestants are left out; see docs/speed.md", file=sys.stderr)
    return [name for name in default if CONTESTANTS[name].installed]


def positive(text: str) -> int:
    """Return an option's value as a whole number, 1 or more.

    >>> positive("5")
    5
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, got {text!r}")
    return int(text)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument(
        "--data", choices=("tokenized", "synthetic"), help="default: the output of the stage tokenize, if it exists"
    )
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--batch-size", type=positive, default=32)
    parser.add_argument(
        "--units", type=positive, default=64, help="size of the LSTM's state and of a token's embedding"
    )
    parser.add_argument("--length", type=positive, help="to which texts are padded")
    parser.add_argument("--shortest", type=positive, help="tokens of the shortest synthetic text; default: the length")
    parser.add_argument("--rows", type=positive, help="number of texts; default: all, or 6,400 synthetic ones")
    parser.add_argument("--contestants", nargs="+", metavar="NAME", help=f"choose from {', '.join(CONTESTANTS)}")
    parser.add_argument("--accuracy", action="store_true", help="measure accuracy instead of speed")
    parser.add_argument("--seeds", type=positive, default=3, help="for --accuracy")
    parser.add_argument("--epochs", type=positive, default=5, help="for --accuracy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all metrics to this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    selected = options(arguments)
    sizes = {key: getattr(selected, key) for key in ("batch_size", "units", "length", "rows")}
    if (selected.data or ("tokenized" if paths.TOKENIZE_TOKENIZER.exists() else "synthetic")) == "tokenized":
        if selected.shortest:
            raise PipelineError("--shortest needs --data synthetic")
        work = tokenized(**sizes)
    else:
        work = synthetic(**sizes, shortest=selected.shortest)
    if selected.accuracy and work.validation is None:
        raise PipelineError("--accuracy needs the output of the stage tokenize; run `dvc repro tokenize`")
    names = select_contestants(selected.contestants, ACCURACY if selected.accuracy else tuple(CONTESTANTS))
    pin_to_cores(selected.threads)
    report: Metrics = {"machine": machine_facts(selected.threads, names)}
    if selected.accuracy:
        report["accuracy"] = measure_accuracy(
            names, work, seeds=selected.seeds, epochs=selected.epochs, threads=selected.threads
        )
    else:
        measured = measure_speed(names, work, rounds=selected.rounds, threads=selected.threads)
        report |= summarize_speed(*measured, work)
    print(accuracy_table(report) if selected.accuracy else speed_table(report))
    if selected.json:
        write_json(selected.json, report)


if __name__ == "__main__":
    command.run("benchmarks.speed", main)
