"""Train: the LSTM, its learning curve, and everything that prediction from raw text needs."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from . import calibration, metrics, params, paths, stage, tracking
from .files import read_arrays, read_json, write_json, write_table
from .model import build, make_repeatable, predict, prepare_keras
from .prediction import save
from .state import state_id
from .text import Tokenizer

if TYPE_CHECKING:
    import keras

Figures = dict[str, float]


def fit(
    model: "keras.Model",
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    *,
    batch_size: int,
    epochs: int,
    learning_rate: float,
    patience: int,
    seed: int,
    on_epoch: Callable[[int, Figures], None] = lambda epoch, figures: None,
) -> list[Figures]:
    """Train with Adam (Kingma and Ba 2015) on cross-entropy; stop early, and leave the best epoch's weights.

    Parameters
    ----------
    model : keras.Model
        The network; trained in place.
    train : tuple of ndarray
        Ids of shape (n_rows, length), int32; class numbers (n_rows,), int32; weights (n_rows,), float32.
    validation : tuple of ndarray
        Ids and class numbers of the rows that choose the epoch.
    batch_size : int
        Rows a step. Each epoch shuffles, and leaves out the rows that do not fill a step.
    epochs : int
        Most passes.
    learning_rate : float
        Adam's step.
    patience : int
        Epochs without a lower validation loss before training stops.
    seed : int
        Order of the rows.
    on_epoch : callable
        Told each epoch's number (from 1) and figures.

    Returns
    -------
    list of dict
        `epoch`, `train_loss` and `train_accuracy` (weighted as trained), and `validation_loss`,
        `validation_accuracy` and `validation_macro_f1` (natural shares), by epoch.
    """
    import keras

    ids, labels, weights = train
    batch_size = min(batch_size, len(ids))
    steps = len(ids) // batch_size
    # XLA doubles the speed on a CPU, and fixed seeds stay repeatable to the bit.
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        weighted_metrics=["accuracy"],
        jit_compile=True,
    )
    history: list[Figures] = []
    best_loss, best_epoch, best_weights = np.inf, 0, model.get_weights()
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng([seed, epoch]).permutation(len(ids))[: steps * batch_size]
        batches = _batches((ids[order], labels[order], weights[order]), steps)
        fitted = model.fit(
            batches, epochs=epoch, initial_epoch=epoch - 1, shuffle=False, verbose=int(sys.stdout.isatty())
        ).history
        measured = metrics.overall(validation[1], predict(model, validation[0]))
        figures: Figures = {
            "epoch": epoch,
            "train_loss": round(fitted["loss"][0], 6),
            "train_accuracy": round(fitted["accuracy"][0], 6),
            **{f"validation_{name}": measured[name] for name in ("loss", "accuracy", "macro_f1")},
        }
        history.append(figures)
        on_epoch(epoch, figures)
        print(f"epoch {epoch}: " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items() if k != "epoch"))
        if measured["loss"] < best_loss:
            best_loss, best_epoch, best_weights = measured["loss"], epoch, model.get_weights()
        elif epoch - best_epoch >= patience:
            break
    model.set_weights(best_weights)
    return history


def _batches(arrays: tuple[np.ndarray, ...], steps: int) -> "object":
    """The rows cut into `steps` equal batches, as a tf.data set."""
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(tuple(a.reshape(steps, -1, *a.shape[1:]) for a in arrays))
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread keeps fit() waiting for seconds at the end of each epoch
    return dataset.with_options(options)


def sizes(rows: int) -> tuple[int, int]:
    """Batch size and most epochs for a number of training rows.

    Few rows need small steps to take enough of them, many rows larger ones to be done in time: about 600 steps an
    epoch, 8,000 steps in all, in powers of two from 32 to 128 rows and from 3 to 40 epochs.
    """
    batch_size = 2 ** int(np.clip(round(np.log2(rows / 600)), 5, 7))
    return batch_size, int(np.clip(round(8_000 * batch_size / rows), 3, 40))


def trim(ids: np.ndarray) -> np.ndarray:
    """Cut the columns that are padding in every row of ids, shape (n_rows, length): they cost time, change nothing."""
    return ids[:, : int((ids > 0).sum(axis=1).max())]


def main() -> None:
    settings = params.load(params.Train)
    classes = read_json(paths.CLEAN_CLASSES)
    tokenizer = Tokenizer.load(paths.TOKENIZE_TOKENIZER)
    arrays = {split: read_arrays(paths.TOKENIZE_ARRAYS[split]) for split in ("train", "validation")}
    chosen = read_arrays(paths.REBALANCE_TRAIN)
    rows = chosen["rows"]
    batch_size, epochs = sizes(len(rows))
    batch_size, epochs = settings.batch_size or batch_size, settings.epochs or epochs
    prepare_keras()
    make_repeatable(threads=settings.threads, seed=settings.seed)
    network = {
        "num_ids": tokenizer.num_ids,
        "num_classes": len(classes),
        "embedding_dim": settings.embedding_dim,
        "units": settings.units,
    }
    model = build(**network)
    state = state_id(params.PARAMS_FILE)
    with tracking.live_run(state) as on_epoch:
        history = fit(
            model,
            (trim(arrays["train"]["ids"])[rows], arrays["train"]["label"][rows], chosen["weights"]),
            (trim(arrays["validation"]["ids"]), arrays["validation"]["label"]),
            batch_size=batch_size,
            epochs=epochs,
            learning_rate=settings.learning_rate,
            patience=settings.patience,
            seed=settings.seed,
            on_epoch=on_epoch,
        )
    validation = arrays["validation"]
    temperature = calibration.fit_temperature(validation["label"], predict(model, trim(validation["ids"])))
    print(f"temperature {temperature:.2f}")
    write_json(paths.TRAIN_SETTINGS, {"batch_size": batch_size, "epochs": epochs})
    write_table(paths.TRAIN_HISTORY, pd.DataFrame(history))
    with tempfile.TemporaryDirectory(dir=paths.TRAIN_MODEL.parent) as folder:
        save(
            Path(folder) / "model",
            model,
            tokenizer,
            classes=classes,
            network=network,
            temperature=temperature,
            state=state,
        )
        shutil.rmtree(paths.TRAIN_MODEL, ignore_errors=True)
        (Path(folder) / "model").rename(paths.TRAIN_MODEL)


if __name__ == "__main__":
    stage.run("train", main)
