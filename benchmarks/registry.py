"""Time tracking: publishing, finding a run and promotion, in a store of 200 runs: `python -m benchmarks.registry`.

Run it in a project after `make repro`; it uses a store of its own in a temporary folder. Each publication is a new
process, as in use, and its imports count.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from pipeline.base import command

if TYPE_CHECKING:
    from pipeline.registry.store import Store


def fill(store: "Store", name: str, runs: int) -> None:
    """Create so many other runs, with a version of the model `name` each."""
    from mlflow.entities import Metric

    from pipeline.registry.runs import PUBLISHED, STATE
    from pipeline.registry.versions import MODEL_DIGEST

    for number in range(runs):
        tags = {STATE: f"{number:064x}", PUBLISHED: "x"}
        run = store.client.create_run(store.experiment_id, run_name=f"run {number}", tags=tags)
        points = [Metric(f"test/figure_{key}", number / 1_000, run.info.start_time, 0) for key in range(100)]
        store.client.log_batch(run.info.run_id, metrics=points)
        store.client.set_terminated(run.info.run_id)
        if number == 0:
            store.client.create_registered_model(name)
        store.client.create_model_version(name, "nowhere", tags={MODEL_DIGEST: f"{number:064x}"})


def timed(title: str, function: Callable[[], Any]) -> Any:
    """Call a function, print how long it took, and return its result."""
    started = time.perf_counter()
    result = function()
    print(f"{title:<50}{time.perf_counter() - started:8.2f} s", flush=True)
    return result


def publish_and_time_gate() -> float | None:
    """Publish; return the seconds that the gate took, or None if it was not needed."""
    from pipeline import publish

    judge, seconds = vars(publish)["judge"], []

    def timed_judge(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return judge(*arguments)
        finally:
            seconds.append(time.perf_counter() - started)

    vars(publish)["judge"] = timed_judge
    publish.publish()
    return seconds[-1] if seconds else None


def time_publishing(title: str) -> None:
    """Publish in a new process, and print how long it took."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        gate = timed(title, process.submit(publish_and_time_gate).result)
    if gate is not None:
        print(f"{'  of which the gate':<50}{gate:8.2f} s")


def time_all(runs: int) -> None:
    """Fill the store that the environment names, and time every operation in it."""
    from pipeline.base import paths
    from pipeline.inference.manifest import read_manifest
    from pipeline.registry import packaging, promotion, tracking
    from pipeline.registry.settings import model_name
    from pipeline.registry.versions import MODEL_DIGEST

    store, name = tracking.connect(), model_name()
    fill(store, name, runs)
    manifest = read_manifest(paths.TRAIN_MODEL)
    digest = packaging.digest(manifest)
    print(f"store of {runs} runs and versions")
    time_publishing("publish a new state")
    time_publishing("publish it again")
    timed("find the run of the state", lambda: store.runs.find(manifest["state"]))
    version = timed("find the version of the model", lambda: store.versions.with_digest(name, digest))
    timed("find the champion", lambda: store.versions.alias(name, promotion.CHAMPION))
    other = store.client.create_model_version(name, version.source, tags={MODEL_DIGEST: "c" * 64})

    def forget() -> None:
        """Delete the state's run and version, and make the other version champion."""
        store.client.delete_run(store.runs.open(manifest["state"]).info.run_id)
        published = store.versions.with_digest(name, digest)
        if published:
            store.client.delete_model_version(name, published.version)
        store.client.set_registered_model_alias(name, promotion.CHAMPION, other.version)

    forget()
    time_publishing("publish a new state next to a champion")
    forget()
    time_publishing("the same with cached answers of the champion")
    run = store.runs.open(manifest["state"])
    epochs = [{"epoch": number, "train_loss": 1.0, "validation_loss": 1.0} for number in range(101, 121)]
    timed("log 20 epochs", lambda: store.runs.log_epochs(run, epochs))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.registry", description=(__doc__ or "").partition(": `")[0]
    )
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="in the store; default: 200")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "DVC_ROOT": folder}
        time_all(options.runs)


if __name__ == "__main__":
    command.run("benchmarks.registry", main)
