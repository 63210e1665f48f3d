"""Rebalance: select and weight the training rows against class imbalance.

Validation and test rows are not read: they keep their class priors.
"""

import numpy as np

from .base import command, params, paths
from .base.files import read_arrays, read_json, write_arrays, write_json
from .base.params import label_name
from .training.rebalancing import Rebalance, Target, auto_strategy, rebalance


def main() -> None:
    settings = params.load(Rebalance)
    target: Target
    if isinstance(settings.target, dict):
        target = {label_name(label): rows for label, rows in settings.target.items()}
    else:
        target = settings.target
    classes = read_json(paths.CLEAN_CLASSES)
    labels = read_arrays(paths.TOKENIZE_ARRAYS["train"])["label"]
    strategy = auto_strategy(np.bincount(labels)) if settings.strategy == "auto" else settings.strategy
    plan = rebalance(
        labels,
        classes,
        strategy=strategy,
        target=target,
        strength=settings.strength,
        seed=settings.seed,
    )
    arrays = {key: np.asarray(value) for key, value in plan._asdict().items()}
    write_arrays(paths.REBALANCE_TRAIN, arrays | {"correction": np.array(settings.prior_correction)})
    summary = {
        name: {
            "rows": int((labels == number).sum()),
            "rows_used": int((labels[plan.rows] == number).sum()),
            "counts_as": round(float(plan.counts_as[number]), 1),
        }
        for number, name in enumerate(classes)
    }
    write_json(paths.REBALANCE_SUMMARY, {"strategy": strategy, "classes": summary})
    print(f"strategy: {strategy}")
    for number, name in enumerate(classes):
        rows, used = int(summary[name]["rows"]), int(summary[name]["rows_used"])
        weight = plan.weights[labels[plan.rows] == number].mean()
        print(f"{name}: {rows:,} rows, {'' if used == rows else f'{used:,} used, '}weight {weight:.2f}")


if __name__ == "__main__":
    command.run_stage("rebalance", __doc__, main)
