"""Facts about a pipeline state for its model card, read from the outputs of the stages. No text is among them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base import params, paths, versioning
from ..base.errors import PipelineError
from ..base.files import read_arrays, read_json, read_table, sha256
from ..data.settings import Ingest
from ..inference.manifest import WEIGHTS, Manifest, modalities, read_manifest
from ..inference.ngrams import GRAMS
from ..inference.ngrams import WEIGHTS as NGRAM_WEIGHTS
from ..registry import packaging
from ..registry.settings import model_name
from ..training import rebalancing
from ..training.settings import Train


@dataclass(frozen=True)
class Facts:
    """What the model card shows of a pipeline state.

    Parameters
    ----------
    name : str
        Name of the model in the registry.
    ingest, training : dict
        The parameters of these sections; for training, with the values that it derived from the data.
    cleaned, rebalance, manifest, metrics, intervals : dict
        Content of the stages' files: the summaries of clean and rebalance, `model.json`, `metrics.json` and
        `intervals.json`.
    behaviour : dict of str to dict
        Results of the behaviour tests by name: `kind`, `num_samples`, `pass_rate`; empty where there are none.
    counts : dict of str to dict of str to int
        Rows by class and split.
    confusion : dict of (str, str) to int
        Test rows by actual and predicted class.
    inputs : list of str
        The modalities that the model reads.
    tokenizer : dict
        `language`, `unit`, `length`, `units` (size of the vocabulary) and `full`: the share of test rows that fill
        `length`; empty for a model that reads no text.
    epochs, best_epoch : int
        Number of epochs trained, and the epoch that was kept.
    num_weights : dict of str to int
        Number of trained weights by part: `LSTM` and, where there are any, `n-grams`.
    file_sizes : dict of str to int
        Bytes of each file of the model folder.
    lock : str
        SHA-256 of the runtime lock.
    dvc : str
        DVC's digest of the model, "" where `dvc.lock` belongs to another state.
    """

    name: str
    ingest: dict[str, Any]
    training: dict[str, Any]
    cleaned: dict[str, Any]
    rebalance: dict[str, Any]
    manifest: Manifest
    metrics: dict[str, Any]
    intervals: dict[str, Any]
    behaviour: dict[str, Any]
    counts: dict[str, dict[str, int]]
    confusion: dict[tuple[str, str], int]
    inputs: list[str]
    tokenizer: dict[str, Any]
    epochs: int
    best_epoch: int
    num_weights: dict[str, int]
    file_sizes: dict[str, int]
    lock: str
    dvc: str


def read_facts() -> Facts:
    """Read the facts from the outputs of the stages.

    Raises
    ------
    PipelineError
        A file is missing or altered, or the metrics belong to another model.
    """
    manifest = read_manifest(paths.TRAIN_MODEL)
    if read_json(paths.EVALUATE_MEASURED)["model"] != manifest["sha256"]:
        raise PipelineError(
            f"{paths.EVALUATE_METRICS} belongs to another model than {paths.TRAIN_MODEL}; run `dvc repro`"
        )
    counts = read_table(paths.CLEAN_COUNTS, strings=["split", "label"])
    counts = counts.pivot(index="label", columns="split", values="rows")
    predictions = read_table(paths.EVALUATE_PREDICTIONS, strings=["id", "actual", "predicted"])
    history = read_table(paths.TRAIN_HISTORY)
    ingest, rebalance = params.load(Ingest), params.load(rebalancing.Rebalance)
    return Facts(
        name=model_name(),
        ingest=ingest.model_dump() | {"title": ingest.title},
        training=params.load(Train).model_dump() | read_json(paths.TRAIN_SETTINGS),
        cleaned=read_json(paths.CLEAN_SUMMARY),
        rebalance=read_json(paths.REBALANCE_SUMMARY) | rebalance.model_dump(exclude={"strategy"}),
        manifest=manifest,
        metrics=read_json(paths.EVALUATE_METRICS),
        intervals=read_json(paths.EVALUATE_INTERVALS),
        behaviour=read_json(paths.EVALUATE_BEHAVIOUR)["tests"],
        counts={str(label): {str(split): int(rows) for split, rows in row.items()} for label, row in counts.T.items()},
        confusion={pair: int(rows) for pair, rows in predictions.groupby(["actual", "predicted"]).size().items()},
        inputs=modalities(manifest),
        tokenizer=_tokenizer() if "text" in modalities(manifest) else {},
        epochs=len(history),
        best_epoch=int(history.loc[history["validation_loss"].idxmin(), "epoch"]),
        num_weights=_num_weights(paths.TRAIN_MODEL),
        file_sizes={file.name: file.stat().st_size for file in sorted(paths.TRAIN_MODEL.iterdir())},
        lock=sha256(packaging.RUNTIME_LOCK),
        dvc=versioning.dvc_tags().get("dvc.model", ""),
    )


def _tokenizer() -> dict[str, Any]:
    tokenizer = read_json(paths.TOKENIZE_TOKENIZER)
    vocabulary = tokenizer.pop("vocabulary")
    full = (read_arrays(paths.TOKENIZE_ARRAYS["test"])["ids"] > 0).all(axis=1).mean()
    return {**tokenizer, "units": len(vocabulary), "full": float(full)}


def _num_weights(folder: Path) -> dict[str, int]:
    import h5py

    sizes: list[int] = []
    with h5py.File(folder / WEIGHTS) as file:
        file.visititems(lambda name, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    num_weights = {"LSTM": int(sum(sizes))}
    if (folder / GRAMS).is_file():
        num_weights["n-grams"] = sum(array.size for array in read_arrays(folder / NGRAM_WEIGHTS).values())
    return num_weights
