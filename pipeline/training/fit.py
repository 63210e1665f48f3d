"""Training as the parameters describe it, on what the stages before wrote; the steps themselves are in loop.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..base import paths
from ..base.errors import PipelineError
from ..base.files import read_arrays, read_json, read_table
from ..base.modalities import Processor, modalities_of, modality, module_of
from ..inference import calibration
from ..inference.calibration import Calibration
from ..inference.network import network_name
from ..inference.ngrams import NGRAM_PARTS, NgramPart, Ngrams
from ..inference.part import Inputs
from ..text.processor import Tokenizer
from .backend import make_repeatable
from .checkpoint import NOWHERE, Checkpoint
from .export import TrainedNetwork
from .forward import log_probabilities
from .loop import Figures, OnEpoch, fit
from .ngrams import fit_ngrams
from .pretraining import pretrain
from .rebalancing import Plan
from .settings import Train

PRETRAINING_TOKENS = 1_500_000  # that pretraining sees: as long again as training itself


def sizes(rows: int) -> tuple[int, int, int]:
    """Batch size, most epochs and patience for a number of training rows.

    Few rows need small steps to take enough of them, many rows larger ones to be done in time: about 600 steps an
    epoch, 8,000 steps in all, in powers of two from 32 to 128 rows and from 3 to 40 epochs. Patience is two epochs, or
    about 300 steps where those are more: of few rows, the validation loss rises now and then before the LSTM has
    learned anything.
    """
    batch_size = 2 ** int(np.clip(round(np.log2(rows / 600)), 5, 7))
    epochs, patience = (round(steps * batch_size / rows) for steps in (8_000, 300))
    return batch_size, int(np.clip(epochs, 3, 40)), int(np.clip(patience, 2, 40))


@dataclass(frozen=True)
class Data:
    """What the stages before made: all that training reads.

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
        What training does about the classes.
    correction : float
        How far calibration takes the classes back to their natural priors.
    """

    classes: list[str]
    processors: Mapping[str, Processor]
    inputs: Mapping[str, Inputs]
    labels: Mapping[str, np.ndarray]
    plan: Plan
    correction: float

    @classmethod
    def load(cls) -> "Data":
        """Read the outputs of the stages before."""
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
        )

    @property
    def modality(self) -> str:
        """The modality of the rows; a model of several is not trained yet."""
        if len(self.processors) > 1:
            names = " and ".join(f"ingest.{name}_column" for name in self.processors)
            raise PipelineError(f"training reads one modality, but {names} are set; set one of them to null")
        return next(iter(self.processors))

    def calibrate(self, parts: Sequence[np.ndarray], rows: slice = slice(None)) -> Calibration:
        """Fit the calibration on some validation `rows`.

        Parameters
        ----------
        parts : sequence of ndarray of shape (n_rows, n_classes), float64
            Logarithms of the probabilities that each part gives for these rows.
        rows : slice
            Which they are.
        """
        labels = self.labels["validation"][rows]
        return calibration.fit(labels, parts, self.plan.shift, self.correction, self.prior_shift)

    @property
    def prior_shift(self) -> np.ndarray:
        """How the class priors differ from training to validation rows, see `calibration.prior_shift`."""
        rows = {split: np.bincount(labels, minlength=len(self.classes)) for split, labels in self.labels.items()}
        return calibration.prior_shift(rows["train"], rows["validation"])


def train_network(
    data: Data,
    settings: Train,
    on_epoch: OnEpoch = lambda epoch, figures: None,
    checkpoint: Checkpoint = NOWHERE,
) -> tuple[TrainedNetwork, list[Figures]]:
    """Build the LSTM that the parameters describe, and train it.

    Returns
    -------
    network : TrainedNetwork
        Of the best epoch.
    history : list of dict
        As `loop.fit` returns it.
    """
    name = data.modality
    processor, encoder = data.processors[name], module_of("encoder", name)
    train, validation = (data.inputs[split].arrays[name] for split in ("train", "validation"))
    options = encoder.options(processor, len(data.classes), settings)
    make_repeatable(threads=settings.threads, seed=settings.seed)
    model = encoder.build(**options)
    chosen = resolved(data, settings)
    first = chosen.pop("pretraining_epochs")
    if first and not checkpoint.load("training"):
        pretrain(model, train, processor.lengths, epochs=first, seed=settings.seed, checkpoint=checkpoint)
    plan = data.plan
    history = fit(
        model,
        (train[plan.rows], data.labels["train"][plan.rows], plan.weights),
        (validation, data.labels["validation"]),
        lengths=processor.lengths,
        learning_rate=settings.learning_rate,
        adversarial=settings.adversarial,
        seed=settings.seed,
        margins=plan.margins,
        gamma=plan.gamma,
        draw=plan.draw if plan.draw.any() else None,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
        **chosen,
    )
    return TrainedNetwork(model, options), history


def train_ngrams(data: Data) -> Ngrams | None:
    """Fit the n-gram models on the texts that the LSTM was trained on, by class weight; None without texts."""
    tokenizer = data.processors.get("text")
    if not isinstance(tokenizer, Tokenizer):
        return None
    labels, plan = data.labels["train"], data.plan
    copies = np.bincount(plan.rows, minlength=len(labels))
    weights = copies * (plan.counts_as / np.bincount(labels[plan.rows]))[labels]
    texts = data.inputs["train"].cells["text"]
    return fit_ngrams(texts, labels, weights, num_classes=len(data.classes), unit=tokenizer.unit)


def part_names(data: Data, ngrams: Ngrams | None) -> list[str]:
    """Return the names of a model's parts, in the order of `part_log_probabilities`."""
    return [network_name(data.modality), *(NGRAM_PARTS if ngrams else ())]


def part_log_probabilities(data: Data, network: TrainedNetwork, ngrams: Ngrams | None, split: str) -> list[np.ndarray]:
    """Return the logarithms of class probabilities of every part, the network's by Keras.

    Returns
    -------
    list of ndarray of shape (n_rows, n_classes), float64
        In the order that `Predictor.parts` has.
    """
    name, inputs = data.modality, data.inputs[split]
    lstm = log_probabilities(network.model, inputs.arrays[name], data.processors[name].lengths)
    return [lstm, *(part.log_probabilities(inputs) for part in (NgramPart.both(ngrams) if ngrams else ()))]


def resolved(data: Data, settings: Train) -> dict[str, int]:
    """Return batch size, epochs, patience and epochs of pretraining: the parameters', or by the data where null.

    Pretraining, of texts only, sees some 1,500,000 tokens, in ten epochs at most.
    """
    batch_size, epochs, patience = sizes(len(data.plan.rows))
    first = 0
    if data.modality == "text" and settings.pooling != "last":
        tokens = np.count_nonzero(data.inputs["train"].arrays["text"])
        first = int(min(round(PRETRAINING_TOKENS / tokens), 10))
    chosen = {"batch_size": batch_size, "epochs": epochs, "patience": patience, "pretraining_epochs": first}
    given = {key: getattr(settings, key) for key in chosen}
    if data.modality != "text":
        given["pretraining_epochs"] = 0
    return {key: chosen[key] if value is None else value for key, value in given.items()}
