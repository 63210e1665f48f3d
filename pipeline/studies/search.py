"""Search: look for better parameters of the network with Optuna, on validation rows only.

Parzen estimators propose them (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"), and a trial whose
validation loss lies above the median of those before is cut short. What counts is the cross-fitted log-loss of the
whole model, see `crossfit`. The first trial has the parameters in force, so that the best is no worse than these.

Trials are kept in `.state/`: a search that was killed goes on, and `--trials N` goes on to N in all.
"""

import json
import warnings
from collections.abc import Sequence
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
from . import crossfit, runs

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


class Range(NamedTuple):
    """Numbers from `low` to `high`, in steps or evenly by their logarithm; whole ones where the bounds are."""

    low: float
    high: float
    step: float | None = None
    log: bool = False


# What is tried for each parameter under `train`: a range, or a list of choices. A parameter not named here keeps the
# value in force.
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
UNPRUNED, FIRST_EPOCH = 5, 2  # trials, and epochs of a trial, before the median says anything
FIGURES, SETTINGS = "figures", "settings"  # what a trial keeps beside its value


def suggest(trial: "Trial") -> dict[str, Any]:
    """The trial's parameters, of the ranges above; fractions to three digits, as they will stand in `params.yaml`."""
    found: dict[str, Any] = {}
    for name, tried in RANGES.items():
        if isinstance(tried, list):
            found[name] = trial.suggest_categorical(name, tried)
        elif isinstance(tried.low, int):
            step = {} if tried.step is None else {"step": int(tried.step)}
            found[name] = trial.suggest_int(name, tried.low, int(tried.high), log=tried.log, **step)
        else:
            value = trial.suggest_float(name, tried.low, tried.high, step=tried.step, log=tried.log)
            found[name] = float(f"{value:.3g}")
    return found


def objective(trial: "Trial", data: fit.Data, base: Train, ngrams: crossfit.Ngrams | None) -> float:
    """Train what the trial suggests; the cross-fitted log-loss on the validation rows.

    Raises
    ------
    TrialPruned
        The validation loss of an epoch lies above the median of the trials before, or is no number.
    """
    from optuna import TrialPruned

    settings = Train.model_validate(base.model_dump() | suggest(trial))
    trial.set_user_attr(SETTINGS, settings.model_dump())

    def on_epoch(epoch: int, figures: crossfit.Figures) -> None:
        trial.report(figures["validation_loss"], epoch)
        if trial.should_prune():
            raise TrialPruned

    try:
        figures = crossfit.compute(data, settings, ngrams, on_epoch).figures(data.labels["validation"])
    except loop.DivergedError as error:
        raise TrialPruned from error
    trial.set_user_attr(FIGURES, figures)
    return figures["combined/loss"]


class Place(NamedTuple):
    """Where a study is kept."""

    path: Path  # the database
    name: str
    start: dict[str, Any]  # the first trial's parameters


def open_study(place: Place) -> "Study":
    """The study that is kept there; a new one where there is none."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{place.path}",
        study_name=place.name,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=FIRST_EPOCH),
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):  # of a process that was killed
        study.tell(trial.number, state=TrialState.FAIL)
    if all(trial.state == TrialState.FAIL for trial in study.trials):
        study.enqueue_trial(place.start)
    return study


def finished(study: "Study") -> "list[FrozenTrial]":
    """The trials that were trained to their end, or cut short."""
    from optuna.trial import TrialState

    trials: list[FrozenTrial] = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return trials


def best_trial(study: "Study") -> "FrozenTrial | None":
    """That of the lowest log-loss; None where none was trained to its end."""
    from optuna.trial import TrialState

    return study.best_trial if study.get_trials(states=(TrialState.COMPLETE,)) else None


def run(place: Place, data: fit.Data, base: Train, *, ngrams: crossfit.Ngrams | None, trials: int) -> "Study":
    """Go on to `trials` finished trials in all."""
    study = open_study(place)
    while len(done := finished(study)) < trials:
        process.run_in_process(one_trial, place, data, base, ngrams)
        for trial in finished(study)[len(done) :]:
            figures = trial.user_attrs.get(FIGURES)
            said = ", ".join(f"{key} {value:.4f}" for key, value in figures.items()) if figures else "cut short"
            best = best_trial(study)
            said += f"; best log-loss {best.value:.4f}" if best else ""
            print(f"{len(done) + 1} of {trials}, trial {trial.number}: {said}")
    return study


def one_trial(place: Place, data: fit.Data, base: Train, ngrams: crossfit.Ngrams | None) -> None:
    """Train one more trial; in a process of its own, see `process`."""
    from optuna.samplers import TPESampler

    study = open_study(place)
    # A seed a trial: a sampler that starts anew would propose the first ones once more.
    study.sampler = TPESampler(seed=SEED + len(study.trials))
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # parameters in force beyond the ranges
        study.optimize(lambda trial: objective(trial, data, base, ngrams), n_trials=1)


def lines(settings: dict[str, Any]) -> str:
    """The searched parameters as they stand in `params.yaml`."""
    values = {key: settings[key] for key in RANGES}
    shown = (f"  {key}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items())
    return "\n".join(["train:", *shown]) + "\n"


def report(study: "Study", data: fit.Data, *, title: str, state: str) -> None:
    """Write and print the best parameters, and log the trials to MLflow."""
    best, done = best_trial(study), finished(study)
    if best is None:
        raise PipelineError(
            f"none of {len(done)} trials was trained to its end; lower train.learning_rate, with which the first began"
        )
    figures = best.user_attrs[FIGURES]
    said = (
        f"trial {best.number}, the best of {len(done)}: cross-fitted validation "
        f"log-loss {figures['combined/loss']:.4f}, macro-F1 {figures['combined/macro_f1']:.4f}, "
        f"accuracy {figures['combined/accuracy']:.4f}"
    )
    text = f"# {title}, {said}\n{lines(best.user_attrs[SETTINGS])}"
    path = paths.REPORTS / "search" / f"{title}.yaml"
    write_text(path, text)
    print(f"Put these lines into params.yaml (they are in {path.as_posix()} too):\n{text}")
    if not tracking.enabled():
        return
    parts = [
        runs.Part(
            f"trial {trial.number}",
            crossfit.run_params(Train.model_validate(trial.user_attrs[SETTINGS]), data, title),
            trial.user_attrs.get(FIGURES, {}),
            [{"epoch": epoch, "validation_loss": loss} for epoch, loss in sorted(trial.intermediate_values.items())],
            {"pipeline.trial": trial.state.name.lower()},
            compared=FIGURES in trial.user_attrs,
        )
        for trial in done
    ]
    preset = params.load(Train).preset
    runs.log(
        "search",
        study.study_name,
        parts,
        name=f"{title} · {preset}",
        state=state,
        given={"dataset": title, "preset": preset},
        note=f"Best: {said}.\n\n```yaml\n{lines(best.user_attrs[SETTINGS])}```\n",
        figures=figures,
        shown="those of the best trial",
        files=[path],
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
        raise PipelineError("Optuna is missing; `make env` installs it, or `uv pip install optuna==5.0.0`") from error
    base = params.load(Train)
    data, state = crossfit.load_data(), state_id()
    start = base.model_dump() | fit.resolved(data, base)
    with crossfit.alone(crossfit.ABLATION / state) as folder:
        ngrams = crossfit.fit_ngrams(data, folder) if base.ngrams else None
    with crossfit.alone(crossfit.SEARCH / state) as folder:
        # Other ranges are another search of the same data.
        name = f"{state[:16]}-{sha256_json(RANGES)[:16]}"
        place = Place(folder / "trials.db", name, {key: start[key] for key in RANGES})
        study = run(place, data, base, ngrams=ngrams, trials=options.trials)
        report(study, data, title=params.load(Ingest).title, state=state)
