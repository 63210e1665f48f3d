"""Adapt: a user's own labelled texts and the champion in, a personal model out, if it is better on that user's texts.

`python -m pipeline.adapt FILE --user NAME [--model champion] [--text-column text] [--label-column label]`
"""

import argparse
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from . import clean, ingest, metrics, packaging, params, paths, reading, revision, stage, studies, tracking, train
from .backend import make_repeatable, prepare_keras
from .calibration import BOUNDS, Calibration, combine, of_powers
from .export import save
from .files import sha256_json
from .model import build, log_probabilities
from .network import log_softmax
from .ngrams import GRAMS, Ngrams
from .prediction import MANIFEST, TOKENIZER, WEIGHTS, read_manifest
from .split import assign_split
from .stage import PipelineError
from .store import STATE
from .text import Tokenizer, clean_text

ROWS = (50, 5_000)  # that a personal file may have: fewer show nothing, more can train a model of their own
FEWEST = 5  # rows of a class: some to learn from, some to measure on
TEST, VALIDATION = 0.3, 0.2  # shares of the rows
SPLIT_SEED = 73  # not clean.split_seed: rows of one of its splits shall fall into all parts here
LEARNING_RATE, BATCH, EPOCHS, PATIENCE = 5e-4, 16, 30, 3
POWER_SPREAD, OFFSET_SPREAD = 0.5, 1.0  # how far a user's calibration is expected to be from the champion's
RESAMPLES = 2_000
USER = re.compile(r"[\w.-]{1,60}", re.ASCII)


@dataclass(frozen=True)
class Comparison:
    """The champion and a personal model on the same held-out rows.

    Parameters
    ----------
    figures : dict of str to dict of str to float
        Overall figures by `champion` and `personal`; see `metrics.overall`.
    gains : dict of str to dict of str to float
        `loss` (the champion's less the personal model's) and `macro_f1` (the other way): `gain`, `low`, `high`.
    """

    figures: dict[str, metrics.Figures]
    gains: dict[str, metrics.Figures]

    @property
    def better(self) -> bool:
        """The gain in log-loss is above 0 by more than chance explains (95 %), and that in macro-F1 is no loss.

        Log-loss decides, because macro-F1 jumps: of a hundred rows, a few near the border move it by points.
        """
        return self.gains["loss"]["low"] > 0 and self.gains["macro_f1"]["gain"] >= 0

    def sentence(self) -> str:
        """Both gains, with their intervals."""
        said = [
            f"{name} {self.figures['champion'][key]:.4f} -> {self.figures['personal'][key]:.4f} "
            f"(gain {of['gain']:+.4f} [{of['low']:+.4f}, {of['high']:+.4f}])"
            for (key, of), name in zip(self.gains.items(), ("log-loss", "macro-F1"), strict=True)
        ]
        return f"on {self.figures['personal']['num_samples']} held-out rows: {', '.join(said)}"


def read_rows(path: Path, text_column: str, label_column: str, classes: Sequence[str]) -> pd.DataFrame:
    """A user's labelled texts, cleaned, each once, split by hash.

    Parameters
    ----------
    path : Path
        A table as `reading.read` takes it.
    text_column, label_column : str
        Its columns.
    classes : sequence of str
        Those of the model; the file may lack some of them.

    Returns
    -------
    DataFrame of shape (n_rows, >= 4)
        `id`, `text`, `label`, `split`: train, validation or test, the last held out; every class is in each.

    Raises
    ------
    PipelineError
        The file cannot be read, has other classes, or too few or too many rows.
    """
    cells = reading.read(path, [text_column, label_column])
    found = {"text": ingest.texts(cells[text_column], path), "label": ingest.names(cells[label_column], path)}
    table = ingest.complete(pd.DataFrame(found), source="personal").rename(columns={"text": "raw"})
    table["label"] = found["label"]
    others = sorted(set(table["label"].dropna()) - set(classes))
    if others:
        raise PipelineError(
            f"{path}: column {label_column!r} has the class {stage.shown(others[0])!r}, which the model does not know; "
            f"its classes are {', '.join(map(stage.shown, classes))}"
        )
    table["raw"] = table["raw"].fillna("")
    table.insert(1, "text", pd.Series([clean_text(text) for text in table["raw"]], dtype="str"))
    table = table[~np.logical_or.reduce(list(clean.unusable(table).values()))].reset_index(drop=True)
    if not ROWS[0] <= len(table) <= ROWS[1]:
        raise PipelineError(
            f"{path} has {len(table):,} usable rows (labelled, not empty, each text once); a personal model takes "
            f"{ROWS[0]} to {ROWS[1]:,}"
        )
    counts = table["label"].value_counts()
    if len(counts) < 2:
        raise PipelineError(f"{path}: all rows have the label {stage.shown(counts.index[0])!r}; there must be two")
    if counts.min() < FEWEST:
        raise PipelineError(
            f"{path}: class {stage.shown(counts.idxmin())!r} has {counts.min()} usable row(s); give it {FEWEST} or "
            "more, or leave it out"
        )
    table["split"] = assign_split(table, validation_share=VALIDATION, test_share=TEST, seed=SPLIT_SEED)
    return table[["id", "text", "label", "split"]]


def recalibrate(labels: np.ndarray, parts: Sequence[np.ndarray], before: Calibration) -> Calibration:
    """Fit powers and offsets to a user's rows, the few of them against what the champion has of many.

    The least log-loss, with a normal distribution about the champion's calibration as prior (maximum a posteriori): ten
    rows move it a little, a thousand decide alone. The offsets learn how often the user has each class.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers, of rows that the parts were not trained on.
    parts : sequence of ndarray of shape (n_rows, n_classes), float
        Logarithms of the probabilities that each part gives for them.
    before : Calibration
        The champion's.
    """
    from scipy.optimize import minimize

    stacked, rows = np.stack(parts), np.arange(len(labels))
    first = np.concatenate([np.asarray(before.shares) / before.temperature, before.offsets])
    spread = np.repeat([POWER_SPREAD, OFFSET_SPREAD], [len(parts), len(before.offsets)])

    def cost(values: np.ndarray) -> tuple[float, np.ndarray]:
        powers, offsets = values[: len(parts)], values[len(parts) :]
        scaled = log_softmax(np.tensordot(powers, stacked, axes=1) + offsets)
        errors = np.exp(scaled)
        errors[rows, labels] -= 1
        away = (values - first) / spread
        slopes = np.concatenate([(stacked * errors).sum(axis=(1, 2)), errors.sum(axis=0)])
        return float(-scaled[rows, labels].sum() + away @ away / 2), slopes + away / spread

    bounds = [(0, 1 / BOUNDS[0])] * len(parts) + [(None, None)] * len(before.offsets)
    found = minimize(cost, first, jac=True, method="L-BFGS-B", bounds=bounds).x
    powers, offsets = found[: len(parts)], found[len(parts) :]
    return of_powers(powers, offsets - offsets.mean())


def compare(labels: np.ndarray, champion: np.ndarray, personal: np.ndarray) -> Comparison:
    """Measure both models on the same rows, and their differences on the same resamples of them (Efron 1979).

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        True class numbers.
    champion, personal : ndarray of shape (n_rows, n_classes), float
        Their probabilities.
    """
    measured = {"champion": metrics.Measured(labels, champion), "personal": metrics.Measured(labels, personal)}
    drawn = metrics.bootstrap(measured, resamples=RESAMPLES, seed=0, rankings=False)
    figures = {name: of.overall() for name, of in measured.items()}
    gains = {}
    for key, sign in (("loss", -1), ("macro_f1", 1)):
        gain = sign * (figures["personal"][key] - figures["champion"][key])
        range_ = metrics.interval(sign * (drawn["personal"][key] - drawn["champion"][key]))
        gains[key] = {"gain": round(gain, 6), **range_}
    return Comparison(figures, gains)


def adapt(base: Path, table: pd.DataFrame, folder: Path) -> tuple[Comparison, list[train.Figures]]:
    """Fine-tune a model to a user's rows, write it to `folder`, and compare it with what it was.

    The LSTM goes on from its weights at half its learning rate, and stops by the user's validation rows: where no epoch
    is better than none, it stays. The n-grams stay; what each part has to say, and how often each class comes, is
    fitted anew on the same rows.

    Parameters
    ----------
    base : Path
        Model folder of the champion.
    table : DataFrame
        As `read_rows` gives it.
    folder : Path
        Where the personal model goes.

    Returns
    -------
    comparison : Comparison
        On the held-out rows.
    history : list of dict
        As `train.fit` gives it.
    """
    manifest = read_manifest(base)
    classes, network = manifest["classes"], manifest["network"]
    before = Calibration(tuple(manifest["shares"]), manifest["temperature"], tuple(manifest["offsets"]))
    tokenizer = Tokenizer.load(base / TOKENIZER)
    ngrams = Ngrams.load(base) if GRAMS in manifest["sha256"] else None
    prepare_keras()
    make_repeatable(threads=params.load(params.Train).threads, seed=0)
    model = build(**network)
    model.load_weights(base / WEIGHTS)

    texts, lengths = table["text"].to_list(), tokenizer.lengths[-1:]  # each more costs more to compile than it saves
    ids = tokenizer.encode(texts)
    labels = table["label"].map({name: number for number, name in enumerate(classes)}).to_numpy(dtype=np.int32)
    rows = {split: (table["split"] == split).to_numpy() for split in ("train", "validation", "test")}
    beside = list(ngrams.log_probabilities(texts)) if ngrams else []
    old = [log_probabilities(model, ids, lengths), *beside]
    start, chosen = model.get_weights(), rows["validation"]
    loss = metrics.Measured(labels[chosen], np.exp(old[0][chosen]))(rankings=False)["loss"]
    history = train.fit(
        model,
        (ids[rows["train"]], labels[rows["train"]], np.ones(rows["train"].sum(), dtype=np.float32)),
        (ids[chosen], labels[chosen]),
        lengths=lengths,
        batch_size=BATCH,
        epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
        adversarial=0.0,
        patience=PATIENCE,
        seed=0,
    )
    if min(figures["validation_loss"] for figures in history) >= loss:
        model.set_weights(start)
    new = [log_probabilities(model, ids, lengths), *beside]
    fitted = recalibrate(labels[chosen], [part[chosen] for part in new], before)
    personal = combine(new, fitted)
    save(
        folder,
        model,
        tokenizer,
        ngrams,
        classes=classes,
        network=network,
        calibration=fitted,
        class_shares=np.maximum(personal[~rows["test"]].mean(axis=0), 1e-6).round(6).tolist(),
        state=manifest["state"],
    )
    test = rows["test"]
    return compare(labels[test], combine(old, before)[test], personal[test]), history


def publish(
    user: str, which: str, base: Path, folder: Path, table: pd.DataFrame, told: tuple[Comparison, list[train.Figures]]
) -> str:
    """Log the comparison, and register the model if it is better; give the sentence that says what was done."""
    comparison, history = told
    manifest = read_manifest(folder)
    name = f"{params.model_name()}-{user}"
    given = {"user": user, "base": which, "base_model": packaging.digest(read_manifest(base))[:16]}
    given |= {f"rows.{split}": str((table["split"] == split).sum()) for split in paths.SPLITS}
    key = sha256_json([given, table["id"].to_list(), packaging.digest(manifest)])
    with studies.opened("adapt") as store:
        tags = {STATE: key, **revision.tags(), "mlflow.source.name": "python -m pipeline.adapt"}
        run = store.find_run(key) or store.client.create_run(store.experiment_id, run_name=user, tags=tags)
        store.log_params(run, given)
        store.log_epochs(run, history)
        store.log_figures(run, metrics.flatten({"test": comparison.figures, "gain": comparison.gains}))
        if comparison.better:
            version = store.register(run, name, folder, packaging.digest(manifest), manifest["classes"])
            champion = store.alias(name, "champion")
            if champion is not None and champion.version != version.version:
                store.move_alias("previous", champion)
            store.move_alias("champion", version)
            store.annotate(version, {"promotion.reason": comparison.sentence(), "personal.user": user})
        verdict = f"{name} version {version.version}" if comparison.better else "not registered"
        store.finish(run, {"mlflow.note.content": f"{verdict}: {comparison.sentence()}"})
    return f"registered as {verdict}, champion" if comparison.better else verdict


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.adapt", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="the user's labelled texts: CSV, TSV, JSON lines or Parquet")
    parser.add_argument("--user", required=True, help="registers the model as <model>-<user>")
    parser.add_argument("--model", default="champion", help="alias, version or folder (default: champion)")
    parser.add_argument("--text-column", default="text", help="column of the texts (default: text)")
    parser.add_argument("--label-column", default="label", help="column of the classes (default: label)")
    options = parser.parse_args(arguments)
    if not USER.fullmatch(options.user):
        raise PipelineError(f"--user must be of letters, digits and . _ -, 60 at most, got {options.user!r}")
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(options.model)
        if not (base / MANIFEST).is_file():
            base = tracking.fetch_model(params.model_name(), options.model, Path(temporary) / "base")
        table = read_rows(options.file, options.text_column, options.label_column, read_manifest(base)["classes"])
        folder = Path(temporary) / "personal"
        told = adapt(base, table, folder)
        if tracking.enabled():
            verdict = publish(options.user, options.model, base, folder, table, told)
        else:
            verdict = "tracking is off (PIPELINE_TRACKING), nothing registered"
    better = "better than" if told[0].better else "no clear gain over"
    print(f"{options.user}: {better} {options.model} {told[0].sentence()}; {verdict}")


if __name__ == "__main__":
    stage.run("adapt", main)
