"""Contestants: the same network, trained in several ways."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from pipeline.inference.network import log_softmax
from pipeline.training.backend import training_step
from pipeline.training.batches import batches
from pipeline.training.encoders.text import build
from pipeline.training.forward import PREDICTION_BATCH, log_probabilities
from pipeline.training.loop import weighted_loss

from .work import Work

LEARNING_RATE, EPSILON = 0.001, 1e-7  # of Adam; Keras's defaults


class Trainer(Protocol):
    """A network and how it is trained."""

    def warm_up(self) -> None:
        """Take a step with each shape of batch, so that everything is compiled."""

    def epoch(self, number: int) -> tuple[float, int]:
        """Train on all rows once; return the mean loss, and the number of tokens with padding."""

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Return those of the classes, shape (n_rows, n_classes), float64."""


class KerasFit:
    """`keras.Model.fit` on TensorFlow as in tutorials, each text padded to the full length."""

    def __init__(self, work: Work, *, seed: int, jit: bool, mask: bool) -> None:
        import keras

        keras.utils.set_random_seed(seed)
        self.work, self.mask = work, mask
        self.ids, self.labels = self._padded(work.train[0]), work.train[1]
        self.model = keras.Sequential(
            [
                keras.layers.Embedding(work.num_ids, work.units, mask_zero=mask),
                keras.layers.LSTM(work.units),
                keras.layers.Dense(work.num_classes),
            ]
        )
        self.model.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=True if jit else "auto",
        )

    def _padded(self, ids: np.ndarray) -> np.ndarray:
        """Return the ids as given with a mask; without one, padded before the text, as by `pad_sequences`."""
        if self.mask:
            return ids
        return np.take_along_axis(ids, np.argsort(ids > 0, axis=1, kind="stable"), axis=1)

    def warm_up(self) -> None:
        self._fit(self.work.batch_size)

    def _fit(self, rows: int) -> float:
        history = self.model.fit(self.ids[:rows], self.labels[:rows], batch_size=self.work.batch_size, verbose=0)
        return float(history.history["loss"][0])

    def epoch(self, number: int) -> tuple[float, int]:
        return self._fit(len(self.ids)), self.ids.size

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        logits = self.model.predict(self._padded(ids), batch_size=PREDICTION_BATCH, verbose=0)
        return log_softmax(logits.astype(np.float64))


class BatchTrainer(ABC):
    """Training on batches from the pipeline's `batches`, padded by length classes or to the full length."""

    def __init__(self, work: Work, *, seed: int, by_length: bool) -> None:
        self.work, self.seed = work, seed
        self.lengths = work.lengths if by_length else (work.length,)

    def batches(self, number: int) -> list[tuple[int, np.ndarray]]:
        random = np.random.default_rng([self.seed, number])
        return batches(self.work.train[0], self.lengths, self.work.batch_size, random)

    def warm_up(self) -> None:
        self.train(list(dict(self.batches(0)).items()))  # one batch of each length

    def epoch(self, number: int) -> tuple[float, int]:
        selected = self.batches(number)
        loss = self.train(selected)
        return loss, sum(length * len(rows) for length, rows in selected)

    @abstractmethod
    def train(self, selected: list[tuple[int, np.ndarray]]) -> float:
        """Train on batches, padded length and row numbers of each; return their mean loss."""


class PipelineTrainer(BatchTrainer):
    """The pipeline's network and training step, on the Keras backend of the process."""

    def __init__(self, work: Work, *, seed: int, by_length: bool) -> None:
        import keras

        super().__init__(work, seed=seed, by_length=by_length)
        keras.utils.set_random_seed(seed)
        self.model = build(
            num_ids=work.num_ids, num_classes=work.num_classes, embedding_dim=work.units, units=work.units
        )
        self.step, self.finish = training_step(
            self.model, keras.optimizers.Adam(LEARNING_RATE), loss=weighted_loss, adversarial=0.0
        )

    def train(self, selected: list[tuple[int, np.ndarray]]) -> float:
        ids, labels = self.work.train
        weights = np.ones(len(ids), dtype=np.float32)
        losses = [self.step(ids[rows, :length], labels[rows], weights[rows]) for length, rows in selected]
        self.finish()
        return float(np.mean([float(loss) for loss in losses]))

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        return log_probabilities(self.model, ids, self.lengths)


class TorchTrainer(BatchTrainer):
    """PyTorch's `nn.LSTM`; the state after a text's last token is selected, so that padding does not matter."""

    def __init__(self, work: Work, *, seed: int, by_length: bool) -> None:
        import torch
        from torch import nn

        super().__init__(work, seed=seed, by_length=by_length)
        self.embedding = nn.Embedding(work.num_ids, work.units)
        self.lstm = nn.LSTM(work.units, work.units, batch_first=True)
        self.dense = nn.Linear(work.units, work.num_classes)
        self.set_weights(initial_weights(work, seed))
        parameters = [p for layer in (self.embedding, self.lstm, self.dense) for p in layer.parameters()]
        parameters = [p for p in parameters if p is not self.lstm.bias_hh_l0]
        self.optimizer = torch.optim.Adam(parameters, LEARNING_RATE, eps=EPSILON, fused=True)

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Set the weights that `keras.Model.get_weights` returns; PyTorch's second bias, which Keras lacks, stays 0."""
        import torch

        embedding, kernel, recurrent, bias, dense, dense_bias = weights
        lstm = self.lstm
        with torch.no_grad():
            for parameter, value in (
                (self.embedding.weight, embedding),
                (lstm.weight_ih_l0, kernel.T),
                (lstm.weight_hh_l0, recurrent.T),
                (lstm.bias_ih_l0, bias),
                (lstm.bias_hh_l0, np.zeros_like(bias)),
                (self.dense.weight, dense.T),
                (self.dense.bias, dense_bias),
            ):
                parameter.copy_(torch.tensor(value))

    def get_weights(self) -> list[np.ndarray]:
        """Return the weights in the form of `keras.Model.get_weights`."""
        lstm, dense = self.lstm, self.dense
        recurrent = (lstm.weight_ih_l0.T, lstm.weight_hh_l0.T, lstm.bias_ih_l0)
        tensors = (self.embedding.weight, *recurrent, dense.weight.T, dense.bias)
        return [tensor.detach().numpy() for tensor in tensors]

    def logits(self, ids: np.ndarray) -> Any:
        import torch

        states, _ = self.lstm(self.embedding(torch.from_numpy(ids)))
        last = torch.from_numpy((ids > 0).sum(axis=1) - 1)
        return self.dense(states[torch.arange(len(ids)), last])

    def train(self, selected: list[tuple[int, np.ndarray]]) -> float:
        import torch

        ids, labels = self.work.train
        losses = []
        for length, rows in selected:
            self.optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                self.logits(ids[rows, :length]), torch.from_numpy(labels[rows].astype(np.int64))
            )
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return float(np.mean([float(loss) for loss in losses]))

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            logits = [self.logits(ids[i : i + PREDICTION_BATCH]).numpy() for i in range(0, len(ids), PREDICTION_BATCH)]
        return log_softmax(np.concatenate(logits).astype(np.float64))


def initial_weights(work: Work, seed: int) -> list[np.ndarray]:
    """Draw weights as Keras does, in its order (Glorot and Bengio 2010; Saxe et al. 2014 for the states)."""
    random = np.random.default_rng(seed)
    units = work.units

    def glorot(rows: int, columns: int) -> np.ndarray:
        limit = np.sqrt(6 / (rows + columns))
        return random.uniform(-limit, limit, (rows, columns))

    q, r = np.linalg.qr(random.normal(size=(4 * units, units)))
    bias = np.repeat([0.0, 1.0, 0.0, 0.0], units)  # 1 for the forget gate
    weights = (
        random.uniform(-0.05, 0.05, (work.num_ids, units)),
        glorot(units, 4 * units),
        (q * np.sign(np.diag(r))).T,
        bias,
        glorot(units, work.num_classes),
        np.zeros(work.num_classes),
    )
    return [array.astype(np.float32) for array in weights]


@dataclass(frozen=True)
class Contestant:
    """A way of training, with the title of its row."""

    title: str
    trainer: Callable[..., Trainer]
    options: dict[str, bool]
    backend: str  # package: of Keras's backend, or torch

    @property
    def installed(self) -> bool:
        return find_spec(self.backend) is not None


FULL, BY_LENGTH = {"by_length": False}, {"by_length": True}

CONTESTANTS = {
    "keras": Contestant("Keras fit", KerasFit, {"jit": False, "mask": True}, "tensorflow"),
    "keras_jit": Contestant("Keras fit, jit_compile", KerasFit, {"jit": True, "mask": True}, "tensorflow"),
    "keras_unmasked": Contestant("Keras fit, no mask", KerasFit, {"jit": False, "mask": False}, "tensorflow"),
    "keras_unmasked_jit": Contestant(
        "Keras fit, no mask, jit_compile", KerasFit, {"jit": True, "mask": False}, "tensorflow"
    ),
    "ours": Contestant("this pipeline, one length", PipelineTrainer, FULL, "tensorflow"),
    "ours_lengths": Contestant("this pipeline", PipelineTrainer, BY_LENGTH, "tensorflow"),
    "jax": Contestant("this pipeline on JAX, one length", PipelineTrainer, FULL, "jax"),
    "jax_lengths": Contestant("this pipeline on JAX", PipelineTrainer, BY_LENGTH, "jax"),
    "torch": Contestant("PyTorch nn.LSTM", TorchTrainer, FULL, "torch"),
    "torch_lengths": Contestant("PyTorch nn.LSTM, our length classes", TorchTrainer, BY_LENGTH, "torch"),
}
