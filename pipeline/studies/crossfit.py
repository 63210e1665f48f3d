"""Cross-fitting: train a network and measure it on validation rows that did not calibrate it.

The weights and the temperature that are fitted on one half of the validation rows are measured on the other half, and
the other way round; rows of one group, such as an author, are in the same half. Only the epoch at which training stops
is chosen on all validation rows, for every network alike. The test rows are never read.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..base import versioning
from ..base.errors import PipelineError
from ..base.files import read_arrays, write_arrays
from ..data.settings import Clean, Ingest
from ..evaluation import metrics
from ..inference.ngrams import NGRAM_PARTS
from ..text.settings import Tokenize
from ..training import fit, loop, rebalancing
from ..training.backend import prepare_keras
from ..training.selection import cross_fitted
from ..training.settings import Train


def load_data() -> fit.Data:
    """Load the data that training reads.

    Raises
    ------
    PipelineError
        They are missing, or made with other parameters: the metrics would carry the wrong data set's name.
    """
    outdated = versioning.outdated(Ingest, Clean, Tokenize, rebalancing.Rebalance)
    if outdated:
        raise PipelineError(
            f"data/ does not match section {outdated[0]} of params.yaml; run `dvc repro rebalance` first"
        )
    return fit.Data.load()


@dataclass(frozen=True)
class CrossfitResult:
    """Predictions of one training for the validation rows.

    Parameters
    ----------
    combined : ndarray of shape (n_rows, n_classes), float64
        Cross-fitted probabilities of the whole model.
    lstm : ndarray of shape (n_rows, n_classes), float64, or None
        Those of the LSTM only, with a temperature of its own; None without an LSTM.
    seconds : float
        Training time of the LSTM, and of the n-grams where the model has them.
    history : list of dict
        As `fit.train_network` returns it.
    """

    combined: np.ndarray
    lstm: np.ndarray | None
    seconds: float
    history: list[dict[str, float]]

    def metrics(self, labels: np.ndarray) -> dict[str, float]:
        """Return `combined/` and `lstm/` accuracy, macro_f1 and loss (see `metrics.overall`), and `seconds`."""
        values: dict[str, float] = {}
        for model, probabilities in (("combined", self.combined), ("lstm", self.lstm)):
            if probabilities is not None:
                overall = metrics.Measured(labels, probabilities)(rankings=False)
                values |= {f"{model}/{key}": round(float(overall[key]), 6) for key in ("accuracy", "macro_f1", "loss")}
        return values | {"seconds": round(self.seconds, 2)}


class NgramOutputs(NamedTuple):
    """Outputs of the n-gram models, which do not depend on a seed."""

    log_probabilities: list[np.ndarray]  # of the validation rows, (n_rows, n_classes) each
    seconds: float  # that fitting took


def ngram_outputs(data: fit.Data, folder: Path) -> NgramOutputs:
    """Fit the n-gram models once for a pipeline state, and cache their outputs in `folder`."""
    path = folder / "ngrams.npz"
    if not path.is_file():
        print("fitting the n-gram models")
        start = time.perf_counter()
        fitted = fit.train_ngrams(data)
        if fitted is None:
            raise PipelineError("the n-grams read texts; set train.ngrams to false, or name ingest.text_column")
        outputs = fitted.log_probabilities(data.inputs["validation"].cells["text"])
        seconds = np.array(time.perf_counter() - start)
        write_arrays(path, dict(zip(fitted.names, outputs, strict=True)) | {"seconds": seconds})
    arrays = read_arrays(path)
    return NgramOutputs([arrays[name] for name in NGRAM_PARTS if name in arrays], float(arrays["seconds"]))


def train_and_measure(
    data: fit.Data,
    settings: Train | None,
    ngrams: NgramOutputs | None,
    on_epoch: loop.OnEpoch = lambda epoch, metrics: None,
) -> CrossfitResult:
    """Train a network and combine it with the n-grams; call it in a process of its own, see `base.process`.

    Parameters
    ----------
    data : Data
        What training reads.
    settings : Train, optional
        The network's parameters; None for a model without an LSTM.
    ngrams : NgramOutputs, optional
        None for a model without n-grams.
    on_epoch : callable
        As in `fit.train_network`.
    """
    parts, seconds = (ngrams.log_probabilities, ngrams.seconds) if ngrams else ([], 0.0)
    if settings is None:
        return CrossfitResult(cross_fitted(data, parts), None, seconds, [])
    prepare_keras()
    start = time.perf_counter()
    network, history = fit.train_network(data, settings, on_epoch)
    seconds += time.perf_counter() - start
    lstm = fit.part_log_probabilities(data, network, None, "validation")
    return CrossfitResult(cross_fitted(data, [*lstm, *parts]), cross_fitted(data, lstm), seconds, history)


def run_params(settings: Train | None, data: fit.Data, title: str) -> dict[str, Any]:
    """Return the parameters of an MLflow run: the data set and all of `train`, with what was chosen from the data."""
    values = {} if settings is None else settings.model_dump() | fit.resolved(data, settings)
    return {"dataset": title, **{f"train.{key}": value for key, value in values.items()}}
