"""Facts: what the stages' files say of a pipeline state, for its model card. No text is among them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base import params, paths, versioning
from ..base.errors import PipelineError
from ..base.files import read_arrays, read_json, read_table, sha256
from ..data.settings import Ingest
from ..inference.manifest import WEIGHTS, Manifest, read_manifest
from ..inference.ngrams import GRAMS
from ..inference.ngrams import WEIGHTS as NGRAM_WEIGHTS
from ..registry import packaging
from ..registry.settings import model_name
from ..training import rebalancing
from ..training.settings import Train


@dataclass(frozen=True)
class Facts:
    """What the model card tells of a pipeline state.

    Parameters
    ----------
    name : str
        The model's, in the registry.
    ingest, training : dict
        The parameters of these sections; of training with what the data chose.
    cleaned, rebalance, manifest, figures, intervals : dict
        The stages' files of these contents.
    behaviour : dict of str to dict
        Results of the behaviour tests by name: `kind`, `num_samples`, `pass_rate`; empty where there are none.
    counts : dict of str to dict of str to int
        Rows by class and split.
    confusion : dict of (str, str) to int
        Test rows by actual and predicted class.
    tokenizer : dict
        `language`, `unit`, `length`, `units` (in the vocabulary) and `full`: the share of test rows that fill `length`.
    epochs, kept : int
        Epochs trained, and the one kept.
    weights : dict of str to int
        Trained numbers by part: `LSTM` and, where there are any, `n-grams`.
    files : dict of str to int
        Bytes of each file of the model folder.
    lock, dvc : str
        SHA-256 of the runtime lock; DVC's digest of the model, "" where `dvc.lock` is of another state.
    """

    name: str
    ingest: dict[str, Any]
    training: dict[str, Any]
    cleaned: dict[str, Any]
    rebalance: dict[str, Any]
    manifest: Manifest
    figures: dict[str, Any]
    intervals: dict[str, Any]
    behaviour: dict[str, Any]
    counts: dict[str, dict[str, int]]
    confusion: dict[tuple[str, str], int]
    tokenizer: dict[str, Any]
    epochs: int
    kept: int
    weights: dict[str, int]
    files: dict[str, int]
    lock: str
    dvc: str


def gather() -> Facts:
    """Read the facts from the stages' outputs.

    Raises
    ------
    PipelineError
        A file is missing or altered, or the figures are of another model.
    """
    manifest = read_manifest(paths.TRAIN_MODEL)
    if read_json(paths.EVALUATE_MEASURED)["model"] != manifest["sha256"]:
        raise PipelineError(f"{paths.EVALUATE_METRICS} is of another model than {paths.TRAIN_MODEL}; run `dvc repro`")
    counts = read_table(paths.CLEAN_COUNTS, strings=["split", "label"]).pivot(
        index="label", columns="split", values="rows"
    )
    predictions = read_table(paths.EVALUATE_PREDICTIONS, strings=["id", "actual", "predicted"])
    history = read_table(paths.TRAIN_HISTORY)
    tokenizer = read_json(paths.TOKENIZE_TOKENIZER)
    vocabulary = tokenizer.pop("vocabulary")
    full = (read_arrays(paths.TOKENIZE_ARRAYS["test"])["ids"] > 0).all(axis=1).mean()
    return Facts(
        name=model_name(),
        ingest=params.load(Ingest).model_dump() | {"title": params.load(Ingest).title},
        training=params.load(Train).model_dump() | read_json(paths.TRAIN_SETTINGS),
        cleaned=read_json(paths.CLEAN_SUMMARY),
        rebalance=read_json(paths.REBALANCE_SUMMARY)
        | params.load(rebalancing.Rebalance).model_dump(exclude={"strategy"}),
        manifest=manifest,
        figures=read_json(paths.EVALUATE_METRICS),
        intervals=read_json(paths.EVALUATE_INTERVALS),
        behaviour=read_json(paths.EVALUATE_BEHAVIOUR)["tests"],
        counts={str(label): {str(split): int(rows) for split, rows in of.items()} for label, of in counts.T.items()},
        confusion={pair: int(rows) for pair, rows in predictions.groupby(["actual", "predicted"]).size().items()},
        tokenizer=tokenizer | {"units": len(vocabulary), "full": float(full)},
        epochs=len(history),
        kept=int(history.loc[history["validation_loss"].idxmin(), "epoch"]),
        weights=_weights(paths.TRAIN_MODEL),
        files={file.name: file.stat().st_size for file in sorted(paths.TRAIN_MODEL.iterdir())},
        lock=sha256(packaging.RUNTIME_LOCK),
        dvc=versioning.dvc_tags().get("dvc.model", ""),
    )


def _weights(folder: Path) -> dict[str, int]:
    import h5py

    sizes: list[int] = []
    with h5py.File(folder / WEIGHTS) as file:
        file.visititems(lambda name, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    found = {"LSTM": int(sum(sizes))}
    if (folder / GRAMS).is_file():
        found["n-grams"] = sum(array.size for array in read_arrays(folder / NGRAM_WEIGHTS).values())
    return found
