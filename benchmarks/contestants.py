"""The contestants: the same network, trained in several ways, each in a process of its own."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.evaluation import metrics
from pipeline.inference.network import log_softmax
from pipeline.training.backend import make_repeatable, prepare_keras, training_step
from pipeline.training.batches import batches
from pipeline.training.encoders import PREDICTION_BATCH, build, log_probabilities
from pipeline.training.loop import weighted_loss

from .work import Work

LEARNING_RATE, EPSILON = 0.001, 1e-7  # of Adam; Keras's defaults


class Trainer(Protocol):
    """A network that learns."""

    def warm_up(self) -> None:
        """Take a step with each shape of batch there is, which compiles what is compiled."""

    def epoch(self, number: int) -> tuple[float, int]:
        """Train on all rows once; give the mean loss, and the tokens seen, with padding."""

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Of the classes, shape (n_rows, n_classes)."""


class KerasFit:
    """What every tutorial does: `keras.Model.fit` on TensorFlow, each text padded to the full length."""

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
        """With a mask, as given; without, with the padding before the text, as `pad_sequences` has it."""
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


class Batched(ABC):
    """Training on the batches that the pipeline's `model.batches` cuts, by length classes or all padded in full."""

    def __init__(self, work: Work, *, seed: int, by_length: bool) -> None:
        self.work, self.seed = work, seed
        self.lengths = work.lengths if by_length else (work.length,)

    def batches(self, number: int) -> list[tuple[int, np.ndarray]]:
        random = np.random.default_rng([self.seed, number])
        return batches(self.work.train[0], self.lengths, self.work.batch_size, random)

    def warm_up(self) -> None:
        self.take(list(dict(self.batches(0)).items()))

    def epoch(self, number: int) -> tuple[float, int]:
        taken = self.batches(number)
        loss = self.take(taken)
        return loss, sum(length * len(rows) for length, rows in taken)

    @abstractmethod
    def take(self, taken: list[tuple[int, np.ndarray]]) -> float:
        """Train on batches; give their mean loss."""


class Ours(Batched):
    """The pipeline's own network and step, on the backend of Keras that the process has."""

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

    def take(self, taken: list[tuple[int, np.ndarray]]) -> float:
        ids, labels = self.work.train
        weights = np.ones(len(ids), dtype=np.float32)
        losses = [self.step(ids[rows, :length], labels[rows], weights[rows]) for length, rows in taken]
        self.finish()
        return float(np.mean([float(loss) for loss in losses]))

    def log_probabilities(self, ids: np.ndarray) -> np.ndarray:
        return log_probabilities(self.model, ids, self.lengths)


class Torch(Batched):
    """PyTorch's `nn.LSTM`; the state after a text's last token is picked, so that padding after it changes nothing."""

    def __init__(self, work: Work, *, seed: int, by_length: bool) -> None:
        import torch
        from torch import nn

        super().__init__(work, seed=seed, by_length=by_length)
        self.embedding = nn.Embedding(work.num_ids, work.units)
        self.lstm = nn.LSTM(work.units, work.units, batch_first=True)
        self.dense = nn.Linear(work.units, work.num_classes)
        self.set_weights(initial_weights(work, seed))
        found = [p for part in (self.embedding, self.lstm, self.dense) for p in part.parameters()]
        found = [p for p in found if p is not self.lstm.bias_hh_l0]
        self.optimizer = torch.optim.Adam(found, LEARNING_RATE, eps=EPSILON, fused=True)

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """As `keras.Model.get_weights` gives them; PyTorch's second bias, which Keras does not have, stays 0."""
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
        """As `keras.Model.get_weights` gives them."""
        lstm, dense = self.lstm, self.dense
        found = (self.embedding.weight, lstm.weight_ih_l0.T, lstm.weight_hh_l0.T, lstm.bias_ih_l0, dense.weight.T)
        return [each.detach().numpy() for each in (*found, dense.bias)]

    def logits(self, ids: np.ndarray) -> Any:
        import torch

        states, _ = self.lstm(self.embedding(torch.from_numpy(ids)))
        last = torch.from_numpy((ids > 0).sum(axis=1) - 1)
        return self.dense(states[torch.arange(len(ids)), last])

    def take(self, taken: list[tuple[int, np.ndarray]]) -> float:
        import torch

        ids, labels = self.work.train
        losses = []
        for length, rows in taken:
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
    """Weights drawn as Keras draws them, in its order (Glorot and Bengio 2010; Saxe et al. 2014 for the states)."""
    random = np.random.default_rng(seed)
    units = work.units

    def glorot(rows: int, columns: int) -> np.ndarray:
        limit = np.sqrt(6 / (rows + columns))
        return random.uniform(-limit, limit, (rows, columns))

    q, r = np.linalg.qr(random.normal(size=(4 * units, units)))
    bias = np.repeat([0.0, 1.0, 0.0, 0.0], units)  # 1 for the forget gate
    drawn = (
        random.uniform(-0.05, 0.05, (work.num_ids, units)),
        glorot(units, 4 * units),
        (q * np.sign(np.diag(r))).T,
        bias,
        glorot(units, work.num_classes),
        np.zeros(work.num_classes),
    )
    return [each.astype(np.float32) for each in drawn]


@dataclass(frozen=True)
class Contestant:
    """A way of training."""

    title: str
    trainer: Callable[..., Trainer]
    options: dict[str, bool]
    backend: str  # of Keras, or torch

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
    "ours": Contestant("this pipeline, one length", Ours, FULL, "tensorflow"),
    "ours_lengths": Contestant("this pipeline", Ours, BY_LENGTH, "tensorflow"),
    "jax": Contestant("this pipeline on JAX, one length", Ours, FULL, "jax"),
    "jax_lengths": Contestant("this pipeline on JAX", Ours, BY_LENGTH, "jax"),
    "torch": Contestant("PyTorch nn.LSTM", Torch, FULL, "torch"),
    "torch_lengths": Contestant("PyTorch nn.LSTM, our length classes", Torch, BY_LENGTH, "torch"),
}


def prepare(contestant: Contestant, threads: int) -> None:
    """Import what a contestant needs, and set its number of threads; JAX takes a thread for each core it may use."""
    os.environ["CUDA_VISIBLE_DEVICES"], os.environ["JAX_PLATFORMS"] = "", "cpu"
    if contestant.trainer is Torch:
        import torch

        torch.set_num_threads(threads)
        return
    os.environ["KERAS_BACKEND"] = contestant.backend
    if contestant.trainer is Ours:
        prepare_keras()
        make_repeatable(threads=threads, seed=0)
        import_module("pipeline.layers")
    else:
        import tensorflow as tf

        # As TensorFlow has it by itself on a machine of so many cores.
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        import_module("keras")


def serve(pipe: Connection, log: Path, name: str, work: Work, threads: int, seed: int) -> None:
    """Be a contestant: do what the pipe says, one thing at a time, until the process is ended.

    Parameters
    ----------
    pipe : Connection
        Gives "build" and whether to warm up, "epoch" and its number, or "validate"; gets a dict of figures for each,
        and an empty one once everything is imported.
    log : Path
        Gets what the libraries write to standard error.
    name : str
        Of the contestant.
    work, threads, seed
        What to train on, with how many threads; initial weights and order of the rows.
    """
    with log.open("w") as stream:
        os.dup2(stream.fileno(), 2)
    contestant = CONTESTANTS[name]
    prepare(contestant, threads)
    pipe.send({})
    while True:
        said = pipe.recv()
        wall, cpu = time.perf_counter(), time.process_time()
        figures: dict[str, float] = {}
        if said[0] == "build":
            trainer = contestant.trainer(work, seed=seed, **contestant.options)
            if said[1]:
                trainer.warm_up()
        elif said[0] == "epoch":
            figures["loss"], figures["padded_tokens"] = trainer.epoch(said[1])
        elif work.validation is not None:
            figures = metrics.overall(work.validation[1], np.exp(trainer.log_probabilities(work.validation[0])))
        # Of all of the process's threads.
        pipe.send({"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu, **figures})
