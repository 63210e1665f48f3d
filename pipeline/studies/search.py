"""Search: look for better parameters of the network with Optuna, on validation rows only.

A tree-structured Parzen estimator proposes them (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"),
and a trial whose validation loss is above the median of the trials before is stopped early. The objective is the
cross-fitted log-loss of the whole model, see `crossfit`. The first trial has the parameters of `params.yaml`, so that
the best is no worse.

Trials are kept in `.state/`: a search that was killed continues, and `--trials N` continues to N in all.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base import command, params, paths, process
from ..base.errors import PipelineError
from ..base.files import sha256_json, write_text
from ..base.state import state_id
from ..data.settings import Ingest
from ..registry import tracking
from ..training import fit, loop
from ..training.settings import Train
from . import crossfit, runs, storage

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


class Range(NamedTuple):
    """Numbers from `low` to `high`, in steps or log-uniform; whole numbers where the bounds are."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


# What is tried for each parameter under `train`: a range, or a list of choices. A parameter not named here keeps its
# value.
RANGES: dict[str, Range | list[Any]] = {
    "embedding_dim": Range(16, 256, step=16),
    "units": Range(16, 192, step=16),
    "bidirectional": [False, True],
    "pooling": ["last", "max", "mean", "max_mean"],
    "embedding_dropout": Range(0.0, 0.7, step=0.05),
    "dropout": Range(0.0, 0.7, step=0.05),
    "adversarial": Range(0.0, 4.0, step=0.25),
    "batch_size": Range(16, 128, step=16),
    "learning_rate": Range(0.0003, 0.01, log=True),
}
TRIALS, SEED = 30, 0
UNPRUNED, FIRST_EPOCH = 5, 2  # finished trials, and epochs of a trial, before the median may stop one
METRICS, SETTINGS = "metrics", "settings"  # attributes of a trial


def suggest_parameters(trial: "Trial") -> dict[str, Any]:
    """Return the trial's parameters from the ranges; fractions with three digits, as they go into `params.yaml`."""
    suggested: dict[str, Any] = {}
    for name, values in RANGES.items():
        if isinstance(values, list):
            suggested[name] = trial.suggest_categorical(name, values)
        elif isinstance(values.low, int):
            step = {} if values.step is None else {"step": int(values.step)}
            suggested[name] = trial.suggest_int(name, values.low, int(values.high), log=values.log, **step)
        else:
            number = trial.suggest_float(name, values.low, values.high, step=values.step, log=values.log)
            suggested[name] = float(f"{number:.3g}")
    return suggested


def objective(trial: "Trial", data: fit.Data, base: Train, ngrams: crossfit.NgramOutputs | None) -> float:
    """Train with the trial's parameters; return the cross-fitted log-loss on the validation rows.

    Raises
    ------
    TrialPruned
        The validation loss of an epoch is above the median of the trials before, or training diverged.
    """
    from optuna import TrialPruned

    settings = Train.model_validate(base.model_dump() | suggest_parameters(trial))
    trial.set_user_attr(SETTINGS, settings.model_dump())

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        trial.report(metrics["validation_loss"], epoch)
        if trial.should_prune():
            raise TrialPruned

    try:
        result = crossfit.train_and_measure(data, settings, ngrams, on_epoch)
    except loop.DivergedError as error:
        raise TrialPruned from error
    metrics = result.metrics(data.labels["validation"])
    trial.set_user_attr(METRICS, metrics)
    return metrics["combined/loss"]


class SearchStudy(NamedTuple):
    """Address of an Optuna study."""

    database: Path
    name: str
    first_trial: dict[str, Any]  # parameters


def open_study(search: SearchStudy) -> "Study":
    """Load the study, or create it."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{search.database}",
        study_name=search.name,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=FIRST_EPOCH),
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):  # of a process that was killed
        study.tell(trial.number, state=TrialState.FAIL)
    if all(trial.state == TrialState.FAIL for trial in study.trials):
        study.enqueue_trial(search.first_trial)
    return study


def finished_trials(study: "Study") -> "list[FrozenTrial]":
    """Return the trials that were completed, or stopped early."""
    from optuna.trial import TrialState

    trials: list[FrozenTrial] = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return trials


def best_trial(study: "Study") -> "FrozenTrial | None":
    """Return the trial with the lowest log-loss; None where none was completed."""
    from optuna.trial import TrialState

    return study.best_trial if study.get_trials(states=(TrialState.COMPLETE,)) else None


def run_trials(
    search: SearchStudy, data: fit.Data, base: Train, *, ngrams: crossfit.NgramOutputs | None, trials: int
) -> "Study":
    """Continue to `trials` finished trials in all."""
    study = open_study(search)
    while len(finished := finished_trials(study)) < trials:
        process.run_in_process(run_trial, search, data, base, ngrams)
        for trial in finished_trials(study)[len(finished) :]:
            metrics, best = trial.user_attrs.get(METRICS), best_trial(study)
            line = ", ".join(f"{key} {value:.4f}" for key, value in metrics.items()) if metrics else "stopped early"
            line += f"; best log-loss {best.value:.4f}" if best else ""
            print(f"{len(finished) + 1} of {trials}, trial {trial.number}: {line}")
    return study


def run_trial(search: SearchStudy, data: fit.Data, base: Train, ngrams: crossfit.NgramOutputs | None) -> None:
    """Run one more trial; call it in a process of its own, see `base.process`."""
    from optuna.samplers import TPESampler

    study = open_study(search)
    # Another seed for each trial: a sampler with the same one would propose the first parameters again.
    study.sampler = TPESampler(seed=SEED + len(study.trials))
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # values of params.yaml outside the ranges
        study.optimize(lambda trial: objective(trial, data, base, ngrams), n_trials=1)


def params_section(settings: Mapping[str, Any]) -> str:
    """Return the searched parameters as a section of `params.yaml`."""
    values = {key: settings[key] for key in RANGES}
    lines = (f"  {key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items())
    return "\n".join(["train:", *lines]) + "\n"


def report_search(study: "Study", data: fit.Data, *, title: str, state: str) -> None:
    """Write and print the best parameters, and log the trials to MLflow.

    Raises
    ------
    PipelineError
        No trial was completed.
    """
    best, finished = best_trial(study), finished_trials(study)
    if best is None:
        raise PipelineError(
            f"none of {len(finished)} trials was completed; lower train.learning_rate, the first trial's value"
        )
    metrics, section = best.user_attrs[METRICS], params_section(best.user_attrs[SETTINGS])
    headline = (
        f"trial {best.number}, the best of {len(finished)}: cross-fitted validation "
        f"log-loss {metrics['combined/loss']:.4f}, macro-F1 {metrics['combined/macro_f1']:.4f}, "
        f"accuracy {metrics['combined/accuracy']:.4f}"
    )
    text = f"# {title}, {headline}\n{section}"
    path = paths.REPORTS / "search" / f"{title}.yaml"
    write_text(path, text)
    print(f"Put these lines into params.yaml (also in {path.as_posix()}):\n{text}")
    if not tracking.enabled():
        return
    preset = params.load(Train).preset
    parent = runs.ParentRun(
        kind="search",
        study=study.study_name,
        name=f"{title} · {preset}",
        state=state,
        params={"dataset": title, "preset": preset},
        metrics=metrics,
        metrics_of="those of the best trial",
        note=f"Best: {headline}.\n\n```yaml\n{section}```\n",
        files=[path],
    )
    runs.log_study(parent, [_run(trial, data, title) for trial in finished])


def _run(trial: "FrozenTrial", data: fit.Data, title: str) -> runs.StudyRun:
    losses = sorted(trial.intermediate_values.items())
    return runs.StudyRun(
        f"trial {trial.number}",
        crossfit.run_params(Train.model_validate(trial.user_attrs[SETTINGS]), data, title),
        trial.user_attrs.get(METRICS, {}),
        [{"epoch": epoch, "validation_loss": loss} for epoch, loss in losses],
        {"pipeline.trial": trial.state.name.lower()},
        compared=METRICS in trial.user_attrs,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("search", __doc__, example="--trials 30")
    parser.add_argument("--trials", type=int, default=TRIALS, metavar="N", help=f"in all; default: {TRIALS}")
    options = parser.parse_args(arguments)
    if options.trials < 1:
        parser.error("--trials must be 1 or more")
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise PipelineError("Optuna is not installed; run `make env`, or `uv pip install optuna==5.0.0`") from error
    base = params.load(Train)
    data, state = crossfit.load_data(), state_id()
    start = base.model_dump() | fit.resolved(data, base)
    with storage.locked_folder(storage.ABLATION / state) as folder:
        ngrams = crossfit.ngram_outputs(data, folder) if base.ngrams else None
    with storage.locked_folder(storage.SEARCH / state) as folder:
        # Other ranges are another search of the same data.
        name = f"{state[:16]}-{sha256_json(RANGES)[:16]}"
        search = SearchStudy(folder / "trials.db", name, {key: start[key] for key in RANGES})
        study = run_trials(search, data, base, ngrams=ngrams, trials=options.trials)
        report_search(study, data, title=params.load(Ingest).title, state=state)
