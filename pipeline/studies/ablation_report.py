"""Report of an ablation: means over the seeds and differences to the preset, as a table and in MLflow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..base import params, paths
from ..base.errors import PipelineError
from ..base.files import write_table, write_text
from ..base.markdown import pipe_table
from ..evaluation import intervals, metrics
from ..evaluation.settings import Evaluate
from ..registry import tracking
from ..training import fit
from ..training.settings import Train
from . import crossfit, runs
from .ablation_variants import PRESET, VariantTraining
from .crossfit import CrossfitResult
from .seeds import mean_and_sd

ABLATION_METRICS = {  # heading of each
    "combined/accuracy": "accuracy",
    "combined/macro_f1": "macro-F1",
    "combined/loss": "log-loss",
    "lstm/accuracy": "LSTM accuracy",
    "lstm/macro_f1": "LSTM macro-F1",
    "lstm/loss": "LSTM log-loss",
    "seconds": "seconds",
}
COMPARED_METRIC = "combined/macro_f1"


def ablation_table(
    results: Mapping[str, Sequence[CrossfitResult]],
    labels: np.ndarray,
    of_rows: np.ndarray,
    *,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return means and standard deviations over the seeds, and differences to the preset.

    Parameters
    ----------
    results : mapping of str to sequence of CrossfitResult
        By variant, one for each seed.
    labels : ndarray of shape (n_rows,), int
        True class numbers of the validation rows.
    of_rows : ndarray of shape (n_rows,), int
        The cluster of each row, see `intervals.clusters`.
    resamples, seed : int
        As in `intervals.bootstrap`.

    Returns
    -------
    DataFrame
        `variant`; `seeds`; the mean and, ending in `_sd`, the standard deviation of each metric; `difference`, the mean
        macro-F1 minus the preset's, and `low` and `high`, its 95 % interval by paired bootstrap over the clusters.
    """
    models = {name: [metrics.Measured(labels, result.combined) for result in own] for name, own in results.items()}
    samples = _bootstrap(models, of_rows, resamples=resamples, seed=seed)
    by_row = {name: np.mean([model.by_row("macro_f1") for model in own], axis=0) for name, own in models.items()}
    measured = {name: pd.DataFrame([result.metrics(labels) for result in own]) for name, own in results.items()}
    rows = []
    for name, values in measured.items():
        row: dict[str, Any] = {"variant": name, "seeds": len(values)}
        row |= values.mean().to_dict() | values.std(ddof=1).add_suffix("_sd").to_dict()
        if name != PRESET and PRESET in measured:
            row["difference"] = values[COMPARED_METRIC].mean() - measured[PRESET][COMPARED_METRIC].mean()
            row |= intervals.t_interval(
                row["difference"], samples[name] - samples[PRESET], of_rows, by_row=by_row[name] - by_row[PRESET]
            )
        rows.append(row)
    columns = [column for key in ABLATION_METRICS for column in (key, f"{key}_sd")]
    return pd.DataFrame(rows, columns=["variant", "seeds", *columns, "difference", "low", "high"]).round(6)


def _bootstrap(
    models: Mapping[str, Sequence[metrics.Measured]], of_rows: np.ndarray, *, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Return each variant's macro-F1, the mean over the seeds, on the same resamples; each of shape (n_resamples,)."""
    measured = {f"{number} {name}": model for name, own in models.items() for number, model in enumerate(own)}
    samples = intervals.bootstrap(measured, resamples=resamples, seed=seed, of_rows=of_rows)
    return {
        name: np.mean([samples[f"{number} {name}"]["macro_f1"] for number in range(len(own))], axis=0)
        for name, own in models.items()
    }


def ablation_markdown(table: pd.DataFrame, title: str) -> str:
    """Return the table as Markdown: means ± standard deviations, and differences with their intervals."""
    lines = [
        f"# Ablation: {title}",
        "",
        "Validation rows, cross-fitted; mean ± standard deviation over the seeds; difference of macro-F1 to the row",
        f"`{PRESET}` with its 95 % interval over the rows, or over their groups. How to read it: docs/choosing.md.",
        "",
    ]
    rows = []
    for row in table.to_dict("records"):
        cells = [row["variant"], str(row["seeds"])]
        cells += [mean_and_sd(row[key], row[f"{key}_sd"], 1 if key == "seconds" else 4) for key in ABLATION_METRICS]
        compared = not pd.isna(row["low"])
        cells.append(f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]" if compared else "")
        rows.append(cells)
    header = ["variant", "seeds", *ABLATION_METRICS.values(), "macro-F1 difference"]
    return "\n".join([*lines, pipe_table(header, rows, right=len(ABLATION_METRICS) + 1)]) + "\n"


def report_ablation(data: fit.Data, trainings: Sequence[VariantTraining], *, title: str, state: str) -> None:
    """Write, print and log to MLflow the table of every variant that is finished under all of its seeds.

    Raises
    ------
    PipelineError
        No variant is.
    """
    cached = [(training, training.load()) for training in trainings]
    unfinished = {training.variant for training, result in cached if result is None}
    finished = [
        (training, result) for training, result in cached if result is not None and training.variant not in unfinished
    ]
    if not finished:
        raise PipelineError("no variant is finished under all of these seeds; run again without --only and --skip")
    results: dict[str, list[CrossfitResult]] = {}
    for training, result in finished:
        results.setdefault(training.variant, []).append(result)
    evaluate = params.load(Evaluate)
    labels, of_rows = data.labels["validation"], intervals.clusters(data.groups)
    table = ablation_table(results, labels, of_rows, resamples=evaluate.bootstrap, seed=evaluate.seed)
    text, folder = ablation_markdown(table, title), paths.REPORTS / "ablation"
    files = [folder / f"{title}.md", folder / f"{title}.csv"]
    write_table(files[1], table)
    write_text(files[0], text)
    print(text)
    if not tracking.enabled():
        return
    preset = params.load(Train).preset
    row = table.loc[table["variant"] == PRESET, list(ABLATION_METRICS)]
    first_seed = min(training.seed for training in trainings if training.seed is not None)
    study = runs.ParentRun(
        kind="ablation",
        study=state,
        name=f"{title} · {preset}",
        state=state,
        params={"dataset": title, "preset": preset},
        metrics={} if row.empty else row.iloc[0].dropna().to_dict(),
        metrics_of=f"the means of the row `{PRESET}` over the seeds",
        note=text,
        files=files,
    )
    runs.log_study(study, [_run(training, result, data, title, first_seed) for training, result in finished])


def _run(training: VariantTraining, result: CrossfitResult, data: fit.Data, title: str, first: int) -> runs.StudyRun:
    seed = {} if training.seed is None else {"seed": training.seed}
    given = {"variant": training.variant, **seed, **crossfit.run_params(training.settings, data, title)}
    values = result.metrics(data.labels["validation"])
    return runs.StudyRun(training.name, given, values, result.history, compared=training.seed in {None, first})
