"""Report of the benchmark of speed: metrics of each contestant, and tables in Markdown."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.markdown import pipe_table

from .contestants import CONTESTANTS
from .work import Work

REFERENCES = {"keras": "Keras fit", "torch": "PyTorch"}  # contestants that all are compared with
LARGE = 2_048  # rows and columns of the large matrix product

Metrics = dict[str, Any]


def summarize_speed(measured: dict[str, list[Metrics]], products: Metrics, work: Work) -> Metrics:
    """Return the metrics of each contestant from what was measured.

    Parameters
    ----------
    measured, products : dict
        As `speed.measure_speed` returns them.
    work : Work
        What the contestants trained on.

    Returns
    -------
    dict
        `work`, `ceiling` (GFLOP/s, the best of the rounds) and `contestants`. Of a contestant: seconds to compile;
        `wall_seconds` and `cpu_seconds` of each round; tokens of an epoch, without and with padding; medians of
        tokens per second; `gflops` of its matrix products on all tokens with padding, and their share of the
        ceilings; and `times_<reference>`, how many times as fast it is: `rounds` (the ratio of the wall seconds
        within each round), their `median`, `low` and `high`.
    """
    highest = {key: max(values) for key, values in products.items()}
    walls = {name: np.array([epoch["wall_seconds"] for epoch in epochs[1:]]) for name, epochs in measured.items()}
    contestants: dict[str, Metrics] = {}
    for name, (build, *epochs) in measured.items():
        seconds = float(np.median(walls[name]))
        padded = int(np.median([epoch["padded_tokens"] for epoch in epochs]))
        gflops = padded / seconds * work.flops_per_token / 1e9
        contestants[name] = {
            "compile_seconds": build["wall_seconds"],
            "wall_seconds": walls[name].tolist(),
            "cpu_seconds": [epoch["cpu_seconds"] for epoch in epochs],
            "loss": [epoch["loss"] for epoch in epochs],
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
    """Return an average by the function `middle`, and the range of the values.

    >>> spread([1, 2, 6], np.median)
    {'median': 2.0, 'low': 1.0, 'high': 6.0}
    """
    return {middle.__name__: float(middle(values)), "low": float(np.min(values)), "high": float(np.max(values))}


def machine_facts(threads: int, names: Sequence[str]) -> Metrics:
    """Return what the metrics were measured on: processor, cores, threads and versions."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    tensorflow = "tensorflow-cpu" if sys.platform == "linux" and platform.machine() == "x86_64" else "tensorflow"
    packages = {tensorflow if (backend := CONTESTANTS[name].backend) == "tensorflow" else backend for name in names}
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in sorted(packages | {"keras", "numpy"})},
    }


def speed_table(report: Metrics) -> str:
    """Return the metrics as a Markdown table, and what they were measured on."""
    host, work, top = report["machine"], report["work"], report["ceiling"]
    header = ["contestant", "tokens/s", "with padding", "wall s/epoch", "CPU s/epoch", "compile s"]
    header += [*(f"× {title}" for title in REFERENCES.values()), "of the product: step", "large"]
    rows = []
    for name, values in report["contestants"].items():
        ratios = [values.get(f"times_{reference}") for reference in REFERENCES]
        cells = [
            CONTESTANTS[name].title,
            f"{values['tokens_per_second']:,.0f}",
            f"{values['padded_tokens_per_second']:,.0f}",
            f"{np.median(values['wall_seconds']):.2f}",
            f"{np.median(values['cpu_seconds']):.2f}",
            f"{values['compile_seconds']:.1f}",
            *(f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio else "" for ratio in ratios),
            f"{values['share_of_step']:.1%}",
            f"{values['share_of_large']:.1%}",
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
            _machine_line(host),
        ]
    )


def _machine_line(host: Metrics) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in host["versions"].items())
    return f"{host['processor']}, {host['cores']} cores, {host['threads']} threads; {versions}."


def accuracy_table(report: Metrics) -> str:
    """Return the validation metrics as a Markdown table."""
    rows = []
    for name, values in report["accuracy"].items():
        scores = [
            f"{metric['mean']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"
            for metric in (values["accuracy"], values["macro_f1"])
        ]
        epochs = ", ".join(str(seed["epoch"]) for seed in values["seeds"])
        rows.append([CONTESTANTS[name].title, *scores, epochs])
    table = pipe_table(["contestant", "accuracy", "macro-F1", "best epochs"], rows, right=3)
    return "\n".join([table, "", "Validation rows; means over the seeds [range].", _machine_line(report["machine"])])
