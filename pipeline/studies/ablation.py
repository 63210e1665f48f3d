"""Ablation: measure what each part of the network is worth, on validation rows only.

Every variant below is trained with several seeds on the data as the stages before train left them, and measured by
cross-fitting over two halves of the validation rows (see `crossfit`): no share or temperature is measured on rows that
fitted it, while the epoch at which training stops is chosen by all of them. Vocabulary and length are those of the data
in every variant, `textbook` among them.

What is finished is kept in `.state/`: a run that was killed goes on, and a second one computes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ..base import command, params, paths, process
from ..base.errors import PipelineError
from ..base.files import read_arrays, read_json, write_arrays, write_json, write_table, write_text
from ..base.markdown import pipe_table
from ..base.state import state_id
from ..data.settings import Ingest
from ..evaluation import intervals, metrics
from ..evaluation.settings import Evaluate
from ..registry import tracking
from ..training import fit
from ..training.settings import PRESETS, Train
from . import crossfit, runs
from .crossfit import Figures, Result


class Times(NamedTuple):
    """A multiple of the preset's value."""

    factor: float


NO_LSTM = None  # the two n-gram models alone
PRESET = "preset"  # the row that all others are compared with: the parameters in force
# Name of each variant, and what it changes of the parameters in force; a new one is one line. A variant that changes
# nothing, because the parameters in force, or what the data choose where they are null, are its own, is left out, and
# so is one that they exclude.
VARIANTS: dict[str, Mapping[str, Any] | None] = {
    "textbook": PRESETS["textbook"],
    PRESET: {},
    "LSTM only": {"ngrams": False},
    "n-grams only": NO_LSTM,
    "not bidirectional": {"bidirectional": False},
    "pooling last": {"pooling": "last"},
    "pooling max": {"pooling": "max"},
    "pooling mean": {"pooling": "mean"},
    "pooling max_mean": {"pooling": "max_mean"},
    "no embedding dropout": {"embedding_dropout": 0.0},
    "dropout 0.5": {"dropout": 0.5},
    "no adversarial step": {"adversarial": 0.0},
    "no pretraining": {"pretraining_epochs": 0},
    "ten epochs of pretraining": {"pretraining_epochs": 10},
    "half the units": {"units": Times(0.5)},
    "twice the units": {"units": Times(2)},
    "half the embedding": {"embedding_dim": Times(0.5)},
    "twice the embedding": {"embedding_dim": Times(2)},
}
SEEDS = (0, 1, 2)
FIGURES = [f"{name}/{key}" for name in ("combined", "lstm") for key in ("accuracy", "macro_f1", "loss")] + ["seconds"]
COLUMNS = ["variant", "seeds", *(each for key in FIGURES for each in (key, f"{key}_sd")), "difference", "low", "high"]
HEADINGS = ["accuracy", "macro-F1", "log-loss", "LSTM accuracy", "LSTM macro-F1", "LSTM log-loss", "seconds"]


def variants(base: Train, data: fit.Data) -> dict[str, Train | None]:
    """The parameters of each variant on these data, by name; None for no LSTM.

    Raises
    ------
    PipelineError
        A variant's parameters are out of range.
    """
    found: dict[str, Train | None] = {}
    preset = base.model_dump() | fit.resolved(data, base)
    for name, changes in VARIANTS.items():
        if changes is NO_LSTM:
            found[name] = None
            continue
        values = base.model_dump()
        for key, value in changes.items():
            values[key] = int(values[key] * value.factor) if isinstance(value, Times) else value
        try:
            settings = Train.model_validate(values)
        except ValidationError as error:
            wrong = [each for each in error.errors() if each["loc"]]
            if not wrong:  # each value is one, but what it changes and what stays exclude one another
                continue
            said = "; ".join(f"train.{each['loc'][0]} {each['input']!r}: {each['msg']}" for each in wrong)
            raise PipelineError(f"the variant {name!r} cannot be made of params.yaml ({said})") from error
        if name == PRESET or settings.model_dump() | fit.resolved(data, settings) != preset:
            found[name] = settings
    return found


@dataclass(frozen=True)
class Row:
    """One variant under one seed."""

    variant: str
    seed: int | None  # None for the n-grams, which know none
    settings: Train | None
    folder: Path

    @property
    def name(self) -> str:
        return self.variant if self.seed is None else f"{self.variant} · seed {self.seed}"

    @property
    def content(self) -> dict[str, Any]:
        """What is kept beside the figures: what was trained."""
        settings = self.settings.model_dump() if self.settings else None
        return {"variant": self.variant, "seed": self.seed, "settings": settings}

    @property
    def path(self) -> Path:
        seed = "" if self.seed is None else f"-seed-{self.seed}"
        return self.folder / f"{self.variant.replace(' ', '-')}{seed}.json"

    def load(self) -> Result | None:
        """What is kept of it, unless its parameters have changed since."""
        if not self.path.is_file():
            return None
        kept = read_json(self.path)
        if {key: kept[key] for key in self.content} != self.content:
            return None
        arrays = read_arrays(self.path.with_suffix(".npz"))
        return Result(arrays["combined"], arrays.get("lstm"), kept["seconds"], kept["history"])

    def save(self, result: Result, figures: Figures) -> None:
        """Keep a result: the arrays first, so that the JSON file says that all is there."""
        arrays = {"combined": result.combined} | ({} if result.lstm is None else {"lstm": result.lstm})
        self.path.unlink(missing_ok=True)
        write_arrays(self.path.with_suffix(".npz"), arrays)
        kept = {"seconds": result.seconds, "history": result.history, "figures": figures}
        write_json(self.path, self.content | kept)


def rows(found: Mapping[str, Train | None], seeds: Sequence[int], folder: Path) -> list[Row]:
    """Every variant under every seed, by variant."""
    return [
        Row(name, seed, settings and settings.model_copy(update={"seed": seed}), folder)
        for name, settings in found.items()
        for seed in (seeds if settings else (None,))
    ]


def summarize(
    results: Mapping[str, Sequence[Result]], labels: np.ndarray, *, resamples: int, seed: int
) -> pd.DataFrame:
    """The table: mean and standard deviation over the seeds, and differences to the preset's row.

    Parameters
    ----------
    results : mapping of str to sequence of Result
        By variant, one a seed.
    labels : ndarray of shape (n_rows,), int
        True class numbers of the validation rows.
    resamples, seed : int
        As in `metrics.bootstrap`.

    Returns
    -------
    DataFrame
        `variant`; `seeds`; the mean and, ending in `_sd`, the standard deviation of each figure; `difference`, the mean
        macro-F1 minus the preset's, and `low` and `high`, its 95 % interval by paired bootstrap over the rows.
    """
    drawn = _bootstrap(results, labels, resamples=resamples, seed=seed)
    table = []
    for name, of in results.items():
        measured = pd.DataFrame([result.figures(labels) for result in of])
        spread = measured.std(ddof=1)
        row: dict[str, Any] = {"variant": name, "seeds": len(of)}
        for key in FIGURES:
            if key in measured:
                row |= {key: measured[key].mean(), f"{key}_sd": spread[key]}
        if name != PRESET and PRESET in results:
            own, other = (
                np.mean([each.figures(labels)["combined/macro_f1"] for each in results[which]])
                for which in (name, PRESET)
            )
            row |= {"difference": own - other, **intervals.interval(drawn[name] - drawn[PRESET])}
        table.append(row)
    return pd.DataFrame(table, columns=COLUMNS).round(6)


def _bootstrap(
    results: Mapping[str, Sequence[Result]], labels: np.ndarray, *, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """By variant: its macro-F1, the mean over the seeds, on the same resamples of the rows, shape (n_resamples,)."""
    measured = {
        f"{number} {name}": metrics.Measured(labels, each.combined)
        for name, of in results.items()
        for number, each in enumerate(of)
    }
    drawn = intervals.bootstrap(measured, resamples=resamples, seed=seed, rankings=False)
    return {
        name: np.mean([drawn[f"{number} {name}"]["macro_f1"] for number in range(len(of))], axis=0)
        for name, of in results.items()
    }


def markdown(table: pd.DataFrame, title: str) -> str:
    """The table as Markdown: means ± standard deviations, differences with their intervals."""
    lines = [
        f"# Ablation: {title}",
        "",
        "Validation rows, cross-fitted; mean ± standard deviation over the seeds; difference of macro-F1 to the row",
        f"`{PRESET}` with its 95 % interval over the rows. How to read it: docs/choosing.md.",
        "",
    ]
    rows = []
    for row in table.to_dict("records"):
        cells = [row["variant"], str(row["seeds"])]
        for key in FIGURES:
            digits = 1 if key == "seconds" else 4
            cells.append(_shown(row[key], row[f"{key}_sd"], digits))
        known = not pd.isna(row["low"])
        cells.append(f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]" if known else "")
        rows.append(cells)
    header = ["variant", "seeds", *HEADINGS, "macro-F1 difference"]
    return "\n".join([*lines, pipe_table(header, rows, right=len(HEADINGS) + 1)]) + "\n"


def _shown(mean: float, spread: float, digits: int) -> str:
    if pd.isna(mean):
        return ""
    return f"{mean:.{digits}f}" + ("" if pd.isna(spread) else f" ± {spread:.{digits}f}")


def train_all(data: fit.Data, todo: Sequence[Row], folder: Path) -> None:
    """Train what is not kept in `folder` yet."""
    labels = data.labels["validation"]
    for number, row in enumerate(todo, start=1):
        if row.load() is not None:
            continue
        print(f"{row.name} ({number} of {len(todo)})")
        result = _compute(data, row, todo, folder)
        figures = result.figures(labels)
        row.save(result, figures)
        print(", ".join(f"{key} {value:.4f}" for key, value in figures.items()))


def _compute(data: fit.Data, row: Row, todo: Sequence[Row], folder: Path) -> Result:
    """Train the row, unless its LSTM is trained already, with n-grams beside it: they change nothing of it."""
    if row.settings is None or row.settings.ngrams:
        return process.run_in_process(crossfit.compute, data, row.settings, crossfit.fit_ngrams(data, folder))
    beside = row.settings.model_copy(update={"ngrams": True})
    for same in (each.load() for each in todo if each.settings == beside):
        if same is not None and same.lstm is not None:
            seconds = same.seconds - crossfit.fit_ngrams(data, folder).seconds
            return Result(same.lstm, same.lstm, seconds, same.history)
    return process.run_in_process(crossfit.compute, data, row.settings, None)


def report(data: fit.Data, known: Sequence[Row], *, title: str, state: str) -> None:
    """Write and print the table of every variant whose seeds are all finished, and log them to MLflow."""
    found = [(row, row.load()) for row in known]
    missing = {row.variant for row, result in found if result is None}
    finished = [(row, result) for row, result in found if result is not None and row.variant not in missing]
    if not finished:
        raise PipelineError("no variant is finished under all of these seeds; leave --only and --skip out")
    results: dict[str, list[Result]] = {}
    for row, result in finished:
        results.setdefault(row.variant, []).append(result)
    settings, labels = params.load(Evaluate), data.labels["validation"]
    table = summarize(results, labels, resamples=settings.bootstrap, seed=settings.seed)
    text, folder = markdown(table, title), paths.REPORTS / "ablation"
    write_table(folder / f"{title}.csv", table)
    write_text(folder / f"{title}.md", text)
    print(text)
    if not tracking.enabled():
        return
    first = min(row.seed for row in known if row.seed is not None)
    logged = [
        runs.Part(
            row.name,
            {
                "variant": row.variant,
                **({} if row.seed is None else {"seed": row.seed}),
                **crossfit.run_params(row.settings, data, title),
            },
            result.figures(labels),
            result.history,
            compared=row.seed in {None, first},
        )
        for row, result in finished
    ]
    row, preset = table.loc[table["variant"] == PRESET, FIGURES], params.load(Train).preset
    runs.log(
        "ablate",
        state,
        logged,
        name=f"{title} · {preset}",
        state=state,
        given={"dataset": title, "preset": preset},
        note=text,
        figures={} if row.empty else row.iloc[0].dropna().to_dict(),
        shown=f"the means of the row `{PRESET}` over the seeds",
        files=[folder / f"{title}.md", folder / f"{title}.csv"],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("ablation", __doc__, example="--seeds 0 --skip textbook")
    parser.add_argument("--seeds", type=crossfit.seed, nargs="+", default=SEEDS, metavar="N", help="default: 0 1 2")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help="train these variants alone")
    parser.add_argument("--skip", nargs="+", choices=VARIANTS, default=[], metavar="NAME", help="leave these out")
    options = parser.parse_args(arguments)
    data, state = crossfit.load_data(), state_id()
    found = variants(params.load(Train), data)
    with crossfit.alone(crossfit.ABLATION / state) as folder:
        known = rows(found, list(dict.fromkeys(options.seeds)), folder)
        todo = [row for row in known if row.variant in (options.only or found) and row.variant not in options.skip]
        train_all(data, todo, folder)
        report(data, known, title=params.load(Ingest).title, state=state)
