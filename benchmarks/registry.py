"""How long tracking takes: publishing, finding a run and deciding, in a store of 200 runs.

`python -m benchmarks.registry [--runs 200]`, in a project after `make repro`: in a store of its own in a temporary
folder. What publishes is a new process each time, as in use, and its imports count.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def fill(runs: int) -> None:
    """Put so many other runs with a model version each into the store."""
    from mlflow.entities import Metric

    from pipeline.registry import tracking
    from pipeline.registry.runs import PUBLISHED, STATE
    from pipeline.registry.settings import model_name
    from pipeline.registry.versions import MODEL_DIGEST

    store, name = tracking.connect(), model_name()
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
    started = time.perf_counter()
    found = function()
    print(f"{title:<50}{time.perf_counter() - started:8.2f} s", flush=True)
    return found


def publish_and_time_gate() -> float | None:
    """Publish; give the seconds of the gate, if it was asked."""
    from pipeline import publish

    judge, judged = vars(publish)["judge"], []

    def timed_judge(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return judge(*arguments)
        finally:
            judged.append(time.perf_counter() - started)

    vars(publish)["judge"] = timed_judge
    publish.publish()
    return judged[-1] if judged else None


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.registry", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="in the store; default: 200")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "DVC_ROOT": folder}
        from pipeline.base import paths
        from pipeline.inference.manifest import read_manifest
        from pipeline.registry import packaging, promotion, tracking
        from pipeline.registry.settings import model_name
        from pipeline.registry.versions import MODEL_DIGEST

        fill(runs)
        store, name = tracking.connect(), model_name()
        manifest = read_manifest(paths.TRAIN_MODEL)
        digest = packaging.digest(manifest)

        def published(title: str) -> None:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                gate = timed(title, process.submit(publish_and_time_gate).result)
            if gate is not None:
                print(f"{'  of it the gate':<50}{gate:8.2f} s")

        def forget() -> None:
            """Make the state new again, and the champion another version."""
            store.client.delete_run(store.runs.open(manifest["state"]).info.run_id)
            found = store.versions.with_digest(name, digest)
            if found:
                store.client.delete_model_version(name, found.version)
            store.client.set_registered_model_alias(name, promotion.CHAMPION, other.version)

        print(f"a store of {runs} runs and versions")
        published("publish a new state")
        published("publish it again")
        timed("find the run of the state", lambda: store.runs.find(manifest["state"]))
        version = timed("find the version of the model", lambda: store.versions.with_digest(name, digest))
        timed("find the champion", lambda: store.versions.alias(name, promotion.CHAMPION))
        other = store.client.create_model_version(name, version.source, tags={MODEL_DIGEST: "c" * 64})
        forget()
        published("publish a new state beside a champion")
        forget()
        published("the same where the champion was asked before")
        run = store.runs.open(manifest["state"])
        epochs = [{"epoch": number, "train_loss": 1.0, "validation_loss": 1.0} for number in range(101, 121)]
        timed("log 20 epochs", lambda: store.runs.log_epochs(run, epochs))


if __name__ == "__main__":
    from pipeline.base.command import run

    run("benchmarks.registry", main)
