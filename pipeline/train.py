"""Train: the LSTM and the n-grams; keep the best epoch and everything that prediction from raw inputs needs."""

import shutil

import numpy as np
import pandas as pd

from .base import command, params, paths, versioning
from .base.files import write_json, write_table
from .base.process import run_in_process
from .base.state import state_id
from .inference.calibration import combine
from .registry.live import live_run
from .training.backend import description, prepare_keras
from .training.checkpoint import Checkpoint
from .training.export import save
from .training.fit import Data, part_log_probabilities, part_names, resolved, train_network, train_ngrams
from .training.settings import Train


def main() -> None:
    settings = params.load(Train)
    data = Data.load()
    prepare_keras()
    state = state_id()
    checkpoint = Checkpoint.of(state, description(), versioning.root())
    # First, in another process: on long texts both need more than a gigabyte, and a process gives back little of it.
    ngrams = run_in_process(train_ngrams, data) if settings.ngrams else None
    with live_run(state) as on_epoch:
        network, history = train_network(data, settings, on_epoch, checkpoint)
    parts = part_log_probabilities(data, network, ngrams, "validation")
    fitted = data.calibrate(parts)
    named = zip(part_names(data, ngrams), fitted.weights, strict=True)
    shares = ", ".join(f"{name} {share:.2f}" for name, share in named)
    offsets = ", ".join(f"{name} {offset:+.2f}" for name, offset in zip(data.classes, fitted.offsets, strict=True))
    print(f"shares: {shares}; temperature {fitted.temperature:.2f}; offsets: {offsets}")
    write_json(paths.TRAIN_SETTINGS, resolved(data, settings))
    write_table(paths.TRAIN_HISTORY, pd.DataFrame(history))
    partial_model = paths.TRAIN_MODEL.with_name(".partial-model")
    shutil.rmtree(partial_model, ignore_errors=True)  # of a kill
    save(
        partial_model,
        {data.modality: network},
        data.processors,
        ngrams,
        classes=data.classes,
        calibration=fitted,
        class_shares=np.maximum(combine(parts, fitted).mean(axis=0), 1e-6).round(6).tolist(),
        state=state,
    )
    shutil.rmtree(paths.TRAIN_MODEL, ignore_errors=True)
    partial_model.rename(paths.TRAIN_MODEL)
    checkpoint.remove()


if __name__ == "__main__":
    command.run_stage("train", __doc__, main)
