"""Train: fit the LSTM and the n-gram models, calibrate them, and write the model folder."""

import shutil

import numpy as np
import pandas as pd

from .base import command, params, paths, versioning
from .base.files import read_json, write_json, write_table
from .base.process import run_in_process
from .base.state import state_id
from .inference.calibration import combine
from .inference.priors import measure_priors
from .registry.live import live_run
from .training.backend import description, prepare_keras
from .training.checkpoint import Checkpoint
from .training.export import save
from .training.fit import Data, part_log_probabilities, part_names, resolved, train_network, train_ngrams
from .training.selection import without_idle_lexicon
from .training.settings import Train


def main() -> None:
    settings = params.load(Train)
    data = Data.load()
    prepare_keras()
    state = state_id()
    checkpoint = Checkpoint.of(state, description(), versioning.root())
    # First, and in a separate process: on long texts both need over a gigabyte, of which a process frees little.
    ngrams = run_in_process(train_ngrams, data) if settings.ngrams else None
    with live_run(state) as on_epoch:
        network, history = train_network(data, settings, on_epoch, checkpoint)
    ngrams = ngrams and without_idle_lexicon(data, network, ngrams)
    parts = part_log_probabilities(data, network, ngrams, "validation")
    fitted = data.calibrate(parts)
    probabilities = combine(parts, fitted)
    weights = zip(part_names(data, ngrams), fitted.weights, strict=True)
    offsets = zip(data.classes, fitted.offsets, strict=True)
    print(
        f"weights: {', '.join(f'{name} {weight:.2f}' for name, weight in weights)}; "
        f"temperature {fitted.temperature:.2f}; "
        f"offsets: {', '.join(f'{name} {offset:+.2f}' for name, offset in offsets)}"
    )
    write_json(paths.TRAIN_SETTINGS, resolved(data, settings))
    write_table(paths.TRAIN_HISTORY, pd.DataFrame(history))
    partial_model = paths.TRAIN_MODEL.with_name(".partial-model")
    shutil.rmtree(partial_model, ignore_errors=True)  # left by a kill
    save(
        partial_model,
        {data.modality: network},
        data.processors,
        ngrams,
        classes=data.classes,
        calibration=fitted,
        class_shares=np.maximum(probabilities.mean(axis=0), 1e-6).round(6).tolist(),
        class_priors=measure_priors(data.labels["validation"], probabilities),
        columns=read_json(paths.INGEST_COLUMNS),
        state=state,
    )
    shutil.rmtree(paths.TRAIN_MODEL, ignore_errors=True)
    partial_model.rename(paths.TRAIN_MODEL)
    checkpoint.remove()


if __name__ == "__main__":
    command.run_stage("train", __doc__, main)
