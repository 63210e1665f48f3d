"""Cross-fitting: train a network and measure it on validation rows that chose nothing of it; for ablate and search.

The shares and the temperature that one half of the validation rows fits are measured on the other half, and the other
way round, so that no figure is measured on rows that chose it. What all validation rows do choose, in every network
alike, is the epoch at which training stops. The test rows are never read.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..base import versioning
from ..base.errors import PipelineError
from ..base.files import read_arrays, write_arrays
from ..data.settings import Clean, Ingest
from ..evaluation import metrics
from ..inference import calibration
from ..text.settings import Tokenize
from ..training import fit, loop, rebalancing
from ..training.backend import prepare_keras
from ..training.settings import Train

Figures = dict[str, float]
ABLATION, SEARCH = Path(".state/ablation"), Path(".state/search")


def load_data() -> fit.Data:
    """The data that training reads.

    Raises
    ------
    PipelineError
        They are missing, or not what the parameters say now: figures would go under another data set's name.
    """
    outdated = versioning.outdated(Ingest, Clean, Tokenize, rebalancing.Rebalance)
    if outdated:
        raise PipelineError(
            f"data/ is not what params.yaml says now under {outdated[0]}; run `dvc repro rebalance` first"
        )
    return fit.Data.load()


@contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """Make `folder` and hold it for this process: two at once would train everything twice."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield folder
    except Timeout as error:
        raise PipelineError(f"another process works in {folder}; wait until it has ended") from error


@dataclass(frozen=True)
class Result:
    """What one training gave on the validation rows.

    Parameters
    ----------
    combined : ndarray of shape (n_rows, n_classes), float64
        Cross-fitted probabilities of the whole model.
    lstm : ndarray of shape (n_rows, n_classes), float64, or None
        Those of the LSTM alone, with a temperature of its own; None without one.
    seconds : float
        What training took: the LSTM, and the n-grams where the model has them.
    history : list of dict
        As `train.fit` gives it.
    """

    combined: np.ndarray
    lstm: np.ndarray | None
    seconds: float
    history: list[Figures]

    def figures(self, labels: np.ndarray) -> Figures:
        """`combined/` and `lstm/` accuracy, macro_f1 and loss (see `metrics.overall`), and `seconds`."""
        found: Figures = {}
        for name, probabilities in (("combined", self.combined), ("lstm", self.lstm)):
            if probabilities is not None:
                of = metrics.Measured(labels, probabilities)(rankings=False)
                found |= {f"{name}/{key}": round(float(of[key]), 6) for key in ("accuracy", "macro_f1", "loss")}
        return found | {"seconds": round(self.seconds, 2)}


def cross_fitted(data: fit.Data, found: Sequence[np.ndarray]) -> np.ndarray:
    """Combine the parts of a model, each half of the rows by what the other half fits: even rows, and odd rows.

    Parameters
    ----------
    data : Data
        With the true class numbers.
    found : sequence of ndarray of shape (n_rows, n_classes), float64
        Logarithms of the probabilities that each part gives.

    Returns
    -------
    ndarray of shape (n_rows, n_classes), float64
        Probabilities.
    """
    probabilities = np.empty_like(found[0])
    for half, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        fitted = data.calibrate([part[other] for part in found], other)
        probabilities[half] = calibration.combine([part[half] for part in found], fitted)
    return probabilities


class Ngrams(NamedTuple):
    """What the n-gram models, which know no seed, say of the validation rows, and the seconds that they took."""

    parts: list[np.ndarray]
    seconds: float


def fit_ngrams(data: fit.Data, folder: Path) -> Ngrams:
    """Fit the n-gram models once for a pipeline state, and keep what they say in `folder`."""
    path = folder / "ngrams.npz"
    if not path.is_file():
        print("n-grams: fitting")
        start = time.perf_counter()
        fitted = fit.train_ngrams(data)
        if fitted is None:
            raise PipelineError("the n-grams read texts; set train.ngrams to false, or name ingest.text_column")
        tfidf, nb = fitted.log_probabilities(data.inputs["validation"].cells["text"])
        write_arrays(path, {"tfidf": tfidf, "nb": nb, "seconds": np.array(time.perf_counter() - start)})
    arrays = read_arrays(path)
    return Ngrams([arrays["tfidf"], arrays["nb"]], float(arrays["seconds"]))


def compute(
    data: fit.Data,
    settings: Train | None,
    ngrams: Ngrams | None,
    on_epoch: loop.OnEpoch = lambda epoch, figures: None,
) -> Result:
    """Train a network and measure it with the n-grams beside it; in a process of its own, see `process`.

    Parameters
    ----------
    data : Data
        What training reads.
    settings : Train, optional
        The network; None for none.
    ngrams : Ngrams, optional
        The n-gram models; None for none.
    on_epoch : callable
        As in `train.fit`.
    """
    grams = ngrams.parts if ngrams else []
    spent, lstm = ngrams.seconds if ngrams else 0.0, []
    history: list[Figures] = []
    if settings is not None:
        prepare_keras()
        start = time.perf_counter()
        network, history = fit.train_network(data, settings, on_epoch)
        spent += time.perf_counter() - start
        lstm = fit.part_log_probabilities(data, network, None, "validation")
    return Result(cross_fitted(data, [*lstm, *grams]), cross_fitted(data, lstm) if lstm else None, spent, history)


def run_params(settings: Train | None, data: fit.Data, title: str) -> dict[str, Any]:
    """What a run of MLflow shows as its parameters: all of train's, with what the data choose, and the data set."""
    values = {} if settings is None else settings.model_dump() | fit.resolved(data, settings)
    return {"dataset": title, **{f"train.{key}": value for key, value in values.items()}}


def seed(text: str) -> int:
    """A seed given on the command line."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise ValueError(text)
    return value
