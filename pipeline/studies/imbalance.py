"""Imbalance: compare every strategy against imbalance under several seeds.

Each training is a DVC experiment in a folder of its own (`dvc exp run --temp`), as many at once as asked for. What is
finished is kept in `.state/`: a study that was killed goes on, and a second one computes nothing.
"""

import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from ..base import command, params, paths
from ..base.errors import PipelineError
from ..base.files import read_yaml, sha256_json, sha256_tree, write_table, write_text
from ..base.state import DVC_FILE
from ..base.versioning import git, own_python
from ..data.settings import NO_FILE, Ingest
from ..evaluation import metrics
from ..registry import tracking
from ..training import rebalancing
from . import crossfit, runs
from .imbalance_report import COMPARED, Found, Result, markdown, render, summarize

STRATEGIES = tuple(
    name for name in get_args(rebalancing.Rebalance.model_fields["strategy"].annotation) if name != "auto"
)  # which is one of the others
SEEDS = (0, 1, 2)
STATE = Path(".state/imbalance")
OURS = ("rebalance.strategy", "rebalance.seed", "train.seed", "ingest.skew")  # what the study itself sets


class Training(NamedTuple):
    """One training of the study."""

    skew: float | None  # of the training rows; None as they are
    strategy: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.title}-seed-{self.seed}"

    @property
    def title(self) -> str:
        """What the trainings under all seeds are called."""
        skew = "" if self.skew is None else f"1-to-{self.skew:g}-"
        return skew + self.strategy.replace("_", "-")

    def changes(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """What it changes of the parameters, by dotted key: another strategy has no use for a target or a strength."""
        found = dict(zip(OURS, (self.strategy, self.seed, self.seed, self.skew), strict=True))
        if self.strategy not in rebalancing.AIMED:
            found["rebalance.target"] = None
        if self.strategy != document["rebalance"]["strategy"]:
            found["rebalance.strength"] = None
        return found


def changed(document: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with other values under dotted keys.

    Raises
    ------
    PipelineError
        A key is none.
    """
    found = {section: dict(values) for section, values in document.items()}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        if name not in found.get(section, {}):
            raise PipelineError(f"{key} is no parameter of {params.PARAMS_FILE}")
        found[section][name] = value
    return found


def identity(document: Mapping[str, Any]) -> str:
    """64 hexadecimal digits of all that the study's figures depend on but what the study itself changes."""
    stages = read_yaml(DVC_FILE)["stages"].values()
    deps = {dep for each in stages for dep in each["deps"] if "${" not in dep}
    made = [Path(out) for each in stages for out in each["outs"]]
    inputs = {Path(document["ingest"][key]) for key in ("path", "test_path")}
    inputs |= {Path(dep) for dep in deps if not any(Path(dep).is_relative_to(out) for out in made)}
    values = {f"{section}.{key}": value for section, of in document.items() for key, value in of.items()}
    kept = {key: value for key, value in values.items() if key not in OURS and not key.startswith("publish.")}
    return sha256_json([{path.as_posix(): sha256_tree(path) for path in sorted(inputs)}, kept])


def untracked(document: Mapping[str, Any]) -> list[str]:
    """The user's files that neither git nor DVC knows, so that an experiment's folder needs a copy of them."""
    named = [path for key in ("path", "test_path") if (path := document["ingest"][key]) != NO_FILE.as_posix()]
    inside = [path for path in named if not Path(path).is_absolute() and not Path(f"{path}.dvc").is_file()]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *inside], capture_output=True, encoding="utf-8", check=False
    )
    known_files = [Path(name) for name in listed.stdout.split("\0")]
    return [path for path in inside if not any(name.is_relative_to(Path(path)) for name in known_files)]


def experiment(changes: Mapping[str, Any], name: str, folder: Path, *, copied: Sequence[str] = ()) -> float | None:
    """Train with these parameters as a DVC experiment.

    Parameters
    ----------
    changes : mapping of str to Any
        Parameters by dotted key.
    name : str
        The experiment's.
    folder : Path
        Gets DVC's output, `log.txt`.
    copied : sequence of str
        Files that git does not bring along.

    Returns
    -------
    float or None
        The seconds that train took; None where DVC had its outputs already.

    Raises
    ------
    PipelineError
        DVC failed.
    """
    settings = [("-S", f"{key}={json.dumps(value, ensure_ascii=False)}") for key, value in changes.items()]
    options = itertools.chain(*settings, *(("--copy-paths", path) for path in copied))
    command = ["dvc", "exp", "run", "--temp", "--name", name, *options]
    environment = own_python() | {"PYTHONUNBUFFERED": "1", "PIPELINE_TRACKING": "off"}
    log, started, seconds, said = folder / "log.txt", None, None, ""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as stream,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        for line in process.stdout or ():
            stream.write(line)
            said = line.strip() if line.strip() and not line.startswith("ERROR: failed to reproduce") else said
            if line.startswith("Running stage 'train'"):
                started = time.perf_counter()
            elif started is not None and seconds is None and line.startswith("Running stage 'evaluate'"):
                seconds = round(time.perf_counter() - started, 1)
    if process.returncode:
        raise PipelineError(f"the experiment {name} failed: {said}; all it said stands in {log}")
    return seconds


def experiments() -> set[str]:
    """Names of the DVC experiments that there are.

    Raises
    ------
    PipelineError
        This is no git repository with a commit, or a shallow clone.
    """
    if not git("rev-parse", "--verify", "-q", "HEAD", check=False):
        raise PipelineError("DVC's experiments need a git repository with a commit; run `git init`, then `git commit`")
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise PipelineError("DVC keeps no experiments in a shallow clone; run `git fetch --unshallow` first")
    return {ref.rpartition("/")[2] for ref in git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()}


def collect(name: str, seconds: float | None) -> Result:
    """Read what an experiment left, from DVC's cache."""
    from dvc.api import DVCFileSystem

    files = DVCFileSystem(rev=name)

    def table(path: Path, strings: Sequence[str] = ()) -> pd.DataFrame:
        text = files.read_text(path.as_posix(), encoding="utf-8")
        return pd.read_csv(StringIO(text), dtype=dict.fromkeys(strings, "str"), keep_default_na=False)

    def document(path: Path) -> Any:
        return json.loads(files.read_text(path.as_posix(), encoding="utf-8"))

    rows = document(paths.REBALANCE_SUMMARY)["classes"]
    predictions = table(paths.EVALUATE_PREDICTIONS, ["id", "actual", "predicted"]).sort_values("id", kind="stable")
    number = {each: place for place, each in enumerate(rows)}
    return Result(
        classes=tuple(rows),
        rows=tuple(of["rows"] for of in rows.values()),
        labels=predictions["actual"].map(number).to_numpy(),
        probabilities=predictions[[f"p_{each}" for each in rows]].to_numpy(dtype=np.float64),
        metrics=document(paths.EVALUATE_METRICS),
        history=table(paths.TRAIN_HISTORY).to_dict("records"),
        seconds=seconds,
    )


def train_all(
    todo: Sequence[Training],
    document: Mapping[str, Any],
    changes: Mapping[str, Any],
    folder: Path,
    *,
    key: str,
    jobs: int,
) -> None:
    """Train what is not kept in `folder` yet, `jobs` at once: with the parameters in force, and their changes."""
    left = [training for training in todo if Result.load(folder / training.name) is None]
    if not left:
        return
    there, copied = experiments(), untracked(document)

    def one(training: Training) -> tuple[str, float | None]:
        name = f"imbalance-{training.name}-{key[:8]}"
        # One that a study made before it was killed is there, but what it took is not known.
        if name in there:
            return name, None
        own = {**changes, **training.changes(document)}
        try:
            return name, experiment(own, name, folder / training.name, copied=copied)
        except PipelineError:
            if name in experiments():  # made meanwhile by a DVC that outlived the kill of its study
                return name, None
            raise

    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(one, training): training for training in left}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                training, (name, seconds) = futures[future], future.result()
                result = collect(name, seconds)
                result.save(folder / training.name)
                said = ", ".join(f"{key} {result.figures[key]:.4f}" for key in COMPARED)
                print(f"{number} of {len(left)}, {training.name}: {said}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def known(folder: Path, seeds: Sequence[int]) -> Found:
    """What is finished under all of the seeds, by skew and strategy; skews ascending, strategies in their order."""
    found: dict[tuple[float | None, str], list[Result]] = {}
    skews = {None, *(float(skew) for path in folder.iterdir() for skew in re.findall(r"^1-to-([\d.e+]+)-", path.name))}
    for skew in sorted(skews, key=lambda each: each or 0):
        for strategy in STRATEGIES:
            results = [Result.load(folder / Training(skew, strategy, seed).name) for seed in seeds]
            if None not in results:
                found[skew, strategy] = [result for result in results if result is not None]
    return found


def report(folder: Path, document: Mapping[str, Any], *, title: str, seeds: Sequence[int], key: str) -> None:
    """Write and print the table of all that is finished under these seeds, draw it, and log it to MLflow."""
    found = known(folder, seeds)
    if not found:
        raise PipelineError("no strategy is finished under all of these seeds")
    evaluate = document["evaluate"]
    table = summarize(found, resamples=evaluate["bootstrap"], seed=evaluate["seed"])
    text, place = markdown(table, found, title), paths.REPORTS / "imbalance"
    write_table(place / f"{title}.csv", table)
    write_text(place / f"{title}.md", text)
    pictures = render(table, place, title)
    print(text)
    if not tracking.enabled():
        return
    common = {"dataset": title, **_shaping(document)}
    parts = list(_parts(found, seeds, common))
    means: dict[str, float] = {}
    for row in table.to_dict("records"):
        name = Training(None if pd.isna(row["skew"]) else row["skew"], row["strategy"], 0).title
        means |= {f"{name}/{figure}": row[figure] for figure in COMPARED}
    runs.log(
        "imbalance",
        key,
        parts,
        name=title,
        state=key,
        given=common,
        note=text,
        figures=means,
        shown="the means over the seeds, by strategy",
        files=[place / f"{title}.md", place / f"{title}.csv", *pictures],
    )


def _shaping(document: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that shape every training of the study."""
    shaping = {f"train.{name}": value for name, value in document["train"].items() if name != "seed"}
    shaping |= {f"rebalance.{name}": document["rebalance"][name] for name in ("target", "strength", "prior_correction")}
    return {key: value for key, value in shaping.items() if value is not None}  # where the preset says it all


def _parts(found: Found, seeds: Sequence[int], common: Mapping[str, Any]) -> Iterator[runs.Part]:
    for (skew, strategy), results in found.items():
        for seed, result in zip(seeds, results, strict=True):
            groups = {name: result.metrics[name] for name in ("overall", "per_class")}
            figures = {name: value for name, value in metrics.flatten(groups).items() if "num_samples" not in name}
            own = {name: value for name, value in result.figures.items() if name not in groups["overall"]}
            given = {"strategy": strategy, "seed": seed, "skew": "as it is" if skew is None else skew}
            name, first = Training(skew, strategy, seed).name, seed == seeds[0]
            yield runs.Part(name, {**common, **given}, own | figures, result.history, compared=first)


def _title(document: Mapping[str, Any]) -> str:
    ingest = Ingest.model_validate(document["ingest"])
    return ingest.title if ingest.max_rows is None else f"{ingest.title}-{ingest.max_rows}"


def _pair(text: str) -> tuple[str, Any]:
    from ruamel.yaml import YAML

    key, found, value = text.partition("=")
    if not found or key in OURS:
        raise ValueError(text)
    return key, YAML(typ="safe").load(value)


def _skew(text: str) -> float | None:
    return None if text == "none" else float(text)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("imbalance", __doc__, example="--strategies none class_weight --seeds 0")
    parser.add_argument(
        "--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES, metavar="NAME", help="default: all"
    )
    parser.add_argument("--seeds", type=crossfit.seed, nargs="+", default=SEEDS, metavar="N", help="default: 0 1 2")
    parser.add_argument("--skew", type=_skew, nargs="+", metavar="N", help="1 : N in train; none as they are")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="at once; default: cores")
    parser.add_argument("-S", dest="set", type=_pair, action="append", default=[], metavar="KEY=VALUE", help="change")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be 1 or more")
    changes = {"train.threads": 1} | dict(options.set)  # one thread each is faster than two for one after another
    document = changed(params.read(params.PARAMS_FILE), changes)
    seeds = list(dict.fromkeys(options.seeds))
    skews = options.skew or [document["ingest"]["skew"]]
    todo = [Training(skew, strategy, seed) for skew in skews for strategy in options.strategies for seed in seeds]
    for training in todo:
        params.check(changed(document, training.changes(document)))
    key = identity(document)
    with crossfit.alone(STATE / key[:16]) as folder:
        train_all(todo, document, changes, folder, key=key, jobs=options.jobs)
        report(folder, document, title=_title(document), seeds=seeds, key=key)
