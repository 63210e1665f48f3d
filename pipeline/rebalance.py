"""Rebalance: what the chosen strategy makes of the training rows, decided here and nowhere else.

Validation and test rows are never read: they keep their natural shares of the classes.
"""

import numpy as np

from . import params, paths, stage
from .files import read_arrays, read_json, write_arrays, write_json


def rebalance(labels: np.ndarray, *, strategy: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose training rows and their weights.

    Samplers get the row numbers, never the token ids: a sampler that interpolates would invent ids without meaning.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        Class numbers of the training rows.
    strategy : {"none", "random_over", "random_under", "class_weight"}
        - "none": every row once.
        - "random_over": rows of smaller classes repeated up to the largest (imbalanced-learn, `RandomOverSampler`).
        - "random_under": larger classes cut down to the smallest (imbalanced-learn, `RandomUnderSampler`).
        - "class_weight": every row once, weighted by n_rows / (n_classes * rows of its class)
          (King and Zeng 2001, "Logistic Regression in Rare Events Data"; scikit-learn's "balanced").
    seed : int
        Which rows a sampler draws.

    Returns
    -------
    rows : ndarray of shape (n_chosen,), int64
        Row numbers, ascending; with repetitions under "random_over".
    weights : ndarray of shape (n_chosen,), float32
        Weight of each chosen row in the loss; 1 except under "class_weight".
    """
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler
    from sklearn.utils.class_weight import compute_sample_weight

    rows = np.arange(len(labels), dtype=np.int64)
    if strategy == "class_weight":
        return rows, compute_sample_weight("balanced", labels).astype(np.float32)
    if strategy in {"random_over", "random_under"}:
        sampler = {"random_over": RandomOverSampler, "random_under": RandomUnderSampler}[strategy](random_state=seed)
        sampled, _ = sampler.fit_resample(rows.reshape(-1, 1), labels)
        rows = np.sort(sampled.ravel())
    elif strategy != "none":
        raise ValueError(f"strategy must be none, random_over, random_under or class_weight, got {strategy!r}")
    return rows, np.ones(len(rows), dtype=np.float32)


def shift(labels: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Logarithm of each class's natural share by its share after rebalancing, shape (n_classes,), float64.

    It is what calibration may add to the logits of a model that learned from the rebalanced rows (Elkan 2001).

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int
        Class numbers of all training rows.
    rows, weights : ndarray of shape (n_chosen,)
        As `rebalance` gives them.
    """
    before, after = np.bincount(labels), np.bincount(labels[rows], weights)
    found: np.ndarray = np.log(before / before.sum()) - np.log(after / after.sum())
    return found


def main() -> None:
    settings = params.load(params.Rebalance)
    classes = read_json(paths.CLEAN_CLASSES)
    labels = read_arrays(paths.TOKENIZE_ARRAYS["train"])["label"]
    rows, weights = rebalance(labels, strategy=settings.strategy, seed=settings.seed)
    handed_on = {"shift": shift(labels, rows, weights), "correction": np.array(settings.prior_correction)}
    write_arrays(paths.REBALANCE_TRAIN, {"rows": rows, "weights": weights, **handed_on})
    chosen = labels[rows]
    summary = {
        name: {
            "rows_before": int((labels == number).sum()),
            "rows_after": int((chosen == number).sum()),
            "weight": float(weights[chosen == number].mean()),
        }
        for number, name in enumerate(classes)
    }
    write_json(paths.REBALANCE_SUMMARY, {"strategy": settings.strategy, "classes": summary})
    for name, of in summary.items():
        print(f"{name}: {of['rows_before']:,} -> {of['rows_after']:,} rows, weight {of['weight']:.3f}")


if __name__ == "__main__":
    stage.run("rebalance", main)
