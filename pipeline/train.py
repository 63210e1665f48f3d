"""Train: the LSTM, its learning curve, and everything that prediction from raw text needs."""

import shutil

import numpy as np
import pandas as pd

from .base import command, params, paths, versioning
from .base.files import write_json, write_table
from .base.process import run_in_process
from .base.state import state_id
from .inference import calibration
from .inference.predictor import PARTS
from .registry import tracking
from .training.backend import description, prepare_keras
from .training.checkpoint import Checkpoint
from .training.export import save
from .training.fit import Data, parts, resolved, train_lstm, train_ngrams
from .training.settings import Train


def main() -> None:
    settings = params.load(Train)
    data = Data.load()
    prepare_keras()
    state = state_id()
    checkpoint = Checkpoint.of(state, description(), versioning.root())
    # First, and in another process: on long texts both need more than a gigabyte, which a process does not give back.
    ngrams = run_in_process(train_ngrams, data) if settings.ngrams else None
    with tracking.live_run(state) as on_epoch:
        model, network, history = train_lstm(data, settings, on_epoch, checkpoint)
    found = parts(model, data.tokenizer, ngrams, data.texts["validation"])
    fitted = data.calibrate(found)
    said = ", ".join(f"{name} {share:.2f}" for name, share in zip(PARTS, fitted.shares, strict=False))
    offsets = ", ".join(f"{name} {each:+.2f}" for name, each in zip(data.classes, fitted.offsets, strict=True))
    print(f"shares: {said}; temperature {fitted.temperature:.2f}; offsets: {offsets}")
    write_json(paths.TRAIN_SETTINGS, resolved(data, settings))
    write_table(paths.TRAIN_HISTORY, pd.DataFrame(history))
    partial_model = paths.TRAIN_MODEL.with_name(".partial-model")
    shutil.rmtree(partial_model, ignore_errors=True)  # of a kill
    save(
        partial_model,
        model,
        data.tokenizer,
        ngrams,
        classes=data.classes,
        network=network,
        calibration=fitted,
        class_shares=np.maximum(calibration.combine(found, fitted).mean(axis=0), 1e-6).round(6).tolist(),
        state=state,
    )
    shutil.rmtree(paths.TRAIN_MODEL, ignore_errors=True)
    partial_model.rename(paths.TRAIN_MODEL)
    checkpoint.remove()


if __name__ == "__main__":
    command.run_stage("train", __doc__, main)
