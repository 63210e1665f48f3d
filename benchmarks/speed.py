"""Time an epoch of training beside textbook Keras and PyTorch: `python -m benchmarks.speed`, see docs/speed.md."""

import argparse
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from pipeline.base import command, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import write_json
from pipeline.base.markdown import pipe_table

from .contestants import CONTESTANTS, serve
from .work import Work, synthetic, tokenized

REFERENCES = {"keras": "Keras fit", "torch": "PyTorch"}  # what the others are compared with

ACCURACY = ("keras", "keras_unmasked", "ours", "ours_lengths", "torch")

LARGE = 2_048  # rows and columns of the large matrix product

SECONDS = 0.3  # that a matrix product is repeated for

Figures = dict[str, Any]


class Process:
    """A contestant at the other end of a pipe."""

    def __init__(self, name: str, work: Work, *, threads: int, seed: int, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, self.log = name, folder / name
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, self.log, name, work, threads, seed), daemon=True)
        self.process.start()
        other.close()

    def hear(self) -> Figures:
        """Wait for what the contestant has to say."""
        pipe: Connection = self.pipe
        try:
            return dict(pipe.recv())
        except EOFError:
            said = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
            raise PipelineError(f"contestant {self.name} ended before its time:\n{said}") from None

    def ask(self, *what: object) -> Figures:
        """Tell the contestant to do something, and wait until it is done."""
        self.pipe.send(what)
        return self.hear()

    def end(self) -> None:
        """End the contestant; it has nothing to save."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextmanager
def processes(names: Sequence[str], work: Work, *, threads: int, seed: int) -> Iterator[list[Process]]:
    """Start contestants, import what they need, and end them after the block."""
    with tempfile.TemporaryDirectory() as folder:
        started = [Process(name, work, threads=threads, seed=seed, folder=Path(folder)) for name in names]
        try:
            for each in started:
                each.hear()
            yield started
        finally:
            for each in started:
                each.end()


def measure(names: Sequence[str], work: Work, *, rounds: int, threads: int) -> tuple[dict[str, list[Figures]], Figures]:
    """Let contestants train an epoch at a time, in turn.

    Parameters
    ----------
    names : sequence of str
        Of the contestants.
    work : Work
        What to train on.
    rounds : int
        Epochs of each that count; one more goes before them. Every second round has the reverse order.
    threads : int
        For each of them.

    Returns
    -------
    measured : dict of str to list of dict
        By contestant: what building and compiling took, then each epoch's figures.
    ceiling : dict
        Billions of operations a second of matrix products (see `ceiling`), each round's.
    """
    with processes(names, work, threads=threads, seed=0) as started:
        measured = {each.name: [each.ask("build", True)] for each in started}
        products = []
        for number in tqdm(range(rounds + 1), desc="rounds", leave=False, disable=None):
            for each in started if number % 2 else reversed(started):
                figures = each.ask("epoch", number)
                if number:
                    measured[each.name].append(figures)
            if number:
                products.append(ceiling(work, threads))
    return measured, {key: [each[key] for each in products] for key in products[0]}


def ceiling(work: Work, threads: int) -> dict[str, float]:
    """How fast NumPy multiplies matrices of float32: one of a step of the LSTM, and a large one; GFLOP/s.

    A product as small as a step's may be faster on one thread than on several: the faster counts.
    """
    step = (work.batch_size, 2 * work.units, 4 * work.units)
    found = {"step_gflops": 0.0}
    for number in sorted({1, threads}):
        with threadpool_limits(number):
            found["step_gflops"] = max(found["step_gflops"], product(*step))
            found["large_gflops"] = product(LARGE, LARGE, LARGE)
    return found


def product(rows: int, inner: int, columns: int) -> float:
    """GFLOP/s of the product of (rows, inner) and (inner, columns)."""
    random = np.random.default_rng(0)
    a, b = random.random((rows, inner), dtype=np.float32), random.random((inner, columns), dtype=np.float32)
    out = a @ b
    done, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < SECONDS:
        np.matmul(a, b, out=out)
        done += 1
    return done * 2 * rows * inner * columns / taken / 1e9


def summarize(measured: dict[str, list[Figures]], products: Figures, work: Work) -> Figures:
    """Figures of each contestant from what was measured.

    Returns
    -------
    dict
        `work`, `ceiling` (GFLOP/s, the best of the rounds) and `contestants`. Of a contestant: seconds to compile;
        `wall_seconds` and `cpu_seconds` of each round; tokens of an epoch, without and with padding; medians of
        tokens a second; `gflops` of its matrix products on all tokens, padding among them, and their share of the
        ceilings; and `times_<reference>`, how many times as fast it is: `rounds` (the quotient of the wall seconds
        within each round), their `median`, `low` and `high`.
    """
    highest = {key: max(values) for key, values in products.items()}
    walls = {name: np.array([each["wall_seconds"] for each in epochs[1:]]) for name, epochs in measured.items()}
    contestants: dict[str, Figures] = {}
    for name, (build, *epochs) in measured.items():
        seconds = float(np.median(walls[name]))
        padded = int(np.median([each["padded_tokens"] for each in epochs]))
        gflops = padded / seconds * work.flops_per_token / 1e9
        contestants[name] = {
            "compile_seconds": build["wall_seconds"],
            "wall_seconds": walls[name].tolist(),
            "cpu_seconds": [each["cpu_seconds"] for each in epochs],
            "loss": [each["loss"] for each in epochs],
            "tokens": work.tokens,
            "padded_tokens": padded,
            "tokens_per_second": work.tokens / seconds,
            "padded_tokens_per_second": padded / seconds,
            "gflops": gflops,
            **{f"share_of_{key.removesuffix('_gflops')}": gflops / value for key, value in highest.items()},
        }
        for reference in REFERENCES:
            if reference in walls:
                ratios = walls[reference] / walls[name]
                contestants[name][f"times_{reference}"] = {"rounds": ratios.tolist(), **spread(ratios, np.median)}
    ids = work.train[0]
    return {
        "work": {
            "data": work.name,
            "rows": len(ids),
            "tokens": work.tokens,
            "length": work.length,
            "lengths": list(work.lengths),
            "num_ids": work.num_ids,
            "batch_size": work.batch_size,
            "units": work.units,
            "flops_per_token": work.flops_per_token,
        },
        "ceiling": highest,
        "contestants": contestants,
    }


def spread(values: Sequence[float] | np.ndarray, middle: Any) -> dict[str, float]:
    """The middle, by the function `middle`, and both ends of some figures."""
    return {middle.__name__: float(middle(values)), "low": float(np.min(values)), "high": float(np.max(values))}


def machine(threads: int, names: Sequence[str]) -> Figures:
    """What the figures were measured on."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    tensorflow = "tensorflow-cpu" if sys.platform == "linux" and platform.machine() == "x86_64" else "tensorflow"
    packages = {tensorflow if (b := CONTESTANTS[name].backend) == "tensorflow" else b for name in names}
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in sorted(packages | {"keras", "numpy"})},
    }


def speed_table(report: Figures) -> str:
    """The figures as a Markdown table, and what they were measured on."""
    host, work, top = report["machine"], report["work"], report["ceiling"]
    header = ["contestant", "tokens/s", "with padding", "wall s/epoch", "CPU s/epoch", "compile s"]
    header += [*(f"× {title}" for title in REFERENCES.values()), "of the product: step", "large"]
    rows = []
    for name, figures in report["contestants"].items():
        ratios = [figures.get(f"times_{reference}") for reference in REFERENCES]
        cells = [
            CONTESTANTS[name].title,
            f"{figures['tokens_per_second']:,.0f}",
            f"{figures['padded_tokens_per_second']:,.0f}",
            f"{np.median(figures['wall_seconds']):.2f}",
            f"{np.median(figures['cpu_seconds']):.2f}",
            f"{figures['compile_seconds']:.1f}",
            *(f"{r['median']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" if r else "" for r in ratios),
            f"{figures['share_of_step']:.1%}",
            f"{figures['share_of_large']:.1%}",
        ]
        rows.append(cells)
    rounds = len(next(iter(report["contestants"].values()))["wall_seconds"])
    return "\n".join(
        [
            pipe_table(header, rows, right=len(header) - 1),
            "",
            f"{work['data']}: {work['rows']:,} texts, {work['tokens']:,} tokens, padded to {work['length']} or to "
            f"{', '.join(map(str, work['lengths']))}; batches of {work['batch_size']}, {work['units']} units; "
            f"medians of {rounds} rounds [range].",
            f"Matrix products: {work['batch_size']} x {2 * work['units']} by {2 * work['units']} x "
            f"{4 * work['units']}: {top['step_gflops']:.1f} GFLOP/s; {LARGE} x {LARGE}: {top['large_gflops']:.1f} "
            f"GFLOP/s; {work['flops_per_token']:,} operations a token.",
            _on(host),
        ]
    )


def _on(host: Figures) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in host["versions"].items())
    return f"{host['processor']}, {host['cores']} cores, {host['threads']} threads; {versions}."


def accuracy(names: Sequence[str], work: Work, *, seeds: int, epochs: int, threads: int) -> Figures:
    """Validation figures of contestants after training.

    Returns
    -------
    dict
        By contestant, `seeds`: of each, accuracy, macro-F1 and number of the epoch with the lowest validation loss;
        and the `mean`, `low` and `high` of both figures over the seeds.
    """
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for seed in tqdm(range(seeds), desc="seeds", leave=False, disable=None):
        for name in names:
            with processes([name], work, threads=threads, seed=seed) as (trained,):
                trained.ask("build", False)
                history = []
                for epoch in range(1, epochs + 1):
                    trained.ask("epoch", epoch)
                    history.append({"epoch": epoch, **trained.ask("validate")})
                best = min(history, key=lambda each: float(each["loss"]))
                found[name].append({key: best[key] for key in ("accuracy", "macro_f1", "epoch")})
    return {
        name: {"seeds": each} | {key: spread([seed[key] for seed in each], np.mean) for key in ("accuracy", "macro_f1")}
        for name, each in found.items()
    }


def accuracy_table(report: Figures) -> str:
    """The figures as a Markdown table."""
    rows = []
    for name, figures in report["accuracy"].items():
        shown = [
            f"{each['mean']:.4f} [{each['low']:.4f}, {each['high']:.4f}]"
            for each in (figures["accuracy"], figures["macro_f1"])
        ]
        epochs = ", ".join(str(seed["epoch"]) for seed in figures["seeds"])
        rows.append([CONTESTANTS[name].title, *shown, epochs])
    table = pipe_table(["contestant", "accuracy", "macro-F1", "best epochs"], rows, right=3)
    return "\n".join([table, "", "Validation rows; means over the seeds [range].", _on(report["machine"])])


def pinned(threads: int) -> None:
    """Keep this process and those that it starts on as many cores as there are threads, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if threads > len(cores):
            raise PipelineError(f"--threads must be at most {len(cores)}, the cores there are, got {threads}")
        os.sched_setaffinity(0, cores[:threads])


def chosen(names: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    """The contestants asked for, or those of the default that are installed."""
    for name in names or []:
        if name not in CONTESTANTS:
            raise PipelineError(f"--contestants: there is no {name}; there are {', '.join(CONTESTANTS)}")
        if not CONTESTANTS[name].installed:
            raise PipelineError(f"--contestants: {name} needs {CONTESTANTS[name].backend}, which is not installed")
    if names:
        return list(dict.fromkeys(names))
    for backend in sorted({CONTESTANTS[name].backend for name in default if not CONTESTANTS[name].installed}):
        print(f"{backend} is not installed, and left out; see docs/speed.md", file=sys.stderr)
    return [name for name in default if CONTESTANTS[name].installed]


def positive(text: str) -> int:
    """An option's whole number, 1 or more."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, got {text!r}")
    return int(text)


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument(
        "--data", choices=("tokenized", "synthetic"), help="default: what the stage tokenize made, where there is any"
    )
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--batch-size", type=positive, default=32)
    parser.add_argument("--units", type=positive, default=64, help="size of the LSTM's state and of a token's vector")
    parser.add_argument("--length", type=positive, help="that texts are padded to")
    parser.add_argument("--shortest", type=positive, help="tokens of the shortest synthetic text; default: the length")
    parser.add_argument("--rows", type=positive, help="texts; default: all that there are, or 6,400 synthetic ones")
    parser.add_argument("--contestants", nargs="+", metavar="NAME", help=f"of {', '.join(CONTESTANTS)}")
    parser.add_argument("--accuracy", action="store_true", help="measure how well they learn, not how fast")
    parser.add_argument("--seeds", type=positive, default=3, help="for --accuracy")
    parser.add_argument("--epochs", type=positive, default=5, help="for --accuracy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="gets all figures")
    return parser.parse_args()


def main() -> None:
    told = options()
    sizes = {"batch_size": told.batch_size, "units": told.units, "length": told.length, "rows": told.rows}
    if (told.data or ("tokenized" if paths.TOKENIZE_TOKENIZER.exists() else "synthetic")) == "tokenized":
        if told.shortest:
            raise PipelineError("--shortest is for synthetic texts")
        work = tokenized(**sizes)
    else:
        work = synthetic(**sizes, shortest=told.shortest)
    if told.accuracy and work.validation is None:
        raise PipelineError("--accuracy needs the pipeline's texts; run `dvc repro`")
    names = chosen(told.contestants, ACCURACY if told.accuracy else tuple(CONTESTANTS))
    pinned(told.threads)
    report: Figures = {"machine": machine(told.threads, names)}
    if told.accuracy:
        report["accuracy"] = accuracy(names, work, seeds=told.seeds, epochs=told.epochs, threads=told.threads)
    else:
        report |= summarize(*measure(names, work, rounds=told.rounds, threads=told.threads), work)
    print(accuracy_table(report) if told.accuracy else speed_table(report))
    if told.json:
        write_json(told.json, report)


if __name__ == "__main__":
    command.run("benchmarks.speed", main)
