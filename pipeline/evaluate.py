"""Evaluate: the model on the test rows, beside a linear baseline on the same rows."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from . import metrics, params, paths, plots, publish, stage
from .files import read_arrays, read_table, sha256, write_json, write_table
from .model import predict
from .prediction import Predictor, read_manifest

WORDS = r"(?u)\w+|[^\w\s]"  # the baseline's words and single symbols


def baseline_probabilities(train: pd.DataFrame, test: pd.DataFrame, classes: list[str]) -> np.ndarray:
    """What a linear model makes of the same rows: TF-IDF of words and word pairs, balanced logistic regression.

    Parameters
    ----------
    train, test : DataFrame
        Have the column `text` (cleaned); `train` also `label`.
    classes : list of str
        Class names, in the order of the columns of the result.

    Returns
    -------
    ndarray of shape (n_test_rows, n_classes), float64
        Class probabilities.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    linear = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=WORDS),
        LogisticRegression(class_weight="balanced", max_iter=1_000),
    )
    linear.fit(train["text"].to_numpy(dtype=object), train["label"].to_numpy(dtype=object))
    probabilities: np.ndarray = linear.predict_proba(test["text"].to_numpy(dtype=object))
    return probabilities[:, [list(linear.classes_).index(name) for name in classes]]


def slice_members(ids: np.ndarray, texts: "pd.Series[str]", length_bounds: list[int]) -> dict[str, np.ndarray]:
    """Which test rows belong to which slice.

    Parameters
    ----------
    ids : ndarray of shape (n_rows, length), int32
        Token ids; their number decides a row's length.
    texts : Series of str, n_rows
        Cleaned texts; their placeholders decide the other slices.
    length_bounds : list of int
        Tokens at which the length slices end.

    Returns
    -------
    dict of str to ndarray of shape (n_rows,), bool
        Members by slice.
    """
    lengths = (ids > 0).sum(axis=1)
    lows = [1, *(bound + 1 for bound in length_bounds)]
    members = {
        f"{low} to {high} tokens": (low <= lengths) & (lengths <= high)
        for low, high in zip(lows, length_bounds, strict=False)
    }
    members[f"{lows[-1]} tokens or more"] = lengths >= lows[-1]
    members["with address"] = texts.str.contains("[url]", regex=False).to_numpy(dtype=bool)
    members["with user name"] = texts.str.contains("[user]", regex=False).to_numpy(dtype=bool)
    return members


def rows_digest(rows: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 of which rows were measured, in any order: two models with the same one can be compared.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,), str
        Row ids.
    labels : ndarray of shape (n_rows,), int32
        Class numbers.
    """
    lines = sorted(f"{row} {label}" for row, label in zip(rows, labels, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def main() -> None:
    settings = params.load(params.Evaluate)
    predictor = Predictor.load(paths.TRAIN_MODEL)
    classes = list(predictor.classes)
    arrays = read_arrays(paths.TOKENIZE_ARRAYS["test"])
    train, test = read_table(paths.CLEAN_TABLES["train"]), read_table(paths.CLEAN_TABLES["test"])
    labels = arrays["label"]
    probabilities = predict(predictor.model, arrays["ids"])
    figures: dict[str, dict[str, Any]] = {
        "overall": metrics.overall(labels, probabilities),
        "baseline": metrics.overall(labels, baseline_probabilities(train, test, classes)),
        "per_class": metrics.per_class(labels, probabilities, classes),
        "slices": metrics.slices(
            labels, probabilities, slice_members(arrays["ids"], test["text"], settings.length_bounds)
        ),
    }
    names = np.array(classes, dtype=object)
    predictions = pd.DataFrame(
        {"row": arrays["row"], "actual": names[labels], "predicted": names[probabilities.argmax(axis=1)]}
        | {f"p_{name}": probabilities[:, number].astype(float).round(6) for number, name in enumerate(classes)}
    )
    write_table(paths.EVALUATE_PREDICTIONS, predictions)
    write_json(paths.EVALUATE_METRICS, figures)
    measured = {
        "model": read_manifest(paths.TRAIN_MODEL)["sha256"],
        "test": rows_digest(arrays["row"], labels),
        "metrics": sha256(paths.EVALUATE_METRICS),
        "settings": settings.model_dump(),
    }
    write_json(paths.EVALUATE_MEASURED, measured)
    plots.render(paths.REPORTS / "evaluate")
    for name in ("overall", "baseline"):
        of = figures[name]
        print(f"{name}: accuracy {of['accuracy']:.4f}, macro-F1 {of['macro_f1']:.4f}, loss {of['loss']:.4f}")
    publish.after_evaluate()


if __name__ == "__main__":
    stage.run("evaluate", main)
