"""Training by the parameters, on the outputs of the earlier stages; the training loop is in loop.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..base import paths
from ..base.errors import PipelineError
from ..base.files import read_arrays, read_json, read_table
from ..base.modalities import Processor, modalities_of, modality, module_of
from ..inference import calibration
from ..inference.calibration import Calibration
from ..inference.network import network_name
from ..inference.ngrams import NgramPart, Ngrams
from ..inference.part import Inputs
from ..text.processor import Tokenizer
from .backend import make_repeatable
from .checkpoint import NOWHERE, Checkpoint
from .export import TrainedNetwork
from .forward import log_probabilities
from .lexicon import fit_lexicon
from .loop import EpochMetrics, LoopSettings, OnEpoch, TrainRows, train_epochs
from .negation import negation_rows
from .ngrams import fit_ngrams
from .pretraining import pretrain
from .settings import Train
from .strategies import Plan

PRETRAINING_TOKENS = 1_500_000  # over all epochs of pretraining, which then takes about as long as training


def sizes(rows: int) -> tuple[int, int, int]:
    """Return batch size, maximum epochs and patience for a number of training rows.

    Few rows need small batches for enough steps, many rows larger ones to save time: about 600 steps per epoch and
    8,000 in total, in batches of 32, 64 or 128 rows and in 3 to 40 epochs. Patience is two epochs, or about 300 steps
    if that is more: with few rows, the validation loss sometimes rises before the LSTM has learned anything.

    >>> sizes(25_000)
    (32, 10, 2)
    """
    batch_size = 2 ** int(np.clip(round(np.log2(rows / 600)), 5, 7))
    epochs, patience = (round(steps * batch_size / rows) for steps in (8_000, 300))
    return batch_size, int(np.clip(epochs, 3, 40)), int(np.clip(patience, 2, 40))


@dataclass(frozen=True)
class Data:
    """Everything that training reads: outputs of the earlier stages.

    Parameters
    ----------
    classes : list of str
        Class names, by number.
    processors : mapping of str to Processor
        By modality.
    inputs : mapping of str to Inputs
        By split: train and validation.
    labels : mapping of str to ndarray of shape (n_rows,), int32
        Class numbers, by split.
    plan : Plan
        How training treats the classes.
    correction : float
        How far calibration restores the natural class priors, see `calibration.fit`.
    groups : list of str
        The group of each validation row, "" for none.
    """

    classes: list[str]
    processors: Mapping[str, Processor]
    inputs: Mapping[str, Inputs]
    labels: Mapping[str, np.ndarray]
    plan: Plan
    correction: float
    groups: list[str]

    @classmethod
    def load(cls) -> "Data":
        """Read the outputs of the earlier stages."""
        splits = ("train", "validation")
        arrays = {split: read_arrays(paths.TOKENIZE_ARRAYS[split]) for split in splits}
        tables = {split: read_table(paths.CLEAN_TABLES[split]) for split in splits}
        names = modalities_of(tables["train"])
        plan = read_arrays(paths.REBALANCE_TRAIN)
        gamma, correction = float(plan.pop("gamma")), float(plan.pop("correction"))
        return cls(
            classes=read_json(paths.CLEAN_CLASSES),
            processors={name: modality(name).load(paths.TOKENIZE_PROCESSORS / modality(name).file) for name in names},
            inputs={
                split: Inputs(
                    {name: tables[split][name].to_list() for name in names},
                    {name: arrays[split][modality(name).array] for name in names},
                    {},
                )
                for split in splits
            },
            labels={split: arrays[split]["label"] for split in splits},
            plan=Plan(**plan, gamma=gamma),
            correction=correction,
            groups=tables["validation"]["group"].to_list(),
        )

    @property
    def modality(self) -> str:
        """The modality of the rows; a model of several is not trained yet."""
        if len(self.processors) > 1:
            names = " and ".join(f"ingest.{name}_column" for name in self.processors)
            raise PipelineError(f"training reads one modality, but {names} are set; set one of them to null")
        return next(iter(self.processors))

    def calibrate(self, parts: Sequence[np.ndarray], rows: slice | np.ndarray = slice(None)) -> Calibration:
        """Fit the calibration on validation rows.

        Parameters
        ----------
        parts : sequence of ndarray of shape (n_rows, n_classes), float64
            Log-probabilities of each part for these rows.
        rows : slice or ndarray of shape (n_validation_rows,), bool
            Which validation rows; all by default.
        """
        labels = self.labels["validation"][rows]
        return calibration.fit(labels, parts, self.plan.shift, self.correction, self.prior_shift)

    @property
    def prior_shift(self) -> np.ndarray:
        """Difference of the class priors between training and validation rows, see `calibration.prior_shift`."""
        counts = {split: np.bincount(labels, minlength=len(self.classes)) for split, labels in self.labels.items()}
        return calibration.prior_shift(counts["train"], counts["validation"])


def train_network(
    data: Data,
    settings: Train,
    on_epoch: OnEpoch = lambda epoch, metrics: None,
    checkpoint: Checkpoint = NOWHERE,
) -> tuple[TrainedNetwork, list[EpochMetrics]]:
    """Build the LSTM by the parameters, and train it.

    Parameters
    ----------
    data : Data
        Outputs of the earlier stages.
    settings : Train
        Section `train` of the parameters.
    on_epoch, checkpoint
        See `loop.train_epochs`.

    Returns
    -------
    network : TrainedNetwork
        With the weights of the best epoch.
    history : list of dict
        Metrics by epoch, see `loop.train_epochs`.
    """
    name = data.modality
    processor, encoder = data.processors[name], module_of("encoder", name)
    train, validation = (data.inputs[split].arrays[name] for split in ("train", "validation"))
    options = encoder.options(processor, len(data.classes), settings)
    make_repeatable(threads=settings.threads, seed=settings.seed)
    model = encoder.build(**options)
    chosen = resolved(data, settings)
    pretraining_epochs = chosen.pop("pretraining_epochs")
    if pretraining_epochs and not checkpoint.load("training"):
        pretrain(model, train, processor.lengths, epochs=pretraining_epochs, seed=settings.seed, checkpoint=checkpoint)
    history = train_epochs(
        model,
        with_negation(train_rows(train, data.labels["train"], data.plan), data),
        (validation, data.labels["validation"]),
        LoopSettings(
            **chosen,
            learning_rate=settings.learning_rate,
            adversarial=settings.adversarial,
            seed=settings.seed,
        ),
        lengths=processor.lengths,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
    )
    return TrainedNetwork(model, options), history


def train_rows(inputs: np.ndarray, labels: np.ndarray, plan: Plan) -> TrainRows:
    """Select and weight the training rows by a plan.

    Parameters
    ----------
    inputs : ndarray of shape (n_rows, length), int32, or (n_rows, length, width), float32
        Token ids or frames of all training rows.
    labels : ndarray of shape (n_rows,), int32
        Their class numbers.
    plan : Plan
        As returned by `rebalancing.rebalance`.
    """
    return TrainRows(
        inputs[plan.rows],
        labels[plan.rows],
        plan.weights,
        margins=plan.margins,
        gamma=plan.gamma,
        draw=plan.draw if plan.draw.any() else None,
    )


def train_ngrams(data: Data) -> Ngrams | None:
    """Fit the n-gram models on the rows that the LSTM is trained on, weighted by class; None if there are no texts."""
    tokenizer = data.processors.get("text")
    if not isinstance(tokenizer, Tokenizer):
        return None
    labels, plan = data.labels["train"], data.plan
    of_class = plan.counts_as / np.bincount(labels[plan.rows])
    copies = np.bincount(plan.rows, minlength=len(labels))
    texts, weights = data.inputs["train"].cells["text"], copies * of_class[labels]
    added, added_labels = negation_rows(data.classes, tokenizer.language, len(labels))
    kind: dict[str, Any] = {"num_classes": len(data.classes), "unit": tokenizer.unit, "language": tokenizer.language}
    ngrams = fit_ngrams(
        [*texts, *added],
        np.concatenate([labels, added_labels]),
        np.concatenate([weights, of_class[added_labels]]),
        **kind,
    )
    return replace(ngrams, lexicon=fit_lexicon(texts, labels, weights, **kind))


def with_negation(rows: TrainRows, data: Data) -> TrainRows:
    """Add the rows of `negation_rows`, each with the mean weight of its class."""
    tokenizer = data.processors.get("text")
    if not isinstance(tokenizer, Tokenizer):
        return rows
    texts, labels = negation_rows(data.classes, tokenizer.language, len(data.labels["train"]))
    sums = (np.bincount(rows.labels, values, len(data.classes)) for values in (rows.weights, None))
    return rows._replace(
        inputs=np.concatenate([rows.inputs, tokenizer.encode(texts)]),
        labels=np.concatenate([rows.labels, labels]),
        weights=np.concatenate([rows.weights, np.divide(*sums)[labels].astype(np.float32)]),
    )


def part_names(data: Data, ngrams: Ngrams | None) -> list[str]:
    """Return the names of the parts of a model, in the order of `part_log_probabilities`."""
    return [network_name(data.modality), *(ngrams.names if ngrams else ())]


def part_log_probabilities(data: Data, network: TrainedNetwork, ngrams: Ngrams | None, split: str) -> list[np.ndarray]:
    """Return the log-probabilities of every part on the rows of a split; those of the network by Keras.

    Returns
    -------
    list of ndarray of shape (n_rows, n_classes), float64
        In the order of `Predictor.parts`.
    """
    name, inputs = data.modality, data.inputs[split]
    lstm = log_probabilities(network.model, inputs.arrays[name], data.processors[name].lengths)
    return [lstm, *(part.log_probabilities(inputs) for part in (NgramPart.all_of(ngrams) if ngrams else ()))]


def resolved(data: Data, settings: Train) -> dict[str, int]:
    """Return `batch_size`, `epochs`, `patience` and `pretraining_epochs`, chosen by the data where they are null.

    Pretraining is for texts only, on about 1,500,000 tokens in at most ten epochs.
    """
    batch_size, epochs, patience = sizes(len(data.plan.rows))
    pretraining_epochs = 0
    if data.modality == "text" and settings.pooling != "last":
        tokens = np.count_nonzero(data.inputs["train"].arrays["text"])
        pretraining_epochs = int(min(round(PRETRAINING_TOKENS / tokens), 10))
    chosen = {
        "batch_size": batch_size,
        "epochs": epochs,
        "patience": patience,
        "pretraining_epochs": pretraining_epochs,
    }
    given = {key: getattr(settings, key) for key in chosen}
    if data.modality != "text":
        given["pretraining_epochs"] = 0
    return {key: chosen[key] if value is None else value for key, value in given.items()}
