"""Imbalance: compare every strategy against imbalance under several seeds.

Each training is a DVC experiment in a folder of its own (`dvc exp run --temp`); `--jobs` of them run at once. Results
are cached in `.state/`: a study that was killed continues, and a second one computes nothing.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..base import command, params, paths
from ..base.errors import PipelineError
from ..base.files import read_yaml, sha256_json, sha256_tree, write_table, write_text
from ..base.state import DVC_FILE
from ..data.settings import Ingest
from ..evaluation import metrics
from ..registry import tracking
from ..training import strategies
from . import dvc_experiments, runs, storage
from .imbalance_charts import save_charts
from .imbalance_report import imbalance_markdown, strategy_table
from .imbalance_results import COMPARED, StrategyResult, StrategyResults
from .seeds import add_seeds_option

STRATEGY_NAMES = tuple(strategies.STRATEGIES)  # without auto, which is one of the others
OWN_KEYS = ("rebalance.strategy", "rebalance.seed", "train.seed", "ingest.skew")  # which the study itself sets


class StrategyTraining(NamedTuple):
    """One training of the study.

    >>> StrategyTraining(10.0, "class_weight", 0).name
    '1-to-10-class-weight-seed-0'
    """

    skew: float | None  # of the training rows; None leaves them unchanged
    strategy: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder in the cache, and of its run."""
        return f"{self.title}-seed-{self.seed}"

    @property
    def title(self) -> str:
        """What the trainings under all seeds have in common."""
        skew = "" if self.skew is None else f"1-to-{self.skew:g}-"
        return skew + self.strategy.replace("_", "-")

    def changes(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters it changes, by dotted key; those that its strategy does not accept become null."""
        changes = dict(zip(OWN_KEYS, (self.strategy, self.seed, self.seed, self.skew), strict=True))
        if not strategies.STRATEGIES[self.strategy].has_target:
            changes["rebalance.target"] = None
        if self.strategy != document["rebalance"]["strategy"]:
            changes["rebalance.strength"] = None
        return changes


def with_changes(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with other values under dotted keys.

    >>> with_changes({"train": {"units": 64}}, {"train.units": 32})
    {'train': {'units': 32}}

    Raises
    ------
    PipelineError
        A key is unknown.
    """
    changed = {section: dict(values) for section, values in document.items()}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        if name not in changed.get(section, {}):
            raise PipelineError(f"{params.PARAMS_FILE}: unknown parameter {key}")
        changed[section][name] = value
    return changed


def study_key(document: Mapping[str, Any]) -> str:
    """Return a hash of all that the results depend on, without what the study itself changes; 64 hexadecimal digits."""
    stages = read_yaml(DVC_FILE)["stages"].values()
    deps = {dep for stage in stages for dep in stage["deps"] if "${" not in dep}
    outputs = [Path(out) for stage in stages for out in stage["outs"]]
    inputs = {Path(document["ingest"][key]) for key in ("path", "test_path")}
    inputs |= {Path(dep) for dep in deps if not any(Path(dep).is_relative_to(out) for out in outputs)}
    values = {f"{section}.{key}": value for section, keys in document.items() for key, value in keys.items()}
    fixed = {key: value for key, value in values.items() if key not in OWN_KEYS and not key.startswith("publish.")}
    return sha256_json([{path.as_posix(): sha256_tree(path) for path in sorted(inputs)}, fixed])


def train_strategies(
    trainings: Sequence[StrategyTraining],
    document: Mapping[str, Any],
    changes: Mapping[str, Any],
    folder: Path,
    *,
    key: str,
    jobs: int,
) -> None:
    """Run the trainings that have no cached result in `folder`, `jobs` at once.

    Parameters
    ----------
    trainings : sequence of StrategyTraining
        All that the command asks for.
    document : mapping
        The parameters, with `changes` already made.
    changes : mapping of str to Any
        What every training changes of `params.yaml`, by dotted key.
    folder : Path
        The study's folder in the cache.
    key : str
        As `study_key` returns it: part of the experiments' names.
    jobs : int
        Experiments at once.
    """
    missing = [training for training in trainings if StrategyResult.load(folder / training.name) is None]
    if not missing:
        return
    existing, copied = dvc_experiments.experiment_names(), dvc_experiments.untracked_files(document)

    def train(training: StrategyTraining) -> tuple[str, float | None]:
        """Return the experiment's name, and the seconds of its training if they are known."""
        name = f"imbalance-{training.name}-{key[:8]}"
        if name in existing:  # finished before a kill
            return name, None
        own = {**changes, **training.changes(document)}
        try:
            return name, dvc_experiments.run_experiment(own, name, folder / training.name, copied=copied)
        except PipelineError:
            if name in dvc_experiments.experiment_names():  # made by a DVC process that outlived the kill of its study
                return name, None
            raise

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(train, training): training for training in missing}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                training, result = futures[future], dvc_experiments.read_experiment(*future.result())
                result.save(folder / training.name)
                values = ", ".join(f"{key} {result.summary[key]:.4f}" for key in COMPARED)
                print(f"{number} of {len(missing)}, {training.name}: {values}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def finished_results(folder: Path, seeds: Sequence[int]) -> StrategyResults:
    """Return what is cached under all of the seeds, by skew (ascending) and strategy (as in STRATEGY_NAMES)."""
    finished: dict[tuple[float | None, str], list[StrategyResult]] = {}
    skews = {None, *(float(skew) for path in folder.iterdir() for skew in re.findall(r"^1-to-([\d.e+]+)-", path.name))}
    for skew in sorted(skews, key=lambda skew: skew or 0):
        for strategy in STRATEGY_NAMES:
            cached = [StrategyResult.load(folder / StrategyTraining(skew, strategy, seed).name) for seed in seeds]
            results = [result for result in cached if result is not None]
            if len(results) == len(seeds):
                finished[skew, strategy] = results
    return finished


def report_imbalance(folder: Path, document: Mapping[str, Any], *, seeds: Sequence[int], key: str) -> None:
    """Write, print, draw and log to MLflow the table of all that is finished under these seeds.

    Raises
    ------
    PipelineError
        Nothing is.
    """
    results = finished_results(folder, seeds)
    if not results:
        raise PipelineError("no strategy is finished under all of these seeds")
    evaluate, title = document["evaluate"], _title(document)
    table = strategy_table(results, resamples=evaluate["bootstrap"], seed=evaluate["seed"])
    text, reports = imbalance_markdown(table, results, title), paths.REPORTS / "imbalance"
    write_table(reports / f"{title}.csv", table)
    write_text(reports / f"{title}.md", text)
    charts = save_charts(table, reports, title)
    print(text)
    if not tracking.enabled():
        return
    means: dict[str, float] = {}
    for row in table.to_dict("records"):
        name = StrategyTraining(None if pd.isna(row["skew"]) else row["skew"], row["strategy"], 0).title
        means |= {f"{name}/{metric}": row[metric] for metric in COMPARED}
    common = {"dataset": title, **_shared_params(document)}
    study = runs.ParentRun(
        kind="imbalance",
        study=key,
        name=title,
        state=key,
        params=common,
        metrics=means,
        metrics_of="the means over the seeds, by strategy",
        note=text,
        files=[reports / f"{title}.md", reports / f"{title}.csv", *charts],
    )
    runs.log_study(study, list(_runs(results, seeds, common)))


def _shared_params(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that affect every training of the study."""
    shared = {f"train.{name}": value for name, value in document["train"].items() if name != "seed"}
    shared |= {f"rebalance.{name}": document["rebalance"][name] for name in ("target", "strength", "prior_correction")}
    return {key: value for key, value in shared.items() if value is not None}  # null: left to the preset


def _runs(results: StrategyResults, seeds: Sequence[int], common: Mapping[str, Any]) -> Iterator[runs.StudyRun]:
    for (skew, strategy), own in results.items():
        for seed, result in zip(seeds, own, strict=True):
            groups = {name: result.metrics[name] for name in ("overall", "per_class")}
            evaluated = {key: value for key, value in metrics.flatten(groups).items() if "num_samples" not in key}
            summary = {key: value for key, value in result.summary.items() if key not in groups["overall"]}
            given = {"strategy": strategy, "seed": seed, "skew": "as it is" if skew is None else skew}
            name, first = StrategyTraining(skew, strategy, seed).name, seed == seeds[0]
            yield runs.StudyRun(name, {**common, **given}, summary | evaluated, result.history, compared=first)


def _title(document: Mapping[str, Any]) -> str:
    ingest = Ingest.model_validate(document["ingest"])
    return ingest.title if ingest.max_rows is None else f"{ingest.title}-{ingest.max_rows}"


def _assignment(text: str) -> tuple[str, Any]:
    from ruamel.yaml import YAML

    key, equals, value = text.partition("=")
    if not equals or key in OWN_KEYS:
        raise ValueError(text)
    return key, YAML(typ="safe").load(value)


def _skew(text: str) -> float | None:
    return None if text == "none" else float(text)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("imbalance", __doc__, example="--strategies none class_weight --seeds 0")
    parser.add_argument(
        "--strategies",
        nargs="+",
        choices=STRATEGY_NAMES,
        default=STRATEGY_NAMES,
        metavar="NAME",
        help="default: all",
    )
    add_seeds_option(parser)
    parser.add_argument("--skew", type=_skew, nargs="+", metavar="N", help="1 : N in train; none leaves it unchanged")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="trainings at once; default: cores"
    )
    parser.add_argument(
        "-S", dest="set", type=_assignment, action="append", default=[], metavar="KEY=VALUE", help="change a parameter"
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be 1 or more")
    # Two trainings of one thread each at once are faster than one after another with two threads.
    changes = {"train.threads": 1} | dict(options.set)
    document = with_changes(params.read_document(params.PARAMS_FILE), changes)
    seeds = list(dict.fromkeys(options.seeds))
    skews = options.skew or [document["ingest"]["skew"]]
    trainings = [
        StrategyTraining(skew, strategy, seed) for skew in skews for strategy in options.strategies for seed in seeds
    ]
    for training in trainings:
        params.check(with_changes(document, training.changes(document)))
    key = study_key(document)
    with storage.locked_folder(storage.IMBALANCE / key[:16]) as folder:
        train_strategies(trainings, document, changes, folder, key=key, jobs=options.jobs)
        report_imbalance(folder, document, seeds=seeds, key=key)
